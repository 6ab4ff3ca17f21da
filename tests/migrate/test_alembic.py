"""A real Alembic project, run unchanged under our lock and ledger: graph, Python data migrations, autocommit blocks, retries, crashes."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from tests.cli.conftest import Done, program
from tests.later import later

from pgcharter.catalog.compare import compare
from pgcharter.catalog.model import Catalog
from pgcharter.db import connect
from pgcharter.servers.lifecycle import Server
from pgcharter.sources.live import read_catalog

__all__ = ["program"]
PROJECT = Path(__file__).parent / "alembic_project"
Run = Callable[..., Done]


@pytest.fixture(scope="module")
def own_database(server_of: Callable[[int | None], Server]) -> Iterator[str]:
    server = server_of(None)
    with psycopg.connect(server.dsn(), autocommit=True) as admin:
        admin.execute("CREATE DATABASE test_alembic TEMPLATE template0 STRATEGY file_copy")
        yield server.dsn("test_alembic")
        admin.execute("DROP DATABASE test_alembic WITH (FORCE)")


@pytest.fixture
def database(own_database: str) -> str:
    with psycopg.connect(own_database) as conn:
        conn.execute(
            "SET client_min_messages = error; DROP SCHEMA IF EXISTS pgcharter, migrations, shop, public CASCADE; CREATE SCHEMA public"
        )
    return own_database


@pytest.fixture
def shop(tmp_path: Path, database: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The project, with a charter, and the current folder in it."""
    folder = Path(shutil.copytree(PROJECT, tmp_path / "shop", ignore=shutil.ignore_patterns("__pycache__")))
    (folder / "pgcharter.toml").write_text('[environments.dev]\ndsn_env = "SHOP_URL"\n')
    monkeypatch.setenv("SHOP_URL", database)
    monkeypatch.chdir(folder)
    return folder


def states(program: Run) -> dict[str, str]:
    done = program("migrate", "status", "--format", "json")
    assert done.returncode == 0, done.stdout + done.stderr
    return {m["name"]: m["state"] for m in json.loads(done.stdout)["migrations"]}


def alembic(folder: Path, database: str, *words: str) -> str:
    """Alembic itself, by hand."""
    ini = (folder / "alembic.ini").read_text().replace("driver://user:pass@localhost/dbname", url(database))
    (folder / "by_hand.ini").write_text(ini)
    done = subprocess.run(
        [sys.executable, "-m", "alembic", "-c", "by_hand.ini", *words], cwd=folder, capture_output=True, text=True, check=False
    )
    (folder / "by_hand.ini").unlink()
    assert done.returncode == 0, done.stderr
    return done.stdout


def url(database: str) -> str:
    from psycopg.conninfo import conninfo_to_dict
    from sqlalchemy import URL

    parts = conninfo_to_dict(database)
    name, host, port = str(parts.pop("dbname")), str(parts["host"]), int(parts["port"] or 5432)
    made = URL.create("postgresql+psycopg", str(parts.get("user") or ""), str(parts.get("password") or "") or None, None, None, name,
                      {"host": host, "port": str(port)})  # fmt: skip
    return made.render_as_string(hide_password=False).replace("%", "%%")


def catalog(database: str) -> Catalog:
    """What is there beside our ledger and Alembic's table."""
    with closing(connect(database)) as conn, conn.transaction(force_rollback=True):
        conn.execute("DROP SCHEMA IF EXISTS pgcharter CASCADE")
        conn.execute("DROP TABLE IF EXISTS public.alembic_version")
        return read_catalog(conn)


def rows(database: str, query: str) -> list[tuple[object, ...]]:
    with closing(connect(database)) as conn:
        return conn.execute(query.encode()).fetchall()


def change(database: str, sql: str) -> None:
    with closing(connect(database)) as conn:
        conn.execute(sql.encode())


def heads(database: str) -> list[object]:
    return [row[0] for row in rows(database, "SELECT version_num FROM migrations.shop_version ORDER BY 1")]


def test_the_whole_project_up_and_down(shop: Path, program: Run, database: str) -> None:
    assert set(states(program).values()) == {"pending"}
    done = program("migrate", "up")
    assert (done.returncode, done.stdout.splitlines()[-1:]) == (0, ["30 migrations applied"]), done.stderr
    ours = catalog(database)
    assert alembic(shop, database, "current").split()[:1] == heads(database)
    assert alembic(shop, database, "upgrade", "heads") == ""
    assert set(states(program).values()) == {"applied"}
    assert rows(database, "SELECT count(*) FROM people WHERE name = first || ' ' || last") == [(50,)]
    done = program("migrate", "to", "nothing")
    assert (done.returncode, done.stdout.splitlines()[-1:]) == (0, ["30 migrations taken back"]), done.stderr
    assert heads(database) == []
    alembic(shop, database, "upgrade", "heads")
    assert compare(ours, catalog(database)) == ()


def short(folder: Path, *bodies: str, head: str = "import sqlalchemy as sa\nfrom alembic import op\n") -> None:
    """A chain of revisions 0001, 0002, ... instead of the project's own."""
    versions = folder / "app_migrations" / "versions"
    shutil.rmtree(versions)
    versions.mkdir()
    for number, body in enumerate(bodies, 1):
        up, _, down = body.partition("\n---\n")
        before = f"'{number - 1:04}'" if number > 1 else "None"
        text = f'"""Step {number}"""\n{head}revision = "{number:04}"\ndown_revision = {before}\n\n'
        text += f"def upgrade():\n{indented(up)}\n\ndef downgrade():\n{indented(down or 'pass')}\n"
        (versions / f"{number:04}_step.py").write_text(text)


def indented(text: str) -> str:
    return "\n".join("    " + line for line in text.strip("\n").split("\n"))


def test_what_alembic_did_by_hand_is_seen_and_taken_over(shop: Path, program: Run, database: str) -> None:
    alembic(shop, database, "upgrade", found(shop, "stock_check"))
    by_hand = states(program)
    assert sum(state == "applied" for state in by_hand.values()) == 15
    assert (by_hand["stock_check"], by_hand["invoices"]) == ("applied", "pending")
    done = program("migrate", "to", found(shop, "invoices"))
    assert (done.returncode, done.stdout.splitlines()[-1:]) == (0, ["1 migration applied"]), done.stderr
    recorded = rows(database, "SELECT outcome, count(*) FROM pgcharter.schema_migrations GROUP BY 1 ORDER BY 1")
    assert recorded == [("baseline", 15), ("done", 1)]
    assert len(heads(database)) == 2
    alembic(shop, database, "downgrade", f"{found(shop, 'invoices')}@-1")
    assert states(program)["invoices"] == "pending"
    assert program("migrate", "up").returncode == 0
    assert set(states(program).values()) == {"applied"}
    assert program("migrate", "verify").returncode == 0


def found(folder: Path, name: str) -> str:
    return next(p.stem.split("_")[0] for p in (folder / "app_migrations" / "versions").glob(f"*_{name}.py"))


def test_to_follows_the_graph_and_leaves_other_branches_alone(shop: Path, program: Run, database: str) -> None:
    assert program("migrate", "to", found(shop, "stock_check")).returncode == 0
    assert program("migrate", "to", found(shop, "invoices_reference")).returncode == 0
    assert set(heads(database)) == {found(shop, "stock_check"), found(shop, "invoices_reference")}
    done = program("migrate", "to", found(shop, "stock"))
    assert done.stdout.splitlines()[-1:] == ["2 migrations taken back"], done.stderr
    assert set(heads(database)) == {found(shop, "stock"), found(shop, "invoices_reference")}
    assert program("migrate", "to", found(shop, "merge_stock_and_billing")).returncode == 0
    assert heads(database) == [found(shop, "merge_stock_and_billing")]
    assert program("migrate", "down").returncode == 0
    assert len(heads(database)) == 2
    needed = program("migrate", "to", found(shop, "audit_of_orders"))
    assert needed.returncode == 0, needed.stderr
    assert rows(database, "SELECT count(*) FROM pg_trigger WHERE tgname = 'note'") == [(1,)]


def test_a_lock_is_waited_for_and_tried_again(shop: Path, program: Run, database: str) -> None:
    short(
        shop, "op.execute('CREATE TABLE t (id int)')", "op.execute('CREATE TABLE first ()')\nop.add_column('t', sa.Column('n', sa.Integer))"
    )
    assert program("migrate", "to", "0001").returncode == 0
    with connect(database) as other:
        other.execute("BEGIN; LOCK TABLE t IN ACCESS SHARE MODE")
        done = program("migrate", "up", "--lock-timeout", "200ms", "--deadline", "700ms")
        assert done.returncode == 3
        assert "given up after" in done.stderr
        assert f"pid {other.info.backend_pid}" in done.stderr
        assert rows(database, "SELECT to_regclass('first')") == [(None,)]
        assert states(program)["step_2"] == "failed"
        with later(1.0, lambda: other.execute("COMMIT")):
            done = program("migrate", "up", "--lock-timeout", "200ms", "--deadline", "20s")
        assert done.returncode == 0, done.stderr
    assert heads(database) == ["0002"]
    outcomes = rows(database, "SELECT version, outcome FROM pgcharter.schema_migrations ORDER BY run_id")
    assert outcomes == [("0001", "done"), ("0002", "done")]


PARTS = """
op.execute("INSERT INTO t SELECT generate_series(1, 10)")
rows = op.get_bind().execute(sa.text("SELECT count(*) FROM t WHERE id > :low AND id < 100"), {"low": 3}).scalar()
with op.get_context().autocommit_block():
    op.create_index("t_id", "t", ["id"], postgresql_concurrently=True)
    op.execute("ALTER TYPE mood ADD VALUE 'good'")
op.execute(f"INSERT INTO t VALUES (100 + {rows})")
with op.get_context().autocommit_block():
    op.execute("SELECT 1")
    op.create_index("t_twice", "t", ["twice"], unique=True, postgresql_concurrently=True)
op.execute("CREATE TABLE last ()")
"""
FIRST = "op.execute('CREATE TABLE t (id int, twice int)')\nop.execute(\"CREATE TYPE mood AS ENUM ('bad')\")"


def test_a_revision_in_parts_goes_on_where_it_was(shop: Path, program: Run, database: str) -> None:
    short(shop, FIRST + "\nop.execute('INSERT INTO t VALUES (3, 7), (3, 7)')", PARTS)
    done = program("migrate", "up")
    assert done.returncode == 3
    assert re.search(r"0002_step\.py:\d+", done.stderr)
    assert "4 parts are committed and stay" in " ".join(done.stderr.split())
    assert rows(database, "SELECT count(*), max(id) FROM t") == [(13, 107)]
    assert rows(database, "SELECT count(*) FROM pg_index WHERE NOT indisvalid") == [(0,)]
    assert heads(database) == ["0001"]
    change(database, "UPDATE t SET twice = 8 WHERE ctid = (SELECT min(ctid) FROM t WHERE twice = 7); DELETE FROM t WHERE id = 5")
    refused = program("migrate", "up")
    assert refused.returncode == 3
    assert "is not what it was then" in " ".join(refused.stderr.split()), refused.stderr
    assert rows(database, "SELECT count(*), max(id) FROM t") == [(12, 107)]
    change(database, "INSERT INTO t VALUES (5)")
    done = program("migrate", "up")
    assert done.returncode == 0, done.stderr
    assert rows(database, "SELECT count(*), max(id) FROM t") == [(13, 107)]
    assert (heads(database), rows(database, "SELECT enum_range(NULL::mood)::text")) == (["0002"], [("{bad,good}",)])
    assert rows(database, "SELECT outcome FROM pgcharter.schema_migrations WHERE version = '0002'") == [("done",)]


@pytest.mark.parametrize("fault", ["in transaction:2", "before commit:2", "before alone:1", "after alone:1", "after alone:2"])
def test_a_runner_that_is_killed_is_taken_up_again(shop: Path, program: Run, database: str, fault: str) -> None:
    short(
        shop,
        FIRST,
        PARTS.replace(
            'postgresql_concurrently=True)\nop.execute("CREATE TABLE last', 'postgresql_concurrently=True)\nop.execute("CREATE TABLE last'
        ),
    )
    killed = subprocess.run(
        [sys.executable, "-m", "pgcharter", "migrate", "up"], cwd=shop, capture_output=True, text=True, check=False,
        env={**os.environ, "PGCHARTER_FAULT": fault},
    )  # fmt: skip
    assert killed.returncode == -9, killed.stderr
    done = program("migrate", "up")
    assert done.returncode == 0, done.stderr
    assert heads(database) == ["0002"]
    assert rows(database, "SELECT count(*), max(id) FROM t") == [(11, 107)]
    assert rows(
        database, "SELECT count(*) FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid WHERE c.relname LIKE 't\\_%' AND indisvalid"
    ) == [(2,)]
    assert set(rows(database, "SELECT outcome FROM pgcharter.schema_migrations")) == {("done",)}


def test_pending_revisions_are_tried_there_and_back(shop: Path, program: Run, database: str) -> None:
    assert program("migrate", "to", found(shop, "comments")).returncode == 0
    done = program("migrate", "verify", "--try")
    assert done.returncode == 1, done.stderr
    said = " ".join((done.stdout + done.stderr).split())
    assert "the way back of " + found(shop, "exclusion") in said
    assert said.count("does not lead back") == 1
    assert "btree_gist" in said


def test_a_dry_run_shows_the_sql_and_changes_nothing(shop: Path, program: Run, database: str) -> None:
    done = program("migrate", "up", "--dry-run")
    assert done.returncode == 0, done.stderr
    for words in ("CREATE TABLE people", "CREATE INDEX CONCURRENTLY ix_people_city", "known only when it runs", "CREATE EXTENSION"):
        assert words in done.stdout
    assert rows(database, "SELECT nspname::text FROM pg_namespace WHERE nspname IN ('pgcharter', 'shop')") == []


def env(folder: Path, old: str, new: str) -> None:
    path = folder / "app_migrations" / "env.py"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_an_env_py_that_migrates_twice_is_refused(shop: Path, program: Run) -> None:
    env(shop, "else:\n    run_migrations_online()", "else:\n    for _ in range(2):\n        run_migrations_online()")
    done = program("migrate", "up")
    assert done.returncode == 2
    assert "migrates 2 times in one run" in " ".join(done.stderr.split())


def test_an_env_py_that_never_commits_is_told(shop: Path, program: Run, database: str) -> None:
    short(shop, "op.execute('CREATE TABLE t ()')")
    env(shop, "        connection.commit()\n", "        connection.execute(text('SELECT pg_advisory_lock(7)'))\n")
    done = program("migrate", "up")
    assert done.returncode == 3
    assert "ended without a COMMIT" in " ".join(done.stderr.split())
    assert rows(database, "SELECT to_regclass('t')") == [(None,)]


def test_other_sentences(shop: Path, program: Run, database: str) -> None:
    assert program("migrate", "baseline", "0001").returncode == 4
    assert "alembic revision -m" in program("new", "thing").stderr
    short(shop, "raise ValueError('no ' * 3)\n---\nraise NotImplementedError('the amounts are gone')")
    done = program("migrate", "up")
    assert "0001_step.py:8" in done.stderr
    assert "ValueError: no no no" in " ".join(done.stderr.split())
    short(shop, "op.execute('CREATE SCHEMA public')")
    assert "alembic stamp 0001" in " ".join(program("migrate", "up").stderr.split())
    short(shop, "pass\n---\nraise NotImplementedError('the amounts are gone')")
    assert program("migrate", "up").returncode == 0
    done = program("migrate", "down")
    assert (done.returncode, "no way back: the amounts are gone" in " ".join(done.stderr.split())) == (4, True)
    shutil.rmtree(shop / "app_migrations" / "versions")
    (shop / "app_migrations" / "versions").mkdir()
    text = '"""Other"""\nrevision = "0009"\ndown_revision = None\ndef upgrade():\n    pass\n'
    (shop / "app_migrations" / "versions" / "0009.py").write_text(text)
    assert "older than the database" in " ".join(program("migrate", "up").stderr.split())


def test_asyncio(shop: Path, program: Run, database: str) -> None:
    env(shop, "def run_migrations_online() -> None:\n    connectable = engine_from_config(",
        "def run(connection):\n    context.configure(connection=connection, **OPTIONS)\n    with context.begin_transaction():\n"
        "        context.run_migrations()\n\n\nasync def run_async():\n    connectable = async_engine_from_config(")  # fmt: skip
    path = shop / "app_migrations" / "env.py"
    head, _, rest = path.read_text().partition("    with connectable.connect() as connection:")
    _, _, tail = rest.partition("\nif context.is_offline_mode():")
    body = '    async with connectable.connect() as connection:\n        await connection.execute(text("CREATE SCHEMA IF NOT EXISTS migrations"))\n'  # noqa: E501
    body += "        await connection.commit()\n        await connection.run_sync(run)\n    await connectable.dispose()\n\n"
    body += "\ndef run_migrations_online():\n    asyncio.run(run_async())\n\n\nif context.is_offline_mode():"
    path.write_text(
        head.replace("from alembic", "import asyncio\nfrom sqlalchemy.ext.asyncio import async_engine_from_config\nfrom alembic", 1)
        + body
        + tail
    )
    done = program("migrate", "up")
    assert done.returncode == 0, done.stderr
    assert set(states(program).values()) == {"applied"}


GRANTED = "GRANT ALL ON SCHEMA migrations, public TO pg_database_owner; SET ROLE pg_database_owner"
SHAPES = {
    "begun": (
        "    with connectable.connect() as connection:",
        "    with connectable.begin() as connection:",
        "        connection.commit()\n",
        "",
    ),
    "per revision": ("connection=connection, **OPTIONS", "connection=connection, transaction_per_migration=True, **OPTIONS", "", ""),
    "pooled": ("poolclass=pool.NullPool", "pool_size=2", "", ""),
    "role": ("        connection.commit()\n", f'        connection.execute(text("{GRANTED}"))\n        connection.commit()\n', "", ""),
    "autocommit": ("poolclass=pool.NullPool", 'poolclass=pool.NullPool, isolation_level="AUTOCOMMIT"', "", ""),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_other_shapes_of_env_py(shop: Path, program: Run, database: str, shape: str) -> None:
    old, new, also, instead = SHAPES[shape]
    env(shop, old, new)
    env(shop, also, instead)
    block = (
        ""
        if shape == "begun"
        else "with op.get_context().autocommit_block():\n    op.create_index('t_id', 't', ['id'], postgresql_concurrently=True)"
    )
    short(shop, "op.execute('CREATE TABLE t (id int)')\n---\nop.drop_table('t')", "op.execute('CREATE TABLE u ()')\n" + block)
    for _ in range(2):
        done = program("migrate", "up")
        assert done.returncode == 0, done.stderr
        assert heads(database) == ["0002"]
        assert rows(database, "SELECT count(*) FROM pg_class WHERE relname IN ('t', 'u', 't_id') AND relkind IN ('r', 'i')") == [
            (2 + bool(block),)
        ]
        change(database, "DROP TABLE u; DROP INDEX IF EXISTS t_id")
        assert program("migrate", "to", "nothing").returncode == 0
        assert heads(database) == []
        assert rows(database, "SELECT to_regclass('t')") == [(None,)]
