"""A plan as a revision: Alembic alone, up and down, comes to the same catalogs as the plan."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from tests.cli.conftest import Done, program
from tests.migrate.test_alembic import PROJECT, alembic, catalog

from pgcharter.catalog.compare import Difference, compare
from pgcharter.catalog.model import Catalog
from pgcharter.db import connect
from pgcharter.servers.lifecycle import Server

__all__ = ["program"]
Run = Callable[..., Done]

BASE = """
CREATE SCHEMA app;
CREATE TYPE app.mood AS ENUM ('sad', 'ok');
CREATE TABLE app.users (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, email varchar(200) NOT NULL, old text, n int,
                        gone numeric(8, 2));
CREATE INDEX users_old_idx ON app.users (old);
COMMENT ON TABLE app.users IS 'all users';
CREATE TABLE app."Gone Ü" (id int);
CREATE TABLE app.notes (id int PRIMARY KEY, at timestamptz);
"""
WANTED = r"""
CREATE SCHEMA app;
CREATE TYPE app.mood AS ENUM ('sad', 'ok');
CREATE TABLE app.users (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, email varchar(300) NOT NULL UNIQUE, n int NOT NULL DEFAULT 5,
    mood app.mood DEFAULT 'ok', tags text[], created timestamptz NOT NULL DEFAULT now(), "Größe %" bigint, CONSTRAINT pos CHECK (n > 0));
CREATE INDEX users_n_idx ON app.users (n DESC, lower(email)) WHERE n > 10 AND email LIKE '%a:b\:c';
COMMENT ON TABLE app.users IS 'all ''users'' 100% "here" :now';
COMMENT ON COLUMN app.users.n IS E'number\nof :things \\';
CREATE TABLE app.orders (id uuid DEFAULT gen_random_uuid() NOT NULL, user_id int NOT NULL REFERENCES app.users ON DELETE CASCADE,
    total numeric(10,2) DEFAULT 0.0, doc jsonb DEFAULT '{"a": ":x"}', at timestamp(3), code char(3) COLLATE "C", PRIMARY KEY (id),
    double double precision GENERATED ALWAYS AS (2.0) STORED, EXCLUDE USING btree (user_id WITH =));
CREATE TABLE app.notes (id int PRIMARY KEY, at timestamptz, user_id int REFERENCES app.users);
CREATE VIEW app.v AS SELECT id FROM app.users WHERE email LIKE '%:x';
CREATE FUNCTION app.f(x text) RETURNS text LANGUAGE plpgsql AS $$
begin
  return x || ':y 10%' || E'\\:z' || app.g(x);
end $$;
CREATE FUNCTION app.g(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'select $1';
CREATE TRIGGER t BEFORE UPDATE ON app.users FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger();
"""


@pytest.fixture
def databases(server_of: Callable[[int | None], Server]) -> Iterator[tuple[str, str]]:
    server, names = server_of(None), ("test_alembic_plan", "test_alembic_plan_2")
    with psycopg.connect(server.dsn(), autocommit=True) as admin:
        for name in names:
            admin.execute(f"CREATE DATABASE {name} TEMPLATE template0 STRATEGY file_copy".encode())
        yield server.dsn(names[0]), server.dsn(names[1])
        for name in names:
            admin.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project of one revision that makes `BASE`, with `alembic_version` where it is by default."""
    folder = Path(shutil.copytree(PROJECT, tmp_path / "p", ignore=shutil.ignore_patterns("__pycache__", "versions")))
    env = folder / "app_migrations" / "env.py"
    env.write_text(re.sub(r'    "version_table.*\n', "", env.read_text()))
    (folder / "app_migrations" / "versions").mkdir()
    text = (
        "from alembic import op\nrevision = '0001'\ndown_revision = None\n\n"
        "def upgrade():\n    op.execute(%r)\n\ndef downgrade():\n    pass\n"
    )
    (folder / "app_migrations" / "versions" / "0001_base.py").write_text(text % BASE.strip())
    monkeypatch.chdir(folder)
    return folder


def planned(program: Run, wanted: str, *more: str) -> Done:
    Path("wanted.sql").write_text(wanted)
    return program("plan", "wanted.sql", "--alembic", "-m", "next thing", "--format", "json", *more)


def revisions(project: Path) -> list[Path]:
    found = (project / "app_migrations" / "versions").glob("*.py")
    return [p for p in found if p.stem != "0001_base"]


def apply(database: str, steps: list[dict[str, str]]) -> None:
    with closing(connect(database)) as conn:
        conn.execute("SET check_function_bodies = off")
        for step in steps:
            if step["sql"]:
                conn.execute(step["sql"].encode())


@pytest.mark.parametrize("style", [(), ("--plain",)], ids=["safe", "plain"])
def test_alembic_alone_comes_to_the_same_catalogs(project: Path, program: Run, databases: tuple[str, str], style: tuple[str, ...]) -> None:
    done = planned(program, WANTED, *style)
    assert done.returncode == 0, done.stderr
    plan = json.loads(done.stdout)
    written = revisions(project)
    gates = sum(1 for step in plan["steps"] if step["gate"])
    assert len(written) == gates + 1
    by_hand, by_plan = databases
    for database in databases:
        alembic(project, database, "upgrade", "0001")
    before = catalog(by_hand)
    alembic(project, by_hand, "upgrade", "head")
    apply(by_plan, plan["steps"])
    after = catalog(by_hand)
    assert compare(after, catalog(by_plan)) == ()
    alembic(project, by_hand, "downgrade", "0001")
    apply(by_plan, plan["reverse"])
    assert differences(before, catalog(by_hand)) == differences(before, catalog(by_plan)) == []
    alembic(project, by_hand, "upgrade", "head")
    assert differences(after, catalog(by_hand)) == []


def differences(one: Catalog, other: Catalog) -> list[Difference]:
    """What differs but for the order of columns, which nothing brings back."""
    return [d for d in compare(one, other) if d.field != "position"]


def test_what_a_plan_is_refused_for(project: Path, program: Run, databases: tuple[str, str]) -> None:
    database = databases[0]
    alembic(project, database, "upgrade", "head")
    wanted = BASE + "CREATE TABLE app.more (id int);"
    env = project / "app_migrations" / "env.py"
    original = env.read_text()
    env.write_text(
        original.replace('"include_schemas"', '"version_table": "own_version",\n    "version_table_schema": "app",\n    "include_schemas"')
    )
    alembic(project, database, "stamp", "0001")
    done = planned(program, wanted, "--on", database)
    assert (done.returncode, "would drop table app.own_version" in said(done)) == (4, True), done.stderr
    env.write_text(original)
    with closing(connect(database)) as conn:
        conn.execute("DROP TABLE app.own_version")
    done = planned(program, wanted, "--on", database)
    assert (done.returncode, len(revisions(project))) == (0, 1), done.stderr
    done = planned(program, wanted, "--on", database)
    assert (done.returncode, "is at 0001 and the revisions end in" in said(done)) == (4, True)
    text = '"""Two"""\nrevision = "0002"\ndown_revision = "0001"\ndef upgrade():\n    pass\n'
    (project / "app_migrations" / "versions" / "0002_two.py").write_text(text)
    done = planned(program, wanted + "CREATE TABLE app.most (id int);", "--plain")
    assert (done.returncode, "alembic merge heads" in said(done)) == (3, True), done.stderr


def said(done: Done) -> str:
    return " ".join(done.stderr.split())
