"""`[idempotency]` on real servers: the table comes, changes and goes; tenants are kept apart in it."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from tests.policy.by_hand import lose
from tests.policy.planned import applied, catalog

from pgcharter.catalog.compare import compare
from pgcharter.errors import CharterError
from pgcharter.migrate import planning
from pgcharter.migrate.planning import Planned, Wish
from pgcharter.migrate.policies import Chosen
from pgcharter.policy import guards, idempotency, roles, tenancy
from pgcharter.policy.idempotency import KEYS
from pgcharter.policy.idempotency_settings import IdempotencySection
from pgcharter.policy.roles_settings import RolesSection
from pgcharter.policy.tenancy_settings import TenancySection
from pgcharter.runtime.idempotency import Claimed, Key, answer, claim, purge, settled


def planned(dsn: str, *policies: Any) -> Planned:
    return planning.make(Wish("", dsn, chosen=Chosen(policies)))


def apply(dsn: str, *policies: Any) -> Planned:
    return applied(dsn, planned(dsn, *policies))


@pytest.mark.parametrize("major", [15, 18])
def test_come_changed_and_gone(database: str, major: int) -> None:
    before = catalog(database)
    wish = idempotency.policy(IdempotencySection())
    assert apply(database, wish).proof
    assert planned(database, wish).plan.empty
    other = idempotency.policy(IdempotencySection(keep="7d", answer_bytes=100))
    assert len(apply(database, other).plan.steps) == 2
    assert planned(database, other).plan.empty
    with psycopg.connect(database) as conn:
        kept = conn.execute(
            "INSERT INTO pgcharter.idempotency_keys (operation, key, fingerprint) VALUES ('o', 'k', '')"
            " RETURNING expires_at - created_at = '7 days', answer_limit, tenant, transaction_id = pg_current_xact_id()"
        ).fetchone()
    assert kept == (True, 100, "", True)
    assert lose(database, planned(database))
    apply(database)
    assert [d for d in compare(before, catalog(database)) if "pgcharter" not in (d.object.schema, d.object.name)] == []
    assert planned(database).plan.empty


@pytest.mark.parametrize("wrong", [{"keep": "0h"}, {"keep": "1 week"}, {"keep": "99999d"}])
def test_what_is_no_duration_is_refused(wrong: Any, tmp_path: Any) -> None:
    from pgcharter.charter import read
    from pgcharter.policy.idempotency_settings import SECTION

    (tmp_path / "pgcharter.toml").write_text(f'[idempotency]\nkeep = "{wrong["keep"]}"\n')
    with pytest.raises(CharterError, match="is no time that keys are kept"):
        read(tmp_path / "pgcharter.toml", sections=[SECTION])


@pytest.mark.parametrize("wrong", [0, 1, 1 << 40])
def test_answers_have_a_size(wrong: int) -> None:
    with pytest.raises(ValueError, match="answer_bytes is between"):
        IdempotencySection(answer_bytes=wrong)


@pytest.mark.parametrize("major", [15, 18])
def test_tenants_do_not_meet(database: str, major: int) -> None:
    user = f"idem_{major}"
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute(f"CREATE ROLE {user} LOGIN; CREATE SCHEMA shop; CREATE TABLE shop.o (id int PRIMARY KEY)".encode())
    chosen = (tenancy.policy(TenancySection()), idempotency.policy(IdempotencySection(users=(user,))), roles.policy(RolesSection()))
    try:
        assert apply(database, *chosen).proof
        assert planned(database, *chosen).plan.empty
        guarded = guards.found(catalog(database), TenancySection())
        assert KEYS not in {*guarded.tables, *(table for table, _ in guarded.settings.values())}
        insert = "INSERT INTO pgcharter.idempotency_keys (operation, key, fingerprint) VALUES ('o', 'k', '')"
        with psycopg.connect(database, autocommit=True) as conn:
            conn.execute(f"SET ROLE {user}".encode())
            for tenant in ("", "a", "b"):
                conn.execute("SELECT set_config('pgcharter.tenant', %s, false)", (tenant,))
                conn.execute(insert)
                assert conn.execute("SELECT tenant FROM pgcharter.idempotency_keys").fetchall() == [(tenant,)]
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                conn.execute(insert.replace("(operation", "(tenant, operation").replace("('o', 'k'", "('a', 'o', 'x'").encode())
            assert conn.execute("DELETE FROM pgcharter.idempotency_keys").rowcount == 1
            for tenant in ("c", "d"):
                conn.execute("SELECT set_config('pgcharter.tenant', %s, false)", (tenant,))
                for said in ("first", "again"):
                    with conn.transaction():
                        found = claim(conn, Key("o", "k"))
                        answer(conn, Key("o", "k"), said + tenant) if isinstance(found, Claimed) else None
                with conn.transaction():
                    assert settled(conn, Key("o", "k")).value == f"first{tenant}"  # type: ignore[union-attr]
                    conn.execute("UPDATE pgcharter.idempotency_keys SET expires_at = now() - interval '1 s'")
                    assert purge(conn) == 1
            conn.execute("RESET ROLE")
            assert conn.execute("SELECT count(*) FROM pgcharter.idempotency_keys").fetchone() == (2,)
    finally:
        with psycopg.connect(database, autocommit=True) as conn:
            conn.execute(f"DROP OWNED BY {user}; DROP ROLE {user}".encode())
