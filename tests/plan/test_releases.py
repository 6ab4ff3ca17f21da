"""Views of a release: what they show, what can be written through them, and what is asked instead."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import psycopg
import pytest

from pgcharter.catalog.model import Catalog, Schema, Table
from pgcharter.errors import UsageError
from pgcharter.names import address
from pgcharter.plan import planner
from pgcharter.plan.model import Phase, Plan, Step
from pgcharter.plan.releases import Releases, named, retyped, views
from pgcharter.plan.releases_between import meanwhile
from pgcharter.plan.releases_joined import joined
from pgcharter.plan.renames import Intent
from pgcharter.plan.settings import ReleasesSection
from pgcharter.servers.lifecycle import Server
from pgcharter.sources.live import read_catalog

NAMES = Releases("v1", "v2", "app", "app_")
both_ends = pytest.mark.parametrize("major", [15, 18], ids=lambda m: f"pg{m}")
Conn = psycopg.Connection[tuple[object, ...]]

SCHEMA = """
CREATE SCHEMA app;
GRANT USAGE, CREATE ON SCHEMA app TO release_reader;
GRANT USAGE ON SCHEMA app TO release_writer;
CREATE TABLE app.people (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, number serial, "E Mail" text NOT NULL UNIQUE, tenant text NOT NULL DEFAULT 'a',
    upper text GENERATED ALWAYS AS (upper("E Mail")) STORED, changes integer NOT NULL DEFAULT 0, gone text
);
ALTER TABLE app.people DROP COLUMN gone;
COMMENT ON TABLE app.people IS 'who buys';
COMMENT ON COLUMN app.people."E Mail" IS 'where they read';
GRANT SELECT, INSERT, UPDATE, DELETE ON app.people TO release_writer;
GRANT USAGE ON SEQUENCE app.people_number_seq TO release_writer;
GRANT SELECT (id, tenant) ON app.people TO release_reader;
ALTER TABLE app.people ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON app.people TO release_writer USING (tenant = current_setting('app.tenant', true));
CREATE FUNCTION app.count() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN new.changes := new.changes + 1; RETURN new; END';
CREATE TRIGGER count BEFORE UPDATE ON app.people FOR EACH ROW EXECUTE FUNCTION app.count();
CREATE TABLE app.events (id integer, day date, body text, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
CREATE TABLE app.events_1 PARTITION OF app.events FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
"""


@pytest.fixture
def app(major: int, server_of: Callable[[int | None], Server]) -> Iterator[Conn]:
    """The schema with its views, as the owner, in a transaction that is rolled back."""
    with psycopg.connect(server_of(major).dsn()) as conn:
        conn.execute("CREATE ROLE release_reader; CREATE ROLE release_writer")
        conn.execute(SCHEMA)
        yield conn
        conn.rollback()


def with_views(conn: Conn) -> Catalog:
    """Make the views of release v1 as a plan does; return the catalog before."""
    a = read_catalog(conn)
    plan = planner.plan(a, views(a, a, NAMES, "v1").on(a))
    assert plan.questions == ()
    for step in plan.steps:
        conn.execute(step.sql.encode())
    return a


@both_ends
def test_views_show_what_the_release_knows(app: Conn, major: int) -> None:
    assert major in (15, 18)
    a = with_views(app)
    after = read_catalog(app)
    seen = {v.name: v for v in after.views if v.schema == "app_v1"}
    assert sorted(seen) == ["events", "people"]
    people, table = seen["people"], a.table[address("table app.people")]
    assert people.security_invoker
    assert people.comment == "who buys"
    assert [c.name for c in people.columns] == ["id", "number", "E Mail", "tenant", "upper", "changes"]
    assert [(c.comment, c.acl) for c in people.columns] == [(c.comment, c.acl) for c in table.columns]
    assert [c.default for c in people.columns if c.name not in ("id", "upper")] == [
        c.default for c in table.columns if c.name not in ("id", "upper")
    ]
    assert people.acl == table.acl
    home = next(s for s in after.schemas if s.name == "app_v1")
    assert {(g.grantee, g.privilege) for g in home.acl or () if g.grantee.startswith("release_")} == {
        ("release_reader", "USAGE"),
        ("release_writer", "USAGE"),
    }


@both_ends
def test_rows_are_written_through_them(app: Conn, major: int) -> None:
    assert major in (15, 18)
    a = with_views(app)
    app.execute("SET LOCAL search_path = app_v1, app; SET LOCAL app.tenant = 'a'; SET LOCAL ROLE release_writer")
    made = app.execute("""INSERT INTO people ("E Mail") VALUES ('ada@example.org') RETURNING id, number, tenant, upper""").fetchall()
    assert made == [(1, 1, "a", "ADA@EXAMPLE.ORG")]
    upsert = """INSERT INTO people ("E Mail") VALUES ('ada@example.org') ON CONFLICT ("E Mail")
                DO UPDATE SET "E Mail" = upper(excluded."E Mail") RETURNING "E Mail", changes"""
    assert app.execute(upsert).fetchall() == [("ADA@EXAMPLE.ORG", 1)]
    assert app.execute("SELECT id FROM people FOR UPDATE").fetchall() == [(1,)]
    app.execute("SET LOCAL app.tenant = 'b'")
    assert app.execute("SELECT * FROM people").fetchall() == []
    assert app.execute("DELETE FROM people").rowcount == 0
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="row-level security"), app.transaction():
        app.execute("""INSERT INTO people ("E Mail") VALUES ('eve@example.org')""")
    app.execute("SET LOCAL app.tenant = 'a'")
    assert app.execute("DELETE FROM people").rowcount == 1
    app.execute("RESET ROLE")
    app.execute("INSERT INTO events VALUES (1, '2026-05-05', 'x') ON CONFLICT (id, day) DO UPDATE SET body = excluded.body")
    app.execute("SET LOCAL ROLE release_reader")
    assert app.execute("SELECT id, tenant FROM app.people").fetchall() == []
    with pytest.raises(psycopg.errors.InsufficientPrivilege), app.transaction():
        app.execute("SELECT id, tenant FROM people")
    assert [n.partition(",")[0] for n in views(a, a, NAMES, "v1").notes] == ["role release_reader may read single columns only"]


LIMITS = {
    """INSERT INTO people ("E Mail") VALUES ('x') ON CONFLICT ON CONSTRAINT people_pkey DO NOTHING""": "constraint",
    "TRUNCATE people": "not a table",
    "SELECT ctid FROM people": "ctid",
    "COPY people FROM '/dev/null'": "cannot copy to view",
    "CREATE TABLE public.other (person bigint REFERENCES people)": "not a table",
    "CREATE INDEX ON people (id)": "view|not supported",
}
"""What the page says that views cannot give."""


@both_ends
def test_what_they_cannot_give(app: Conn, major: int) -> None:
    with_views(app)
    app.execute("SET LOCAL search_path = app_v1, app")
    merge = "MERGE INTO people USING (VALUES (1)) AS s (i) ON people.id = s.i WHEN MATCHED THEN DELETE"
    for sql, words in {**LIMITS, **({merge: "MERGE"} if major < 17 else {})}.items():
        with pytest.raises(psycopg.Error, match=words), app.transaction():
            app.execute(sql.encode())
    if major >= 17:
        app.execute(merge)
    app.execute("LOCK TABLE people IN SHARE MODE")


def catalog(conn: Conn, sql: str) -> Catalog:
    """What some SQL makes."""
    with conn.transaction(force_rollback=True):
        conn.execute(sql.encode())
        return read_catalog(conn)


def test_renamed_and_changed_columns_keep_their_old_names(conn: Conn) -> None:
    a = catalog(conn, "CREATE SCHEMA app; CREATE TABLE app.t (id int, mail text, n int DEFAULT 1)")
    b = catalog(conn, "CREATE SCHEMA app; CREATE TABLE app.u (n bigint DEFAULT 2, email text, id int)")
    intents = (Intent(address("table app.t"), "u"), Intent(address("column app.t.mail"), "email"))
    before, made = views(a, a, NAMES, "v1"), views(a, b, NAMES, "v1", intents)
    assert made.questions == ()
    assert [v.definition for v in made.views] == ["SELECT id, email AS mail, n FROM app.u;"]
    assert [c.default for c in made.views[0].columns] == ["", "", "1"]
    assert [n.partition(" from")[0] for n in retyped(before, made, "v1")] == [
        "release v1 sees column app_v1.t.n as bigint instead of integer"
    ]


def test_what_cannot_be_shown_is_asked(conn: Conn) -> None:
    a = catalog(conn, "CREATE SCHEMA app; CREATE TABLE app.t (id int, gone int); CREATE TABLE app.u (id int); CREATE TABLE app.nothing ()")
    b = catalog(conn, "CREATE SCHEMA app; CREATE TABLE app.t (id int); CREATE TABLE app.nothing ()")
    made = views(a, b, NAMES, "v1")
    assert made.views == ()
    assert [q.partition(":")[0] for q in made.questions] == [
        "view app_v1.nothing cannot be made for table app.nothing, because it has no columns",
        "view app_v1.t cannot be made for table app.t, because table app.t has no gone, and a view with something in its place refuses "
        "writes",
        "view app_v1.u cannot be made for table app.u, because there is no such table any more",
    ]


def test_views_of_schema_public_belong_to_whoever_makes_them(conn: Conn) -> None:
    a = catalog(conn, "CREATE TABLE public.t (id int)")
    home = views(a, a, Releases("v1", "v2", "public", "public_"), "v1").schema
    assert home.owner == ""
    owner = a.database.owner
    assert {(g.grantee, g.privilege) for g in home.acl or ()} == {("", "USAGE"), (owner, "USAGE"), (owner, "CREATE")}


OLD = """CREATE SCHEMA app; CREATE TYPE app.e AS ENUM ('x');
CREATE TABLE app.t (id int PRIMARY KEY, a int NOT NULL UNIQUE, b int NOT NULL DEFAULT 1, e app.e, s serial, keep int);
CREATE INDEX b ON app.t (b); CREATE INDEX keep ON app.t (keep); CREATE TABLE app.u (id serial)"""


def test_meanwhile_there_is_what_either_release_uses(conn: Conn) -> None:
    a = catalog(conn, OLD)
    b = catalog(conn, "CREATE SCHEMA app; CREATE TABLE app.t (id int PRIMARY KEY, fresh int, keep int)")
    both = meanwhile(a, b)
    table = both.table[address("table app.t")]
    assert [(c.name, c.not_null) for c in table.columns] == [
        ("id", True), ("a", False), ("b", True), ("e", False), ("s", True), ("keep", False), ("fresh", False),
    ]  # fmt: skip
    assert sorted(i.name for i in table.indexes) == ["b", "t_a_key", "t_pkey"]
    assert [t.name for t in both.types] == ["e"]
    assert sorted(s.name for s in both.sequences) == ["t_s_seq", "u_id_seq"]
    assert meanwhile(b, b) is b


def step(title: str, phase: Phase = Phase.EXPAND, block: int = 1, gate: str = "", schema: str = "app") -> Step:
    return Step("" if gate else title, title, address(f"table {schema}.t"), phase, block, gate=gate)


def test_the_old_schema_goes_first_after_the_one_gate() -> None:
    first = Plan((step("make v1"),), major=18, before="a")
    middle = Plan((step("add"), step("later", Phase.CONTRACT, 2), step("", Phase.CONTRACT, 0, "no running release uses x")), major=18)
    last = Plan((step("gone", block=1), step("drop view", block=2, schema="app_v1")), major=18, after="b")
    whole = joined(first, middle, last, NAMES)
    assert [(s.sql or s.gate, s.phase.value, s.block) for s in whole.steps] == [
        ("make v1", "expand", 1),
        ("every session of release v1 has search_path = app_v1, app", "expand", 0),
        ("add", "expand", 2),
        ("no release v1 runs any more, and no running release uses x", "contract", 0),
        ("drop view", "contract", 3),
        ("later", "contract", 4),
        ("gone", "contract", 5),
    ]
    assert (whole.before, whole.after) == ("a", "b")
    assert joined(replace(first, steps=()), middle, last, NAMES).steps[0].sql == "add"


@pytest.mark.parametrize(("old", "new"), [("v1", "v1"), ("", "v2"), ("v1", "x" * 60), ("v1", "ä" * 30)])
def test_names_that_cannot_be(old: str, new: str) -> None:
    with pytest.raises(UsageError):
        named(ReleasesSection("app"), old, new)


def test_names_are_those_of_the_charter() -> None:
    assert named(ReleasesSection("app"), "1.0", "2.0").path("2.0") == '"app_2.0", app'
    assert named(ReleasesSection("app", "api_"), "1", "2").home("1") == "api_1"


def test_many_tables_are_quick() -> None:
    import time

    table = Table("app", "t")
    many = Catalog(schemas=(Schema("app"),), tables=tuple(replace(table, name=f"t{n}") for n in range(5000)))
    start = time.perf_counter()
    views(many, many, NAMES, "v1")
    assert time.perf_counter() - start < 2
