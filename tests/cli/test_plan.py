"""`pgcharter plan` and `pgcharter fix` as a user calls them: real builds, real plans, and what is printed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from pgcharter.servers.scratch import kept

Program = Callable[..., Any]

BEFORE = """\
CREATE SCHEMA app;
CREATE TABLE app.customers (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, mail text NOT NULL);
CREATE TABLE app.orders (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, customer_id bigint NOT NULL, note varchar(20));
"""
AFTER = """\
CREATE SCHEMA app;
CREATE TABLE app.customers (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, email text NOT NULL);
CREATE TABLE app.orders (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    customer_id bigint NOT NULL REFERENCES app.customers, note varchar(40));
CREATE INDEX orders_customer_id_idx ON app.orders (customer_id);
"""
RENAME = "column app.customers.mail=email"


@pytest.fixture(autouse=True, scope="module")
def one_scratch_server() -> Iterator[None]:
    with kept():
        yield


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "before.sql").write_text(BEFORE)
    (tmp_path / "after.sql").write_text(AFTER)
    return tmp_path


def test_a_plan_says_what_happens_and_was_tried(program: Program, project: Path) -> None:
    done = program("plan", "after.sql", "--on", "before.sql", "--rename", RENAME, cwd=project)
    assert done.returncode == 0, done.stderr
    assert "CREATE INDEX CONCURRENTLY orders_customer_id_idx ON app.orders" in done.stdout
    assert "VALIDATE CONSTRAINT orders_customer_id_fkey" in done.stdout
    assert "tried on a scratch server" in done.stdout


def test_what_looks_like_a_rename_is_asked_and_never_guessed(program: Program, project: Path) -> None:
    done = program("plan", "after.sql", "--on", "before.sql", "--write", "x", cwd=project)
    assert done.returncode == 4
    assert "column app.customers.mail" in done.stdout
    assert "open questions" in done.stderr
    assert not (project / "migrations").exists()
    answered = program("plan", "after.sql", "--on", "before.sql", "--dropped", "column app.customers.mail", "--format", "json", cwd=project)
    assert answered.returncode == 0
    losing = [s for s in json.loads(answered.stdout)["steps"] if s["grade"] != "lossless"]
    assert [s["object"]["sql"] for s in losing] == ["app.customers.mail"]
    assert losing[0]["phase"] == "contract"


def test_the_charter_can_say_it_all(program: Program, project: Path) -> None:
    (project / "pgcharter.toml").write_text(
        'guide = "core"\n[plan]\nwanted = "after.sql"\nrenames = { "column app.customers.mail" = "email" }\n[migrate]\nfolder = "changes"\n'
    )
    done = program("plan", "--on", "before.sql", "--write", "mail to email", "-q", cwd=project)
    assert done.returncode == 0, done.stderr
    (written,) = (project / "changes").glob("*_mail_to_email.sql")
    text = written.read_text()
    assert "-- pgcharter: up" in text
    assert "-- pgcharter: down" in text
    assert "RENAME COLUMN mail TO email" in text.partition("-- pgcharter: down")[0]
    assert "RENAME COLUMN email TO mail" in text.partition("-- pgcharter: down")[2]


def test_nothing_to_do(program: Program, project: Path) -> None:
    done = program("plan", "before.sql", "--on", "before.sql", "--check", cwd=project)
    assert done.returncode == 0
    assert "nothing to do" in done.stdout
    assert program("plan", "after.sql", "--on", "before.sql", "--rename", RENAME, "--check", cwd=project).returncode == 1


@pytest.mark.parametrize("form", ["markdown", "sql"])
def test_other_forms(program: Program, project: Path, form: str) -> None:
    done = program("plan", "after.sql", "--on", "before.sql", "--rename", RENAME, "--format", form, cwd=project)
    assert done.returncode == 0
    assert "CREATE INDEX CONCURRENTLY orders_customer_id_idx" in done.stdout


def test_a_plan_for_a_live_database_leaves_alone_what_is_not_mentioned(program: Program, project: Path, database: str) -> None:
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute(BEFORE)
        conn.execute("CREATE SCHEMA reports; CREATE TABLE reports.daily (day date); CREATE TABLE public.alembic_version (version_num text)")
    done = program("plan", "after.sql", "--on", database, "--rename", RENAME, "--format", "json", cwd=project)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert not [s for s in told["steps"] if "reports" in (s["sql"] or "") or "alembic_version" in (s["sql"] or "")]
    assert any("schema reports" in note for note in told["notes"])
    assert any("alembic_version" in note for note in told["notes"])


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["plan"], 2, "nothing says what the database shall be"),
        (["plan", "after.sql"], 2, "nothing says what the database is now"),
        (["plan", "after.sql", "--on", "before.sql", "--rename", "mail=email"], 2, "no address of an object"),
        (["plan", "after.sql", "--on", "before.sql", "--rename", "column app.customers.mail"], 2, "declares no rename"),
        (["plan", "after.sql", "--on", "before.sql", "--rename", "column app.customers.gone=email"], 4, ""),
        (["plan", "broken.sql", "--on", "before.sql"], 3, "does not build"),
        (["fix", "nowhere.sql"], 2, "there is no file"),
    ],
)
def test_bad_input(program: Program, project: Path, arguments: list[str], code: int, said: str) -> None:
    (project / "broken.sql").write_text("CREATE TABLE t (id int); CREATE TABLE u (id nonsense);")
    done = program(*arguments, cwd=project)
    assert done.returncode == code, done.stderr
    assert said in done.stderr + done.stdout


def test_findings_become_one_plan(program: Program, project: Path) -> None:
    (project / "bad.sql").write_text(
        BEFORE + "ALTER TABLE app.orders ADD FOREIGN KEY (customer_id) REFERENCES app.customers ON DELETE CASCADE;"
    )
    done = program("fix", "bad.sql", "--only", "KEY20", "--format", "json", cwd=project)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert [s["sql"].partition(" ON ")[0] for s in told["steps"]] == ["CREATE INDEX CONCURRENTLY orders_customer_id_idx"]
    assert told["proven"]


def test_a_fix_of_the_server_is_nothing_for_a_plan(program: Program, project: Path, database: str) -> None:
    done = program("fix", database, "--only", "SRV09", "--min-severity", "info", cwd=project)
    assert done.returncode == 0, done.stderr
    told = " ".join(done.stdout.split())
    assert "0 findings mended" in told
    assert "it changes the server and not the schema, so no migration does it: ALTER SYSTEM" in told


def test_a_table_and_its_columns_may_be_renamed_in_one_plan(program: Program, project: Path) -> None:
    (project / "old.sql").write_text("CREATE TABLE t (id serial PRIMARY KEY, x int); CREATE INDEX t_x ON t (x);")
    (project / "new.sql").write_text("CREATE TABLE u (id serial PRIMARY KEY, z int); CREATE INDEX u_z ON u (z);")
    declared = ("--rename", "table public.t=u", "--rename", "column public.t.x=z")
    done = program("plan", "new.sql", "--on", "old.sql", *declared, "--format", "json", cwd=project)
    assert done.returncode == 0, done.stderr
    statements = [s["sql"] for s in json.loads(done.stdout)["steps"]]
    assert statements.index("ALTER TABLE public.t RENAME COLUMN x TO z") < statements.index("ALTER TABLE public.t RENAME TO u")
    assert "ALTER SEQUENCE public.t_id_seq RENAME TO u_id_seq" in statements
    assert not [s for s in statements if "CREATE SEQUENCE" in s]
    renamed = next(s for s in json.loads(done.stdout)["steps"] if s["sql"].endswith("RENAME TO u"))
    assert renamed["effect"]["locks"][0]["mode"] == "ACCESS EXCLUSIVE"


def test_files_that_are_pending_are_told_before_a_plan_is_written(program: Program, project: Path, database: str) -> None:
    (project / "pgcharter.toml").write_text('guide = "core"\n[environments.dev]\ndsn_env = "SHOP_URL"\n')
    with psycopg.connect(database) as conn:
        conn.execute(BEFORE.encode())
    arguments = ("plan", "after.sql", "--env", "dev", "--rename", RENAME, "--no-proof", "-q")
    first = program(*arguments, "--write", "one", cwd=project, SHOP_URL=database, COLUMNS="400")
    assert first.returncode == 0
    assert "warning" not in first.stderr
    (written,) = (project / "migrations").glob("*_one.sql")
    title = written.stem.replace("_", " ")
    again = program(*arguments, "--write", "two")
    assert again.returncode == 0
    warning, hint = again.stderr.splitlines()[:2]
    assert warning.startswith(f"warning: {title} of migrations is not applied to this database, so this plan does not know of it")
    assert hint == "hint: apply what is pending first: pgcharter migrate up; or plan on top of the files: pgcharter plan … --on migrations"
    assert "warning" not in program(*arguments).stderr
