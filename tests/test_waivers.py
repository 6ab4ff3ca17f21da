"""Waivers: what they accept, when they end, and when they are good for nothing."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgcharter.findings import Finding, Place
from pgcharter.names import ObjectId
from pgcharter.waivers import Waiver, waive

TODAY = date(2026, 11, 20)


def found(code: str, schema: str = "app", name: str = "users", part: str = "", **facts: str) -> Finding:
    return Finding(code, "x", ObjectId("column" if part else "table", schema, name, part), facts=facts)


USERS, OLD, AGE = found("KEY01"), found("KEY01", "legacy", "Old Users"), found("KEY01", part="age", detail="wide")
TEXT = Finding("KEY01", "x", place=Place("a.sql", 3))


@pytest.mark.parametrize(
    ("waiver", "covered"),
    [
        (Waiver("KEY01", "x", object="app.users"), [USERS]),
        (Waiver("KEY01", "x", object="app.users.age"), [AGE]),
        (Waiver("KEY01", "x", object="app.*"), [USERS, AGE]),
        (Waiver("KEY01", "x", object="*"), [USERS, OLD, AGE]),
        (Waiver("KEY01", "x", object='legacy."Old Users"'), [OLD]),
        (Waiver("KEY01", "x", object="legacy.?Old*"), [OLD]),
        (Waiver("KEY01", "x", object="APP.users"), []),
        (Waiver("KEY02", "x", object="*"), []),
        (Waiver("KEY01", "x", key="KEY01:column:app.users.age:wide"), [AGE]),
        (Waiver("KEY01", "x", key="KEY01:a.sql"), [TEXT]),
        (Waiver("KEY01", "x", key="KEY01:*"), []),
    ],
)
def test_what_a_waiver_covers(waiver: Waiver, covered: list[Finding]) -> None:
    everything = [USERS, OLD, AGE, TEXT]
    outcome = waive(everything, [waiver], TODAY)
    assert [f for f, _ in outcome.waived] == covered
    assert list(outcome.kept) == [f for f in everything if f not in covered]
    assert [p.kind for p in outcome.problems] == ([] if covered else ["dangling"])


UNSAID = Finding("KEY01", "x", ObjectId("table", "", "users"))
UNSAID_AGE = Finding("KEY01", "x", ObjectId("column", "", "users", "age"))
ROLE = Finding("KEY01", "x", ObjectId("role", "", "users"))
PUBLIC = found("KEY01", "public")


@pytest.mark.parametrize(
    ("waiver", "covered"),
    [
        (Waiver("KEY01", "x", object="app.users"), [UNSAID]),
        (Waiver("KEY01", "x", object="public.users"), [UNSAID, PUBLIC]),
        (Waiver("KEY01", "x", object="users"), [UNSAID, ROLE, PUBLIC]),
        (Waiver("KEY01", "x", object="app.users.*"), [UNSAID_AGE]),
        (Waiver("KEY01", "x", object="app.use*"), [UNSAID, UNSAID_AGE]),
        (Waiver("KEY01", "x", object="app.*"), []),
        (Waiver("KEY01", "x", object="app.?sers"), []),
        (Waiver("KEY01", "x", key="KEY01:table:public.users"), [UNSAID, PUBLIC]),
        (Waiver("KEY01", "x", key="KEY01:table:users"), [UNSAID, PUBLIC]),
        (Waiver("KEY01", "x", key="KEY01:column:app.users.age:wide"), [UNSAID_AGE]),
    ],
)
def test_a_schema_that_the_text_does_not_say(waiver: Waiver, covered: list[Finding]) -> None:
    """Text alone knows no schema where none is written: the rest of the name decides, unless that could be anything."""
    assert [f for f, _ in waive([UNSAID, UNSAID_AGE, ROLE, PUBLIC], [waiver], TODAY).waived] == covered


@pytest.mark.parametrize(("days", "said"), [(0, "ends today"), (1, "ends tomorrow"), (14, "ends in 14 days"), (15, "")])
def test_a_waiver_near_its_end_is_mentioned(days: int, said: str) -> None:
    waiver = Waiver("KEY01", "x", object="app.users", owner="data team", expires=TODAY + timedelta(days=days))
    outcome = waive([USERS], [waiver], TODAY)
    assert outcome.kept == ()
    assert [p.kind for p in outcome.problems] == (["ending"] if said else [])
    for problem in outcome.problems:
        ends = f"the waiver of KEY01 for app.users {said}, after {waiver.expires}; then its finding counts again (owner: data team)"
        assert problem.message == ends


def test_the_last_day_still_counts() -> None:
    waiver = Waiver("KEY01", "x", object="app.users", expires=TODAY)
    assert waive([USERS], [waiver], TODAY).kept == ()
    assert waive([USERS], [waiver], TODAY + timedelta(days=1)).kept == (USERS,)


def test_an_expired_waiver_is_a_problem_and_says_so() -> None:
    waiver = Waiver("KEY01", "x", object="app.*", owner="data team", expires=date(2026, 1, 31))
    (problem,) = waive([USERS, AGE], [waiver], TODAY).problems
    assert (problem.kind, problem.waiver) == ("expired", waiver)
    assert problem.message == "the waiver of KEY01 for app.* expired on 2026-01-31, so its 2 findings count again (owner: data team)"
    assert problem.hint == "mend the finding, or agree on a new date in expires"
    (problem,) = waive([USERS], [waiver], TODAY).problems
    assert problem.message == "the waiver of KEY01 for app.* expired on 2026-01-31, so its finding counts again (owner: data team)"


def test_a_dangling_waiver_says_so_expired_or_not() -> None:
    for expires in (None, date(2026, 1, 31)):
        (problem,) = waive([USERS], [Waiver("KEY01", "x", object="app.user", expires=expires)], TODAY).problems
        assert problem.kind == "dangling"
        assert problem.message == "the waiver of KEY01 for app.user covers no finding, so it only hides a future one"
        assert problem.hint == "take it out"


def test_the_first_waiver_takes_it_and_a_second_is_not_dangling() -> None:
    first, second = Waiver("KEY01", "one", object="app.users"), Waiver("KEY01", "two", object="*")
    outcome = waive([USERS], [first, second], TODAY)
    assert outcome.waived == ((USERS, first),)
    assert outcome.problems == ()


codes = st.sampled_from(["KEY01", "TYP01"])
findings = st.lists(st.builds(found, codes, st.sampled_from(["a", "b"]), st.sampled_from(["t", "u"])))
waivers = st.lists(
    st.builds(Waiver, codes, st.just("x"), st.sampled_from(["*", "a.*", "b.t"]), expires=st.sampled_from([None, TODAY, date(2026, 1, 1)]))
)


@given(findings, waivers)
def test_nothing_is_lost_or_doubled(everything: list[Finding], some: list[Waiver]) -> None:
    outcome = waive(everything, some, TODAY)
    assert sorted([*outcome.kept, *(f for f, _ in outcome.waived)], key=lambda f: f.key) == sorted(everything, key=lambda f: f.key)
    assert all(w.covers(f) and not w.expired(TODAY) for f, w in outcome.waived)


@given(findings, waivers, waivers)
def test_more_waivers_never_keep_more(everything: list[Finding], some: list[Waiver], more: list[Waiver]) -> None:
    assert {f.key for f in waive(everything, [*some, *more], TODAY).kept} <= {f.key for f in waive(everything, some, TODAY).kept}
