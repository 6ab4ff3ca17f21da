"""Sync: the publication of copied tables, and the tables in which copying keeps what it has reached and what it has corrected."""

from __future__ import annotations

from pgcharter.policy.model import Policy, State
from pgcharter.policy.sync_settings import SECTION, SyncSection


def policy(section: SyncSection) -> Policy:
    """The policy of a `[sync]` section."""
    return Policy(SECTION.name, lambda state: _apply(state, section))


def _apply(state: State, section: SyncSection) -> State:  # noqa: ARG001
    return state
