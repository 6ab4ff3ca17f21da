"""Known findings: which of today's were recorded, and the file that holds them."""

from __future__ import annotations

import json
import time
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgcharter import known_file
from pgcharter.errors import UsageError
from pgcharter.findings import Finding, Place
from pgcharter.known import Entry, entries_of, head, same_key, split, without_schema
from pgcharter.known_file import Change, Known, Record, dumps, loads, updated
from pgcharter.names import ObjectId


def found(code: str = "KEY01", name: str = "users", schema: str = "public", part: str = "", message: str = "x", **facts: str) -> Finding:
    return Finding(code, message, ObjectId("column" if part else "table", schema, name, part), facts=facts)


def at(file: str, code: str = "STM01", message: str = "x", line: int = 1, **facts: str) -> Finding:
    return Finding(code, message, place=Place(file, line), facts=facts)


USERS, ORDERS = found(), found(name="orders")


class TestSplit:
    def test_known_and_new_and_gone(self) -> None:
        parts = split([USERS, ORDERS], entries_of([USERS, found(name="gone")]))
        assert (parts.known, parts.new) == ((USERS,), (ORDERS,))
        assert [e.key for e in parts.gone] == ["KEY01:table:public.gone"]

    def test_equal_keys_are_counted(self) -> None:
        twice, thrice = [at("a.sql"), at("a.sql", line=9)], [at("a.sql"), at("a.sql", line=5), at("a.sql", line=9)]
        assert [(e.key, e.count) for e in entries_of(twice)] == [("STM01:a.sql", 2)]
        assert [len(part) for part in (split(thrice, entries_of(twice)).known, split(thrice, entries_of(twice)).new)] == [2, 1]
        (gone,) = split(twice, entries_of(thrice)).gone
        assert gone.count == 1

    def test_the_same_entry_twice_counts_once(self) -> None:
        """Both sides of a merge, kept: that must not make room for another finding."""
        entry = Entry("STM01:a.sql", "STM01", "x", "a.sql")
        assert len(split([at("a.sql"), at("a.sql", line=2)], [entry, entry]).new) == 1

    @pytest.mark.parametrize(
        ("recorded", "now"),
        [
            (found(schema=""), found()),
            (found(), found(schema="")),
            (found(schema="app"), found(schema="")),
            (found(schema='we"ird.one'), found(schema="")),
            (found(schema="", part="email"), found(part="email")),
            (found(part="email", detail="users_email_key"), found(schema="", part="email")),
            (found(schema="app", part="email", detail="a:b"), found(schema="app", part="email")),
            (found(schema="", part="email"), found(schema="app", part="email", detail="users_email_key")),
        ],
    )
    def test_what_only_one_side_knows_is_no_difference(self, recorded: Finding, now: Finding) -> None:
        parts = split([now], entries_of([recorded]))
        assert (parts.known, parts.gone) == ((now,), ())
        assert same_key(now, recorded.key) or recorded.facts != now.facts

    @pytest.mark.parametrize(
        ("recorded", "now"),
        [
            (found(schema="app"), found()),
            (found(schema=""), found(name="user")),
            (found(detail="a"), found(detail="b")),
            (found(), found(part="users")),
            (found(schema="users", name="id"), found(part="id")),
            (found(code="KEY02"), found()),
            (at("a.sql"), found(name="a.sql", schema="")),
        ],
    )
    def test_what_differs_is_new(self, recorded: Finding, now: Finding) -> None:
        assert split([now], entries_of([recorded])).new == (now,)

    def test_one_entry_without_a_schema_knows_one_table(self) -> None:
        """The text said users once: of app.users and public.users the one in schema public is meant."""
        other = found(schema="app")
        assert split([USERS], entries_of([found(schema="")])).new == ()
        assert len(split([other, USERS], entries_of([found(schema="")])).new) == 1
        assert split([found(schema="")], entries_of([other, USERS])).gone == entries_of([other])

    def test_the_exact_one_comes_first(self) -> None:
        parts = split([found(schema=""), USERS], entries_of([USERS]))
        assert (parts.new, parts.known) == ((found(schema=""),), (USERS,))

    def test_a_renamed_file(self) -> None:
        old, new = at("db/a.sql", message="index in db/a.sql", detail="i"), at("db/b.sql", message="index in db/b.sql", detail="i")
        entries = entries_of([old])
        assert split([new], entries).new == (new,)
        assert split([new], entries, missing=lambda _: False).new == (new,)
        assert split([new], entries, missing=lambda file: file == "db/a.sql").known == (new,)
        other = replace(new, message="another")
        assert split([other], entries, missing=lambda _: True).new == (other,)

    def test_files_are_named_from_elsewhere(self) -> None:
        entries = entries_of([at("../db/a.sql")], where=lambda file: file.removeprefix("../"))
        assert (entries[0].key, entries[0].file) == ("STM01:db/a.sql", "db/a.sql")
        assert split([at("db/a.sql")], entries).new == ()

    def test_ten_thousand(self) -> None:
        many = [found(name=f"t{n}", schema="" if n % 2 else "public", part="c", detail=str(n)) for n in range(10_000)]
        other = [found(name=f"t{n}", schema="public" if n % 2 else "", part="c", detail=str(n)) for n in range(10_000)]
        began = time.perf_counter()
        assert split(other, entries_of(many)).new == ()
        assert time.perf_counter() - began < 5


@pytest.mark.parametrize(
    ("key", "without", "cut"),
    [
        ("KEY01:table:public.users", "KEY01:table:users", "KEY01:table:public.users"),
        ("KEY01:table:users", "", "KEY01:table:users"),
        ('KEY01:column:"a.b:c".users.x:d:e', "KEY01:column:users.x:d:e", 'KEY01:column:"a.b:c".users.x'),
        ("FUN01:function:f(app.kind)", "", "FUN01:function:f(app.kind)"),
        ("FUN01:function:app.f(integer):why.not", "FUN01:function:f(integer):why.not", "FUN01:function:app.f(integer)"),
        ("KEY01:table:users:public.x", "", "KEY01:table:users"),
    ],
)
def test_pieces_of_keys(key: str, without: str, cut: str) -> None:
    assert (without_schema(key), head(key)) == (without, cut)


names = st.sampled_from(["a", "b", 'we"ird', "Ünï", "x.y", "a:b"])
findings = st.lists(
    st.one_of(
        st.builds(found, st.sampled_from(["KEY01", "TYP01"]), names, st.sampled_from(["", "public", "app"]), st.sampled_from(["", "c"])),
        st.builds(at, names, message=st.text(max_size=5), detail=st.sampled_from(["", "d"])),
    ),
    max_size=8,
)


@given(findings, findings)
def test_nothing_is_lost_or_doubled(now: list[Finding], then: list[Finding]) -> None:
    entries = entries_of(then)
    parts = split(now, entries)
    assert sorted(map(repr, (*parts.new, *parts.known))) == sorted(map(repr, now))
    assert len(parts.known) + sum(e.count for e in parts.gone) == sum(e.count for e in entries)


@given(findings)
def test_what_was_recorded_is_known(then: list[Finding]) -> None:
    parts = split(then, loads(dumps(Known({"db": entries_of(then)}), "pgcharter 0"), "k.json").of("db"))
    assert (parts.new, parts.gone) == ((), ())


class TestFile:
    HELD = Known(
        {
            "db": (Entry("KEY01:table:public.users", "KEY01", "no key"), Entry("STM01:db/ä.sql:d", "STM01", 'say "no"\x1b', "db/ä.sql", 3)),
            "environment live": (),
        }
    )

    def test_as_it_is_written(self) -> None:
        text = dumps(self.HELD, "pgcharter 1.2")
        assert text.splitlines() == [
            "{",
            '  "format": "pgcharter-known",',
            '  "version": 1,',
            '  "written_by": "pgcharter 1.2",',
            '  "targets": {',
            '    "db": [',
            '      {"key": "KEY01:table:public.users", "code": "KEY01", "message": "no key"},',
            '      {"key": "STM01:db/ä.sql:d", "code": "STM01", "message": "say \\"no\\"\\u001b", "file": "db/ä.sql", "count": 3}',
            "    ],",
            '    "environment live": []',
            "  }",
            "}",
        ]
        assert loads(text, "k.json") == self.HELD
        assert loads(text.replace("\n", "\r\n"), "k.json") == self.HELD
        assert json.loads(dumps(Known(), "p"))["targets"] == {}

    def test_sorted_whatever_the_order(self) -> None:
        one, two = entries_of([ORDERS, USERS]), entries_of([USERS, ORDERS])
        assert dumps(Known({"a": one, "b": ()}), "p") == dumps(Known({"b": (), "a": tuple(reversed(two))}), "p")

    def test_only_the_lines_of_what_changed_differ(self) -> None:
        before, after = dumps(Known({"db": entries_of([USERS])}), "p"), dumps(Known({"db": entries_of([ORDERS, USERS])}), "p")
        assert len(set(after.splitlines()) - set(before.splitlines())) == 1

    def test_a_target_that_was_never_recorded_is_held_against_all(self) -> None:
        assert {e.key for e in self.HELD.of("db/ä.sql")} == {"KEY01:table:public.users", "STM01:db/ä.sql:d"}
        assert self.HELD.of("environment live") == ()

    def test_recording_again_replaces_what_was_looked_for(self) -> None:
        old = Known({"db": entries_of([USERS, found(code="DOC01")]), "other": entries_of([USERS])})
        new, change = updated(old, "db", Record((ORDERS,), lambda e: e.code == "KEY01"))
        assert (change.total, change.new, change.mended) == (2, 1, 1)
        assert [e.key for e in new.targets["db"]] == ["DOC01:table:public.users", "KEY01:table:public.orders"]
        assert new.targets["other"] == old.targets["other"]

    def test_the_text_alone_changes_nothing_that_a_build_wrote(self) -> None:
        old = Known({"db": entries_of([found(detail="x"), found(code="DOC01")])})
        assert updated(old, "db", Record((found(schema=""),), lambda e: False)) == (old, Change(2, 0, 0))

    def test_a_build_says_better_what_the_text_wrote(self) -> None:
        old = Known({"db": entries_of([found(schema="")])})
        assert updated(old, "db", Record((found(detail="x"),), lambda e: True))[0] == Known({"db": entries_of([found(detail="x")])})

    def test_two_in_one_file_of_which_one_is_gone_unseen(self) -> None:
        old = Known({"db": entries_of([at("a.sql"), at("a.sql", line=2)])})
        assert updated(old, "db", Record((at("a.sql"),), lambda e: False)) == (old, Change(2, 0, 0))
        assert updated(old, "db", Record((at("a.sql"),), lambda e: True))[1] == Change(1, 0, 1)

    @pytest.mark.parametrize(
        ("text", "place", "message", "hint"),
        [
            ("", "k.json:1:1", "not JSON", "--record"),
            ("{", "k.json:1:2", "not JSON", "--record"),
            ('{\n"a": 1,\n}', "k.json:3:1", "not JSON", "--record"),
            ("[" * 100_000, "k.json", "nested too deeply", "--record"),
            ("[]", "k.json", "does not say", "--record"),
            ('{"format": "pgcharter-check", "version": 1}', "k.json", "does not say", "--record"),
            ('{"format": "pgcharter-known"}', "k.json", '"version"', "--record"),
            ('{"format": "pgcharter-known", "version": true}', "k.json", '"version"', "--record"),
            ('{"format": "pgcharter-known", "version": 1}', "k.json", '"targets"', "--record"),
            ('{"format": "pgcharter-known", "version": 1, "targets": {"db": {}}}', "k.json", "of db must be a list", "--record"),
            ('{"format": "pgcharter-known", "version": 1, "targets": {"db": [{"code": "X"}]}}', "k.json", "finding 1 of db", "--record"),
            ('{"format": "pgcharter-known", "version": 1, "targets": {"db": [{"key": "X", "count": 0}]}}', "k.json", "finding 1", ""),
            (
                '{"format": "pgcharter-known", "version": 2, "written_by": "pgcharter 9.0", "targets": []}',
                "k.json", "written by pgcharter 9.0 in version 2", "pip install --upgrade pgcharter",
            ),
            ('{\n<<<<<<< ours\n  "a": 1,\n=======\n>>>>>>> theirs\n}', "k.json:2", "merge conflict", "both sides"),
        ],
    )  # fmt: skip
    def test_what_is_refused(self, text: str, place: str, message: str, hint: str) -> None:
        with pytest.raises(UsageError) as error:
            loads(text, "k.json")
        assert error.value.place == place
        assert message in error.value.message
        assert hint in error.value.hint

    def test_fields_that_came_later_are_passed_over(self) -> None:
        text = '{"format": "pgcharter-known", "version": 1, "since": "x", "targets": {"db": [{"key": "KEY01:table:a", "why": "y"}]}}'
        assert loads(text, "k").targets["db"] == (Entry("KEY01:table:a", "KEY01", ""),)
        assert known_file.VERSION == 1
