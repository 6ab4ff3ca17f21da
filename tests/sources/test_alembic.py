"""Alembic projects: the chain, its places, several heads, revisions that ask the database, and no way to a real server."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from tests.sources.conftest import Read
from tests.sources.test_files import tables

from pgcharter import sources
from pgcharter.errors import PgcharterError, UsageError
from pgcharter.names import ObjectId

PROJECT = Path(__file__).parent / "project"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return Path(shutil.copytree(PROJECT, tmp_path / "project"))


def revise(project: Path, number: str, down: str, body: str) -> None:
    text = (
        f"import sqlalchemy as sa\nfrom alembic import op\nrevision = {number!r}\ndown_revision = {down!r}\n\ndef upgrade():\n    {body}\n"
    )
    (project / "migrations" / "versions" / f"{number}_x.py").write_text(text)


def test_the_chain_is_built_with_places_in_the_revisions(project: Path, read: Read) -> None:
    for target in (project, project / "alembic.ini"):
        reading = read(target)
        assert reading.findings == ()
        assert reading.source == "alembic"
        assert set(tables(reading)) == {"public.orders", "public.users"}
        where = {i: f"{Path(p.file).name}:{p.line}" for i, p in reading.places.items()}
        assert where[ObjectId("table", "public", "users")] == "0001_users.py:11"
        assert where[ObjectId("index", "public", "users_email")] == "0001_users.py:16"
        assert where[ObjectId("column", "public", "users", "name")] == "0002_orders.py:11"
        assert where[ObjectId("constraint", "public", "orders", "orders_user_id_fkey")] == "0002_orders.py:12"
        assert all(Path(p.file).name in {Path(t).name for t in reading.texts} for p in reading.places.values())


def test_text_only_renders_the_chain(project: Path) -> None:
    reading = sources.read(str(project), server=False)
    assert reading.catalog is None
    assert [s.kind for s in reading.statements if s.kind != "transaction_stmt"] == [
        "create_stmt", "index_stmt", "alter_table_stmt", "create_stmt", "update_stmt",
    ]  # fmt: skip


def test_a_refused_statement_is_placed_and_the_rest_goes_on(project: Path, read: Read) -> None:
    revise(project, "0003", "0002", "op.execute('CREATE INDEX bad ON nowhere (x)'); op.create_table('later', sa.Column('x', sa.Integer))")
    reading = read(project)
    assert [(f.code, Path(f.place.file).name, f.place.line) for f in reading.findings if f.place] == [("SRC01", "0003_x.py", 7)]
    assert "public.later" in tables(reading)


def test_several_heads_are_told(project: Path, read: Read) -> None:
    revise(project, "0003", "0002", "op.create_table('three', sa.Column('x', sa.Integer))")
    revise(project, "0004", "0002", "op.create_table('four', sa.Column('x', sa.Integer))")
    reading = read(project)
    assert [f.code for f in reading.findings] == ["SRC03"]
    assert "2 heads" in reading.findings[0].message
    assert {"public.three", "public.four"} <= set(tables(reading))


def test_a_revision_that_asks_the_database_is_run_on_the_scratch_server(project: Path, read: Read) -> None:
    body = (
        "n = op.get_bind().execute(sa.text('SELECT count(*) FROM users')).scalar(); op.add_column('users', sa.Column(f'c{n}', sa.Integer))"
    )
    revise(project, "0003", "0002", body)
    reading = read(project)
    assert reading.findings == ()
    assert Path(reading.places[ObjectId("column", "public", "users", "c0")].file).name == "0003_x.py"
    assert Path(reading.places[ObjectId("table", "public", "users")].file).name == "0001_users.py"
    assert [g.what for g in reading.gaps][-1] == "the chain as a script"


def test_transactions_of_a_chain_that_was_run_are_seen(project: Path, read: Read) -> None:
    body = """op.get_bind().execute(sa.text('SELECT 1')).scalar()
    with op.get_context().autocommit_block():
        op.create_index('users_name', 'users', ['name'], postgresql_concurrently=True)
    op.execute('COMMENT ON TABLE users IS $$u$$')"""
    revise(project, "0003", "0002", body)
    kinds = [s.kind for s in read(project).statements][-6:]
    assert kinds == ["select_stmt", "transaction_stmt", "index_stmt", "transaction_stmt", "comment_stmt", "transaction_stmt"]


def test_an_upgrade_that_stops_half_way_is_told_and_what_came_before_is_read(project: Path, read: Read) -> None:
    revise(project, "0003", "0002", "op.get_bind().execute(sa.text('SELECT 1')).scalar(); op.execute('DROP TABLE nowhere')")
    revise(project, "0004", "0003", "op.create_table('never', sa.Column('x', sa.Integer))")
    reading = read(project)
    assert set(tables(reading)) == {"public.orders", "public.users"}
    assert [f.code for f in reading.findings] == ["SRC01"]
    assert "the upgrade stops" in [g.why for g in reading.gaps][-1]


def test_env_py_cannot_reach_another_server(project: Path, read: Read) -> None:
    env = project / "migrations" / "env.py"
    text = env.read_text().replace("if context.is_offline_mode():", "if False:")
    elsewhere = 'create_engine("postgresql+psycopg://joe:secret@production.invalid:5432/live", poolclass=pool.NullPool)'
    text = text.replace("engine = engine_from_config(config.get_section(config.config_ini_section, {}), poolclass=pool.NullPool)",
                        f"from sqlalchemy import create_engine\n    engine = {elsewhere}")  # fmt: skip
    assert elsewhere in text
    env.write_text(text)
    assert set(tables(read(project))) == {"public.orders", "public.users"}


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        (lambda p: shutil.rmtree(p / "migrations" / "versions"), UsageError, "holds no revision"),
        (lambda p: revise(p, "0003", "gone", "pass"), PgcharterError, "gone"),
        (lambda p: (p / "migrations" / "versions" / "0001_users.py").write_text("def"), PgcharterError, "SyntaxError"),
        (lambda p: (p / "alembic.ini").write_text("[other]\n"), UsageError, "no Alembic project"),
    ],
)
def test_projects_that_cannot_be_read(change: object, error: type[PgcharterError], says: str, project: Path) -> None:
    change(project)  # type: ignore[operator]
    with pytest.raises(error) as caught:
        sources.read(str(project), server=False)
    assert says in caught.value.message
    assert "\n" not in caught.value.message


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("op.get_bind().execute(sa.text('SELECT 1')).scalar(); raise KeyError('x')", "the upgrade stops here: KeyError: 'x'"),
        ("op.get_bind().execute(sa.text('SELECT 1')).scalar(); raise SystemExit(4)", "it ends the program with exit code 4"),
    ],
)
def test_an_upgrade_that_its_own_python_stops_is_a_finding(body: str, says: str, project: Path, read: Read) -> None:
    revise(project, "0003", "0002", body)
    reading = read(project)
    assert set(tables(reading)) == {"public.orders", "public.users"}
    assert [(f.code, Path(f.place.file).name, f.place.line) for f in reading.findings if f.place] == [("SRC01", "0003_x.py", 7)]
    assert says in reading.findings[0].message


def test_an_upgrade_that_does_not_begin_is_an_error(project: Path, read: Read) -> None:
    (project / "migrations" / "env.py").write_text("import sys; sys.exit(4)")
    with pytest.raises(PgcharterError, match="cannot be run: it ends the program with exit code 4"):
        read(project)
    (project / "migrations" / "env.py").unlink()
    shutil.rmtree(project / "migrations" / "__pycache__", ignore_errors=True)
    with pytest.raises(PgcharterError, match="cannot be run: ImportError"):
        read(project)


@pytest.mark.parametrize("text", ["%%%", "[alembic]\nscript_location = %(gone)s\n", b"\xff\xfe[alembic]"])
def test_an_ini_that_is_none(text: str | bytes, project: Path) -> None:
    (project / "alembic.ini").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(UsageError, match="is no configuration file"):
        sources.read(str(project), server=False)


def test_what_revisions_print_and_how_they_leave(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    revise(project, "0003", "0002", "pass\nprint('printed')")
    sources.read(str(project), server=False)
    assert capsys.readouterr() == ("", "printed\n")
    revise(project, "0003", "0002", "pass\nraise SystemExit(3)")
    with pytest.raises(PgcharterError, match="it ends the program with exit code 3"):
        sources.read(str(project), server=False)
