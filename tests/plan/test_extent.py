"""What a plan leaves alone, on catalogs read from a real server."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pgcharter.catalog.model import Catalog
from pgcharter.names import ObjectId
from pgcharter.plan.extent import extent
from pgcharter.servers.scratch import Scratch
from pgcharter.sources import live

Build = Callable[[str], Catalog]


@pytest.fixture
def build(scratch: Scratch) -> Build:
    def built(sql: str) -> Catalog:
        with scratch.database() as database:
            if sql:
                database.conn.execute(sql)
            return live.read_catalog(database.admin)

    return built


def test_schemas_that_nobody_mentions_stay(build: Build) -> None:
    a = build('CREATE SCHEMA app; CREATE SCHEMA "Über Sicht"; CREATE TABLE "Über Sicht".t (id int); CREATE TABLE app.u (id int)')
    b = build("CREATE SCHEMA app; CREATE TABLE app.u (id int)")
    found = extent(a, b)
    assert [t.id for t in found.a.tables] == [ObjectId("table", "app", "u")]
    assert {s.name for s in found.a.schemas} == {s.name for s in found.b.schemas}
    assert any('"Über Sicht"' in note for note in found.notes)


def test_our_own_schema_is_nobody_elses(build: Build) -> None:
    a = build("CREATE SCHEMA pgcharter; CREATE TABLE pgcharter.schema_migrations (version text)")
    assert not extent(a, build("")).a.tables
    assert not extent(build(""), a).b.tables


def test_tables_of_libraries_stay_unless_they_are_wanted(build: Build) -> None:
    a = build("CREATE TABLE alembic_version (id serial PRIMARY KEY); CREATE TABLE t (id int)")

    def library(address: ObjectId) -> bool:
        return address.name == "alembic_version"

    left = extent(a, build("CREATE TABLE t (id int)"), library=library)
    assert [t.name for t in left.a.tables] == ["t"]
    assert not left.a.sequences
    assert any("alembic_version" in note for note in left.notes)
    assert len(extent(a, a, library=library).a.tables) == 2


def test_privileges_are_planned_only_when_something_is_granted(build: Build) -> None:
    granting = (
        "CREATE TABLE t (id int, c int); CREATE VIEW v AS SELECT id FROM t; GRANT SELECT ON v TO PUBLIC; GRANT SELECT (c) ON t TO PUBLIC"
    )
    a, bare = build(granting), build("CREATE TABLE t (id int, c int); CREATE VIEW v AS SELECT id, c FROM t")
    found = extent(a, bare)
    assert found.b.views[0].acl == a.views[0].acl is not None
    assert found.b.tables[0].column["c"].acl == a.tables[0].column["c"].acl is not None
    assert any("privileges" in note for note in found.notes)
    both = extent(a, build("CREATE TABLE t (id int, c int); CREATE VIEW v AS SELECT id FROM t; GRANT SELECT ON t TO PUBLIC"))
    assert both.b.views[0].acl is None
    assert not both.notes


def test_kinds_that_operators_make_stay(build: Build) -> None:
    a = build("CREATE TABLE t (id int PRIMARY KEY); CREATE PUBLICATION p FOR TABLE t")
    found = extent(a, build("CREATE TABLE t (id int PRIMARY KEY)"))
    assert not found.a.publications
    assert any("publication" in note for note in found.notes)
    assert extent(a, build("CREATE TABLE t (id int); CREATE PUBLICATION q FOR TABLE t")).a.publications
