"""A real Alembic project, run unchanged under our lock and ledger: graph, Python data migrations, autocommit blocks, retries, crashes."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from tests.cli.conftest import Done, program

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
