"""`[messaging]` on real servers: it comes, reads back identical, and goes; who may do what; the barrier."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from tests.policy.by_hand import lose
from tests.policy.planned import applied, catalog
from tests.runtime import standby as standbys
from tests.runtime.own_tables import install

from pgcharter.catalog.compare import compare
from pgcharter.migrate import planning
from pgcharter.migrate.planning import Planned, Wish
from pgcharter.migrate.policies import Chosen
from pgcharter.policy import idempotency, messaging, roles, tenancy
from pgcharter.policy.idempotency_settings import IdempotencySection
from pgcharter.policy.messaging_settings import MessagingSection
from pgcharter.policy.roles_settings import RolesSection
from pgcharter.policy.tenancy_settings import TenancySection
from pgcharter.servers import binaries, lifecycle

EVENTS = 1885824357


def planned(dsn: str, *policies: Any) -> Planned:
    return planning.make(Wish("", dsn, chosen=Chosen(policies)))


def apply(dsn: str, *policies: Any) -> Planned:
    return applied(dsn, planned(dsn, *policies))


@pytest.mark.parametrize("major", [15, 18])
def test_come_and_gone(database: str, major: int) -> None:
    before = catalog(database)
    wish = messaging.policy(MessagingSection())
    assert apply(database, wish).proof
    assert planned(database, wish).plan.empty
    lose(database, planned(database))
    apply(database)
    assert [d for d in compare(before, catalog(database)) if "pgcharter" not in (d.object.schema, d.object.name)] == []
    assert planned(database).plan.empty


@pytest.mark.parametrize("major", [15, 18])
def test_with_tenants_and_rights(database: str, major: int) -> None:
    writer, worker = f"msg_writer_{major}", f"msg_worker_{major}"
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute(
            f"CREATE ROLE {writer} LOGIN; CREATE ROLE {worker} LOGIN; CREATE SCHEMA shop; CREATE TABLE shop.o (id int PRIMARY KEY)".encode()
        )
    section = MessagingSection(writers=(writer,), workers=(worker,))
    chosen = (
        tenancy.policy(TenancySection()), idempotency.policy(IdempotencySection(users=(writer,))), messaging.policy(section),
        roles.policy(RolesSection()),
    )  # fmt: skip
    try:
        assert apply(database, *chosen).proof
        assert planned(database, *chosen).plan.empty
        with psycopg.connect(database, autocommit=True) as conn:
            conn.execute(f"SET ROLE {writer}".encode())
            assert conn.execute("SELECT pgcharter.settled('events')").fetchone() == (0,)
            conn.execute("INSERT INTO pgcharter.inbox VALUES ('c', 'm')")
            for refused in ("SELECT FROM pgcharter.feeds", "DELETE FROM pgcharter.inbox", "SELECT nextval('pgcharter.events_position')"):
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    conn.execute(refused)
            conn.execute(f"RESET ROLE; SET ROLE {worker}".encode())
            conn.execute("SELECT pgcharter.settled('events'); SELECT FROM pgcharter.parked; DELETE FROM pgcharter.inbox")
            for refused in ("INSERT INTO pgcharter.logs VALUES ('events', 9)", "TRUNCATE pgcharter.feeds"):
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    conn.execute(refused)
            conn.execute("RESET ROLE; CREATE ROLE msg_nobody")
            conn.execute("SET ROLE msg_nobody")
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                conn.execute("SELECT pgcharter.settled('events')")
    finally:
        with psycopg.connect(database, autocommit=True) as conn:
            conn.execute(f"DROP OWNED BY {writer}, {worker}; DROP ROLE {writer}, {worker}; DROP ROLE IF EXISTS msg_nobody".encode())


@pytest.fixture
def installed(database: str, major: int) -> str:
    install(database, "messaging")
    return database


def settled(conn: Any) -> int:
    return conn.execute("SELECT pgcharter.settled('events')").fetchone()[0]  # type: ignore[no-any-return]


def held(conn: Any, position: int) -> None:
    conn.execute("SELECT pg_advisory_xact_lock_shared(%s, ((%s::bigint << 32) >> 32)::int)", (EVENTS, position))


@pytest.mark.parametrize("major", [15, 18])
def test_the_barrier(installed: str) -> None:
    with psycopg.connect(installed, autocommit=True) as conn, psycopg.connect(installed) as writer, psycopg.connect(installed) as late:
        assert settled(conn) == 0
        assert conn.execute("SELECT nextval('pgcharter.events_position') FROM generate_series(1, 10)").fetchall()[-1] == (10,)
        assert settled(conn) == 10
        held(writer, 7)
        held(late, 9)
        assert settled(conn) == 7
        writer.rollback()
        assert settled(conn) == 9
        late.execute("SAVEPOINT s")
        held(late, 3)
        assert settled(conn) == 3
        late.execute("ROLLBACK TO s")
        assert settled(conn) == 9
        late.commit()
        # locks of others: another class, the form of one key, a lock of the same name in the form of one key
        held(writer, 0)
        writer.rollback()
        writer.execute("SELECT pg_advisory_xact_lock(%s::bigint << 32 | 5), pg_advisory_xact_lock_shared(%s + 1, 5)", (EVENTS, EVENTS))
        assert settled(conn) == 10


@pytest.mark.parametrize("major", [15])
def test_positions_beyond_32_bits(installed: str) -> None:
    with psycopg.connect(installed, autocommit=True) as conn, psycopg.connect(installed) as writer:
        for last in (2**31 - 3, 2**31 + 5, 2**32 - 2, 2**32 + 1, 5 * 2**32 - 1, 2**62):
            for at in (last, last - 1, last - 1000, max(0, last - 2**32 + 1)):
                conn.execute("SELECT setval('pgcharter.events_position', %s)", (last,))
                held(writer, at)
                conn.execute("SELECT nextval('pgcharter.events_position')") if at == last else None
                assert settled(conn) == at, (last, at)
                writer.rollback()


@pytest.mark.parametrize("major", [15, 18])
def test_other_isolation_levels_are_refused(installed: str) -> None:
    with psycopg.connect(installed) as conn:
        for level in (psycopg.IsolationLevel.REPEATABLE_READ, psycopg.IsolationLevel.SERIALIZABLE):
            conn.isolation_level = level
            with pytest.raises(psycopg.errors.InvalidTransactionState, match="reads what was there when it began"):
                settled(conn)
            conn.rollback()
        conn.isolation_level = psycopg.IsolationLevel.READ_UNCOMMITTED
        assert settled(conn) == 0
        conn.rollback()
        with pytest.raises(psycopg.errors.UndefinedObject, match="there is no log 'x'"):
            conn.execute("SELECT pgcharter.settled('x')")


@pytest.mark.parametrize("major", [15, 18])
def test_what_the_claim_rests_on(installed: str) -> None:
    """pg_sequence_last_value is there, volatile (so it is never read beforehand), and needs rights on the sequence alone."""
    with psycopg.connect(installed) as conn:
        assert conn.execute("SELECT provolatile FROM pg_proc WHERE proname = 'pg_sequence_last_value'").fetchall() == [("v",)]
        seq = "SELECT seqcache, seqincrement, seqcycle FROM pg_sequence WHERE seqrelid = 'pgcharter.events_position'::regclass"
        assert conn.execute(seq).fetchone() == (1, 1, False)


def test_standbys_are_refused() -> None:
    with lifecycle.start_ephemeral(binaries.choose(18), settings=standbys.PRIMARY) as primary:
        install(primary.dsn(), "messaging")
        with standbys.standby_of(primary) as standby, psycopg.connect(standby.dsn(), autocommit=True) as conn:
            standbys.caught_up(primary, standby)
            with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState, match="this server is a standby, which does not know"):
                settled(conn)
