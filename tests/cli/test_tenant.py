"""`pgcharter tenant` as a user calls it: tenants come, are suspended, exported and deleted, in rows, schemas and databases."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from pgcharter.servers.lifecycle import Server
from pgcharter.servers.scratch import kept

Program = Callable[..., Any]

ENVIRONMENT = '[environments.dev]\ndsn_env = "TENANT_DB"\n'
both = pytest.mark.parametrize("major", [15, 18], ids=lambda m: f"pg{m}")
MIGRATIONS = {
    "001_orders.sql": "CREATE TABLE orders (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, note text);\n"
    "CREATE TABLE lines (id bigint PRIMARY KEY, in_order bigint REFERENCES orders);\n",
    "002_total.sql": "-- pgcharter: up\nCREATE INDEX CONCURRENTLY orders_note_idx ON orders (note);\nBEGIN;\n"
    "ALTER TABLE orders ADD total int;\nCOMMIT;\n-- pgcharter: down\nBEGIN;\nALTER TABLE orders DROP total;\nCOMMIT;\n",
}


@pytest.fixture(autouse=True, scope="module")
def one_scratch_server() -> Iterator[None]:
    with kept():
        yield


@pytest.fixture
def role(major_server: Server) -> Iterator[str]:
    """An application's role; whatever tenants leave behind on the server goes with it."""
    name = "pgct_tenants_api"
    with psycopg.connect(major_server.dsn(), autocommit=True) as conn:
        conn.execute(f"CREATE ROLE {name} LOGIN NOINHERIT PASSWORD 'api'".encode())
        yield name
        for (database,) in conn.execute("SELECT datname FROM pg_database WHERE datname ^@ 'pgct_t_'").fetchall():
            conn.execute(f'DROP DATABASE "{database}" WITH (FORCE)'.encode())


@pytest.fixture
def project(major_server: Server, role: str, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("TENANT_DB", database)
    yield tmp_path
    with psycopg.connect(database, autocommit=True) as conn:
        found = conn.execute("SELECT quote_ident(rolname) FROM pg_roles WHERE rolname ^@ 'pgct_t'").fetchall()
        for (one,) in found:
            conn.execute(f"REASSIGN OWNED BY {one} TO CURRENT_USER; DROP OWNED BY {one}".encode())
    with psycopg.connect(major_server.dsn(), autocommit=True) as conn:
        for (one,) in conn.execute("SELECT datname FROM pg_database WHERE datname ^@ 'pgct_t_'").fetchall():
            conn.execute(f'DROP DATABASE "{one}" WITH (FORCE)'.encode())
        for (one,) in found:
            conn.execute(f"DROP ROLE {one}".encode())


def lay(folder: Path, tenancy: str, *, migrations: bool = True) -> None:
    (folder / "pgcharter.toml").write_text(f"{ENVIRONMENT}\n[tenancy]\n{tenancy}\n")
    if migrations:
        (folder / "migrations").mkdir()
        for name, text in MIGRATIONS.items():
            (folder / "migrations" / name).write_text(text)


def applied(program: Program, folder: Path) -> None:
    done = program("policy", "apply", "--yes", cwd=folder)
    assert done.returncode == 0, done.stderr


def said(done: Any) -> dict[str, Any]:
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)  # type: ignore[no-any-return]


def value(dsn: str, sql: str, **given: str) -> Any:
    with psycopg.connect(dsn, **given) as conn:  # type: ignore[arg-type]
        row = conn.execute(sql.encode()).fetchone()
        return row[0] if row else None


# rows


def as_api(dsn: str, tenant: str) -> Any:
    with psycopg.connect(dsn, user="pgct_tenants_api", password="api") as conn:
        conn.execute(f"SET LOCAL pgcharter.tenant = '{tenant}'".encode())
        row = conn.execute("SELECT count(*) FROM app.orders").fetchone()
        return row[0] if row else None


ROWS = 'application_roles = ["pgct_tenants_api"]\nschemas = ["app"]'


@pytest.fixture
def rows(project: Path, database: str, program: Program) -> Path:
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute("CREATE SCHEMA app; CREATE TABLE app.orders (id int PRIMARY KEY, tenant_id uuid NOT NULL)")
        conn.execute("GRANT USAGE ON SCHEMA app TO pgct_tenants_api; GRANT ALL ON app.orders TO pgct_tenants_api")
    lay(project, ROWS, migrations=False)
    applied(program, project)
    return project


def test_a_tenant_in_rows_from_the_first_day_to_the_last(program: Program, rows: Path, database: str) -> None:
    made = said(program("tenant", "add", "acme", "--set", "plan=gold", "--set", "seats=5", "--format", "json"))["tenant"]
    assert (made["state"], made["settings"], made["place"]) == ("active", {"plan": "gold", "seats": 5}, None)
    assert program("tenant", "add", "acme").returncode == 0
    assert program("tenant", "add", "acme", "--set", "plan=silver").returncode == 4
    assert program("tenant", "add", "other", "--id", made["id"]).returncode == 2
    assert program("tenant", "add", "other", "--id", "7").returncode == 2
    assert program("tenant", "add", "Acme").returncode == 2
    assert "acme" in program("tenant", "suspend", "acne").stderr
    other = said(program("tenant", "add", "other", "--format", "json"))["tenant"]
    fill = "INSERT INTO app.orders SELECT g, %s::uuid FROM generate_series(%s::int, %s) g RETURNING 1"
    with psycopg.connect(database) as conn:
        conn.execute(fill, (made["id"], 1, 30))
        conn.execute(fill, (other["id"], 31, 50))
    open_still = program("tenant", "suspend", "acme", "--why", "unpaid")
    assert (open_still.returncode, "ask_state = true" in open_still.stderr) == (0, True)
    assert program("tenant", "verify").returncode == 1
    charter = (rows / "pgcharter.toml").read_text()
    (rows / "pgcharter.toml").write_text(charter + "ask_state = true\n")
    assert "not in force" in program("tenant", "suspend", "acme").stderr
    applied(program, rows)
    assert as_api(database, made["id"]) == 0
    assert as_api(database, other["id"]) == 20
    assert said(program("tenant", "suspend", "acme", "--format", "json"))["enforced"] is True
    assert program("tenant", "verify").returncode == 0
    listed = program("tenant", "list").stdout
    assert "acme   suspended" in listed
    assert "unpaid" in listed
    assert program("tenant", "resume", "acme").returncode == 0
    assert as_api(database, made["id"]) == 30
    refused = program("tenant", "remove", "acme")
    assert (refused.returncode, "--export FOLDER" in refused.stderr) == (4, True)
    left = said(program("tenant", "remove", "acme", "--export", "out", "--format", "json"))["tenants"][0]
    assert (left["outcome"], left["export"]["rows"]) == ("leaving", 30)
    early = program("tenant", "remove", "acme", "--yes")
    assert (early.returncode, "may not be deleted before" in early.stderr) == (4, True)
    assert program("tenant", "verify", "--export", "out").returncode == 0
    assert "no tenant is due" in program("tenant", "remove", "--due", "--yes").stdout
    assert program("tenant", "resume", "acme").returncode == 0
    assert program("tenant", "remove", "acme", "--no-export", "--grace", "0d").returncode == 0
    gone = said(program("tenant", "remove", "--due", "--yes", "--format", "json"))["tenants"][0]
    assert (gone["outcome"], gone["rows"]) == ("deleted", [{"table": "app.orders", "rows": 30}])
    assert value(database, "SELECT count(*) FROM app.orders") == 20
    assert [t["name"] for t in said(program("tenant", "list", "--format", "json"))["tenants"]] == ["other"]
    assert program("tenant", "verify").returncode == 0


def test_production_is_left_alone_without_its_name(program: Program, rows: Path) -> None:
    charter = rows / "pgcharter.toml"
    charter.write_text(charter.read_text().replace('"TENANT_DB"', '"TENANT_DB"\nproduction = true'))
    for command in (("add", "acme"), ("suspend", "acme"), ("resume", "acme"), ("remove", "acme", "--no-export"), ("remove", "--due")):
        done = program("tenant", *command)
        assert (done.returncode, "--confirm dev" in done.stderr) == (4, True), command
    assert program("tenant", "add", "acme", "--confirm", "dev").returncode == 0


def test_ids_of_other_types_are_made_too(program: Program, project: Path) -> None:
    lay(project, 'type = "bigint"', migrations=False)
    applied(program, project)
    for name, id_ in (("one", "1"), ("two", "2")):
        assert said(program("tenant", "add", name, "--format", "json"))["tenant"]["id"] == id_


def test_without_tenants_or_their_table_it_says_what_to_do(program: Program, project: Path) -> None:
    (project / "pgcharter.toml").write_text(ENVIRONMENT)
    none = program("tenant", "list", cwd=project)
    assert (none.returncode, "[tenancy]" in none.stderr) == (2, True)
    lay(project, "", migrations=False)
    none = program("tenant", "list")
    assert (none.returncode, "pgcharter policy apply" in none.stderr) == (4, True)


def test_two_at_once_for_one_tenant_do_not_meet(program: Program, rows: Path, database: str) -> None:
    from pgcharter.tenants import table

    with table.opened(database) as conn, table.alone(conn, "acme"):
        done = program("tenant", "add", "acme")
        assert (done.returncode, "another command is at work on tenant acme: session" in done.stderr) == (4, True)
        assert program("tenant", "add", "globex").returncode == 0
    assert program("tenant", "add", "acme").returncode == 0


def test_a_session_that_is_about_to_end_is_waited_for(rows: Path, database: str) -> None:
    """The server notices a moment after a command has ended that its session is gone."""
    from pgcharter.tenants import table

    with table.opened(database) as ended, table.opened(database) as conn, table.alone(ended, "acme"):
        ending = threading.Timer(0.3, ended.close)
        ending.start()
        with table.alone(conn, "acme"):
            assert ended.closed
        ending.join()


# schemas


SCHEMAS = 'placement = "schemas"\nplace = "pgct_t_{name}"\napplication_roles = ["pgct_tenants_api"]'


def as_tenant(dsn: str, place: str, sql: str) -> Any:
    with psycopg.connect(dsn, user="pgct_tenants_api", password="api") as conn:
        conn.execute(f'SET LOCAL ROLE "{place}"; SET LOCAL search_path = "{place}"'.encode())
        row = conn.execute(sql.encode()).fetchone()
        return row[0] if row else None


@both
def test_a_tenant_in_a_schema_from_the_first_day_to_the_last(program: Program, project: Path, database: str, major: int) -> None:
    lay(project, SCHEMAS)
    applied(program, project)
    none = program("migrate", "up")
    assert (none.returncode, "pgcharter tenant add" in none.stderr) == (2, True)
    for name in ("acme", "glo-bex"):
        done = program("tenant", "add", name)
        assert (done.returncode, "2 migrations applied" in done.stdout.replace("\n  ", " ")) == (0, True), done.stderr
    assert as_tenant(database, "pgct_t_acme", "INSERT INTO orders (note) VALUES ('a') RETURNING id") == 1
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        as_tenant(database, "pgct_t_acme", 'SELECT count(*) FROM "pgct_t_glo-bex".orders')
    assert program("tenant", "verify").returncode == 0
    assert "2 up to date" in program("migrate", "status").stdout
    (project / "migrations" / "003_more.sql").write_text("CREATE TABLE more (id int PRIMARY KEY);\n")
    assert program("tenant", "suspend", "acme").returncode == 0
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        as_tenant(database, "pgct_t_acme", "SELECT 1")
    assert "2 done" in program("migrate", "up").stdout
    assert program("tenant", "verify").returncode == 0
    assert program("tenant", "resume", "acme").returncode == 0
    assert as_tenant(database, "pgct_t_acme", "SELECT count(*) FROM orders") == 1
    assert program("policy", "verify").returncode in (0, 1)
    taken = program("tenant", "remove", "acme", "--export", "out", "--grace", "0d")
    assert taken.returncode == 0, taken.stderr
    assert program("tenant", "remove", "acme", "--yes").returncode == 0
    assert value(database, "SELECT count(*) FROM pg_roles WHERE rolname = 'pgct_t_acme'") == 0
    assert value(database, "SELECT count(*) FROM pgcharter.managed_objects WHERE 'pgct_t_acme' IN (schema_name, object_name)") == 0
    assert program("tenant", "verify").returncode == 0
    files = json.loads((project / "out" / "manifest.json").read_text())
    assert files["migrations"] == ["001", "002", "003"]
    assert {"sequence": "pgct_t_acme.orders_id_seq", "last_value": 1} in files["sequences"]


def test_what_is_there_already_or_may_not_be_made_is_told_before_anything_is_done(program: Program, project: Path, database: str) -> None:
    lay(project, SCHEMAS)
    applied(program, project)
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute("CREATE SCHEMA pgct_t_acme; CREATE ROLE pgct_t_globex; CREATE ROLE pgct_tenants_clerk LOGIN PASSWORD 'clerk'")
        conn.execute("GRANT USAGE ON SCHEMA pgcharter TO pgct_tenants_clerk; GRANT ALL ON pgcharter.tenants TO pgct_tenants_clerk")
    for name, kind in (("acme", "schema"), ("globex", "role")):
        done = program("tenant", "add", name)
        assert (done.returncode, f"there is a {kind} pgct_t_{name} already" in done.stderr.replace("\n       ", " ")) == (4, True)
    clerk = psycopg.conninfo.make_conninfo(database, user="pgct_tenants_clerk", password="clerk")
    done = program("tenant", "add", "initech", TENANT_DB=clerk)
    assert done.returncode == 4, done.stdout
    assert "hint" in done.stderr
    assert value(database, "SELECT count(*) FROM pgcharter.tenants") == 0


BROKEN = """
CREATE SCHEMA pgct_t_lost; CREATE ROLE pgct_t_old;
ALTER ROLE pgct_t_one CREATEDB; GRANT SELECT ON pgct_t_one.orders TO PUBLIC; GRANT pgct_t_two TO pgct_tenants_api;
ALTER TABLE pgct_t_one.lines ADD FOREIGN KEY (id) REFERENCES pgct_t_two.lines;
CREATE TABLE pgct_t_one.more (id int); CREATE VIEW public.spy AS SELECT * FROM pgct_t_one.orders;
DROP SCHEMA pgct_t_three CASCADE; REVOKE pgct_t_one FROM pgct_tenants_api;
UPDATE pgcharter.tenants SET state = 'adding' WHERE name = 'four'
"""


def test_each_kind_of_disorder_is_found_and_told_by_its_tenant(program: Program, project: Path, database: str) -> None:
    lay(project, SCHEMAS)
    applied(program, project)
    for name in ("one", "two", "three", "four", "five", "six"):
        done = program("tenant", "add", name)
        assert done.returncode == 0, done.stderr
    assert program("tenant", "suspend", "two").returncode == 0
    assert program("tenant", "verify").returncode == 0
    (project / "migrations" / "003_more.sql").write_text("CREATE TABLE later (id int PRIMARY KEY);\n")
    assert program("migrate", "up", "--schemas", "pgct_t_five").returncode == 0
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute(BROKEN)
    done = program("tenant", "verify", "--format", "json")
    assert done.returncode == 1
    found = {(w["tenant"], w["check"]) for w in json.loads(done.stdout)["findings"]}
    assert found == {
        ("four", "state"), ("three", "place"), ("", "orphan"), ("one", "role"), ("one", "access"), ("two", "access"), ("one", "crossing"),
        ("one", "structure"), ("five", "history"),
    }  # fmt: skip
    assert json.loads(program("tenant", "verify", "five", "--format", "json").stdout)["tenants"] == 1
    assert program("tenant", "verify", "nobody").returncode == 2


def test_the_audit_trail_stays_and_nothing_else_does(program: Program, project: Path, database: str) -> None:
    lay(project, SCHEMAS)
    (project / "pgcharter.toml").write_text((project / "pgcharter.toml").read_text() + '\n[audit]\ntables = ["pgct_t_*.orders"]\n')
    applied(program, project)
    for name in ("acme", "globex"):
        done = program("tenant", "add", name)
        assert done.returncode == 0, done.stderr
        assert as_tenant(database, f"pgct_t_{name}", "INSERT INTO orders (note) VALUES ('a') RETURNING id") == 1
    for name in ("acme", "globex"):
        assert program("tenant", "remove", name, "--no-export", "--grace", "0d").returncode == 0
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute("CREATE VIEW public.spy AS SELECT * FROM pgct_t_acme.orders")
    done = program("tenant", "remove", "--due", "--yes", "--format", "json")
    assert (done.returncode, "of another schema depends on schema pgct_t_acme" in done.stderr.replace("\n", " ")) == (3, True)
    first, second = json.loads(done.stdout)["tenants"]
    assert (first["outcome"], second["outcome"], second["audit_rows"]) == ("failed", "deleted", 1)
    assert program("tenant", "resume", "acme").returncode == 0
    assert value(database, "SELECT count(*) FROM pgcharter.audit_log") == 2
    verified = program("policy", "verify")
    assert verified.returncode == 0, verified.stdout


def test_what_all_tenants_share_is_not_changed_along_with_one(program: Program, project: Path, database: str) -> None:
    lay(project, SCHEMAS)
    applied(program, project)
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute("CREATE TABLE public.countries (code text PRIMARY KEY)")
    lay_again = (project / "pgcharter.toml").read_text() + 'group = "pgct_tenants_all"\nshared = ["public.countries"]\n'
    (project / "pgcharter.toml").write_text(lay_again)
    done = program("tenant", "add", "acme")
    assert (done.returncode, "pgcharter policy apply" in done.stderr) == (4, True), done.stdout
    assert value(database, "SELECT state FROM pgcharter.tenants") == "adding"
    applied(program, project)
    done = program("tenant", "add", "acme")
    assert done.returncode == 0, done.stderr
    assert as_tenant(database, "pgct_t_acme", "SELECT count(*) FROM public.countries") == 0
    assert program("tenant", "verify").returncode == 0


def test_a_migration_of_policies_names_no_tenant(program: Program, project: Path, database: str) -> None:
    """What somebody did by hand in a tenant's schema is mended by `tenant enforce`; a migration that named it fits no other database."""
    lay(project, SCHEMAS)
    applied(program, project)
    assert program("tenant", "add", "acme").returncode == 0
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute("GRANT USAGE ON SCHEMA pgct_t_acme TO PUBLIC; CREATE TABLE public.countries (code text PRIMARY KEY)")
    assert program("policy", "verify").returncode == 1
    (project / "pgcharter.toml").write_text(
        (project / "pgcharter.toml").read_text() + 'group = "pgct_tenants_all"\nshared = ["public.countries"]\n'
    )
    done = program("policy", "apply", "--yes")
    assert (done.returncode, "schemas of tenants (1), which pgcharter tenant enforce sees to" in done.stdout) == (0, True), done.stderr
    assert "pgct_tenants_all" in "".join(f.read_text() for f in (project / "migrations_shared").iterdir())
    assert "pgct_t_acme" not in "".join(f.read_text() for f in (project / "migrations_shared").iterdir())
    assert program("tenant", "enforce").returncode == 0
    verified = program("policy", "verify")
    assert verified.returncode == 0, verified.stdout
    assert as_tenant(database, "pgct_t_acme", "SELECT count(*) FROM public.countries") == 0


FAULTS = ("tenant written", "tenant place", "after alone", "before commit", "tenant migrated", "tenant policies", "tenant opened")


def killed(folder: Path, fault: str, *arguments: str) -> tuple[int, str]:
    environment = {**os.environ, "PGCHARTER_FAULT": fault, "NO_COLOR": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "pgcharter", "tenant", *arguments], cwd=folder, env=environment, capture_output=True, text=True, timeout=120
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.slow
def test_adding_and_removing_killed_anywhere_is_gone_on_with(program: Program, project: Path, database: str) -> None:
    lay(project, SCHEMAS)
    applied(program, project)
    assert program("tenant", "add", "whole").returncode == 0
    for fault in FAULTS:
        code, text = killed(project, fault, "add", "acme", "--set", "plan=gold")
        assert code == -signal.SIGKILL, (fault, text)
        with pytest.raises(psycopg.Error):
            as_tenant(database, "pgct_t_acme", "SELECT 1") if fault != FAULTS[-1] else value("dbname=none port=1 host=/none", "")
        assert value(database, "SELECT state FROM pgcharter.tenants WHERE name = 'acme'") == "adding"
    code, text = killed(project, "", "add", "acme", "--set", "plan=gold")
    assert code == 0, text
    assert program("tenant", "verify").returncode == 0
    assert as_tenant(database, "pgct_t_acme", "INSERT INTO orders (note) VALUES ('a') RETURNING id") == 1
    out = ("remove", "acme", "--export", "out", "--grace", "0d")
    for fault in ("tenant leaving", "tenant table exported:3", "tenant read back"):
        code, text = killed(project, fault, *out)
        assert code == -signal.SIGKILL, (fault, text)
        assert not (project / "out" / "manifest.json").exists()
    assert killed(project, "", *out)[0] == 0
    for fault in ("tenant tables dropped", "tenant schema dropped"):
        code, text = killed(project, fault, "remove", "--due", "--yes")
        assert code == -signal.SIGKILL, (fault, text)
        resumed = program("tenant", "resume", "acme")
        assert (resumed.returncode, "is being deleted" in resumed.stderr) == (4, True)
    assert killed(project, "", "remove", "--due", "--yes")[0] == 0
    assert program("tenant", "verify", "--export", "out").returncode == 0
    assert program("tenant", "verify").returncode == 0


# databases


@both
def test_a_tenant_in_a_database_from_the_first_day_to_the_last(program: Program, project: Path, database: str, major: int) -> None:
    lay(project, SCHEMAS.replace("schemas", "databases"))
    applied(program, project)
    done = program("tenant", "add", "acme")
    assert done.returncode == 0, done.stderr
    parts = conninfo_to_dict(database)
    api = {**parts, "dbname": "pgct_t_acme", "user": "pgct_tenants_api", "password": "api"}
    assert value(psycopg.conninfo.make_conninfo(**api), "SELECT 1") == 1
    assert program("tenant", "verify").returncode == 0
    with psycopg.connect(psycopg.conninfo.make_conninfo(**api)):
        suspended = said(program("tenant", "suspend", "acme", "--format", "json"))
        assert [s["role"] for s in suspended["sessions"]] == ["pgct_tenants_api"]
        assert said(program("tenant", "suspend", "acme", "--terminate", "--format", "json"))["ended"] == 1
    with pytest.raises(psycopg.OperationalError, match="CONNECT"):
        value(psycopg.conninfo.make_conninfo(**api), "SELECT 1")
    assert "up to date" in program("migrate", "up").stdout
    assert program("tenant", "resume", "acme").returncode == 0
    assert value(psycopg.conninfo.make_conninfo(**api), "SELECT 1") == 1
    roles = '\n[roles]\nreadonly = "pgct_tenants_reads"\nschemas = ["public"]\n'
    (project / "pgcharter.toml").write_text((project / "pgcharter.toml").read_text() + roles)
    applied(program, project)
    assert "GRANT SELECT" in program("tenant", "enforce", "--dry-run").stdout
    assert program("tenant", "enforce").returncode == 0
    assert said(program("tenant", "enforce", "--format", "json"))["tenants"] == [{"tenant": "acme", "statements": []}]
    assert value(psycopg.conninfo.make_conninfo(**api), "SELECT 1") == 1
    assert program("tenant", "suspend", "acme").returncode == 0
    assert program("tenant", "enforce", "acme").returncode == 0
    verified = program("tenant", "verify")
    assert verified.returncode == 0, verified.stdout
    assert program("tenant", "remove", "acme", "--export", "out", "--grace", "0d").returncode == 0
    code, text = killed(project, "tenant database closed", "remove", "--due", "--yes")
    assert code == -signal.SIGKILL, text
    again = program("tenant", "remove", "--due", "--yes")
    assert (again.returncode, "is shut already" in again.stdout) == (0, True), again.stderr
    assert program("tenant", "remove", "--due", "--no-export").returncode == 2
    assert value(database, "SELECT count(*) FROM pg_database WHERE datname = 'pgct_t_acme'") == 0
    assert program("tenant", "verify", "--export", "out").returncode == 0
