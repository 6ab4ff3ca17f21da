"""Folders of migrations in every known layout: order, pairs, units, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pgcharter.errors import PgcharterError, UsageError
from pgcharter.measures import seconds
from pgcharter.migrate import files, naming
from pgcharter.migrate.model import Migration, Unit
from pgcharter.migrate.settings import MigrateSection
from pgcharter.migrate.units import parsed
from pgcharter.names import ObjectId
from pgcharter.sqltext import parse

Lay = Callable[[dict[str, str]], str]


@pytest.fixture
def lay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lay:
    monkeypatch.chdir(tmp_path)

    def write(texts: dict[str, str]) -> str:
        for name, text in texts.items():
            (tmp_path / "m" / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "m" / name).write_text(text, "utf-8", newline="")
        return "m"

    return write


def one(folder: str, section: MigrateSection | None = None) -> Migration:
    (found,) = files.read(folder, section).migrations
    return parsed(found, section.placeholders if section else None)


def sql(units: tuple[Unit, ...] | None) -> list[tuple[tuple[str, ...], bool]] | None:
    return None if units is None else [(u.statements, u.transactional) for u in units]


@pytest.mark.parametrize(
    ("names", "expected", "layout"),
    [
        (["20261121090000_b.sql", "20261120090000_a.sql"], ["20261120090000 a", "20261121090000 b"], "timestamp"),
        (["20261121_b.sql", "20261121_a.sql", "20261120_c.sql"], ["20261120 c", "20261121 a", "20261121 b"], "date"),
        (["010_j.sql", "2_b.sql", "001_a.sql"], ["001 a", "2 b", "010 j"], "number"),
        (["V1_10__c.sql", "R__v.sql", "V1_2__b.sql", "V1__a.sql"], ["1 a", "1_2 b", "1_10 c", "v"], "flyway"),
        (["2026/V2__b.sql", "2025/V1__a.sql"], ["1 a", "2 b"], "flyway"),
        (["2026-01-02-000000_b/up.sql", "2026-01-01-000000_a/up.sql"], ["2026-01-01-000000 a", "2026-01-02-000000 b"], "timestamp"),
        (["20260102_030405_x.sql", "20260101_030405_y.sql"], ["20260101_030405 y", "20260102_030405 x"], "timestamp"),
        (["0001.sql", "0002-dash.sql", "0003 space.sql"], ["0001", "0002 dash", "0003 space"], "number"),
        (["001_sign_up.sql", "002_tear_down.sql"], ["001 sign_up", "002 tear_down"], "number"),
        (["001_naïve_日本.sql"], ["001 naïve_日本"], "number"),
    ],
)
def test_names_give_version_name_order_and_layout(lay: Lay, names: list[str], expected: list[str], layout: str) -> None:
    found = files.read(lay(dict.fromkeys(names, "SELECT 1;"))).migrations
    assert [m.title for m in found] == expected
    assert {m.layout for m in found} == {layout}


@pytest.mark.parametrize(
    ("up", "down"),
    [
        ("001_a.up.sql", "001_a.down.sql"), ("up/001_a.sql", "down/001_a.sql"), ("001_a/up.sql", "001_a/down.sql"),
        ("001_a.sql", "001_a.rollback.sql"), ("001_a_up.sql", "001_a_down.sql"), ("V001__a.sql", "U001__a.sql"),
    ],
)  # fmt: skip
def test_two_files_are_the_two_ways_of_one_migration(lay: Lay, up: str, down: str) -> None:
    found = one(lay({up: "CREATE TABLE t ();", down: "\n\nDROP TABLE t;"}))
    assert found.version == "001"
    assert sql(found.up) == [(("CREATE TABLE t ()",), True)]
    assert sql(found.down) == [(("DROP TABLE t",), True)]
    assert found.down is not None
    assert found.down[0].line == 3


SECTIONS = {
    "dbmate": ("-- migrate:up\n", "-- migrate:down\n"),
    "goose": ("-- +goose Up\n-- +goose StatementBegin\n", "-- +goose StatementEnd\n-- +goose Down\n"),
    "sql-migrate": ("-- +migrate Up\n", "-- +migrate Down\n"),
    "pgcharter": ("-- pgcharter: up\n", "-- pgcharter: down\n"),
    "number": ("-- Up Migration\n", "-- Down Migration\n"),
}


@pytest.mark.parametrize("layout", SECTIONS)
def test_sections_of_one_file_are_its_two_ways(lay: Lay, layout: str) -> None:
    up, down = SECTIONS[layout]
    found = one(lay({"001_a.sql": f"{up}CREATE TABLE t ();\n{down}DROP TABLE t;\n"}))
    assert (found.layout, sql(found.up), sql(found.down)) == (layout, [(("CREATE TABLE t ()",), True)], [(("DROP TABLE t",), True)])


@pytest.mark.parametrize("layout", SECTIONS)
def test_an_empty_way_back_is_none(lay: Lay, layout: str) -> None:
    up, down = SECTIONS[layout]
    assert one(lay({"001_a.sql": f"{up}CREATE TABLE t ();\n{down}"})).down is None


def test_a_comment_inside_a_function_is_no_section(lay: Lay) -> None:
    body = "CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $$\nBEGIN\n  -- rollback\n  RETURN;\nEND $$;\nCREATE TABLE t ();"
    found = one(lay({"001_a.sql": body}))
    assert found.down is None
    assert [len(u.statements) for u in found.up] == [2]


@pytest.mark.parametrize(
    "files_of_it",
    [
        {"V1__a.sql": "SELECT 1;\n-- Rollback\nSELECT 2;"},
        {"a.sql": "--liquibase formatted sql\n--changeset me:1\nSELECT 1;\n--rollback\nSELECT 2;"},
        {"V1__a.sql": "SELECT 1;\n-- down\nSELECT 2;", "U1__a.sql": "SELECT 3;\n-- up\nSELECT 4;"},
    ],
)
def test_where_files_have_no_sections_everything_runs(lay: Lay, files_of_it: dict[str, str]) -> None:
    found = one(lay(files_of_it))
    assert [u.statements for u in found.up] == [("SELECT 1", "SELECT 2")]
    assert [u.statements for u in found.down or ()] == ([("SELECT 3", "SELECT 4")] if len(files_of_it) == 2 else [])


def test_two_ways_back_are_refused(lay: Lay) -> None:
    with pytest.raises(PgcharterError, match="has a section that leads back"):
        one(lay({"1_a.up.sql": "SELECT 1;\n-- down\nSELECT 2;", "1_a.down.sql": "SELECT 3;"}))


def test_a_way_back_in_a_file_of_its_own_has_gates_too(lay: Lay) -> None:
    found = one(lay({"1_a.up.sql": "-- pgcharter: up\nSELECT 1;", "1_a.down.sql": "-- pgcharter: gate nobody reads it\nSELECT 2;"}))
    assert [(u.gate, u.statements) for u in found.down or ()] == [("nobody reads it", ()), ("", ("SELECT 2",))]


def test_a_plain_file_is_one_transaction_and_begin_and_commit_are_respected(lay: Lay) -> None:
    assert sql(one(lay({"001_a.sql": "SELECT 1; SELECT 2;"})).up) == [(("SELECT 1", "SELECT 2"), True)]
    assert sql(one(lay({"001_a.sql": "BEGIN; SELECT 1; COMMIT; BEGIN; SELECT 2; END;"})).up) == [
        (("SELECT 1",), True),
        (("SELECT 2",), True),
    ]
    found = one(lay({"001_a.sql": "BEGIN ISOLATION LEVEL SERIALIZABLE; SELECT 1; COMMIT;"}))
    assert found.up[0].statements == ("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE", "SELECT 1")


def test_what_no_transaction_may_hold_runs_by_itself_and_that_is_said(lay: Lay) -> None:
    found = one(lay({"001_a.sql": "CREATE TABLE t (a int);\nCREATE INDEX CONCURRENTLY i ON t (a);\nSELECT 1; SELECT 2;"}))
    assert [(len(u.statements), u.transactional, u.line) for u in found.up] == [(1, True, 1), (1, False, 2), (2, True, 3)]
    (note,) = found.notes
    assert "CREATE INDEX CONCURRENTLY in line 2 runs by itself" in note
    assert one(lay({"001_a.sql": "CREATE INDEX CONCURRENTLY i ON t (a);"})).notes == ()


@pytest.mark.parametrize(
    "files_of_it",
    [
        {"1_a.sql": "-- migrate:up transaction:false\nSELECT 1; SELECT 2;"},
        {"1_a.sql": "-- +goose NO TRANSACTION\n-- +goose Up\nSELECT 1; SELECT 2;"},
        {"1_a.sql": "-- +migrate Up notransaction\nSELECT 1; SELECT 2;"},
        {"V1__a.sql": "SELECT 1; SELECT 2;", "V1__a.sql.conf": "executeInTransaction=false\n"},
        {"a.sql": "--liquibase formatted sql\n--changeset me:1 runInTransaction:false\nSELECT 1; SELECT 2;"},
        {"1_a.sql": "-- pgcharter: up\nSELECT 1; SELECT 2;"},
    ],
)
def test_marks_of_every_tool_say_that_statements_run_by_themselves(lay: Lay, files_of_it: dict[str, str]) -> None:
    assert [u.statements for u in one(lay(files_of_it)).up] == [("SELECT 1",), ("SELECT 2",)]


def test_no_transaction_for_one_way_is_none_for_that_way_only(lay: Lay) -> None:
    found = one(lay({"1_a.sql": "-- migrate:up transaction:false\nSELECT 1; SELECT 2;\n-- migrate:down\nSELECT 3; SELECT 4;"}))
    assert (len(found.up), len(found.down or ())) == (2, 1)


OWN = """\
-- Description: Totals of orders
-- Author: Zoë
-- Date: 2026-11-21

-- pgcharter: up
SET lock_timeout = '1s';
BEGIN;
ALTER TABLE app.orders ADD COLUMN total numeric;
COMMENT ON COLUMN app.orders.total IS 'Sum';
COMMIT;

-- pgcharter: batched key=id
-- why: rows are many
UPDATE app.orders SET total = 0 WHERE total IS NULL;

-- pgcharter: gate the release that writes total runs everywhere
CREATE INDEX CONCURRENTLY orders_total_idx ON app.orders (total);
DO $$ BEGIN COMMIT; END $$;

-- pgcharter: down
DROP INDEX CONCURRENTLY app.orders_total_idx;
-- pgcharter: gate nobody reads total
ALTER TABLE app.orders DROP COLUMN total;
"""


def test_pgcharters_own_layout_says_everything(lay: Lay) -> None:
    found = one(lay({"20261121_add_total.sql": OWN}))
    assert (found.description, found.author, found.date, found.layout) == ("Totals of orders", "Zoë", "2026-11-21", "pgcharter")
    shape = [(len(u.statements), u.transactional, bool(u.backfill), u.gate, u.line) for u in found.up]
    assert shape == [
        (1, True, False, "", 6),
        (2, True, False, "", 7),
        (1, True, True, "", 14),
        (0, True, False, "the release that writes total runs everywhere", 16),
        (1, False, False, "", 17),
        (1, False, False, "", 18),
    ]
    fill = found.up[2].backfill
    assert fill is not None
    assert (fill.table, fill.key, fill.assignments, fill.condition) == (
        ObjectId("table", "app", "orders"), ("id",), "total = 0", "total IS NULL",
    )  # fmt: skip
    assert [(len(u.statements), u.transactional, u.gate) for u in found.down or ()] == [
        (1, False, ""), (0, True, "nobody reads total"), (1, True, ""),
    ]  # fmt: skip
    assert parse(OWN, "f").remarks == ()


def test_batches_keep_what_stands_in_set_and_where_without_comments_around(lay: Lay) -> None:
    text = """-- pgcharter: batched key="Order Id", ID
UPDATE app."T é" SET a = CASE WHEN (SELECT true WHERE false) THEN 'é;' END, -- x
 b = 2 -- y
 WHERE /* z */ a IS DISTINCT FROM 'é;' AND c[1] = 2;
-- pgcharter: batched key=id
UPDATE t SET a = 1"""
    first, second = (u.backfill for u in one(lay({"1_a.sql": text})).up)
    assert first
    assert second
    assert (first.table.sql(), first.key) == ('app."T é"', ("Order Id", "id"))
    assert first.assignments == "a = CASE WHEN (SELECT true WHERE false) THEN 'é;' END, -- x\n b = 2"
    assert first.condition == "a IS DISTINCT FROM 'é;' AND c[1] = 2"
    assert second.condition == "true"


def test_one_way_needs_a_reason_and_no_way_back(lay: Lay) -> None:
    found = one(lay({"1_a.sql": "-- pgcharter: up\nSELECT 1;\n-- pgcharter: one-way the amounts are gone"}))
    assert (found.one_way, found.why_one_way, found.down) == (True, "the amounts are gone", None)


def test_data_migrations_change_rows_only(lay: Lay) -> None:
    found = one(lay({"1_a.sql": "-- pgcharter: data\n-- pgcharter: up\nINSERT INTO t VALUES (1);"}))
    assert found.kind == "data"
    with pytest.raises(PgcharterError, match="changes rows only, and this is ALTER TABLE") as refused:
        one(lay({"1_a.sql": "-- pgcharter: data\nALTER TABLE t ADD a int;"}))
    assert refused.value.place == "m/1_a.sql:2:1"


LIQUIBASE = """\
--liquibase formatted sql
--changeset zoë:make-t dbms:postgresql
--comment: Table of things
CREATE TABLE t (a int);
CREATE INDEX i ON t (a);
--rollback DROP INDEX i;
--rollback DROP TABLE t;
--changeset zoë:mysql dbms:mysql
CREATE TABLE `t`;
--changeset zoë:view runOnChange:true
CREATE OR REPLACE VIEW v AS SELECT 1 AS a;
--rollback empty
--changeset zoë:last
DROP TABLE u;
"""


def test_liquibase_changesets_are_migrations_of_their_own(lay: Lay) -> None:
    found = [parsed(m) for m in files.read(lay({"db/changelog.sql": LIQUIBASE})).migrations]
    assert [(m.version, m.name, m.kind, m.line) for m in found] == [
        ("zoë:make-t", "db/changelog", "versioned", 2), ("zoë:last", "db/changelog", "versioned", 13),
        ("", "db/changelog:zoë:view", "repeatable", 10),
    ]  # fmt: skip
    make, last, view = found
    assert (make.description, make.author) == ("Table of things", "zoë")
    assert [(len(u.statements), u.line) for u in make.up] == [(2, 4)]
    assert [(u.statements, u.line) for u in make.down or ()] == [(("DROP INDEX i", "DROP TABLE t"), 6)]
    assert (last.down, view.down) == (None, ())


def test_sqitch_goes_by_its_plan_and_a_reworked_change_keeps_its_first_scripts(lay: Lay) -> None:
    plan = (
        "%project=x\n\nzebra 2026-01-01T00:00:00Z Ann A <a@b> # one\napple [zebra] 2026-01-02T00:00:00Z Bob <b@b>\n"
        "@v1 2026-01-03T00:00:00Z Ann <a@b> # tag\nzebra [zebra@v1] 2026-01-04T00:00:00Z Ann <a@b> # again\n"
    )
    folder = lay({
        "sqitch.plan": plan, "deploy/zebra.sql": "SELECT 3;", "deploy/zebra@v1.sql": "BEGIN; SELECT 1; SELECT 1; COMMIT;",
        "deploy/apple.sql": "SELECT 2;", "revert/apple.sql": "SELECT -2;", "verify/apple.sql": "SELECT 1;",
    })  # fmt: skip
    found = [parsed(m) for m in files.read(folder).migrations]
    assert [(m.version, m.author, m.description) for m in found] == [
        ("zebra@v1", "Ann A", "one"),
        ("apple", "Bob", ""),
        ("zebra", "Ann", "again"),
    ]
    assert [sql(m.up) for m in found] == [[(("SELECT 1", "SELECT 1"), True)], [(("SELECT 2",), True)], [(("SELECT 3",), True)]]
    assert [sql(m.down) for m in found] == [None, [(("SELECT -2",), True)], None]


def test_placeholders_are_filled_from_the_charter_or_refused(lay: Lay) -> None:
    folder = lay({"V1__a.sql": "-- in ${nothing}\nCREATE TABLE ${schema}.t ();"})
    found = one(folder, MigrateSection(placeholders={"schema": "app"}))
    assert found.up[0].statements == ("CREATE TABLE app.t ()",)
    with pytest.raises(PgcharterError, match=r"placeholder \$\{schema\} has no value") as refused:
        one(folder)
    assert refused.value.place == "m/V1__a.sql:2"
    assert one(lay({"V1__a.sql": "SELECT '${x}'", "V1__a.sql.conf": "placeholderReplacement = false"})).up


def test_checksums_do_not_know_line_ends_or_byte_order_marks(lay: Lay) -> None:
    sums = {files.read(lay({"1_a.sql": t})).migrations[0].checksum for t in ("a;\nb;\n", "a;\r\nb;\r\n", "\ufeffa;\nb;\n")}
    assert len(sums) == 1


@pytest.mark.parametrize(
    ("text", "message", "place"),
    [
        ("SELECT 1;\nSELEKT 2;", "this is not SQL, so nothing was run", "m/1_a.sql:2:1"),
        ("SELECT 1;\n\\i other.sql", r"\\i is a command of psql", "m/1_a.sql:2:1"),
        ("SELECT :x;", "only psql could fill in :x", "m/1_a.sql:1:1"),
        ("COPY t FROM stdin;\n1\n\\.\n", "COPY … FROM stdin", "m/1_a.sql:1:1"),
        ("SELECT 1;\nBEGIN; SELECT 2;", "no COMMIT follows", "m/1_a.sql:2:1"),
        ("SELECT 1; COMMIT;", "COMMIT stands where it would end", "m/1_a.sql:1:11"),
        ("BEGIN; SELECT 1; ROLLBACK;", "ROLLBACK stands where", "m/1_a.sql:1:18"),
        ("BEGIN; BEGIN; COMMIT;", "BEGIN stands where", "m/1_a.sql:1:8"),
        ("BEGIN; VACUUM t; COMMIT;", "VACUUM cannot run between BEGIN and COMMIT", "m/1_a.sql:1:8"),
        ("-- pgcharter: up\nSAVEPOINT a;", "SAVEPOINT A stands where", "m/1_a.sql:2:1"),
        ("-- pgcharter: batched key=id\nDELETE FROM t;", "only an UPDATE can be run in batches", "m/1_a.sql:2:1"),
        ("-- pgcharter: batched\nUPDATE t SET a = 1;", "names no key", "m/1_a.sql:2:1"),
        ("-- pgcharter: batched key=a b\nUPDATE t SET a = 1;", "no list of columns", "m/1_a.sql:2:1"),
        ("-- pgcharter: batched key=id\nUPDATE t SET a = 1 FROM u;", "UPDATE with FROM", "m/1_a.sql:2:1"),
        ("-- pgcharter: batched key=id\nUPDATE t AS x SET a = 1;", "UPDATE with an alias", "m/1_a.sql:2:1"),
        ("-- pgcharter: batched key=id\nUPDATE t SET a = 1 RETURNING a;", "UPDATE with RETURNING", "m/1_a.sql:2:1"),
        ("SELECT 1;\n-- pgcharter: batched key=id\n", "stands no UPDATE", "m/1_a.sql:2:1"),
        ("SELECT 1;\n-- pgcharter: gate\nSELECT 2;", "the mark says nothing", "m/1_a.sql:2:1"),
        ("BEGIN;\n-- pgcharter: gate x\nCOMMIT;", "inside a transaction", "m/1_a.sql:2:1"),
        ("BEGIN;\n-- pgcharter: batched key=id\nUPDATE t SET a=1;\nCOMMIT;", "between BEGIN and COMMIT", "m/1_a.sql:3:1"),
        ("SELECT 1;\n-- pgcharter: one-way", "gives no reason", "m/1_a.sql:2:1"),
        ("-- pgcharter: one-way x\n-- pgcharter: down\nSELECT 1;", "no way back and has one", "m/1_a.sql"),
    ],
)
def test_a_file_that_cannot_be_run_whole_is_refused_whole(lay: Lay, text: str, message: str, place: str) -> None:
    with pytest.raises(PgcharterError, match=message) as refused:
        one(lay({"1_a.sql": text}))
    assert refused.value.place == place


@pytest.mark.parametrize(
    ("there", "path"),
    [
        ({}, "20261121093000_add_it.sql"), ({"V7__a.sql": ""}, "V8__add_it.sql"), ({"041_a.sql": ""}, "042_add_it.sql"),
        ({"20261121_a.sql": ""}, "20261121_add_it.sql"), ({"1_a.up.sql": "", "1_a.down.sql": ""}, "2_add_it.sql"),
    ],
)  # fmt: skip
def test_a_file_of_pgcharters_own_layout_is_named_like_its_neighbours(lay: Lay, tmp_path: Path, there: dict[str, str], path: str) -> None:
    (tmp_path / "m").mkdir()
    found = naming.path_for(files.read(lay(there)), "Add it", datetime(2026, 11, 21, 9, 30, tzinfo=UTC))
    assert found == Path("m") / path
    found.write_text("-- pgcharter: up\nSELECT 1;")
    assert files.read("m").migrations[-1].layout == "pgcharter"


def test_no_single_file_is_a_migration_of_sqitch(lay: Lay) -> None:
    folder = lay({"sqitch.plan": "%project=x\n\na 2026-01-01T00:00:00Z A <a@b> # a\n", "deploy/a.sql": "SELECT 1;"})
    with pytest.raises(UsageError, match="folder of Sqitch's"):
        naming.path_for(files.read(folder), "Add it")


def test_goose_does_not_get_the_environment(lay: Lay) -> None:
    with pytest.raises(PgcharterError, match="variables of the environment") as refused:
        one(lay({"1_a.sql": "-- +goose Up\n-- +goose ENVSUB ON\nSELECT '${HOME}';"}))
    assert refused.value.place == "m/1_a.sql:2"


@pytest.mark.parametrize(("text", "value"), [("500ms", 0.5), ("2s", 2), ("10min", 600), ("1.5 h", 5400), ("3", 3), ("0", 0)])
def test_durations(text: str, value: float) -> None:
    assert seconds(text) == value


@pytest.mark.parametrize(
    ("head", "message"),
    [("--changeset x", "no author and id"), ("--changeset a:1 runAlways:true", "says runalways:true"),
     ("--changeset a:1\n--preconditions onFail:HALT", "has preconditions"), ("--changeset a:1 endDelimiter:/", "enddelimiter:/")],
)  # fmt: skip
def test_liquibase_is_refused_where_it_would_be_done_otherwise(lay: Lay, head: str, message: str) -> None:
    with pytest.raises(PgcharterError, match=message):
        one(lay({"a.sql": f"--liquibase formatted sql\n{head}\nSELECT 1;"}))


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["001_a.sql", "1_b.sql"], "m/001_a.sql and m/1_b.sql both have version"),
        (["V1.2__a.sql", "V1_2__b.sql"], "both have version"),
        (["R__a.sql", "x/R__a.sql"], "both have the name a"),
        (["20261121_a.sql", "x/20261121_a.sql"], "both have version 20261121"),
        (["001_a.sql", "schema.sql"], "m/schema.sql has no version in its name"),
        (["001_a.sql", "002_b.down.sql"], "takes version 002 back, which no file makes"),
        (["V1__a.sql", "U2__b.sql"], "takes version 2 back"),
        (["001_a.sql", "001_a.down.sql", "down/001_a.sql"], "both take version 001 back"),
    ],
)
def test_folders_that_contradict_themselves(lay: Lay, names: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        files.read(lay(dict.fromkeys(names, "SELECT 1;")))


def test_gaps_are_told_where_numbers_go_one_by_one(lay: Lay) -> None:
    assert files.read(lay(dict.fromkeys(["001_a.sql", "002_b.sql", "003_c.sql", "006_d.sql"], "SELECT 1;"))).gaps == (
        "between m/003_c.sql and m/006_d.sql there is no 004 to 005",
    )


def test_tens_have_no_gaps(lay: Lay) -> None:
    assert files.read(lay(dict.fromkeys(["010_a.sql", "020_b.sql", "030_c.sql"], "SELECT 1;"))).gaps == ()


def test_what_the_charter_ignores_and_callbacks_are_no_migrations(lay: Lay) -> None:
    folder = lay(dict.fromkeys(["V1__a.sql", "afterMigrate.sql", "seed.sql", "old/V0__x.sql"], "SELECT 1;"))
    found = files.read(folder, MigrateSection(ignore=("seed.sql", "old/**")))
    assert [m.version for m in found.migrations] == ["1"]
    assert found.notes == ("m/afterMigrate.sql is a callback or baseline of Flyway's, which is not run",)


def test_an_empty_folder_is_fine_and_a_missing_one_is_not(lay: Lay, tmp_path: Path) -> None:
    (tmp_path / "m").mkdir()
    assert files.read("m").migrations == ()
    with pytest.raises(UsageError, match="gone does not exist"):
        files.read("gone")


def test_a_very_long_data_file_is_run_whole(lay: Lay) -> None:
    rows = "INSERT INTO t VALUES (1);\n" * 50_000
    assert len(one(lay({"1_a.sql": rows})).up[0].statements) == 50_000
