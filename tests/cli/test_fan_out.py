"""`pgcharter migrate` over many targets, from the outside, on a real server."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests.cli.conftest import Done

from pgcharter.db import connect
from pgcharter.names import quote

Run = Callable[..., Done]
MANY = 200
FILES = {
    "001_orders.sql": "CREATE TABLE orders (id int PRIMARY KEY, customer text);\n",
    "002_customer.sql": "ALTER TABLE orders ALTER customer SET NOT NULL;\n",
    "003_total.sql": "ALTER TABLE orders ADD total int;\n-- Down\nALTER TABLE orders DROP total;\n",
}


@pytest.fixture
def shop(tmp_path: Path, database: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SHOP_URL", database)
    (tmp_path / "pgcharter.toml").write_text('[environments.dev]\ndsn_env = "SHOP_URL"\n')
    lay(tmp_path, FILES)
    return tmp_path


def lay(folder: Path, texts: dict[str, str]) -> None:
    (folder / "migrations").mkdir(exist_ok=True)
    for name, text in texts.items():
        (folder / "migrations" / name).write_text(text, "utf-8")


def make(dsn: str, *names: str) -> None:
    with connect(dsn) as conn:
        for name in names:
            conn.execute(f"CREATE SCHEMA {quote(name)}".encode())


def do(dsn: str, sql: str) -> list[tuple[Any, ...]]:
    with connect(dsn) as conn:
        found = conn.execute(sql.encode())
        return found.fetchall() if found.description else []


def states(program: Run, *arguments: str) -> dict[str, str]:
    done = program("migrate", "status", *arguments, "--format", "json")
    return {t["name"]: t["state"] for t in json.loads(done.stdout)["targets"]}


def columns(dsn: str) -> dict[str, int]:
    """How many columns the table of each tenant has."""
    found = do(dsn, "SELECT table_schema::text, count(*) FROM information_schema.columns WHERE table_name = 'orders' GROUP BY 1")
    return {schema: int(count) for schema, count in found}


@pytest.mark.parametrize("major", [pytest.param(15, marks=pytest.mark.slow), 18], ids=("pg15", "pg18"))
def test_two_hundred_with_one_broken(shop: Path, program: Run, database: str, major: int) -> None:
    names = [f"tenant_{n:03}" for n in range(MANY)]
    make(database, *names, "other")
    lay(shop, {"001_orders.sql": FILES["001_orders.sql"]})
    for later in ("002_customer.sql", "003_total.sql"):
        (shop / "migrations" / later).unlink()
    assert program("migrate", "up", "--schemas", "tenant_*").returncode == 0
    do(database, "INSERT INTO tenant_117.orders VALUES (1, NULL)")
    lay(shop, FILES)
    done = program("migrate", "up", "--schemas", "tenant_*", "--canary", "tenant_005", "--stop-after", "0")
    assert done.returncode == 3
    assert done.stdout.splitlines()[0].startswith("✔ tenant_005  2 migrations")
    summary = " ".join(done.stdout[done.stdout.index("199 done, 1 failed of 200 targets in") :].split())
    assert (
        'tenant_117 failed: unit 1 of 002 customer failed: column "customer" of relation "orders" contains null values; of this' in summary
    )
    assert "this one alone: pgcharter migrate up --schemas tenant_117" in summary
    assert states(program, "--schemas", "tenant_*") == dict.fromkeys(names, "up to date") | {"tenant_117": "failed"}
    text = program("migrate", "status", "--schemas", "tenant_*").stdout
    assert "200 targets of migrations: 199 up to date, 1 failed" in text
    assert columns(database) == dict.fromkeys(names, 3) | {"tenant_117": 2}
    assert "other" not in text

    do(database, "DELETE FROM tenant_117.orders")
    again = program("migrate", "up", "--schemas", "tenant_*")
    assert again.returncode == 0
    assert again.stdout.splitlines()[0].startswith("✔ tenant_117  2 migrations")
    assert "1 done, 199 up to date of 200 targets" in again.stdout
    assert columns(database) == dict.fromkeys(names, 3)
    assert do(database, "SELECT count(*) FROM pg_tables WHERE schemaname IN ('public', 'pgcharter', 'other')") == [(0,)]


def started(*arguments: str, **environment: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "pgcharter", "migrate", *arguments]
    return subprocess.Popen(
        command, env={**os.environ, **environment}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )


def until(dsn: str, sql: str) -> None:
    """Wait until a query gives true."""
    end = time.monotonic() + 30
    with connect(dsn) as conn:
        while conn.execute(sql.encode()).fetchone() != (True,):
            assert time.monotonic() < end, sql
            time.sleep(0.02)


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["before commit:40", "after commit:61", "started:25", "before alone:3", "after alone:7"])
def test_killed_in_the_middle_and_run_again(shop: Path, program: Run, database: str, fault: str) -> None:
    names = [f"tenant_{n:02}" for n in range(24)]
    make(database, *names)
    lay(shop, {"004_index.sql": "CREATE INDEX CONCURRENTLY ON orders (total);\nALTER TABLE orders ADD last int;\n"})
    process = started("up", "--schemas", "tenant_*", "--parallel", "3", PGCHARTER_FAULT=fault)
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    half = columns(database)
    assert 0 < sum(n == 4 for n in half.values()) < 24 or fault.startswith(("started", "before alone", "after alone"))
    again = program("migrate", "up", "--schemas", "tenant_*", "--parallel", "3")
    assert again.returncode == 0, again
    assert columns(database) == dict.fromkeys(names, 4)
    found = do(database, "SELECT count(*), bool_and(indisvalid) FROM pg_index WHERE indexrelid::regclass::text LIKE '%orders_total_idx'")
    assert found == [(24, True)]
    assert set(states(program, "--schemas", "tenant_*").values()) == {"up to date"}


def test_ctrl_c_ends_all_in_order(shop: Path, program: Run, database: str) -> None:
    make(database, *[f"tenant_{n:02}" for n in range(12)])
    lay(shop, {"004_slow.sql": "SELECT pg_sleep(0.3);\nALTER TABLE orders ADD last int;\nSELECT pg_sleep(60);\n"})
    process = started("up", "--schemas", "tenant_*", "--parallel", "3")
    until(database, "SELECT count(*) = 3 FROM pg_stat_activity WHERE query LIKE '%pg_sleep(60)%' AND pid <> pg_backend_pid()")
    began = time.monotonic()
    os.kill(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130, (out, err)
    assert time.monotonic() - began < 5
    assert "3 interrupted, 9 not begun of 12 targets" in out
    until(database, "SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name LIKE 'pgcharter migrate%'")
    assert set(columns(database).values()) == {3}
    lay(shop, {"004_slow.sql": "ALTER TABLE orders ADD last int;\n"})
    assert program("migrate", "up", "--schemas", "tenant_*").returncode == 0
    assert set(columns(database).values()) == {4}


def test_after_so_many_failures_no_other_is_begun(shop: Path, program: Run, database: str) -> None:
    make(database, *[f"tenant_{n:02}" for n in range(12)])
    do(database, "CREATE TABLE tenant_01.orders (); CREATE TABLE tenant_02.orders ()")
    done = program("migrate", "up", "--schemas", "tenant_*", "--parallel", "1")
    assert done.returncode == 3
    assert "1 done, 1 failed, 10 not begun of 12 targets" in done.stdout
    done = program("migrate", "up", "--schemas", "tenant_*", "--parallel", "1", "--stop-after", "2")
    assert "2 failed" in done.stdout
    assert "7 not begun" not in done.stdout
    done = program("migrate", "up", "--schemas", "tenant_*", "--parallel", "3", "--stop-after", "0", "--format", "json")
    assert json.loads(done.stdout)["totals"].get("failed") == 2
    said = [t["message"] for t in json.loads(done.stdout)["targets"] if t["state"] == "failed"]
    assert ['relation "orders" already exists' in message for message in said] == [True, True]


def test_a_canary_that_fails_ends_it(shop: Path, program: Run, database: str) -> None:
    make(database, *[f"tenant_{n:02}" for n in range(8)])
    do(database, "CREATE TABLE tenant_05.orders ()")
    done = program("migrate", "up", "--schemas", "tenant_*", "--canary", "tenant_05", "--stop-after", "0")
    assert done.returncode == 3
    assert "1 failed, 7 not begun of 8 targets" in done.stdout
    assert "not begun: a canary is not done" in " ".join(done.stdout.split())
    done = program("migrate", "up", "--schemas", "tenant_*", "--canary", "2", "--stop-after", "0", "--parallel", "8")
    assert {line.split()[1] for line in done.stdout.splitlines()[:2]} == {"tenant_00", "tenant_01"}
    assert "7 done, 1 failed of 8" in done.stdout
    done = program("migrate", "up", "--schemas", "tenant_*", "--canary", "tenant_5")
    assert (done.returncode, "tenant_5 is none of the 8 targets" in done.stderr) == (2, True)


def test_there_and_back(shop: Path, program: Run, database: str) -> None:
    make(database, "tenant_a", "tenant_b")
    assert program("migrate", "to", "002", "--schemas", "tenant_b").returncode == 0
    assert program("migrate", "up", "--schemas", "tenant_a").returncode == 0
    assert program("migrate", "to", "002", "--schemas", "tenant_*").stdout.splitlines()[0].startswith("✔ tenant_a  1 migration")
    assert columns(database) == {"tenant_a": 2, "tenant_b": 2}
    refused = program("migrate", "down", "--schemas", "tenant_*")
    assert (refused.returncode, "nobody wrote a way back for 002 customer" in refused.stderr) == (4, True)
    assert program("migrate", "to", "003", "--schemas", "tenant_*").returncode == 0
    assert program("migrate", "down", "--schemas", "tenant_*").returncode == 0
    assert columns(database) == {"tenant_a": 2, "tenant_b": 2}
    assert set(states(program, "--schemas", "tenant_*").values()) == {"behind"}


def test_an_edited_file_is_refused_everywhere_it_was_applied(shop: Path, program: Run, database: str) -> None:
    make(database, "tenant_a", "tenant_b", "tenant_new")
    assert program("migrate", "up", "--schemas", "tenant_[ab]").returncode == 0
    lay(shop, {"003_total.sql": "ALTER TABLE orders ADD total numeric;\n"})
    done = program("migrate", "up", "--schemas", "tenant_*")
    assert (done.returncode, "2 refused, 1 not begun of 3 targets" in done.stdout) == (4, True), done
    assert "003_total.sql was applied on" in done.stdout
    done = program("migrate", "up", "--schemas", "tenant_*", "--stop-after", "0")
    assert "1 done, 2 refused of 3 targets" in done.stdout
    verified = program("migrate", "verify", "--schemas", "tenant_*")
    assert (verified.returncode, "1 up to date, 2 refused" in verified.stdout) == (1, True)


def test_dry_run_says_it_once(shop: Path, program: Run, database: str) -> None:
    make(database, *[f"tenant_{n}" for n in range(9)])
    assert program("migrate", "to", "002", "--schemas", "tenant_8").returncode == 0
    done = program("migrate", "up", "--schemas", "tenant_*", "--dry-run")
    assert done.returncode == 0
    assert "-- 8 targets: tenant_0, tenant_1, tenant_2, tenant_3, tenant_4, tenant_5 and 2 more" in done.stdout
    assert "-- 1 target: tenant_8" in done.stdout
    assert done.stdout.count("ADD total int") == 2
    assert columns(database) == {"tenant_8": 2}


def test_production_is_named_before_anything_is_run(shop: Path, program: Run, database: str) -> None:
    make(database, "tenant_a")
    (shop / "pgcharter.toml").write_text('[environments.live]\ndsn_env = "SHOP_URL"\nproduction = true\n')
    done = program("migrate", "up", "--schemas", "tenant_*")
    assert (done.returncode, "environment live is production" in done.stderr) == (4, True)
    name = do(database, "SELECT current_database()::text")[0][0]
    done = program("migrate", "up", "--databases", f"{name[:-1]}?")
    assert (done.returncode, "environment live is production" in done.stderr) == (4, True)
    assert program("migrate", "up", "--schemas", "tenant_*", "--confirm", "live").returncode == 0


def test_targets_of_the_charter(shop: Path, program: Run, database: str) -> None:
    make(database, "Tenant A", "tenant_b", "tenant_c", "gone")
    do(database, "CREATE TABLE public.tenants (schema text, live bool)")
    do(database, "INSERT INTO public.tenants VALUES ('Tenant A', true), ('tenant_b', true), ('tenant_b', true), ('tenant_c', false)")
    query = "SELECT schema FROM tenants WHERE live"
    more = f'[migrate.targets]\nschemas_query = "{query}"\nparallel = 2\ncanary = "tenant_b"\n'
    (shop / "pgcharter.toml").write_text(f'[environments.dev]\ndsn_env = "SHOP_URL"\n{more}')
    assert states(program) == {"Tenant A": "behind", "tenant_b": "behind"}
    assert program("migrate", "up").returncode == 0
    assert columns(database) == {"Tenant A": 3, "tenant_b": 3}
    assert program("migrate", "up", "--schemas", "tenant_c").returncode == 0
    assert program("migrate", "status", "--one", "--check").returncode == 1
    do(database, "DROP SCHEMA tenant_b CASCADE")
    done = program("migrate", "up")
    assert (done.returncode, "there is no schema tenant_b in database" in done.stdout) == (3, True), done
    assert do(database, "SELECT tablename::text FROM pg_tables WHERE schemaname = 'public'") == [("tenants",)]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--schemas", "tennant_a"), "there is no schema tennant_a"),
        (("--schemas", "x*"), "there is no schema x*"),
        (("--schemas-query", "SELECT 1 WHERE false"), "no target is found, so there is nothing to migrate"),
        (("--schemas-query", "SELECT oid FROM pg_class LIMIT 1"), "which is no name"),
        (("--schemas-query", "SELEC"), 'the query for the schemas fails, so nobody knows which are meant: syntax error at or near "SELEC"'),
        (("--schemas-query", "CREATE TABLE x ()"), "cannot execute CREATE TABLE in a read-only transaction"),
        (("--schemas", "@nowhere.txt"), "the list nowhere.txt cannot be read: No such file or directory"),
        (("--databases", "nowhere_*"), "there is no database nowhere_*"),
        (("--schemas", "tenant_a", "--one"), "--one leaves no room for --schemas"),
        (("--schemas", "tenant_a", "--parallel", "0"), "0 is not in the range x>=1"),
    ],
)
def test_targets_that_cannot_be_found(shop: Path, program: Run, database: str, arguments: tuple[str, ...], said: str) -> None:
    make(database, "tenant_a")
    done = program("migrate", "up", *arguments)
    assert (done.returncode, said in " ".join(done.stderr.split())) == (2, True), done


def test_a_list_in_a_file(shop: Path, program: Run, database: str) -> None:
    make(database, "a", "b*", "b1", "@c", "Ünï")
    (shop / "list.txt").write_text("# tenants\na\n\nb[*]\n  Ünï  \n[@]c\na\n", "utf-8")
    done = program("migrate", "up", "--schemas", "@list.txt", "--format", "json")
    found = json.loads(done.stdout)["targets"]
    assert [t["name"] for t in found] == ["@c", "a", "b*", "Ünï"]
    assert [t["applied"] for t in found] == [["001 orders", "002 customer", "003 total"]] * 4
    assert columns(database) == dict.fromkeys(["@c", "a", "b*", "Ünï"], 3)


def test_what_is_said_for_one_target_works(shop: Path, program: Run, database: str) -> None:
    name = "@w*e[i]r'd x"
    make(database, name, "other")
    do(database, f"CREATE TABLE {quote(name)}.orders ()")
    done = program("migrate", "up", "--schemas", "*", "--stop-after", "0", "--format", "json")
    (row,) = [t for t in json.loads(done.stdout)["targets"] if t["state"] == "failed"]
    do(database, f"DROP TABLE {quote(name)}.orders")
    assert program(*shlex.split(row["again"])[1:]).returncode == 0
    assert columns(database) == {name: 3, "other": 3}


def test_hints_are_for_the_targets_that_were_meant(shop: Path, program: Run, database: str) -> None:
    make(database, "tenant_a", "tenant_b")
    do(database, "CREATE TABLE tenant_b.orders ()")
    where = ("--on", "env:SHOP_URL", "--folder", "migrations")
    done = program("migrate", "up", *where, "--schemas", "tenant_*", "--format", "json")
    (row,) = [t for t in json.loads(done.stdout)["targets"] if t["state"] == "failed"]
    assert row["again"] == "pgcharter migrate up --on env:SHOP_URL --folder migrations --schemas tenant_b"
    assert "pgcharter migrate baseline --on env:SHOP_URL --folder migrations --schemas tenant_b 001;" in row["hint"]
    status = " ".join(program("migrate", "status", *where, "--schemas", "tenant_*").stdout.split())
    assert "pgcharter migrate up --on env:SHOP_URL --folder migrations --schemas 'tenant_*' goes on where it was" in status
    secret = program("migrate", "up", "--on", database, "--schemas", "tenant_*", "--format", "json").stdout
    assert "pgcharter migrate up --on DSN --schemas tenant_b" in secret
    assert str(psycopg.conninfo.conninfo_to_dict(database)["password"]) not in secret


def test_databases_as_targets(shop: Path, program: Run, database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"fan {n}" for n in range(3)]
    try:
        for name in names:
            do(database, f"CREATE DATABASE {quote(name)} TEMPLATE template0 STRATEGY file_copy")
        done = program("migrate", "up", "--databases", "fan *", "--parallel", "3")
        assert (done.returncode, "3 done of 3 targets" in done.stdout) == (0, True), done
        assert states(program, "--databases", "fan *") == dict.fromkeys(names, "up to date")
        other = psycopg.conninfo.make_conninfo(database, dbname="fan 1")
        monkeypatch.setenv("OTHER_URL", other)
        assert states(program, "--databases", "dev", "--databases", "env:OTHER_URL") == {"dev": "behind", "env:OTHER_URL": "up to date"}
        make(other, "tenant_1", "tenant_2")
        make(psycopg.conninfo.make_conninfo(database, dbname="fan 2"), "tenant_1")
        for name in ("fan 1", "fan 2"):
            assert program("migrate", "up", "--databases", name, "--schemas", "tenant_*").returncode == 0
        found = states(program, "--databases", "fan [12]", "--schemas", "tenant_*")
        assert found == dict.fromkeys(["fan 1/tenant_1", "fan 1/tenant_2", "fan 2/tenant_1"], "up to date")
    finally:
        for name in names:
            do(database, f"DROP DATABASE IF EXISTS {quote(name)} WITH (FORCE)")


def test_a_gate_stops_each_and_opens_for_each(shop: Path, program: Run, database: str) -> None:
    make(database, "tenant_a", "tenant_b")
    parts = ("-- pgcharter: up", "ALTER TABLE orders ADD a int;", "-- pgcharter: gate release 7 runs", "ALTER TABLE orders DROP a;", "")
    lay(shop, {"004_gate.sql": "\n".join(parts)})
    done = program("migrate", "up", "--schemas", "tenant_*")
    assert (done.returncode, "2 stopped of 2 targets" in done.stdout) == (4, True), done
    assert columns(database) == {"tenant_a": 4, "tenant_b": 4}
    assert set(states(program, "--schemas", "tenant_*").values()) == {"stopped"}
    assert program("migrate", "up", "--schemas", "tenant_*", "--gate", "release 7 runs").returncode == 0
    assert columns(database) == {"tenant_a": 3, "tenant_b": 3}


def test_concurrent_builds_side_by_side(shop: Path, program: Run, database: str) -> None:
    """Builds of expression and partial indexes wait for each other's snapshots (documentation, "CREATE INDEX"); none may wait for ever."""
    names = [f"tenant_{n}" for n in range(8)]
    make(database, *names)
    build = "CREATE INDEX CONCURRENTLY ON orders (abs(id));\nCREATE INDEX CONCURRENTLY ON orders (id) WHERE id > 1;\n"
    sql = f"{build}ALTER TABLE orders ADD z int;\n"
    lay(shop, {"004_index.sql": f"-- pgcharter: up\n{sql}{sql.replace(' z ', ' y ')}"})
    done = program("migrate", "up", "--schemas", "tenant_*", "--parallel", "8")
    assert (done.returncode, "8 done of 8 targets" in done.stdout) == (0, True), done
    assert columns(database) == dict.fromkeys(names, 5)


def test_what_all_targets_share_is_told_before(shop: Path, program: Run, database: str) -> None:
    make(database, "tenant_a", "tenant_b")
    statements = (
        "CREATE EXTENSION IF NOT EXISTS plpgsql", "CREATE ROLE fan_out_reader", "INSERT INTO public.log VALUES ('x')",
        "SET search_path = public", "CREATE TABLE made_in_public ()",
    )  # fmt: skip
    do(database, "CREATE TABLE log (what text)")
    lay(shop, {"004_shared.sql": ";\n".join(statements) + ";\n"})
    done = program("migrate", "up", "--schemas", "tenant_*", "--dry-run")
    said = [" ".join(line.split()) for line in done.stderr.splitlines()]
    assert said == [
        "note: migrations/004_shared.sql: a role belongs to no schema, so the second target meets what the first has made or changed; "
        "a migration of the database can do it once (--one)",
        "note: migrations/004_shared.sql: public.log is named with its schema, so every target works on that same one",
        "note: migrations/004_shared.sql: it sets search_path itself, so what follows may work beside its target",
    ]


def test_backfills_in_batches_stay_in_their_schema(shop: Path, program: Run, database: str) -> None:
    make(database, "tenant_a", 'tenant "b"')
    rows = "INSERT INTO orders SELECT i, 'x' FROM generate_series(1, 1500) i;"
    lay(shop, {"001_orders.sql": FILES["001_orders.sql"] + rows})
    lay(shop, {"004_fill.sql": "-- pgcharter: up\n-- pgcharter: batched key=id\nUPDATE orders SET total = id WHERE total IS NULL;\n"})
    do(database, "CREATE TABLE public.orders (id int PRIMARY KEY, customer text, total int); INSERT INTO orders VALUES (1, 'x', NULL)")
    done = program("migrate", "up", "--schemas", "tenant*")
    assert (done.returncode, "2 done of 2 targets" in done.stdout) == (0, True), done
    for schema in ("tenant_a", '"tenant ""b"""'):
        assert do(database, f"SELECT count(*), count(total) FROM {schema}.orders") == [(1500, 1500)]
    assert do(database, "SELECT total FROM public.orders") == [(None,)]


def test_targets_that_have_it_from_elsewhere(shop: Path, program: Run, database: str) -> None:
    make(database, "tenant_a", "tenant_b", "tenant_c")
    for name in ("tenant_a", "tenant_b"):
        do(database, f"CREATE TABLE {name}.orders (id int PRIMARY KEY, customer text)")
    assert program("migrate", "up", "--schemas", "tenant_c").returncode == 0
    assert program("migrate", "baseline", "001", "--schemas", "tenant_*").returncode == 4
    done = program("migrate", "baseline", "001", "--schemas", "tenant_*", "--yes")
    assert (done.returncode, done.stdout) == (0, "001 orders recorded as applied in tenant_a, tenant_b\n"), done
    assert program("migrate", "up", "--schemas", "tenant_*").returncode == 0
    assert columns(database) == {"tenant_a": 3, "tenant_b": 3, "tenant_c": 3}
    assert program("migrate", "baseline", "003", "--schemas", "tenant_*").stdout == "nothing to do: all of that is applied\n"


def test_ledgers_of_targets_are_mended(shop: Path, program: Run, database: str) -> None:
    make(database, "tenant_a", "tenant_b", "tenant_c")
    assert program("migrate", "up", "--schemas", "tenant_[ab]").returncode == 0
    lay(shop, {"003_total.sql": "ALTER TABLE orders ADD total numeric;\n"})
    do(database, "CREATE TABLE tenant_c.orders ()")
    assert program("migrate", "up", "--schemas", "tenant_c").returncode == 3
    done = program("migrate", "repair", "--schemas", "tenant_*", "--yes")
    assert sorted(done.stdout.splitlines()) == [
        "set the run of 001 orders aside in tenant_c",
        "take the text of migrations/003_total.sql as the applied one in tenant_a, tenant_b",
    ], done
    assert states(program, "--schemas", "tenant_*") == {"tenant_a": "up to date", "tenant_b": "up to date", "tenant_c": "behind"}


def test_what_another_tool_has_done_in_each_target_is_taken_over(shop: Path, program: Run, database: str) -> None:
    make(database, "tenant_a", "tenant_b")
    for name, version in (("tenant_a", "002"), ("tenant_b", "001")):
        rows = ", ".join(f"('{n:03}')" for n in range(1, int(version) + 1))
        do(database, f"CREATE TABLE {name}.orders (id int PRIMARY KEY, customer text)")
        do(
            database,
            f"CREATE TABLE {name}.schema_migrations (version varchar PRIMARY KEY); INSERT INTO {name}.schema_migrations VALUES {rows}",
        )
    make(database, "tenant_new")
    do(database, "CREATE TABLE public.schema_migrations (version varchar PRIMARY KEY); INSERT INTO schema_migrations VALUES ('001')")
    assert states(program, "--schemas", "tenant_new") == {"tenant_new": "behind"}
    assert "has applied" not in program("migrate", "up", "--schemas", "tenant_new", "--dry-run").stderr
    done = program("migrate", "baseline", "--from", "dbmate", "--schemas", "tenant_[ab]", "--yes")
    assert sorted(done.stdout.splitlines()) == [
        "001 orders recorded as applied in tenant_a, tenant_b", "002 customer recorded as applied in tenant_a",
    ], done  # fmt: skip
    assert program("migrate", "up", "--schemas", "tenant_*").returncode == 0
    assert columns(database) == {"tenant_a": 3, "tenant_b": 3, "tenant_new": 3}


def test_what_the_server_says_in_each_target_is_told_once(shop: Path, program: Run, database: str) -> None:
    make(database, *[f"tenant_{n}" for n in range(6)])
    lay(shop, {"004_again.sql": "CREATE TABLE IF NOT EXISTS orders ();\n"})
    done = program("migrate", "up", "--schemas", "tenant_*", "--parallel", "3")
    assert done.returncode == 0
    assert done.stderr.count('relation "orders" already exists, skipping') == 1
