"""Comments that declare renames: which object each is beside, and what the plan makes of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from pgcharter import sources
from pgcharter.errors import UsageError
from pgcharter.migrate import planning
from pgcharter.migrate.planning import Wish
from pgcharter.plan.renamed_from import said

BEFORE = """\
CREATE SCHEMA app;
CREATE TYPE app.mood AS ENUM ('sad', 'happy');
CREATE TABLE app.customers (id bigint PRIMARY KEY, "Mail" text NOT NULL, note varchar(20), feeling app.mood);
CREATE INDEX customers_mail ON app.customers ("Mail");
CREATE FUNCTION app.twice(n int) RETURNS int LANGUAGE sql AS 'SELECT 2 * n';
"""
AFTER = """\
CREATE SCHEMA app;
CREATE TYPE app.feeling AS ENUM ('sad', 'happy'); -- renamed from Mood
CREATE TABLE app.clients ( -- renamed from customers
    id bigint PRIMARY KEY,
    email text NOT NULL, -- Renamed from "Mail"
    -- renamed from note
    remark varchar(20),
    feeling app.feeling
);
CREATE INDEX clients_email ON app.clients (email); -- renamed from customers_mail
-- renamed from twice
CREATE FUNCTION app.doubled(n int) RETURNS int LANGUAGE sql AS 'SELECT 2 * n';
"""


@pytest.fixture
def sides(tmp_path: Path) -> tuple[Path, Path]:
    (tmp_path / "before.sql").write_text(BEFORE)
    (tmp_path / "after.sql").write_text(AFTER)
    return tmp_path / "before.sql", tmp_path / "after.sql"


def test_a_comment_renames_what_begins_beside_it(sides: tuple[Path, Path]) -> None:
    reading = sources.read(str(sides[1]), major=18)
    assert sorted(f"{i.object} → {i.name}" for i in said(reading.places, reading.texts)) == [
        'column app.customers."Mail" → email',
        "column app.customers.note → remark",
        "function app.twice(integer) → doubled",
        "index app.customers_mail → clients_email",
        "table app.customers → clients",
        "type app.mood → feeling",
    ]


def test_a_plan_keeps_the_rows_and_a_done_rename_means_nothing(sides: tuple[Path, Path]) -> None:
    before, after = sides
    planned = planning.make(Wish(str(after), str(before)))
    assert planned.plan.questions == ()
    assert planned.proof
    assert not [
        o for o in planned.plan.operations if o.change in ("create", "drop") and o.object.kind in ("table", "column", "type", "index")
    ]
    assert planning.make(Wish(str(after), str(after))).plan.empty


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("CREATE TABLE t (\n  a int, b int -- renamed from c\n);\n", "several columns are made"),
        ("CREATE TABLE t (a int);\n\n-- renamed from u\n\nCREATE TABLE v (a int);\n", "nothing is made"),
    ],
)
def test_what_stands_beside_nothing_certain_is_asked(text: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "w.sql").write_text(text)
    reading = sources.read(str(tmp_path / "w.sql"), major=18)
    with pytest.raises(UsageError, match=says) as caught:
        said(reading.places, reading.texts)
    assert caught.value.place.startswith(str(tmp_path / "w.sql:"))


def test_words_that_are_no_declaration_are_nothing(tmp_path: Path) -> None:
    (tmp_path / "w.sql").write_text(
        "-- this was renamed from the old one, see below\nCREATE TABLE t (a text DEFAULT 'x -- renamed from y');\n"
    )
    reading = sources.read(str(tmp_path / "w.sql"), major=18)
    assert said(reading.places, reading.texts) == ()
