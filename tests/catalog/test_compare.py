"""Comparison of catalogs: what differs, and what PostgreSQL itself makes differ from version to version."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from tests.conftest import MAJORS
from tests.sources.sink import built

import pgcharter
from pgcharter import sources
from pgcharter.catalog.compare import VERSION_DIFFERENCES, Difference, compare, describe
from pgcharter.catalog.model import Catalog, Column, Constraint, DataType, Grant, Subscription, Table, View
from pgcharter.catalog.privileges import ALL
from pgcharter.db import connect
from pgcharter.names import ObjectId
from pgcharter.servers.lifecycle import Server
from pgcharter.servers.scratch import Scratch
from pgcharter.sources import live

ServerOf = Callable[[int | None], Server]

INTEGER, TEXT = DataType("integer", name="int4"), DataType("text", name="text")
T = Table("app", "t", columns=(Column("a", 1, INTEGER), Column("b", 2, TEXT)), owner="me")
OLD, NEW = Catalog(170010, tables=(T,)), Catalog(180006, tables=(T,))


def lines(a: Catalog, b: Catalog, **options: object) -> list[str]:
    return [describe(d) for d in compare(a, b, **options)]


def with_table(catalog: Catalog, **changes: object) -> Catalog:
    return replace(catalog, tables=(replace(catalog.tables[0], **changes),))


def test_equal_catalogs_do_not_differ() -> None:
    assert compare(OLD, OLD) == ()
    assert compare(OLD, NEW) == ()
    assert compare(OLD, replace(OLD, database=replace(OLD.database, name="other"))) == ()


def test_a_field_changes() -> None:
    (found,) = compare(OLD, with_table(OLD, columns=(T.columns[0], replace(T.columns[1], not_null=True))))
    assert found == Difference(ObjectId("column", "app", "t", "b"), "changed", "not_null", False, True)
    assert describe(found) == "~ column app.t.b not_null: no → yes"


def test_a_missing_table_is_told_once_and_without_its_parts() -> None:
    assert lines(OLD, Catalog(170010)) == ["- table app.t"]
    assert lines(Catalog(170010), OLD) == ["+ table app.t"]


def test_parts_come_and_go() -> None:
    check = Constraint("c", "check", definition="CHECK (a > 0)")
    assert lines(OLD, with_table(OLD, constraints=(check,))) == ["+ constraint app.t.c"]
    assert lines(with_table(OLD, constraints=(check,)), OLD) == ["- constraint app.t.c"]


def test_holes_of_dropped_columns_do_not_count_but_the_order_does() -> None:
    a, b = T.columns
    assert compare(OLD, with_table(OLD, columns=(a, replace(b, position=7)))) == ()
    swapped = with_table(OLD, columns=(replace(b, position=1), replace(a, position=2)))
    assert lines(OLD, swapped) == ["~ column app.t.a position: 1 → 2", "~ column app.t.b position: 2 → 1"]


def test_ignore() -> None:
    other = with_table(OLD, owner="you", options=("fillfactor=80",))
    assert len(compare(OLD, other)) == 2
    assert len(compare(OLD, other, ignore=["owner"])) == 1
    assert compare(OLD, other, ignore=["owner", "table.options"]) == ()
    assert len(compare(OLD, other, ignore=["index.options"])) == 2
    assert compare(OLD, Catalog(170010), ignore=["table", "column"]) == ()


def test_named_not_null_constraints_are_18s_own() -> None:
    named = Constraint("t_a_not_null", "not null", ("a",), "NOT NULL a")
    newer = with_table(NEW, constraints=(named,))
    (found,) = compare(OLD, newer)
    assert found.explanation.startswith("PostgreSQL 18: NOT NULL of a column became a named constraint")
    assert compare(OLD, newer, versions=True) == ()
    assert compare(newer, OLD, versions=True) == ()
    assert len(compare(NEW, newer, versions=True)) == 1, "between two servers of 18 somebody made it"
    for real in (replace(named, no_inherit=True), replace(named, validated=False), replace(named, kind="check")):
        assert len(compare(OLD, with_table(NEW, constraints=(real,)), versions=True)) == 1


def test_maintain_is_17s_own_only_where_everything_was_granted() -> None:
    everything = ("DELETE", "INSERT", "REFERENCES", "SELECT", "TRIGGER", "TRUNCATE", "UPDATE")
    old = tuple(sorted(Grant("me", p) for p in everything))
    new = tuple(sorted((*old, Grant("me", "MAINTAIN"))))
    sixteen = replace(OLD, server_version=160014)
    assert compare(with_table(sixteen, acl=old), with_table(OLD, acl=new), versions=True) == ()
    assert compare(with_table(OLD, acl=new), with_table(sixteen, acl=old), versions=True) == ()
    assert len(compare(with_table(OLD, acl=old), with_table(NEW, acl=new), versions=True)) == 1
    stranger = tuple(sorted((*new, Grant("you", "MAINTAIN"))))
    assert len(compare(with_table(sixteen, acl=old), with_table(OLD, acl=stranger), versions=True)) == 1
    assert len(compare(with_table(sixteen, acl=old), with_table(OLD, acl=None), versions=True)) == 1


def test_default_privileges_written_out_are_the_default() -> None:
    written = tuple(sorted(Grant("me", p, grantor="me") for p in ALL["table"]))
    one = with_table(OLD, owner="me")
    assert compare(one, with_table(one, acl=written)) == ()
    assert compare(with_table(one, acl=written), one) == ()
    for other in (written[1:], (*written, Grant("", "SELECT", grantor="me")), (replace(written[0], grantable=True), *written[1:]), ()):
        assert [d.field for d in compare(one, with_table(one, acl=other))] == ["acl"]
    sixteen = replace(one, server_version=160014)
    assert compare(sixteen, with_table(sixteen, acl=tuple(g for g in written if g.privilege != "MAINTAIN"))) == ()
    assert len(compare(sixteen, with_table(sixteen, acl=written))) == 1


@pytest.mark.parametrize(
    ("old", "new", "same"),
    [
        ("SELECT t.a FROM app.t WHERE (t.b = 'x.y');", "SELECT a FROM app.t WHERE (b = 'x.y');", True),
        ('SELECT "T x".a FROM app."T x";', 'SELECT a FROM app."T x";', True),
        ("SELECT t.a FROM app.t;", "SELECT b FROM app.t;", False),
        ("SELECT t.a FROM app.t;", "SELECT a FROM t;", False),
        ("SELECT t.a FROM app.t;", "SELECT a FROM app.t LIMIT 1;", False),
        ("SELECT t.a FROM app.t WHERE (t.b = 'x');", "SELECT a FROM app.t;", False),
        ("SELECT 1;", "SELECT 2;", False),
    ],
)
def test_column_names_in_views(old: str, new: str, same: bool) -> None:
    a = Catalog(150018, views=(View("app", "v", definition=old),))
    b = Catalog(160014, views=(View("app", "v", definition=new),))
    assert (compare(a, b, versions=True) == ()) is same
    assert (compare(b, a, versions=True) == ()) is same


def test_subscription_options() -> None:
    def subscribed(version: int, *options: str) -> Catalog:
        return Catalog(version, subscriptions=(Subscription("s", options=options),))

    fifteen = subscribed(150000, "binary=false", "streaming=off")
    assert compare(fifteen, subscribed(160000, "binary=false", "origin=any", "streaming=off"), versions=True) == ()
    assert compare(fifteen, subscribed(180000, "binary=false", "failover=false", "streaming=parallel"), versions=True) == ()
    assert len(compare(fifteen, subscribed(160000, "binary=false", "streaming=parallel"), versions=True)) == 1
    assert len(compare(fifteen, subscribed(180000, "binary=true", "streaming=parallel"), versions=True)) == 1
    assert len(compare(fifteen, subscribed(180000, "binary=false", "origin=none", "streaming=parallel"), versions=True)) == 1


def test_of_long_texts_the_part_around_the_difference_is_shown() -> None:
    body = "SELECT " + ", ".join(f"column_{n}" for n in range(100))
    a = Catalog(180000, views=(View("app", "v", definition=body),))
    b = Catalog(180000, views=(View("app", "v", definition=body.replace("column_77", "other_77")),))
    (line,) = lines(a, b)
    assert line.startswith("~ view app.v definition: …")
    assert "column_77, column_78" in line
    assert "other_77, column_78" in line
    assert len(line) < 400


def test_every_version_difference_says_why() -> None:
    for known in VERSION_DIFFERENCES:
        assert known.since in (15, 16, 17, 18)
        assert known.what
        assert known.why


OF_THE_SERVER = ("database", "extension.owner", "language.owner")
"""Locale of the cluster and name of its superuser: not the schema's."""


def assert_equal_across_versions(catalogs: dict[int, Catalog]) -> None:
    first, *others = catalogs.values()
    assert others, "there is nothing to compare with"
    for other in others:
        assert lines(first, other, versions=True, ignore=OF_THE_SERVER) == [], f"unexplained between {first.major} and {other.major}"
        assert lines(other, first, versions=True, ignore=OF_THE_SERVER) == []


def test_the_kitchen_sink_is_the_same_on_every_version(server_of: ServerOf, majors: tuple[int, ...]) -> None:
    catalogs = {}
    for major in (m for m in MAJORS if m in majors):
        with built(server_of(major), extras=False) as dsn, connect(dsn) as conn:
            catalog = live.read_catalog(conn)
        catalogs[major] = _same_superuser(catalog)
    assert_equal_across_versions(catalogs)
    if set(catalogs) >= {15, 18}:
        told = compare(catalogs[15], catalogs[18], ignore=OF_THE_SERVER)
        assert {d.explanation.partition(":")[0] for d in told} == {"PostgreSQL 16", "PostgreSQL 17", "PostgreSQL 18"}


def _same_superuser(catalog: Catalog) -> Catalog:
    """The same catalog with its superuser, who has another name on every server, called `me`."""
    from pgcharter.catalog import codec

    return codec.loads(codec.dumps(catalog).replace(f'"{catalog.database.owner}"', '"me"'))


def samples() -> list[Path]:
    folder = os.environ.get("PGCHARTER_SAMPLES")
    return sorted(Path(folder).glob("*Chinook_PostgreSql.sql")) if folder else []


@pytest.mark.parametrize("sample", samples() or [None], ids=lambda path: path.stem if path else "none")
def test_a_sample_is_the_same_on_every_version(
    sample: Path | None, scratch_of: Callable[[int | None], Scratch], majors: tuple[int, ...]
) -> None:
    if sample is None:
        pytest.skip("PGCHARTER_SAMPLES names no folder with sample schemas")
    catalogs = {}
    for major in (m for m in MAJORS if m in majors):
        with scratch_of(major).database() as database:
            ddl = sample.read_text("utf-8-sig").partition("INSERT INTO")[0]
            kept = [line for line in ddl.splitlines() if not line.startswith(("DROP DATABASE", "CREATE DATABASE", "\\c"))]
            database.conn.execute("\n".join(kept).encode())
            catalogs[major] = live.read_catalog(database.conn)
    assert len(next(iter(catalogs.values())).tables) == 11
    assert_equal_across_versions(catalogs)


def test_the_shop_is_the_same_on_every_version(scratch_of: Callable[[int | None], Scratch], majors: tuple[int, ...]) -> None:
    shop = Path(pgcharter.__file__).parent / "examples" / "shop" / "migrations"
    catalogs = {}
    for major in (m for m in MAJORS if m in majors):
        reading = sources.read(str(shop), major=major)
        assert reading.catalog is not None
        assert [f.message for f in reading.findings if f.code.startswith("SRC")] == []
        catalogs[major] = reading.catalog
    assert len(next(iter(catalogs.values())).tables) > 8
    assert_equal_across_versions(catalogs)


def test_differences_between_two_databases(database: str) -> None:
    with psycopg.connect(database, autocommit=True) as admin, connect(database) as conn:
        admin.execute("CREATE TABLE t (a integer, b text); CREATE INDEX i ON t (a)")
        before = live.read_catalog(conn)
        admin.execute("ALTER TABLE t ALTER a TYPE bigint; DROP INDEX i; COMMENT ON COLUMN t.b IS 'x'; CREATE VIEW v AS SELECT 1 AS one")
        after = live.read_catalog(conn)
    assert lines(before, after) == [
        "~ column public.t.a type: integer → bigint",
        "~ column public.t.b comment: none → x",
        "- index public.i",
        "+ view public.v",
    ]
