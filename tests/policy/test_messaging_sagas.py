"""The tables of sagas on real servers: they come, read back as planned, keep tenants apart, and give applications functions only."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from tests.policy.planned import applied, catalog

from pgcharter.migrate import planning
from pgcharter.migrate.planning import Planned, Wish
from pgcharter.migrate.policies import Chosen
from pgcharter.policy import messaging, tenancy
from pgcharter.policy.messaging_sagas import INSTANCES
from pgcharter.policy.messaging_settings import MessagingSection
from pgcharter.policy.tenancy_settings import TenancySection


def planned(dsn: str, *policies: Any) -> Planned:
    return planning.make(Wish("", dsn, chosen=Chosen(policies)))


@pytest.mark.parametrize("major", [15, 18])
def test_come_and_read_back(database: str, major: int) -> None:
    wish = messaging.policy(MessagingSection(parts=("sagas",)))
    assert applied(database, planned(database, wish)).proof
    assert planned(database, wish).plan.empty
    with psycopg.connect(database) as conn:
        start = "SELECT made FROM pgcharter.saga_start(gen_random_uuid(), 'o', 1, '{}', 'k', NULL, NULL, NULL)"
        assert conn.execute(start).fetchone() == (True,)
        assert conn.execute(start).fetchone() == (False,)


@pytest.mark.parametrize("major", [15, 18])
def test_tenants_and_rights(database: str, major: int) -> None:
    writer, worker = f"saga_writer_{major}", f"saga_worker_{major}"
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute(
            f"CREATE ROLE {writer} LOGIN; CREATE ROLE {worker} LOGIN; CREATE SCHEMA shop; CREATE TABLE shop.o (id int PRIMARY KEY)".encode()
        )
    section = MessagingSection(parts=("sagas",), writers=(writer,), workers=(worker,))
    chosen = (tenancy.policy(TenancySection()), messaging.policy(section))
    start = "SELECT id, made FROM pgcharter.saga_start(gen_random_uuid(), 'o', 1, '{}', 'k', NULL, NULL, NULL)"
    signal = "SELECT pgcharter.saga_signal(gen_random_uuid(), %s, NULL, NULL, 'signal', 'paid', NULL, NULL, NULL)"
    claim = "SELECT c->>'tenant' FROM pgcharter.saga_claim('w', '1 min', '{o}', '{1}', 10, '{}') c"
    try:
        assert applied(database, planned(database, *chosen)).proof
        assert planned(database, *chosen).plan.empty
        with psycopg.connect(database, autocommit=True) as conn:
            conn.execute(f"SET ROLE {writer}".encode())
            ids = {}
            for tenant in ("a", "b"):
                conn.execute("SELECT set_config('pgcharter.tenant', %s, false)", (tenant,))
                ids[tenant], made = conn.execute(start).fetchall()[0]
                assert made
                assert conn.execute(start).fetchall() == [(ids[tenant], False)]
                assert conn.execute("SELECT saga_id FROM pgcharter.saga_instances").fetchall() == [(ids[tenant],)]
            assert conn.execute(signal, (ids["b"],)).fetchone() == (ids["b"],)
            assert conn.execute(signal, (ids["a"],)).fetchone() == (None,)
            for forbidden in (claim, "UPDATE pgcharter.saga_instances SET status = 'completed'", "DELETE FROM pgcharter.saga_steps"):
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    conn.execute(forbidden.encode())
            conn.execute(f"RESET pgcharter.tenant; SET ROLE {worker}".encode())
            assert sorted(conn.execute(claim.encode()).fetchall()) == [("a",), ("b",)]
            assert conn.execute(claim.encode()).fetchall() == []
    finally:
        with psycopg.connect(database, autocommit=True) as conn:
            conn.execute(f"RESET ROLE; DROP OWNED BY {writer}, {worker}; DROP ROLE {writer}, {worker}".encode())


def test_what_is_due_is_found_by_its_index(database: str) -> None:
    wish = messaging.policy(MessagingSection(parts=("sagas",)))
    applied(database, planned(database, wish))
    assert any(i.name == "saga_instances_due" for i in catalog(database).table[INSTANCES].indexes)
    with psycopg.connect(database) as conn:
        conn.execute(
            "INSERT INTO pgcharter.saga_instances (saga_type, definition_version, saga_data, next_at)"
            " SELECT 'o', 1, '{}', now() + i * interval '1 s' FROM generate_series(-9, 20000) i"
        )
        conn.execute("ANALYZE pgcharter.saga_instances")
        query = (
            "EXPLAIN SELECT saga_id FROM pgcharter.saga_instances WHERE saga_type = 'o' AND definition_version = 1 AND next_at <= now()"
            " ORDER BY next_at LIMIT 10 FOR NO KEY UPDATE SKIP LOCKED"
        )
        assert "Index Scan using saga_instances_due" in "\n".join(r[0] for r in conn.execute(query))
