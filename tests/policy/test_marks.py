"""What policies made is told, recorded, and taken out again."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pgcharter.catalog.model import Catalog, Column, DataType, Index, IndexKey, Schema, Table
from pgcharter.catalog.model import Policy as RowPolicy
from pgcharter.names import ObjectId
from pgcharter.policy import compose, marks
from pgcharter.policy.model import Mark, Policy, State

NAMES = Table("app", "names", columns=(Column("id", 1, DataType("integer")),))
BASE = Catalog(180000, schemas=(Schema("app"),), tables=(NAMES,))


def guarded(state: State) -> State:
    """A policy that adds a column, an index and a row policy, and switches row security on."""
    column = Column("tenant_id", 2, DataType("uuid"))
    own = RowPolicy("own", using="true")
    index = Index(
        "app", "names_tenant", "names", keys=(IndexKey("tenant_id"),), definition="CREATE INDEX names_tenant ON app.names (tenant_id)"
    )
    table = state.catalog.table[NAMES.id]
    table = replace(
        table, columns=(table.columns[0], column), indexes=(index,), row_security=True, comment="guarded", policies=(own,)
    )  # fmt: skip
    others = tuple(t for t in state.catalog.tables if t.id != NAMES.id)
    return replace(state, catalog=replace(state.catalog, tables=(table, *others)))


GUARDED = Policy("guarded", guarded)


def test_a_policy_leaves_marks_by_which_it_is_taken_out_again() -> None:
    found = compose.compose(State(BASE), [GUARDED])
    assert [(str(m.object), m.field, m.before) for m in found.marks] == [
        ("column app.names.tenant_id", "", ""),
        ("index app.names_tenant", "", ""),
        ("policy app.names.own", "", ""),
        ("table app.names", "comment", '""'),
        ("table app.names", "row_security", "false"),
    ]
    left = marks.without(found.state.catalog, found.marks)
    assert left.table[NAMES.id] == NAMES
    assert compose.compose(State(left), [GUARDED]).marks == found.marks


def test_without_policies_nothing_is_added() -> None:
    assert compose.compose(State(BASE), []).state.catalog == BASE
    assert marks.without(BASE, ()) is BASE


def test_what_two_policies_want_belongs_to_the_first() -> None:
    found = compose.compose(State(BASE), [GUARDED, Policy("again", guarded)])
    assert {m.policy for m in found.marks} == {"guarded"}


def test_no_policy_takes_anything_away() -> None:
    with pytest.raises(ValueError, match=r"policy bad takes table app\.names away"):
        compose.compose(State(BASE), [Policy("bad", lambda s: replace(s, catalog=replace(s.catalog, tables=())))])


def test_the_record_says_what_came_and_went() -> None:
    old = Mark(ObjectId("index", "app", "it's"), "", "guarded")
    new = Mark(ObjectId("table", "app", "names"), "comment", "guarded", '""')
    gone, come = compose.recording([old], [new])
    assert gone.startswith("DELETE FROM pgcharter.managed_objects WHERE (object_kind = 'index'")
    assert "it''s" in gone
    assert "('table', 'app', 'names', '', 'comment', 'guarded', '\"\"')" in come
    assert compose.recording([old], [old]) == ()
    assert [s.split("(")[0].strip() for s in compose.recording([], [old])][1] == "CREATE TABLE IF NOT EXISTS pgcharter.managed_objects"
