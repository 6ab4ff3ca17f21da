"""Migrations judged for a database: `pgcharter check migrations --env production`."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from pgcharter.servers.scratch import kept

CHARTER = '[environments.production]\ndsn_env = "PRODUCTION"\n[options]\nlarge_table_rows = 15000\n'
FILES = {
    "001_tables.sql": 'CREATE SCHEMA shop;\nCREATE TABLE shop."Orders" (id bigint PRIMARY KEY, state varchar(10), total integer);\n'
    "CREATE TABLE shop.kinds (id bigint PRIMARY KEY, name text);\n",
    "002_done.sql": 'CREATE INDEX done ON shop."Orders" (total);\n',
    "003_next.sql": "SET lock_timeout = '2s';\n"
    'CREATE INDEX large ON shop."Orders" (state);\nCREATE INDEX small ON shop.kinds (name);\n'
    'ALTER TABLE shop."Orders" ALTER state TYPE text;\nALTER TABLE shop."Orders" ALTER total TYPE bigint;\n'
    "CREATE TABLE shop.fresh (id bigint PRIMARY KEY, a text);\n",
    "004_more.sql": "SET lock_timeout = '2s';\nCREATE INDEX fresh_a ON shop.fresh (a);\nALTER TABLE shop.fresh ADD b text NOT NULL;\n",
}
DBMATE = "CREATE TABLE schema_migrations (version varchar PRIMARY KEY); INSERT INTO schema_migrations VALUES ('001'), ('002')"


@pytest.fixture(scope="module", autouse=True)
def one_scratch_server() -> Iterator[None]:
    with kept():
        yield


@pytest.fixture
def project(tmp_path: Path, database: str) -> Path:
    (tmp_path / "pgcharter.toml").write_text(CHARTER)
    folder = tmp_path / "migrations"
    folder.mkdir()
    for name, text in FILES.items():
        (folder / name).write_text(text)
    with psycopg.connect(database, autocommit=True) as conn:
        for name in ("001_tables.sql", "002_done.sql"):
            conn.execute(FILES[name])
        conn.execute("INSERT INTO shop.\"Orders\" SELECT n, 'new', n FROM generate_series(1, 20000) n")
        conn.execute("INSERT INTO shop.kinds SELECT n, 'a' FROM generate_series(1, 50) n")
        conn.execute("ANALYZE")
    return tmp_path


Said = tuple[list[tuple[str, str, str]], dict[str, Any]]


def judged(program: Callable[..., Any], project: Path, database: str, *arguments: str) -> Said:
    """Code, place and severity of what is said of the files; and the whole report."""
    done = program("check", *arguments, "--format", "json", cwd=project, PRODUCTION=database)
    assert done.returncode in (0, 1), done.stderr
    reports = json.loads(done.stdout)["targets"]
    files = next(r for r in reports if "migrations" in r["target"])
    found = [f for f in files["findings"] if f["code"].startswith(("MIG", "SRC"))]
    return sorted((f["code"], f"{Path(f['place']['file']).name}:{f['place']['line']}", f["severity"]) for f in found), files


def test_only_pending_files_are_judged_and_by_the_sizes_there(project: Path, database: str, program: Callable[..., Any]) -> None:
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute(DBMATE)
    found, report = judged(program, project, database, "migrations", "--env", "production")
    assert found == [("MIG01", "003_next.sql:2", "error"), ("MIG13", "003_next.sql:5", "error")]
    message = next(f["message"] for f in report["findings"] if f["code"] == "MIG01")
    assert message.endswith("until it is done (about 20,000 rows, 872 kB)")
    assert judged(program, project, database, "migrations", "--env", "production", "--no-server")[0] == found


def test_our_own_ledger_tells_what_is_behind(project: Path, database: str, program: Callable[..., Any]) -> None:
    done = program("migrate", "baseline", "002", "--yes", "--env", "production", cwd=project, PRODUCTION=database)
    assert done.returncode == 0, done.stderr
    found, report = judged(program, project, database, "migrations", "--env", "production")
    assert [f[:2] for f in found] == [("MIG01", "003_next.sql:2"), ("MIG13", "003_next.sql:5")]
    assert [g["what"] for g in report["gaps"]] == ["2 files that production has applied"]


def test_without_a_ledger_all_files_are_judged_by_the_sizes(project: Path, database: str, program: Callable[..., Any]) -> None:
    found, report = judged(program, project, database, "migrations", "--env", "production")
    assert [f[:2] for f in found] == [("MIG01", "002_done.sql:1"), ("MIG01", "003_next.sql:2"), ("MIG13", "003_next.sql:5")]
    assert [g["what"] for g in report["gaps"]] == ["which files production has"]


def test_files_alone_are_tried_on_what_is_there(project: Path, database: str, program: Callable[..., Any]) -> None:
    """A folder that begins in the middle: the old type is only known there, and nothing is refused."""
    (project / "migrations" / "001_tables.sql").unlink()
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute(DBMATE)
    found, _ = judged(program, project, database, "migrations/003_next.sql", "--env", "production")
    assert [f[:2] for f in found] == [("MIG01", "003_next.sql:2"), ("MIG13", "003_next.sql:5")]
    found, _ = judged(program, project, database, "migrations", "--env", "production")
    assert [f[:2] for f in found] == [("MIG01", "003_next.sql:2"), ("MIG13", "003_next.sql:5"), ("SRC01", "002_done.sql:1")]


def test_revisions_of_alembic_are_judged_by_what_the_database_has(tmp_path: Path, database: str, program: Callable[..., Any]) -> None:
    project = Path(shutil.copytree(Path(__file__).parent.parent / "sources" / "project", tmp_path / "project"))
    (tmp_path / "pgcharter.toml").write_text(CHARTER)
    (project / "migrations" / "versions" / "0003_next.py").write_text(
        "import sqlalchemy as sa\nfrom alembic import op\nrevision, down_revision = '0003', '0002'\n\n"
        "def upgrade():\n    op.create_index('users_name', 'users', ['name'])\n    op.create_index('orders_id', 'orders', ['id'])\n\n"
        "def downgrade():\n    op.drop_index('orders_id')\n    op.drop_index('users_name')\n"
    )
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute("CREATE TABLE alembic_version (version_num varchar(32) PRIMARY KEY); INSERT INTO alembic_version VALUES ('0002')")
        conn.execute("CREATE TABLE users (id serial PRIMARY KEY, email varchar(255), name text); CREATE INDEX users_email ON users (email)")
        conn.execute("CREATE TABLE orders (id serial PRIMARY KEY, user_id int REFERENCES users (id))")
        conn.execute("INSERT INTO users (name) SELECT 'n' || n FROM generate_series(1, 20000) n; ANALYZE")
    done = program("check", "project", "--env", "production", "--format", "json", "--only", "MIG01", cwd=tmp_path, PRODUCTION=database)
    report = next(t for t in json.loads(done.stdout)["targets"] if t["source"] == "alembic")
    assert [(f["place"]["line"], f["severity"]) for f in report["findings"]] == [(6, "error")]
