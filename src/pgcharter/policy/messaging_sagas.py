"""Sagas: instances, their steps, and what they wait for."""

from __future__ import annotations

from pgcharter.policy.messaging_settings import MessagingSection
from pgcharter.policy.model import State


def apply(state: State, section: MessagingSection) -> State:  # noqa: ARG001
    """The state with what belongs to it."""
    return state
