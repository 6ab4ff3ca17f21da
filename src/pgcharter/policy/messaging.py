"""Messaging: the tables and functions of events, outbox, sagas, and of whoever reads them in order."""

from __future__ import annotations

from dataclasses import replace

from pgcharter.policy import messaging_events, messaging_feeds, messaging_outbox, messaging_projections, messaging_sagas
from pgcharter.policy.messaging_settings import SECTION, MessagingSection
from pgcharter.policy.model import Policy, State
from pgcharter.policy.own import opened

_PARTS = {"events": (messaging_events, messaging_projections), "outbox": (messaging_outbox,), "sagas": (messaging_sagas,)}


def policy(section: MessagingSection) -> Policy:
    """The policy of a `[messaging]` section."""
    return Policy(SECTION.name, lambda state: _apply(state, section))


def _apply(state: State, section: MessagingSection) -> State:
    modules = (module for name, made in _PARTS.items() if name in section.parts for module in made)
    for module in (messaging_feeds, *modules):
        state = module.apply(state, section)
    return replace(state, catalog=opened(state.catalog, (*section.writers, *section.workers)))
