"""Where tenants are kept apart: no session of one reads or writes what is another one's, neither by tables nor by functions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from tests.policy.planned import applied

from pgcharter.errors import UsageError
from pgcharter.migrate import planning
from pgcharter.migrate.planning import Planned, Wish
from pgcharter.migrate.policies import Chosen
from pgcharter.policy import messaging, tenancy
from pgcharter.policy.messaging_settings import EventsTable, MessagingSection
from pgcharter.policy.tenancy_settings import TenancySection
from pgcharter.runtime import inbox
from pgcharter.runtime.events import New, append
from pgcharter.runtime.outbox import publish

NONE = "NULL, NULL, NULL, NULL, NULL, NULL, NULL"
TABLES = ("events", "event_heads", "saga_instances", "saga_signals", "inbox")


def planned(dsn: str, *policies: Any) -> Planned:
    return planning.make(Wish("", dsn, chosen=Chosen(policies), prove=False))


def chosen(*users: str) -> tuple[Any, ...]:
    section = MessagingSection(writers=users[:1], workers=users[1:], events=EventsTable("text"), message_bytes=1000)
    return tenancy.policy(TenancySection()), messaging.policy(section)


@pytest.fixture
def names(database: str, major: int) -> Iterator[tuple[str, str]]:
    """A writer and a worker, in a database with tenants and messaging."""
    found = f"ten_writer_{major}", f"ten_worker_{major}"
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute(
            f"CREATE ROLE {found[0]}; CREATE ROLE {found[1]}; CREATE SCHEMA shop; CREATE TABLE shop.o (id int PRIMARY KEY)".encode()
        )
        try:
            applied(database, planned(database, *chosen(*found)))
            assert planned(database, *chosen(*found)).plan.empty
            yield found
        finally:
            conn.execute(f"DROP OWNED BY {found[0]}, {found[1]}; DROP ROLE {found[0]}, {found[1]}".encode())


def be(conn: Any, tenant: str, role: str = "") -> None:
    conn.execute("SELECT set_config('pgcharter.tenant', %s, false)", (tenant,))
    if role:
        conn.execute(f"SET ROLE {role}".encode())


def done(conn: Any, flow: Any, *given: Any) -> Any:
    with conn.transaction():
        return flow(conn, *given)


@pytest.mark.parametrize("major", [15, 18])
def test_no_tenant_reads_or_writes_what_is_another_one_s(database: str, names: tuple[str, str]) -> None:
    writer, worker = names
    with psycopg.connect(database, autocommit=True) as conn:
        for tenant in ("a", "b"):
            be(conn, tenant, writer)
            done(conn, append, "order", "1", [New("placed", tenant)])
            done(conn, publish, "t", tenant)
            ((saga,),) = conn.execute(
                "SELECT id FROM pgcharter.saga_start(gen_random_uuid(), 'o', 1, '{}', 'k', NULL, NULL, NULL)"
            ).fetchall()
            conn.execute("SELECT pgcharter.saga_signal(gen_random_uuid(), %s, NULL, NULL, 'signal', 'paid', NULL, NULL, NULL)", (saga,))
            assert [done(conn, inbox.once, "billing", i) for i in ("1", "1")] == [True, False], "an id of another tenant is another message"
            assert done(conn, inbox.new, "billing", ["1", "2"]) == {"2"}
        be(conn, "a")
        for table in TABLES:
            assert {t for (t,) in conn.execute(f"SELECT tenant FROM pgcharter.{table}".encode())} == {"a"}, table
        for sql in (
            "INSERT INTO pgcharter.inbox (consumer, message_id, tenant) VALUES ('billing', '3', 'b')",
            "INSERT INTO pgcharter.events (tenant) VALUES ('a')", "UPDATE pgcharter.event_heads SET version = 9",
            "SELECT FROM pgcharter.outbox", "SELECT FROM pgcharter.outbox_0", "SELECT FROM pgcharter.outbox_routes",
            "SELECT FROM pgcharter.parked", "SELECT FROM pgcharter.feeds", "SELECT FROM pgcharter.events_unplaced",
            "UPDATE pgcharter.inbox SET tenant = 'b'", "DELETE FROM pgcharter.inbox", "INSERT INTO pgcharter.saga_signals DEFAULT VALUES",
            "SELECT * FROM pgcharter.saga_claim('w', '1 min', '{o}', '{1}', 10, '{}')", "SELECT pgcharter.outbox_rotate(1)",
            f"SELECT pgcharter.append_events('{{order}}', '{{1}}', '{{-1}}', '{{1}}', '{{placed}}', '{{1}}', {NONE[:-6]}, 'b')",
        ):  # fmt: skip
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                conn.execute(sql.encode())
        conn.execute("SELECT pgcharter.saga_signal(gen_random_uuid(), %s, NULL, NULL, 'cancel', '', NULL, NULL, NULL)", (saga,))
        with pytest.raises(psycopg.errors.UniqueViolation, match="which is another one's"):
            conn.execute("SELECT pgcharter.saga_start(%s, 'o', 1, '{}', NULL, NULL, NULL, NULL)", (saga,))
        be(conn, "", worker)
        found = "SELECT tenant, count(*) FROM pgcharter.{} GROUP BY 1 ORDER BY 1"
        for table, count in {**dict.fromkeys(TABLES, 1), "outbox": 1, "inbox": 2}.items():
            assert conn.execute(found.format(table).encode()).fetchall() == [("a", count), ("b", count)], table
        assert [done(conn, inbox.once, "billing", "1"), done(conn, inbox.purge, 0)] == [True, 5]


@pytest.mark.parametrize("major", [18])
def test_an_event_that_is_too_large_is_refused(database: str, names: tuple[str, str]) -> None:
    with psycopg.connect(database, autocommit=True) as conn:
        be(conn, "a", names[0])
        done(conn, append, "order", "1", [New("placed", "x" * 600), New("placed", "x" * 600)])
        with pytest.raises(UsageError, match=r"an event of type noted has 10\d\d bytes, and may have 1000, so nothing was appended"):
            done(conn, append, "order", "1", [New("placed", 1), New("noted", "x" * 1000)])
        assert conn.execute("SELECT count(*) FROM pgcharter.events").fetchone() == (2,)


@pytest.mark.parametrize("major", [15, 18])
def test_an_inbox_from_before_there_were_tenants_in_it(database: str, names: tuple[str, str]) -> None:
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute(
            "DROP POLICY pgcharter_tenant ON pgcharter.inbox; DROP POLICY pgcharter_workers ON pgcharter.inbox;"
            "ALTER TABLE pgcharter.inbox DROP CONSTRAINT inbox_pkey, DROP COLUMN tenant, ADD PRIMARY KEY (consumer, message_id);"
            "ALTER TABLE pgcharter.inbox DISABLE ROW LEVEL SECURITY, NO FORCE ROW LEVEL SECURITY;"
            "INSERT INTO pgcharter.inbox (consumer, message_id) VALUES ('c', '1')"
        )
        applied(database, planned(database, *chosen(*names)))
        assert planned(database, *chosen(*names)).plan.empty
        assert done(conn, inbox.new, "c", ["1", "2"]) == {"2"}
