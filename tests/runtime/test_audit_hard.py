"""The trail under what applications and servers do: settings, kinds of keys, statements, owners, columns that change, open transactions."""

from __future__ import annotations

import json
import threading
from datetime import datetime
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from tests.conftest import ServerFactory

from pgcharter.migrate import audit_seals, audit_verify, planning
from pgcharter.migrate.planning import Wish
from pgcharter.migrate.policies import Chosen
from pgcharter.policy import audit as policy
from pgcharter.policy.audit_settings import AuditSection
from pgcharter.runtime import audit

both = pytest.mark.parametrize("major", [15, 18])
STRANGE = "SET TimeZone = 'Asia/Kathmandu'; SET DateStyle = 'German, DMY'; SET IntervalStyle = sql_standard; SET bytea_output = escape;"
STRANGE += "SET extra_float_digits = 0"


def install(dsn: str, section: AuditSection) -> None:
    made = planning.make(Wish("", dsn, chosen=Chosen((policy.policy(section),)), prove=False))
    assert made.plan.questions == ()
    with psycopg.connect(dsn, autocommit=True) as conn:
        for step in made.plan.steps:
            conn.execute(step.sql.encode())


def now(conn: psycopg.Connection[Any]) -> datetime:
    row = conn.execute("SELECT clock_timestamp()").fetchone()
    assert row
    return row[0]  # type: ignore[no-any-return]


def rows(conn: psycopg.Connection[Any], table: str, at: datetime) -> list[str]:
    with conn.transaction():
        return sorted(json.dumps(row, sort_keys=True) for row in audit.as_of(conn, table, at))


KEYS = {
    "enum": ("app.state", "'open'", "'shut'"), "domain": ("app.whole", "1", "2"),
    "composite": ("app.pair", "(1,'a b')::app.pair", "(2,NULL)::app.pair"),
    "array": ("text[]", "ARRAY['a','b\"']::text[]", "ARRAY[NULL]::text[]"), "bytea": ("bytea", r"'\xff00'", r"'\x'"),
    "interval": ("interval", "'1 mon 2 days 03:04'", "'1 s'"), "float": ("float8", "0.1::float8 + 0.2", "'-0'"),
    "range": ("tstzrange", "tstzrange('2026-03-29 00:59+00', NULL)", "'empty'"),
    "moment": ("timestamptz", "'2026-10-25 01:30+00'", "'infinity'"),
}  # fmt: skip


@both
def test_keys_of_every_kind_are_found_and_taken_back_in_any_session(database: str, major: int) -> None:
    with psycopg.connect(database, autocommit=True) as conn, psycopg.connect(database, autocommit=True) as odd:
        conn.execute("CREATE SCHEMA app; CREATE TYPE app.state AS ENUM ('open', 'shut'); CREATE DOMAIN app.whole AS int CHECK (VALUE > 0)")
        conn.execute("CREATE TYPE app.pair AS (a int, b text)")
        for name, (kind, _, _) in KEYS.items():
            conn.execute(
                f"CREATE TABLE app.by_{name} (k {kind} PRIMARY KEY, g text GENERATED ALWAYS AS (v || '!') STORED, v text)".encode()
            )
        install(database, AuditSection(tables=("app.*",)))
        for name, (_, one, other) in KEYS.items():
            table = f"app.by_{name}"
            conn.execute(f"INSERT INTO {table} (k, v) VALUES ({one}, 'first'), ({other}, 'second')".encode())
            at, before = now(conn), rows(conn, table, now(conn))
            odd.execute(STRANGE.encode())
            odd.execute(f"UPDATE {table} SET v = 'odd' WHERE k = {one}".encode())
            odd.execute(f"DELETE FROM {table} WHERE k = {other}".encode())
            odd.execute("SET DateStyle = 'ISO, DMY'")  # psycopg reads no other
            conn.execute(f"INSERT INTO {table} (k, v) VALUES ({other}, 'again')".encode())
            assert rows(conn, table, at) == before == rows(odd, table, at), name
            assert len(before) == 2
            ((key,),) = conn.execute("SELECT key FROM pgcharter.audit_log WHERE operation = 'DELETE' AND table_name = %s", (table[4:],))
            with odd.transaction():
                assert [e.operation for e in audit.history(odd, table, key)] == ["INSERT", "DELETE", "INSERT"], name


@both
@pytest.mark.parametrize("content", ["full", "difference"])
def test_columns_that_change_later(database: str, major: int, content: Any) -> None:
    """Rows that changed since are as they were, with the columns of then."""
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute("CREATE SCHEMA app; CREATE TABLE app.t (id int PRIMARY KEY, v text, n int, d int)")
        install(database, AuditSection(tables=("app.t",), content=content))
        conn.execute("INSERT INTO app.t VALUES (1, 'a', 1, 1), (2, 'b', 2, 2), (3, 'c', 3, 3)")
        at, before = now(conn), rows(conn, "app.t", now(conn))
        conn.execute("DELETE FROM app.t WHERE id = 2")
        if content == "full":
            conn.execute("UPDATE app.t SET v = 'x' WHERE id = 1; UPDATE app.t SET n = 7, id = 30 WHERE id = 3")
            conn.execute(
                "ALTER TABLE app.t RENAME v TO w; ALTER TABLE app.t ALTER n TYPE text; ALTER TABLE app.t DROP d; UPDATE app.t SET w = 'y'"
            )
        else:
            conn.execute("UPDATE app.t SET id = 10 WHERE id = 1; UPDATE app.t SET id = 30 WHERE id = 3; ALTER TABLE app.t RENAME v TO w")
        assert rows(conn, "app.t", at) == before


@both
def test_statements_of_all_kinds(database: str, major: int) -> None:
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute(
            "CREATE SCHEMA app; CREATE TABLE app.t (id int PRIMARY KEY, v jsonb); CREATE TABLE app.child (id int REFERENCES app.t, n int)"
        )
        install(database, AuditSection(tables=("app.*",)))
        with conn.cursor().copy("COPY app.t FROM STDIN") as copy:
            copy.write("1\t{}\n2\t{}\n")
        conn.execute("""INSERT INTO app.t VALUES (1, '1'), (3, '3') ON CONFLICT (id) DO UPDATE SET v = excluded.v""")
        conn.execute("INSERT INTO app.t VALUES (1) ON CONFLICT DO NOTHING")
        conn.execute(
            "MERGE INTO app.t USING (VALUES (1), (4)) s(i) ON t.id = s.i"
            " WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT VALUES (s.i, '4')"
        )
        conn.execute("/* why */ -- how\n (WITH c AS (INSERT INTO app.child VALUES (2, 1), (2, 2) RETURNING 1) SELECT * FROM c)")
        conn.execute("SET session_replication_role = replica; UPDATE app.child SET n = 3 WHERE n = 2; RESET session_replication_role")
        conn.execute("UPDATE app.t SET v = to_jsonb(repeat('long ', 200000)) WHERE id = 3")
        with conn.transaction():
            conn.execute("SAVEPOINT a; DELETE FROM app.t WHERE id = 4; ROLLBACK TO a; DELETE FROM app.t WHERE id = 3")
        conn.execute("TRUNCATE app.t CASCADE")
        said = conn.execute(
            "SELECT statement, operation, table_name, key->'id' FROM pgcharter.audit_log WHERE key IS NOT NULL ORDER BY number"
        )
        assert said.fetchall()[:12] == [
            ("COPY", "INSERT", "t", 1), ("COPY", "INSERT", "t", 2), ("INSERT", "UPDATE", "t", 1), ("INSERT", "INSERT", "t", 3),
            ("MERGE", "DELETE", "t", 1), ("MERGE", "INSERT", "t", 4), ("WITH", "INSERT", "child", 2), ("WITH", "INSERT", "child", 2),
            ("SET", "UPDATE", "child", 2), ("UPDATE", "UPDATE", "t", 3), ("SAVEPOINT", "DELETE", "t", 3), ("TRUNCATE", "TRUNCATE", "t", 2),
        ]  # fmt: skip
        assert conn.execute("SELECT max(length(new::text)) > 1000000 FROM pgcharter.audit_log").fetchone() == (True,)
        audit_seals.seal(conn)
        assert audit_verify.verify(conn).flaws == ()


@both
def test_an_owner_without_superpowers(database: str, major: int) -> None:
    with psycopg.connect(database, autocommit=True) as conn:
        try:
            conn.execute("CREATE ROLE pgct_maker LOGIN CREATEROLE PASSWORD 'x'; CREATE ROLE pgct_uses LOGIN PASSWORD 'x'")
            conn.execute(f"ALTER DATABASE {conn.info.dbname} OWNER TO pgct_maker".encode())
            maker = make_conninfo(database, user="pgct_maker", password="x")
            with psycopg.connect(maker, autocommit=True) as own:
                own.execute("CREATE SCHEMA app; CREATE TABLE app.t (id int PRIMARY KEY, v text)")
                own.execute("GRANT USAGE ON SCHEMA app TO pgct_uses; GRANT ALL ON app.t TO pgct_uses")
                install(maker, AuditSection(tables=("app.t",), readers=("pgct_uses",)))
            with psycopg.connect(make_conninfo(database, user="pgct_uses", password="x"), autocommit=True) as uses:
                uses.execute("INSERT INTO app.t VALUES (1, 'a'); UPDATE app.t SET v = 'b'; TRUNCATE app.t")
                assert uses.execute("SELECT session_role FROM pgcharter.audit_of_app_t").fetchall() == [("pgct_uses",)] * 4
                for statement in (
                    "INSERT INTO pgcharter.audit_log (number, month) VALUES (1, now())", "DELETE FROM pgcharter.audit_log",
                    "SELECT nextval('pgcharter.audit_log_number')", "ALTER TABLE app.t DISABLE TRIGGER ALL",
                    'DROP TRIGGER "0_pgcharter_audit" ON app.t',
                    "SET session_replication_role = replica", "CREATE FUNCTION pgcharter.f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
                ):  # fmt: skip
                    with pytest.raises(psycopg.errors.InsufficientPrivilege):
                        uses.execute(statement.encode())
            with psycopg.connect(maker, autocommit=True) as own:
                assert audit_seals.seal(own).rows == 4
                assert audit_verify.verify(own).flaws == ()
                with pytest.raises(psycopg.errors.InsufficientPrivilege, match="stays as it is"):
                    own.execute("DELETE FROM pgcharter.audit_log")
        finally:
            conn.execute("ALTER DATABASE " + conn.info.dbname + " OWNER TO CURRENT_USER; DROP OWNED BY pgct_maker, pgct_uses CASCADE")  # type: ignore[operator]
            conn.execute("DROP ROLE IF EXISTS pgct_maker, pgct_uses")


def test_prepared_transactions_and_writers_that_commit_late(server: ServerFactory) -> None:
    """Nothing sealed is out of order whatever commits when: with prepared transactions, savepoints and eight writers."""
    dsn = server(18, settings={"max_prepared_transactions": 5}).dsn()
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute("CREATE SCHEMA app; CREATE TABLE app.t (id int PRIMARY KEY, v text)")
        install(dsn, AuditSection(tables=("app.t",)))
        conn.execute("BEGIN; INSERT INTO app.t VALUES (-1, 'prepared'); PREPARE TRANSACTION 'late'")
        conn.execute("INSERT INTO app.t VALUES (-2, 'after')")
        held = audit_seals.seal(conn, wait=0)
        assert (held.rows, len(held.waiting)) == (0, 1)
        assert held.waiting[0].startswith("prepared transaction")
        conn.execute("COMMIT PREPARED 'late'")
        workers = [threading.Thread(target=write, args=(dsn, n)) for n in range(8)]
        for worker in workers:
            worker.start()
        sealed = audit_seals.seal(conn).rows
        while any(worker.is_alive() for worker in workers):
            sealed += audit_seals.seal(conn).rows
        sealed += audit_seals.seal(conn).rows
        assert conn.execute("SELECT count(*) FROM pgcharter.audit_log").fetchone() == (sealed,) == (2 + 8 * 40,)
        assert audit_verify.verify(conn).flaws == ()


def write(dsn: str, worker: int) -> None:
    """40 rows that stay, and as many that are rolled back to a savepoint, in transactions of one to four."""
    with psycopg.connect(dsn) as conn:
        for i in range(40):
            conn.execute("INSERT INTO app.t VALUES (%s, 'x')", (worker * 1000 + i,))
            conn.execute(f"SAVEPOINT s; INSERT INTO app.t VALUES ({worker * 1000 + 500 + i}, 'y'); ROLLBACK TO s".encode())
            if i % (worker % 4 + 1) == 0:
                conn.commit()


@both
def test_what_counts_as_a_change(database: str, major: int) -> None:
    """A row written as it was is none; what JSON takes for the same is one, also where the key is written anew."""
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute(
            "CREATE SCHEMA app; CREATE TABLE app.t (id numeric PRIMARY KEY, v numeric, j json); INSERT INTO app.t VALUES (1, 1.0, '{}')"
        )
        install(database, AuditSection(tables=("app.t",)))
        for change in ("v = v", "v = 1.00", "j = '{ }'", "id = 1.00", "id = 2", "id = 2, v = 1.00", "v = NULL", "v = NULL"):
            conn.execute(f"UPDATE app.t SET {change}".encode())
        found = conn.execute("SELECT key->>'id', new_key->>'id', new->>'v' FROM pgcharter.audit_log ORDER BY number").fetchall()
        assert found == [
            ("1", None, "1.00"), ("1", None, "1.00"), ("1", None, "1.00"), ("1.00", "2", "1.00"), ("2", None, None),
        ]  # fmt: skip
