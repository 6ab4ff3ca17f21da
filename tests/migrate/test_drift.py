"""Drift between what is declared, what the ledger recorded, and what is there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from pgcharter.catalog.model import Catalog
from pgcharter.db import connect
from pgcharter.errors import PgcharterError
from pgcharter.migrate import drift, files, runner, units
from pgcharter.migrate.terms import Terms
from pgcharter.servers.scratch import Scratch
from pgcharter.sources import live

Look = Callable[..., dict[str, str]]
FIRST = 'CREATE TABLE t (id bigint PRIMARY KEY, "Größe" int); CREATE VIEW v AS SELECT id FROM t;'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "001_first.sql").write_text(FIRST)
    (tmp_path / "002_second.sql").write_text('CREATE INDEX t_size ON t ("Größe"); INSERT INTO t VALUES (1, 2);')
    return tmp_path


@pytest.fixture
def look(folder: Path, database: str, scratch: Scratch) -> Look:
    """Apply the folder; then: object → cause of its drift, against what `declared` builds."""
    runner.apply(database, [units.parsed(m) for m in files.read(str(folder)).migrations])

    def drifted(declared: str | None = None) -> dict[str, str]:
        with connect(database) as conn:
            recorded = drift.recorded(conn, files.read(str(folder)), scratch)
            found = drift.drift(live.read_catalog(conn), recorded, _built(scratch, declared) if declared else None)
        return {str(d.difference.object): d.cause for d in found}

    return drifted


def _built(scratch: Scratch, sql: str) -> Catalog:
    with scratch.database() as made:
        made.conn.execute(sql)
        return live.read_catalog(made.admin)


def test_nothing_drifted(look: Look) -> None:
    assert look() == {}
    assert look(FIRST + 'CREATE INDEX t_size ON t ("Größe")') == {}


def test_a_change_by_hand_is_told_object_by_object(look: Look, database: str) -> None:
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute("ALTER TABLE t ADD COLUMN hand int; DROP INDEX t_size; CREATE OR REPLACE VIEW v AS SELECT id FROM t WHERE id > 0")
    assert look() == {"column public.t.hand": "by hand", "index public.t_size": "by hand", "view public.v": "by hand"}


def test_all_four_causes(look: Look, database: str) -> None:
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute('ALTER TABLE t ADD COLUMN hand int, ADD COLUMN agreed int, ALTER COLUMN "Größe" TYPE bigint')
    declared = 'CREATE TABLE t (id bigint PRIMARY KEY, "Größe" numeric, agreed int, more text); CREATE INDEX t_size ON t ("Größe"); '
    assert look(declared + "CREATE VIEW v AS SELECT id FROM t") == {
        "column public.t.hand": "by hand",
        "column public.t.agreed": "not recorded",
        "column public.t.more": "not yet",
        'column public.t."Größe"': "overtaken",
    }


def test_what_ran_counts_not_what_the_file_says_now(look: Look, folder: Path) -> None:
    (folder / "001_first.sql").write_text(FIRST + " CREATE TABLE later (id int);")
    assert look() == {}
    (folder / "002_second.sql").unlink()
    assert look() == {}


def test_a_text_that_nobody_kept_is_said(look: Look, folder: Path, database: str) -> None:
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute("UPDATE pgcharter.schema_migrations SET file_text = NULL")
    (folder / "002_second.sql").unlink()
    with pytest.raises(PgcharterError, match="002 second is neither in the folder nor in the ledger"):
        look()


def test_a_run_that_did_not_end_has_done_what_it_has(look: Look, folder: Path, database: str) -> None:
    up = "-- pgcharter: up\nALTER TABLE t ADD COLUMN half int;\n-- pgcharter: gate nobody looks\nALTER TABLE t ADD COLUMN whole int;\n"
    (folder / "003_third.sql").write_text(up + "-- pgcharter: down\nALTER TABLE t DROP COLUMN whole;\n-- pgcharter: gate so\nSELECT 1;\n")
    third = [units.parsed(files.read(str(folder)).migrations[-1])]
    assert runner.apply(database, third).reason == "gate"
    assert look() == {}
    assert runner.apply(database, third, terms=Terms(gates_passed=frozenset(["nobody looks"]))).status == "done"
    assert runner.apply(database, third, direction="down").reason == "gate"
    assert look() == {}


def test_placeholders_are_filled_as_they_were(folder: Path, database: str, scratch: Scratch) -> None:
    for file in folder.iterdir():
        file.unlink()
    (folder / "V1__a.sql").write_text("CREATE TABLE ${what} (id int);")
    (found,) = files.read(str(folder)).migrations
    runner.apply(database, [units.parsed(found, {"what": "things"})])
    with connect(database) as conn:
        made = drift.recorded(conn, files.read(str(folder)), scratch, {"what": "things"})
    assert [t.name for t in made.tables if t.schema == "public"] == ["things"]
