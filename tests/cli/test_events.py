"""`pgcharter events` as a user calls it, on a real database."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests.runtime.events_store import install

from pgcharter.runtime.events import New, append

Program = Callable[..., Any]
CHARTER = '[environments.dev]\ndsn_env = "EVENTS_DB"\n'
BOUND = "FOR VALUES FROM ('2020-05-01') TO ('2020-06-01')"


@pytest.fixture
def store(database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    (tmp_path / "pgcharter.toml").write_text(CHARTER)
    monkeypatch.setenv("EVENTS_DB", database)
    monkeypatch.chdir(tmp_path)
    install(database)
    with psycopg.connect(database, autocommit=True) as conn:
        with conn.transaction():
            conn.execute("SET LOCAL pgcharter.actor = 'ada'")
            append(conn, "order", "1", [New("placed", {"total": "é"}), New("paid", 1)])
        with conn.transaction():
            conn.execute("SET LOCAL pgcharter.tenant = 't1'")
            append(conn, "cart", "1", [New("opened", None)])
        yield conn


def test_tail_and_show(store: Any, program: Program) -> None:
    said = program("events", "tail", "--env", "dev")
    assert said.returncode == 0, said
    assert [line.split()[3:6] for line in said.stdout.splitlines()[:2]] == [["order", "1", "1"], ["order", "1", "2"]]
    assert "placed by ada  {" in said.stdout
    assert "[t1] cart 1 1  opened" in said.stdout

    def types(*more: str) -> list[str]:
        lines = program("events", "tail", "--env", "dev", "--format", "json", *more).stdout.splitlines()
        return [json.loads(line)["event_type"] for line in lines]

    assert types("--lines", "1") == types("--tenant", "t1") == types("--category", "cart") == ["opened"]
    assert types("--type", "paid", "--type", "opened") == ["paid", "opened"]
    assert types("--after", "1") == ["paid", "opened"]
    assert types("--lines", "0") == types("--tenant", "t2") == []
    one = json.loads(program("events", "tail", "--env", "dev", "--after", "1", "--type", "paid", "--format", "json").stdout)
    assert (one["format"], one["version"], one["event_data"], one["event_version"]) == ("pgcharter-event", 1, 1, 2)
    found = program("events", "show", "order", "1", "--env", "dev", "--format", "json").stdout.splitlines()
    assert [json.loads(line)["event_data"] for line in found] == [{"total": "é"}, 1]
    assert "opened" in program("events", "show", "cart", "1", "--env", "dev", "--tenant", "t1").stdout
    nothing = program("events", "show", "cart", "1", "--env", "dev")
    assert (nothing.returncode, "cart 1 has no events" in nothing.stderr) == (2, True)
    assert program("events", "show", "order", "1", "--env", "dev", "--as-of", "2001-01-01").returncode == 2


def test_follow_goes_on_with_those_that_come(store: Any, program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    from pgcharter.cli import events

    looks: list[float] = []

    def pause(seconds: float) -> None:
        looks.append(seconds)
        if len(looks) == 3:
            raise KeyboardInterrupt
        with store.transaction():
            append(store, "order", "2", [New(f"later-{len(looks)}", 1)])

    monkeypatch.setattr(events.time, "sleep", pause)
    said = program("events", "tail", "--follow", "--lines", "1", "--env", "dev", "--format", "json")
    assert [json.loads(line)["event_type"] for line in said.stdout.splitlines()] == ["opened", "later-1", "later-2"]


def test_replay(store: Any, program: Program) -> None:
    store.execute("INSERT INTO pgcharter.feeds (consumer, slot, slots, log, position) VALUES ('search', 0, 1, 'events', 3)")
    refused = program("events", "replay", "search", "--from", "first", "--env", "dev")
    assert refused.returncode == 4
    assert "would do again what it has done" in refused.stderr
    done = program("events", "replay", "search", "--from", "1", "--yes", "--env", "dev", "--format", "json")
    assert json.loads(done.stdout) == {"format": "pgcharter-events-replay", "version": 1, "consumer": "search", "position": 1}
    assert store.execute("SELECT position FROM pgcharter.feeds").fetchone() == (1,)
    assert "after position 3" in program("events", "replay", "search", "--from", "now", "--yes", "--env", "dev").stdout
    assert program("events", "replay", "search", "--from", "2001-01-01", "--yes", "--env", "dev").returncode == 0
    for wrong in ("yesterday", ""):
        assert program("events", "replay", "search", "--from", wrong, "--yes", "--env", "dev").returncode == 2
    assert program("events", "replay", "nobody", "--from", "now", "--yes", "--env", "dev").returncode == 2


def test_status_and_archive(store: Any, program: Program) -> None:
    store.execute("ANALYZE")
    found = json.loads(program("events", "status", "--env", "dev", "--format", "json").stdout)
    assert (found["format"], found["position"], found["settled"], found["unplaced"], found["aggregates"]) == (
        "pgcharter-events-status",
        3,
        3,
        0,
        2,
    )
    store.execute(f"CREATE TABLE pgcharter.events_2020_05 PARTITION OF pgcharter.events {BOUND}".encode())
    done = json.loads(program("events", "archive", "2020-05", "--env", "dev", "--format", "json").stdout)
    assert (done["format"], done["rows"], done["table"]) == ("pgcharter-events-archive", 0, "pgcharter.events_archive_2020_05")
    assert "events_archive_2020_05: " in program("events", "status", "--env", "dev").stdout
    for month, code in (("2020-05", 2), ("2020-13", 2), ("x", 2)):
        assert program("events", "archive", month, "--env", "dev").returncode == code
    store.execute("INSERT INTO pgcharter.feeds (consumer, slot, slots, log, position, error) VALUES ('bad', 0, 1, 'events', 1, 'why')")
    stuck = program("events", "status", "--env", "dev")
    assert (stuck.returncode, "bad 1 of 1: running, at 1, 2 events" in stuck.stdout) == (1, True)


def test_a_month_that_somebody_has_not_read_stays(store: Any, program: Program) -> None:
    (month,) = store.execute("SELECT to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM')").fetchone()
    assert "is not over" in program("events", "archive", month, "--env", "dev").stderr
    store.execute(f"CREATE TABLE pgcharter.events_2020_05 PARTITION OF pgcharter.events {BOUND}".encode())
    row = "2, '2020-05-01', '', 'a', '1', 1, gen_random_uuid(), 'x', 1, '1', NULL, NULL, NULL, NULL, now()"
    store.execute(f"INSERT INTO pgcharter.events SELECT {row}".encode())
    store.execute("INSERT INTO pgcharter.feeds (consumer, slot, slots, log, position) VALUES ('slow', 0, 1, 'events', 1)")
    refused = program("events", "archive", "2020-05", "--env", "dev")
    assert (refused.returncode, "has not been read by slow (at 1)" in refused.stderr) == (4, True)
    assert program("events", "archive", "2020-05", "--env", "dev", "--force").returncode == 0


def test_a_consumer_that_is_gone_is_forgotten(store: Any, program: Program) -> None:
    store.execute("INSERT INTO pgcharter.feeds (consumer, slot, slots, log, position) VALUES ('old', 0, 1, 'events', 2)")
    done = program("events", "forget", "old", "--env", "dev")
    assert (done.returncode, "--yes says that this is meant" in done.stderr) == (4, True)
    said = program("events", "forget", "old", "--env", "dev", "--yes", "--format", "json")
    assert json.loads(said.stdout) == {
        "format": "pgcharter-events-forget", "version": 1, "consumer": "old", "position": 2, "parked": 0, "seen": 0,
    }  # fmt: skip
    assert program("events", "forget", "old", "--env", "dev", "--yes").returncode == 2
    store.execute("INSERT INTO pgcharter.feeds (consumer, slot, slots, log, position) VALUES ('projection sums', 0, 1, 'events', 2)")
    store.execute("INSERT INTO pgcharter.projections (name, version, mode, live_at) VALUES ('sums', 1, 'async', now())")
    assert program("events", "forget", "projection sums", "--env", "dev", "--yes").returncode == 0
    assert store.execute("SELECT FROM pgcharter.projections").fetchall() == []


def test_production_is_named(store: Any, program: Program, tmp_path: Path) -> None:
    (tmp_path / "pgcharter.toml").write_text(CHARTER + "production = true\n")
    for words in (("replay", "search", "--from", "first", "--yes"), ("archive", "2020-05")):
        refused = program("events", *words, "--env", "dev")
        assert (refused.returncode, "is production" in refused.stderr) == (4, True)


def test_a_read_model_is_not_replayed_on_top_of_itself(store: Any, program: Program) -> None:
    store.execute("INSERT INTO pgcharter.feeds (consumer, slot, slots, log, position) VALUES ('projection sums', 0, 1, 'events', 3)")
    refused = program("events", "replay", "projection sums", "--from", "first", "--yes", "--env", "dev")
    assert (refused.returncode, "pgcharter projections rebuild sums" in refused.stderr) == (4, True)
    assert store.execute("SELECT position FROM pgcharter.feeds").fetchone() == (3,)
