"""Two databases whose applications write to the same rows end with the same, and changes do not go round."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import installation
from tests.stream.copying import wait
from tests.stream.twoway_ground import SETTINGS, Ground, law

from pgcharter.errors import RefusedError
from pgcharter.servers import lifecycle
from pgcharter.servers.lifecycle import Server
from pgcharter.stream import twoway
from pgcharter.stream.twoway import Version
from pgcharter.stream.twoway_begin import begin
from pgcharter.stream.twoway_run import workers

Make = Callable[..., Ground]


@pytest.fixture(scope="module")
def servers() -> Iterator[Callable[[int], Server]]:
    with ExitStack() as stack:
        made: dict[int, Server] = {}

        def get(major: int) -> Server:
            if major not in made:
                made[major] = stack.enter_context(lifecycle.start_ephemeral(installation(major), settings=SETTINGS))
            return made[major]

        yield get


@pytest.fixture
def ground(servers: Callable[[int], Server], tmp_path: Path) -> Iterator[Make]:
    with ExitStack() as stack:

        def make(rule: str = "latest", *, major: int = 18, begin: bool = True, **options: Any) -> Ground:
            made = Ground(servers(major), tmp_path, rule, **options)
            stack.callback(made.close)
            if begin:
                made.begin()
            return made

        yield make


@pytest.mark.parametrize(("rule", "full", "major"), [("here", True, 18), ("latest", False, 15)])
def test_both_sides_end_with_the_same(ground: Make, rule: str, full: bool, major: int) -> None:
    """Whatever is written at both, deletes and changed keys and unique columns too, and though workers are killed."""
    law(ground, rule, "twoway decided:5", "twoway followed:5", full=full, major=major)


def test_nothing_goes_round(ground: Make) -> None:
    two = ground()
    with two.running():
        two.do(two.there, "INSERT INTO notes (id) SELECT generate_series(1, 50)")
        two.do(two.here, "INSERT INTO notes (id) SELECT generate_series(101, 150)")
        assert two.equal()
        wait(lambda: two.ask(two.there, "SELECT rows > 0 FROM pgcharter.sync_sinks") == [(True,)])
        time.sleep(1.2)
    assert two.ask(two.there, "SELECT rows FROM pgcharter.sync_sinks") == [(51,)], "what came from the other side went back"


def test_what_was_made_of_what_is_there_is_no_conflict(ground: Make) -> None:
    two = ground("here")
    two.do(two.here, "INSERT INTO notes (id, body) VALUES (1, 'here'), (2, 'here')")
    two.once()
    two.do(two.there, "UPDATE notes SET body = 'there' WHERE id = 1", "DELETE FROM notes WHERE id = 2")
    two.once()
    assert two.rows(two.here, "id, body") == two.rows(two.there, "id, body") == [(1, "there")]
    assert two.ask(two.here, "SELECT * FROM pgcharter_copies.conflicts") == []


@pytest.mark.parametrize(
    ("rule", "here", "done"),
    [("here", "here", "kept"), ("there", "there", "taken"), ("latest", "there", "taken"), ("merge", "there", "taken")],
)
def test_the_rule_decides_and_who_lost_what_is_written_down(ground: Make, rule: str, here: str, done: str) -> None:
    two = ground(rule)
    two.do(two.here, "INSERT INTO notes (id, body, n) VALUES (1, 'both', 1)")
    two.once()
    two.do(two.here, "UPDATE notes SET body = 'here'")
    time.sleep(0.01)
    two.do(two.there, "UPDATE notes SET body = 'there'")
    two.once()
    assert two.rows(two.here, "body") == two.rows(two.there, "body") == [(here,)]
    lost = "there" if here == "here" else "here"
    assert two.ask(two.here, "SELECT origin, key, done, fields, lost ->> 'body' FROM pgcharter_copies.conflicts") == [
        (two.two.back.slot, ["1"], done, ["body"], lost)
    ]


def test_a_row_that_waits_for_a_decision_is_not_set_back(ground: Make) -> None:
    two = ground("there")
    two.do(two.here, "INSERT INTO notes (id, body) VALUES (1, 'both')")
    two.once()
    two.do(two.there, "UPDATE notes SET body = 'there'")
    two.do(two.here, "UPDATE notes SET body = 'here'")
    two.out()
    assert two.rows(two.there, "body") == [("there",)]
    two.back()
    two.do(two.there, "UPDATE notes SET body = 'there again'")
    two.out()
    assert two.rows(two.there, "body") == [("there again",)]
    two.once()
    assert two.rows(two.here, "body") == two.rows(two.there, "body") == [("there again",)]


@pytest.mark.parametrize("rule", ["here", "latest"])
def test_deleted_here_and_changed_there(ground: Make, rule: str) -> None:
    two = ground(rule)
    two.do(two.here, "INSERT INTO notes (id, body) VALUES (1, 'both')")
    two.once()
    two.do(two.here, "DELETE FROM notes")
    two.do(two.there, "UPDATE notes SET body = 'there'")
    two.once()
    assert two.rows(two.here, "body") == two.rows(two.there, "body") == ([] if rule == "here" else [("there",)])


def test_a_row_that_cannot_be_there_is_refused_alone(ground: Make) -> None:
    two = ground()
    two.do(two.here, "INSERT INTO notes (id, body, tag) VALUES (1, 'here', 7)")
    two.do(two.there, "INSERT INTO notes (id, body, tag) VALUES (2, 'there', 7)", "INSERT INTO notes (id, body) VALUES (3, 'other')")
    two.once()
    assert two.rows(two.here, "id, body") == two.rows(two.there, "id, body") == [(1, "here"), (3, "other")]
    ((done, why, lost),) = two.ask(two.here, "SELECT done, why, lost ->> 'body' FROM pgcharter_copies.conflicts")
    assert (done, lost) == ("refused", "there")
    assert "notes_tag_key" in why
    assert two.ask(two.there, "SELECT * FROM pgcharter_copies.parked") == []


def test_a_truncate_leaves_what_waits(ground: Make) -> None:
    two = ground()
    two.do(two.here, "INSERT INTO notes (id) VALUES (1)")
    two.once()
    two.do(two.here, "TRUNCATE notes")
    two.do(two.there, "INSERT INTO notes (id) VALUES (2)")
    two.once()
    assert two.rows(two.here, "id") == two.rows(two.there, "id") == [(2,)]


def test_columns_of_all_kinds_in_partitions_with_names_that_must_be_quoted(ground: Make) -> None:
    table = """
    CREATE TABLE notes (id int, "Größe 1" int, big text, doc json, tags text[], raw bytea, at timestamptz,
        twice int GENERATED ALWAYS AS (id * 2) STORED, PRIMARY KEY ("Größe 1", id)) PARTITION BY LIST ("Größe 1");
    CREATE TABLE one PARTITION OF notes FOR VALUES IN (1); CREATE TABLE two PARTITION OF notes FOR VALUES IN (2);
    ALTER TABLE one ALTER big SET STORAGE EXTERNAL;
    """
    two = ground("latest", full=False, table=table)
    row = "INSERT INTO notes VALUES (1, 1, repeat('x', 3000), '{\"a\": [1]}', '{a,NULL,\"b c\"}', '\\x00ff', '2024-01-01 00:00:00.5+00')"
    two.do(two.here, row)
    two.once()
    assert two.rows(two.here, "notes::text") == two.rows(two.there, "notes::text")
    two.do(two.there, """UPDATE notes SET tags = '{}'""")
    two.do(two.here, """UPDATE notes SET at = now()""")
    two.once()
    assert two.rows(two.here, "notes::text") == two.rows(two.there, "notes::text")
    two.do(two.there, """UPDATE notes SET "Größe 1" = 2, at = '-infinity'""")
    two.once()
    assert two.rows(two.here, "notes::text") == two.rows(two.there, "notes::text")
    assert two.rows(two.here, '"Größe 1", length(big), at::text') == [(2, 3000, "-infinity")]


def test_a_follower_with_rows_is_refused_unless_they_are_the_same(ground: Make) -> None:
    two = ground(begin=False)
    for dsn in (two.here, two.there):
        two.do(dsn, "INSERT INTO notes (id, updated_at) VALUES (1, '2024-01-01')")
    with pytest.raises(RefusedError, match="has rows already"):
        two.begin()
    two.begin(same=True)
    two.do(two.there, "UPDATE notes SET body = 'x'")
    two.once()
    assert two.rows(two.here) == two.rows(two.there)


def test_a_beginning_that_was_interrupted_begins_again(ground: Make) -> None:
    two = ground(begin=False)
    two.do(two.here, "INSERT INTO notes (id, body) SELECT i, 'here' FROM generate_series(1, 50) i")
    two.begin()
    two.do(two.there, "INSERT INTO notes (id) VALUES (100)", "UPDATE notes SET body = 'there' WHERE id = 1")
    two.do(two.here, "DELETE FROM notes WHERE id = 2")
    two.do(two.here, "UPDATE pgcharter.sync_snapshots SET state = 'copying'")
    with pytest.raises(RefusedError, match="was interrupted"):
        workers(two.two, print)
    two.begin()
    two.once()
    assert two.rows(two.here) == two.rows(two.there)
    assert two.rows(two.here, "id, body")[:2] == [(1, "there"), (3, "here")]
    assert two.rows(two.here, "id")[-1] == (100,)


def test_several_follow_one(ground: Make, tmp_path: Path) -> None:
    one, other = ground(), ground(begin=False)
    second = Ground.__new__(Ground)
    second.__dict__.update(other.__dict__, here=one.here, said=[])
    second.two = replace(other.two, here=one.here)
    begin(second.two)
    other.two = second.two
    one.do(one.there, "INSERT INTO notes (id, body) VALUES (1, 'one')")
    second.do(second.there, "INSERT INTO notes (id, body) VALUES (2, 'other')")
    for ground_ in (one, second, one):
        ground_.once()
    assert one.rows(one.there, "id, body") == second.rows(second.there, "id, body") == [(1, "one"), (2, "other")]


def test_rules() -> None:
    one, other, none = (Version({"at": at}, 5, {"at": "integer"}) for at in ("2", "10", None))
    gone, rule = Version(None, 7), twoway.newest("at")
    assert rule(one, other) == rule(other, one) == other.values
    assert rule(one, none) == rule(none, one) == one.values
    assert rule(one, gone) == rule(gone, one) == one.values
    assert twoway.latest(one, other) == one.values, "what is equal stays"
    assert twoway.latest(one, gone) is None
