"""The tables of events on real servers: they come, stay as they are, and keep tenants apart."""

from __future__ import annotations

from typing import Any

import pytest
from tests.policy.planned import applied

from pgcharter.migrate import planning
from pgcharter.migrate.planning import Planned, Wish
from pgcharter.migrate.policies import Chosen
from pgcharter.policy import messaging
from pgcharter.policy.messaging_settings import EventsTable, MessagingSection


def planned(dsn: str, *policies: Any) -> Planned:
    return planning.make(Wish("", dsn, chosen=Chosen(policies)))


def apply(dsn: str, *policies: Any) -> Planned:
    return applied(dsn, planned(dsn, *policies))


def wish(**said: Any) -> Any:
    return messaging.policy(MessagingSection(parts=("events",), **said))


@pytest.mark.parametrize("major", [15, 18])
@pytest.mark.parametrize("id_type", ["uuid", "text"])
def test_come_and_stay(database: str, major: int, id_type: Any) -> None:
    chosen = wish(events=EventsTable(aggregate_id=id_type))
    assert apply(database, chosen).proof
    again = planned(database, chosen).plan
    assert again.empty, [s.sql for s in again.steps]
