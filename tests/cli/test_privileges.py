"""`pgcharter security privileges` as a user calls it, on a real database."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from pgcharter.servers.lifecycle import Server

Program = Callable[..., Any]

SETUP = """
CREATE ROLE pgce_owner; CREATE ROLE pgce_reads; CREATE ROLE pgce_api LOGIN IN ROLE pgce_reads; CREATE ROLE pgce_alone LOGIN;
CREATE ROLE pgce_empty; CREATE SCHEMA app AUTHORIZATION pgce_owner; CREATE SCHEMA shut; CREATE TABLE shut.t (id int);
CREATE TABLE app.orders (id int PRIMARY KEY, "Note" text); CREATE TABLE app.busy (id int); CREATE VIEW app.v AS SELECT 1 AS id;
CREATE TABLE app.a1 (); CREATE TABLE app.a2 (); CREATE TABLE app.a3 (); CREATE TABLE app.a4 ();
GRANT USAGE ON SCHEMA app TO pgce_reads; GRANT SELECT, DELETE ON app.orders, app.busy TO pgce_reads; GRANT SELECT ON shut.t TO pgce_reads;
GRANT UPDATE ("Note") ON app.orders TO pgce_api; INSERT INTO app.busy VALUES (1); DELETE FROM app.busy;
"""


@pytest.fixture
def shop(database: str) -> Iterator[str]:
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute(SETUP)
        conn.execute("SELECT pg_stat_force_next_flush()")
        yield database
        for name in ("api", "alone", "empty", "reads", "owner"):
            conn.execute(f"REASSIGN OWNED BY pgce_{name} TO CURRENT_USER; DROP OWNED BY pgce_{name}; DROP ROLE pgce_{name}".encode())


def test_the_matrix_is_aligned_and_tells_what_is_worth_nothing(program: Program, shop: str) -> None:
    done = program("security", "privileges", "--on", shop)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    head = next(line for line in lines if "pgce_api" in line)
    orders = next(line for line in lines if line.startswith("table orders"))
    assert orders[head.index("pgce_api") :].split()[0] == "rd"
    column = next(line for line in lines if 'orders."Note"' in line)
    assert column[head.index("pgce_api") :].split()[0] == "w"
    assert next(line for line in lines if line.startswith("table t "))[head.index("pgce_api") :].split()[0] == "(r)"
    assert "pgce_alone" not in done.stdout
    assert "superusers, who may do everything: " in done.stdout


def test_one_role_and_one_object_have_reasons(program: Program, shop: str) -> None:
    told = program("security", "privileges", "--on", shop, "--role", "pgce_api").stdout
    assert "SELECT, DELETE  granted to pgce_reads, of which it is a member" in told
    assert "worth nothing: no USAGE on schema shut" in told
    assert "pgce_api may take on pgce_reads by SET ROLE" in told
    told = program("security", "privileges", "--on", shop, "--object", "table app.orders").stdout
    assert 'UPDATE ("Note")  granted' in told
    assert "role pgce_reads" in told
    data = json.loads(program("security", "privileges", "--on", shop, "--object", "table app.orders", "--format", "json").stdout)
    assert {(r["role"], r["privilege"]) for r in data["rights"] if r["role"] == "pgce_api"} == {
        ("pgce_api", "SELECT"), ("pgce_api", "DELETE"), ("pgce_api", "UPDATE"),
    }  # fmt: skip
    assert data["becomes"]["pgce_api"] == ["pgce_reads"]


def test_what_is_not_used_is_told_and_what_cannot_be_seen_too(program: Program, shop: str) -> None:
    data = json.loads(program("security", "privileges", "--on", shop, "--unused", "--format", "json").stdout)["unused"]
    unused = {r["role"]: r["why"] for r in data["roles"]}
    assert "pgce_alone" in unused
    assert "has no members" in unused["pgce_empty"]
    assert not {"pgce_reads", "pgce_api", "pgce_owner"} & unused.keys()
    rights = {(r["role"], r["privilege"], r["object"]["name"]) for r in data["rights"]}
    assert ("pgce_api", "DELETE", "orders") in rights
    assert ("pgce_api", "DELETE", "busy") not in rights
    text = program("security", "privileges", "--on", shop, "--unused").stdout
    assert "cannot be seen from here: which role used a privilege" in text


def test_what_is_not_there_is_said(program: Program, shop: str) -> None:
    done = program("security", "privileges", "--on", shop, "--role", "pgce_appi")
    assert done.returncode == 2
    assert "did you mean pgce_api?" in done.stderr
    assert program("security", "privileges", "--on", shop, "--object", "table app.nothing").returncode == 2
    assert program("security", "privileges", "--on", shop, "--object", "nonsense").returncode == 2


def test_who_has_run_statements_is_in_use(program: Program, server: Callable[..., Server]) -> None:
    made = server(settings={"shared_preload_libraries": "pg_stat_statements", "pg_stat_statements.track": "all"})
    with psycopg.connect(made.dsn(), autocommit=True) as conn:
        conn.execute('CREATE SCHEMA "Own place"; CREATE EXTENSION pg_stat_statements SCHEMA "Own place"')
        conn.execute("CREATE ROLE pgce_works LOGIN PASSWORD 'x'; CREATE ROLE pgce_idle LOGIN PASSWORD 'x'; CREATE TABLE t (id int)")
        conn.execute("CREATE ROLE pgce_gone LOGIN PASSWORD 'x'; GRANT SELECT ON t TO pgce_works, pgce_idle, pgce_gone")

    def unused(dsn: str) -> tuple[dict[str, str], set[str]]:
        data = json.loads(program("security", "privileges", "--on", dsn, "--unused", "--format", "json").stdout)["unused"]
        return {r["role"]: r["why"] for r in data["roles"]}, {g["what"] for g in data["not_seen"]}

    for name in ("pgce_works", "pgce_gone"):
        with psycopg.connect(make_conninfo(made.dsn(), user=name, password="x")) as conn:
            conn.execute("SELECT * FROM t")
    with psycopg.connect(made.dsn(), autocommit=True) as conn:
        conn.execute("DROP OWNED BY pgce_gone; DROP ROLE pgce_gone")
    roles, gaps = unused(made.dsn())
    assert roles == {"pgce_idle": "has run no statement that pg_stat_statements remembers, and has no session"}
    assert "which roles have run statements" not in gaps
    roles, gaps = unused(make_conninfo(made.dsn(), user="pgce_idle", password="x"))
    assert roles == {}
    assert "which roles have run statements" in gaps
