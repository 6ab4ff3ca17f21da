"""From two catalogs to operations: what is asked, noted, caused, renamed and made comparable. That it leads there, the law tells."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from tests.plan.court import OWNER, Court, build

from pgcharter.catalog.model import Catalog, Database, Extension, Grant, Policy, Schema, Table
from pgcharter.errors import UsageError
from pgcharter.names import ObjectId
from pgcharter.plan import diff, normal, renames
from pgcharter.plan.model import Operation
from pgcharter.plan.renames import Intent
from pgcharter.sources import live


@pytest.fixture
def two(court_of: Callable[[int | None], Court]) -> Callable[[str, str], tuple[Catalog, Catalog]]:
    """`two(old, new)`: the catalogs of two schemas."""

    def build_both(old: str, new: str) -> tuple[Catalog, Catalog]:
        with court_of(None).database() as one, court_of(None).database() as other:
            return build(one, old), build(other, new)

    return build_both


Two = Callable[[str, str], tuple[Catalog, Catalog]]


def told(operations: tuple[Operation, ...]) -> list[str]:
    return [f"{o.change} {o.object}" for o in operations]


def test_what_is_made_goes_before_what_needs_it_and_reads_the_same_every_time(two: Two) -> None:
    new = """
        create table b (id integer primary key, a_id integer);
        create table a (id integer primary key);
        alter table b add constraint b_a foreign key (a_id) references a;
        create view v as select id from b;
        create index b_a_id on b (a_id);"""
    a, b = two("", new)
    expected = ["create table public.a", "create table public.b", "create constraint public.b.b_a", "create index public.b_a_id",
                "create view public.v"]  # fmt: skip
    assert told(diff.operations(a, b).operations) == expected
    shuffled = replace(b, tables=b.tables[::-1], views=b.views[::-1])
    assert told(diff.operations(a, shuffled).operations) == expected
    back = told(diff.operations(b, a).operations)
    assert back.index("drop view public.v") < back.index("drop table public.b") < back.index("drop table public.a")


def test_dependents_step_aside_and_say_why(two: Two) -> None:
    schema = "create table t (a {type}, b text); create view v as select a from t; create view w as select a from v"
    a, b = two(schema.format(type="integer"), schema.format(type="bigint"))
    operations = diff.operations(a, b).operations
    assert told(operations) == [
        "drop view public.w", "drop view public.v", "alter column public.t.a", "create view public.v", "create view public.w",
    ]  # fmt: skip
    assert operations[1].cause == "view public.v needs column public.t.a, which changes its type"
    assert operations[0].cause == "view public.w needs view public.v, which is made anew"


def test_a_table_is_never_made_anew_unasked(two: Two) -> None:
    a, b = two("create table t (a integer); create index i on t (a)", "create table t (a integer, b text) partition by range (a)")
    changes = diff.operations(a, b)
    assert changes.operations == ()
    (question,) = changes.questions
    assert question.startswith("table public.t would have to be made anew (kind: table → partitioned table")
    assert "loses its rows" in question


def test_the_order_of_columns_is_noted(two: Two) -> None:
    a, b = two("create table t (a integer, b text)", "create table t (b text, x date, a integer)")
    changes = diff.operations(a, b)
    assert told(changes.operations) == ["create column public.t.x"]
    (note,) = changes.notes
    assert note == "columns of table public.t stand as a, b, x instead of b, x, a: PostgreSQL adds them at the end only"
    assert diff.operations(*two("create table t (a integer)", "create table t (a integer, c text, b date)")).notes == ()


def test_a_likely_rename_is_asked_and_nothing_is_guessed(two: Two) -> None:
    a, b = two("create table t (mail text, n integer)", "create table t (email text, n integer)")
    changes = diff.operations(a, b)
    assert told(changes.operations) == ["create column public.t.email", "drop column public.t.mail"]
    (question,) = changes.questions
    assert question.startswith("column public.t.mail goes and column public.t.email, which is just like it, comes: if that is a rename")
    assert diff.operations(a, b, apart=[ObjectId("column", "public", "t", "mail")]).questions == ()
    c, d = two("create table t (a integer, b text)", "create table u (a integer, b text)")
    assert len(diff.operations(c, d).questions) == 1


def test_declared_renames_keep_what_there_is(court_of: Callable[[int | None], Court]) -> None:
    intents = [Intent(ObjectId("table", "public", "t"), "people"), Intent(ObjectId("column", "public", "t", "mail"), "E mail")]
    with court_of(None).database() as one, court_of(None).database() as other:
        a = build(one, "create table t (id integer primary key, mail text check (mail <> '')); create view v as select mail from t")
        b = build(other, 'create table people (id integer primary key, "E mail" text check ("E mail" <> \'\'))')
        for statement in renames.rename_statements(a, b, intents):
            one.execute(statement.encode())
        renamed = live.read_catalog(one)
    assert set(told(renames.operations(a, b, intents))) == {"rename table public.t", "rename column public.t.mail"}
    assert renames.operations(renamed, b, intents) == (), "what is done is passed over"
    rest = diff.operations(renamed, b)
    assert rest.questions == ()
    assert all(o.change == "rename" or o.object.kind == "view" for o in rest.operations), told(rest.operations)


@pytest.mark.parametrize(
    ("intent", "words"),
    [
        (Intent(ObjectId("table", "public", "nothing"), "u"), "there is neither the one nor the other"),
        (Intent(ObjectId("table", "public", "t"), "w"), "which the wanted schema does not have"),
        (Intent(ObjectId("table", "public", "t"), "s"), "which there is already"),
    ],
)
def test_an_intent_that_fits_neither_side_is_refused(two: Two, intent: Intent, words: str) -> None:
    a, b = two("create table t (a integer); create table s (a integer)", "create table s (a integer)")
    with pytest.raises(UsageError, match=words):
        renames.operations(a, b, [intent])


def test_constraints_and_indexes_are_renamed_because_nothing_else_changes(two: Two) -> None:
    a, b = two(
        "create table t (a integer, constraint k unique (a)); create index i on t (a)",
        "create table t (a integer, constraint kk unique (a)); create index ii on t (a); comment on index ii is 'x'",
    )
    operations = diff.operations(a, b).operations
    assert told(operations) == ["rename constraint public.t.k", "rename index public.i", "alter index public.ii"]


def test_nothing_to_do_between_equals(two: Two) -> None:
    a, b = two("create table t (a serial primary key)", "create table t (a serial primary key)")
    assert diff.operations(a, b) == diff.Changes()
    assert diff.differences(a, b) == ()


T = Table("app", "t", owner="scratch", acl=(Grant("reader", "SELECT", grantor="scratch"), Grant("scratch", "SELECT", grantor="scratch")),
          policies=(Policy("p", roles=("scratch",)),))  # fmt: skip
WANTED = Catalog(180000, Database("x", "scratch"), (Schema("app", "scratch"),), (T, replace(T, name="u")))
ACTUAL = Catalog(180000, Database("y", "live"), (Schema("app", "ops"),), (replace(T, owner="app_owner"),))


def test_the_owner_of_the_scratch_side_is_nobody() -> None:
    _, b = normal.normalised(ACTUAL, WANTED)
    there, new = b.tables
    assert (b.schemas[0].owner, there.owner, new.owner) == ("ops", "app_owner", "live")
    assert new.acl == (Grant("live", "SELECT", grantor="live"), Grant("reader", "SELECT", grantor="live"))
    assert there.policies[0].roles == ("app_owner",)
    assert normal.normalised(ACTUAL, WANTED, role="deployer")[1].tables[1].owner == "deployer"
    declared = replace(WANTED, tables=(replace(T, owner="somebody"),))
    assert normal.normalised(ACTUAL, declared)[1].tables[0].owner == "somebody"


def test_the_database_is_the_targets_but_for_what_is_said_of_it() -> None:
    a = replace(ACTUAL, database=replace(ACTUAL.database, encoding="LATIN1", comment="live", settings=("timezone=UTC", "x.y=1")))
    b = replace(WANTED, database=replace(WANTED.database, settings=("x.y=2", "scratch:role=none")))
    found = normal.normalised(a, b)[1].database
    assert (found.encoding, found.comment, found.owner) == ("LATIN1", "live", "live")
    assert found.settings == ("live:role=none", "timezone=UTC", "x.y=2")


def test_extensions_keep_their_version_unless_another_is_asked_for() -> None:
    installed = Extension("citext", "1.5", "public", "1.6", "live")
    same, asked = Extension("citext", "1.8", "public", "1.8", "scratch"), Extension("citext", "1.4", "public", "1.8", "scratch")
    a = replace(ACTUAL, extensions=(installed,))
    assert normal.normalised(a, replace(WANTED, extensions=(same,)))[1].extensions == (installed,)
    assert normal.normalised(a, replace(WANTED, extensions=(asked,)))[1].extensions == (replace(installed, version="1.4"),)


def test_a_schema_built_by_another_role_does_not_differ(court_of: Callable[[int | None], Court]) -> None:
    schema = (
        "create schema app; create table app.t (a serial, b text); grant select on app.t to law_reader; revoke all on app.t from public"
    )
    with court_of(None).database() as one, court_of(None).database(superuser=True) as other:
        a, b = build(one, schema), build(other, schema)
    assert diff.operations(a, b).operations
    assert diff.operations(*normal.normalised(a, b)).operations == ()
    assert normal.normalised(a, b)[1].table[ObjectId("table", "app", "t")].owner == OWNER


def test_row_security_is_switched_on_after_its_policies_and_off_before_they_go(two: Two) -> None:
    guarded = "create table t (id integer); alter table t enable row level security; create policy p on t using (id > 0)"
    a, b = two("create table t (id integer)", guarded)
    assert told(diff.operations(a, b).operations) == ["create policy public.t.p", "alter table public.t"]
    assert told(diff.operations(b, a).operations) == ["alter table public.t", "drop policy public.t.p"]


def test_the_sequence_of_a_serial_column_is_renamed_with_it_and_counts_on(two: Two) -> None:
    a, b = two("create table t (id serial, other serial)", "create table u (key serial, other integer default 1)")
    intents = (Intent(ObjectId("table", "public", "t"), "u"), Intent(ObjectId("column", "public", "t", "id"), "key"))
    assert renames.implied(a, b, intents) == (Intent(ObjectId("sequence", "public", "t_id_seq"), "u_key_seq"),)
    assert renames.implied(a, a, ()) == ()
    identity, taken = two(
        "create table t (id integer generated always as identity)", "create sequence t_id_seq; create table t (id serial)"
    )
    assert renames.implied(identity, taken, ()) == ()
