"""The event store in a database of a test, with ids of either type."""

from __future__ import annotations

from typing import Any, Literal

import psycopg

from pgcharter.migrate import planning
from pgcharter.migrate.planning import Wish
from pgcharter.migrate.policies import Chosen
from pgcharter.policy import messaging
from pgcharter.policy.messaging_settings import EventsTable, MessagingSection

_made: dict[Any, tuple[str, ...]] = {}


def install(dsn: str, id_type: Literal["uuid", "text"] = "text", *users: str) -> None:
    """Make the tables in a database that has none of ours."""
    with psycopg.connect(dsn, autocommit=True) as conn:
        at = conn.info.server_version, id_type, users
        if at not in _made:
            section = MessagingSection(parts=("events",), events=EventsTable(id_type), writers=users)
            planned = planning.make(Wish("", dsn, chosen=Chosen((messaging.policy(section),)), prove=False))
            _made[at] = tuple(s.sql for s in planned.plan.steps)
        for sql in _made[at]:
            conn.execute(sql.encode())
