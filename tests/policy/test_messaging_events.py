"""The tables of events on real servers: they come, stay as they are, and keep tenants apart."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import psycopg
import pytest
from tests.policy.planned import applied

from pgcharter.errors import UnavailableError
from pgcharter.migrate import planning
from pgcharter.migrate.planning import Planned, Wish
from pgcharter.migrate.policies import Chosen
from pgcharter.policy import messaging, roles, tenancy
from pgcharter.policy.messaging_settings import EventsTable, MessagingSection
from pgcharter.policy.model import Policy
from pgcharter.policy.roles_settings import RolesSection
from pgcharter.policy.tenancy_settings import TenancySection
from pgcharter.runtime.events import New, append, read_aggregate, read_all
from pgcharter.runtime.events_archive import archive


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


def at(policy: Policy, now: datetime) -> Policy:
    return replace(policy, apply=lambda state: policy.apply(replace(state, now=now)))


def test_months_come_ahead_and_those_archived_stay_gone(database: str) -> None:
    chosen = wish(events=EventsTable("text", 1))
    apply(database, at(chosen, datetime(2020, 5, 10, tzinfo=UTC)))
    later = at(chosen, datetime(2020, 7, 31, 23, 59, tzinfo=UTC))
    made = apply(database, later).plan.steps
    assert [s.sql.split()[2] for s in made if s.sql.startswith("CREATE TABLE")] == ["pgcharter.events_2020_07", "pgcharter.events_2020_08"]
    assert planned(database, later).plan.empty
    with psycopg.connect(database, autocommit=True) as conn:
        with conn.transaction():
            archive(conn, date(2020, 5, 1))
        kept = conn.execute("SELECT to_regclass('pgcharter.events_archive_2020_05'), to_regclass('pgcharter.events_2020_05')").fetchone()
        assert kept == ("pgcharter.events_archive_2020_05", None)
    assert [s.sql.split()[:3] for s in apply(database, later).plan.steps] == [["DELETE", "FROM", "pgcharter.managed_objects"]]
    assert planned(database, later).plan.empty


@pytest.mark.parametrize("major", [15, 18])
def test_tenants_do_not_meet(database: str, major: int) -> None:
    writer, worker = f"ev_writer_{major}", f"ev_worker_{major}"
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute(f"CREATE ROLE {writer}; CREATE ROLE {worker}; CREATE SCHEMA shop; CREATE TABLE shop.o (id int PRIMARY KEY)".encode())
    chosen = (
        tenancy.policy(TenancySection()),
        wish(events=EventsTable("text"), writers=(writer,), workers=(worker,)),
        roles.policy(RolesSection()),
    )
    try:
        assert apply(database, *chosen).proof
        again = planned(database, *chosen).plan
        assert again.empty, [s.sql for s in again.steps]
        with psycopg.connect(database, autocommit=True) as conn:
            conn.execute(f"SET ROLE {writer}".encode())
            for tenant in ("a", "b"):
                conn.execute("SELECT set_config('pgcharter.tenant', %s, false)", (tenant,))
                with conn.transaction():
                    assert append(conn, "order", "1", [New("placed", tenant)], expected=0).version == 1
                with conn.transaction():
                    assert [e.data for e in read_all(conn)] == [e.data for e in read_aggregate(conn, "order", "1")] == [tenant]
                    conn.execute(
                        "INSERT INTO pgcharter.event_snapshots (aggregate_type, aggregate_id, version, snapshot_type, schema_version, data)"
                        " VALUES ('order', '1', 1, 's', 1, '{}')"
                    )
                    assert conn.execute("SELECT tenant FROM pgcharter.event_snapshots").fetchall() == [(tenant,)]
                    assert conn.execute("SELECT tenant FROM pgcharter.event_heads").fetchall() == [(tenant,)]
            conn.execute(f"SET ROLE {worker}; RESET pgcharter.tenant".encode())
            with conn.transaction():
                assert [e.tenant for e in read_all(conn)] == ["a", "b"]
            with pytest.raises(UnavailableError), conn.transaction():
                append(conn, "order", "2", [New("placed", 1)])
            conn.execute("RESET ROLE")
            with conn.transaction():
                assert len(read_all(conn)) == 2
    finally:
        with psycopg.connect(database, autocommit=True) as conn:
            conn.execute(f"DROP OWNED BY {writer}, {worker}; DROP ROLE {writer}; DROP ROLE {worker}".encode())
