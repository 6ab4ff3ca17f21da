"""What the database of a run is made from."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest
from tests.testing.conftest import PROJECTS, Inner

from pgcharter.errors import PgcharterError, UsageError
from pgcharter.testing import project, schemas

SMALL = PROJECTS / "small"


def tables(dsn: str) -> set[str]:
    with psycopg.connect(dsn) as conn:
        query = "SELECT format('%s.%s', schemaname, tablename) FROM pg_tables WHERE schemaname !~ '^(pg_|information|pgcharter)'"
        return {row[0] for row in conn.execute(query)}


def test_migrations(database: str) -> None:
    assert schemas.install("", database, project.read(SMALL), SMALL) == "schema from migrations/ (2 files)"
    assert tables(database) == {"app.customers", "app.orders"}


def test_a_file_of_sql(database: str) -> None:
    told = schemas.install("migrations/001_create_tables.sql", database, project.Project(SMALL), SMALL)
    assert told == "schema from migrations/001_create_tables.sql"
    assert tables(database) == {"app.customers", "app.orders"}


def test_a_mistake_in_a_file_of_sql_has_its_line(database: str, tmp_path: Path) -> None:
    (tmp_path / "x.sql").write_text("CREATE TABLE a (id int);\n\nCREATE TABLE b (id wrong);\n")
    with pytest.raises(PgcharterError, match=r'x\.sql:3: the database for tests cannot be made: type "wrong" does not exist'):
        schemas.install("x.sql", database, project.Project(tmp_path), tmp_path)


def test_metadata(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from sqlalchemy import Column, Integer, MetaData, Table

    metadata = MetaData()
    Table("a", metadata, Column("id", Integer, primary_key=True), schema="Mixed Case")
    Table("b", metadata, Column("id", Integer, primary_key=True))
    assert schemas.install(metadata, database, project.Project(Path()), Path()) == "schema from metadata (2 tables)"
    assert tables(database) == {"Mixed Case.a", "public.b"}


def test_metadata_by_name(inner: Inner) -> None:
    ran = inner("small", "-n", "0", "-k", "objects", ini={"pgcharter_schema": "models:Base"})
    assert (ran.code, ran.count("passed")) == (0, 2), ran.output


def test_alembic(database: str, tmp_path: Path) -> None:
    (tmp_path / "alembic.ini").write_text("[alembic]\nscript_location = %(here)s/revisions\n")
    versions = tmp_path / "revisions" / "versions"
    versions.mkdir(parents=True)
    (tmp_path / "revisions" / "env.py").write_text(
        "from alembic import context\nfrom sqlalchemy import create_engine\nimport os\n"
        "engine = create_engine('postgresql+psycopg://nobody@nowhere.invalid/x')\n"
        "with engine.connect() as connection:\n    context.configure(connection=connection)\n"
        "    with context.begin_transaction():\n        context.run_migrations()\n"
    )
    (versions / "a1.py").write_text(
        '"""first"""\nfrom alembic import op\nimport sqlalchemy as sa\nrevision = "a1"\ndown_revision = None\n'
        'def upgrade():\n    op.create_table("a", sa.Column("id", sa.Integer, primary_key=True))\n'
    )
    told = schemas.install("alembic.ini", database, project.Project(tmp_path), tmp_path)
    assert told == "schema from alembic.ini (1 revision)"
    assert "public.a" in tables(database)


def test_a_function(inner: Inner) -> None:
    conftest = (
        "import psycopg, pytest\n\n@pytest.fixture(scope='session')\ndef pg_schema():\n    def make(dsn):\n"
        "        with psycopg.connect(dsn) as conn:\n            conn.execute('CREATE TABLE a (id int)')\n    return make\n"
    )
    case = "def test_x(pg_conn):\n    assert pg_conn.execute(\"SELECT to_regclass('a')::text\").fetchone() == ('a',)\n"
    ran = inner("function", "-n", "0", files={"conftest.py": conftest, "case_x.py": case})
    assert ran.code == 0, ran.output


def test_nothing_of_the_kind(database: str) -> None:
    with pytest.raises(UsageError, match="which is no folder, no file of SQL and no module:metadata"):
        schemas.install("nothing", database, project.Project(SMALL), SMALL)


def test_a_migration_that_fails(database: str, tmp_path: Path) -> None:
    (tmp_path / "migrations").mkdir()
    (tmp_path / "migrations" / "001_a.sql").write_text("CREATE TABLE a (id wrong);\n")
    with pytest.raises(PgcharterError, match=r"the database for tests cannot be made: .*wrong"):
        schemas.install("migrations", database, project.Project(tmp_path), tmp_path)
