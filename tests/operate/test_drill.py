"""Drills: what a restored copy holds, and what is wrong with it, is found by its data."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import replace

import psycopg
import pytest
from tests.operate.backups import Ground, ground

from pgcharter.operate import backup_mark, drill, drill_server
from pgcharter.operate.backup_settings import InvariantTable
from pgcharter.operate.drill import Drill
from pgcharter.operate.drill_checks import Invariant


@pytest.fixture(scope="module")
def place() -> Iterator[Ground]:
    with ground() as made:
        made.run(
            "CREATE TABLE accounts (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, balance int NOT NULL, note text)",
            "INSERT INTO accounts (balance, note) SELECT 100, repeat(md5(i::text), 100) FROM generate_series(1, 2000) i",
            'CREATE TABLE "Odd ""Name" (t text)',
            "INSERT INTO \"Odd \"\"Name\" VALUES ('ä'), (NULL)",
            "CREATE UNLOGGED TABLE quick (n int)",
            "CREATE MATERIALIZED VIEW summed AS SELECT sum(balance) FROM accounts",
            "ALTER DATABASE postgres SET session_preload_libraries = 'auto_explain'",
            "ALTER DATABASE postgres SET default_transaction_read_only = off",
        )  # fmt: skip
        made.engine.take("full")
        backup_mark.take(made.engine)
        for _ in range(5):
            made.run("UPDATE accounts SET balance = balance - 1 WHERE id <= 10")
        made.switch()
        yield made


def found(made: Drill) -> dict[str, bool | None]:
    return {c.name: c.holds for c in made.checks}


def test_a_drill_proves_a_backup_by_its_data(place: Ground) -> None:
    promised = replace(place.section, invariant=(InvariantTable("positive", "SELECT id FROM accounts WHERE balance < 0"),), rto="1min")
    engine = replace(place.engine, section=promised)
    made = drill.drill(engine, seed=7, invariants=[Invariant("rule", "SELECT 1 FROM accounts HAVING count(*) <> 2000", "")])
    assert made.holds(), made.checks
    assert found(made) == {
        "restore": True, "rows of postgres": True, "second": True, "amcheck": True, "invariant positive": True, "invariant rule": True,
        "checksums": None, "rto": True, "rpo": True,
    }  # fmt: skip
    assert made.mark
    assert made.target is not None
    kept = engine.repository().evidence("backup.drill")[-1]
    assert kept.holds
    assert kept.facts["seed"] == 7
    assert kept.until is not None
    assert json.dumps(dict(kept.facts))
    assert {e.name for e in engine.repository().evidence()} == {"backup.drill", "backup.rto", "backup.rpo"}
    again = drill.aimed(_ground(engine), 7, None, made.at)
    assert again.until.time == made.target
    assert again.backup.id == made.backup
    assert not list(place.root.glob("wal/00000002*"))  # the copy archived nothing


def _ground(engine):  # type: ignore[no-untyped-def]
    return drill._Ground(engine, engine.repository(), None, None, None)  # type: ignore[arg-type]


def test_what_does_not_hold_is_a_check_not_an_error(place: Ground) -> None:
    wrong = (InvariantTable("poor", "SELECT id FROM accounts WHERE balance = 100"), InvariantTable("broken", "SELECT nothing FROM nowhere"))
    engine = replace(place.engine, section=replace(place.section, invariant=wrong, rto="1ms"))
    made = drill.drill(engine, seed=7)
    assert not made.holds()
    held = found(made)
    assert (held["invariant poor"], held["invariant broken"], held["rto"]) == (False, False, False)
    assert not engine.repository().evidence("backup.drill")[-1].holds


def test_rows_and_schema_are_compared_with_the_mark(place: Ground) -> None:
    repository = place.engine.repository()
    known = list(backup_mark.known(repository))[-1]
    mark = known.read(repository)
    one = mark.databases["postgres"]
    assert set(one.tables) == {'"public"."accounts"', '"public"."Odd ""Name"', '"public"."summed"'} or set(one.tables) == {
        "public.accounts", 'public."Odd ""Name"', "public.summed",
    }  # fmt: skip
    name = next(n for n in one.tables if "accounts" in n)
    tables = {**one.tables, name: replace(one.tables[name], checksum="1"), "public.lost": replace(one.tables[name])}
    sequences = dict.fromkeys(one.sequences, 10**6)
    kept = known.path.read_bytes()
    try:
        known.path.unlink()
        changed = replace(one, tables=tables, sequences=sequences, catalog=one.catalog.replace('"balance"', '"amount"'))
        backup_mark.keep(repository, replace(mark, databases={"postgres": changed}))
        made = drill.drill(place.engine, seed=7)
    finally:
        known.path.unlink()
        known.path.write_bytes(kept)
    check = next(c for c in made.checks if c.name == "rows of postgres")
    assert check.holds is False
    said = "\n".join(check.problems)
    assert "other ones than the 2000 marked" in said
    assert "table public.lost has no readable rows in the copy" in said
    assert "it would give numbers twice" in said
    assert "amount" in said


def test_a_damaged_index_of_the_source_is_found() -> None:
    with ground(15) as broken:
        broken.run("CREATE TABLE t (id int PRIMARY KEY, v int)", "INSERT INTO t SELECT i, i FROM generate_series(1, 1000) i", "CHECKPOINT")
        path = broken.server.data / str(broken.run("SELECT pg_relation_filepath('t_pkey')")[0][0])
        page = bytearray(path.read_bytes())
        page[8192 + 8000 : 8192 + 8100] = b"\xff" * 100
        path.write_bytes(bytes(page))
        broken.engine.take("full")
        backup_mark.take(broken.engine)
        broken.switch()
        made = drill.drill(broken.engine, until=drill.Until())
        assert found(made)["amcheck"] is False, made.checks
        assert found(made)["rows of postgres"], made.checks  # the rows themselves are there
        assert broken.engine.verify(broken.engine.backups()[0]) == ()


def test_a_mark_under_load_is_exact_or_says_that_it_is_not(place: Ground) -> None:
    stop = threading.Event()

    def write() -> None:
        with psycopg.connect(place.server.dsn(), autocommit=True) as conn:
            while not stop.is_set():
                conn.execute("INSERT INTO accounts (balance) VALUES (1)")

    threads = [threading.Thread(target=write) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(2):
            backup_mark.take(place.engine, quiet=0.2)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    place.switch()
    repository = place.engine.repository()
    for known in list(backup_mark.known(repository))[-2:]:
        mark = known.read(repository)
        made = drill.drill(place.engine, until=drill.Until(lsn=mark.lsn, inclusive=False))
        assert found(made)["rows of postgres"] is not False, made.checks


def test_with_wal_level_logical_a_mark_under_load_is_exact() -> None:
    with ground(16, settings={"wal_level": "logical"}) as busy:
        busy.run("CREATE TABLE t (n int)")
        busy.engine.take("full")
        stop = threading.Event()

        def write() -> None:
            with psycopg.connect(busy.server.dsn(), autocommit=True) as conn:
                while not stop.wait(0.001):
                    conn.execute("INSERT INTO t VALUES (1)")

        threads = [threading.Thread(target=write) for _ in range(3)]
        for thread in threads:
            thread.start()
        try:
            mark = backup_mark.take(busy.engine, quiet=20)
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        busy.switch()
        made = drill.drill(busy.engine, until=drill.Until(lsn=mark.lsn, inclusive=False))
        assert found(made)["rows of postgres"], made.checks
        assert not busy.run("SELECT 1 FROM pg_replication_slots")


def test_the_copy_is_cut_off(place: Ground) -> None:
    for major in (15, 16, 17, 18):
        settings = drill_server.cut_off(major)
        assert settings["archive_mode"] == "off"
        assert settings["listen_addresses"] == settings["primary_conninfo"] == settings["shared_preload_libraries"] == ""
        assert settings["max_logical_replication_workers"] == "0"
