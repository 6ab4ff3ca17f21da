"""Copies that stay right: seeded, followed, isolated from each other, taken up again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from tests.conftest import every_major
from tests.stream.copying import Copies, wait

from pgcharter.errors import PgcharterError, RefusedError
from pgcharter.stream import beginning, slots, source
from pgcharter.stream.errors import SlotLostError

SCHEMA = """
CREATE TABLE a (id int PRIMARY KEY, v text, n numeric(12,2));
ALTER TABLE a ALTER v SET STORAGE EXTERNAL;
CREATE SCHEMA "É";
CREATE TABLE "É"."B b" (x int, y text, "ü" timestamptz, PRIMARY KEY (y, x));
CREATE TABLE parts (id int PRIMARY KEY, v text) PARTITION BY HASH (id);
CREATE TABLE parts_0 PARTITION OF parts FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES WITH (MODULUS 2, REMAINDER 1);
INSERT INTO a SELECT i, repeat('ä', i), i / 3.0 FROM generate_series(1, 350) i;
INSERT INTO "É"."B b" SELECT i, E'a\\t' || i % 7, '2026-01-01' FROM generate_series(1, 250) i;
INSERT INTO parts SELECT i, NULL FROM generate_series(1, 300) i;
"""
TABLES = ("public.a", '"É"."B b"', "public.parts")


@pytest.fixture
def copies(database: str, tmp_path: Path) -> Iterator[Copies]:
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute(SCHEMA.encode())
    made = Copies(database, tmp_path, TABLES, ("one", "two"))
    yield made
    made.drop()


def run(copies: Copies, *statements: str) -> None:
    with psycopg.connect(copies.dsn, autocommit=True) as conn:
        for sql in statements:
            conn.execute(sql.encode())


@every_major
def test_seeded_and_followed(copies: Copies, major: int) -> None:
    found = copies.init()
    assert found.slot
    assert found.failed == {}
    assert copies.differences("one") == copies.differences("two") == []
    assert (copies.kept()["state"], copies.kept()["rows"]) == ("running", 900)
    with copies.running():
        run(
            copies, "INSERT INTO a VALUES (1000, repeat('x', 9000), 1)", "UPDATE a SET n = 5 WHERE id = 1000",
            "UPDATE a SET id = 1001 WHERE id = 1000", 'DELETE FROM "É"."B b" WHERE x < 100', "UPDATE parts SET v = id, id = id + 1000",
            "TRUNCATE a", "INSERT INTO a VALUES (1, 'a', NULL)",
        )  # fmt: skip
        wait(lambda: copies.equal("one") and copies.equal("two"))
        with psycopg.connect(copies.dsn, autocommit=True) as conn:
            wait(lambda: (slot := slots.look(conn, copies.job.slot)) and slot.lag < 20_000)


def test_seeded_beside_the_stream(copies: Copies) -> None:
    copies.init(later=True)
    with copies.running():
        for i in range(40):
            run(copies, f"UPDATE a SET n = {i}, id = id + 1000 WHERE id % 40 = {i}", f"DELETE FROM parts WHERE id % 50 = {i}")
        wait(lambda: copies.equal("one") and copies.equal("two"))
        with psycopg.connect(copies.dsn) as conn:
            wait(lambda: conn.execute("SELECT bool_and(state = 'done') FROM pgcharter.sync_snapshots").fetchone() == (True,))


@every_major
def test_a_sink_that_is_down_holds_nothing_up(copies: Copies, major: int) -> None:
    copies.init()
    copies.down("two")
    with copies.running():
        wait(lambda: copies.kept("two")["state"] == "down")
        run(copies, "UPDATE a SET v = repeat('z', 3000)", "UPDATE parts SET v = 'q'")
        wait(lambda: copies.equal("one"))
        with psycopg.connect(copies.dsn, autocommit=True) as conn:
            row = conn.execute("SELECT pg_current_wal_lsn() - '0/0'").fetchone()
            assert row is not None
            wait(lambda: (s := slots.look(conn, copies.job.slot)) and s.confirmed >= int(row[0]))
        assert copies.kept("two")["spilling"]
        assert not copies.equal("two")
    with copies.running():
        run(copies, "DELETE FROM a WHERE id % 2 = 0")
        wait(lambda: copies.equal("one"))
        assert not copies.equal("two")
        copies.down("two", False)
        wait(lambda: copies.equal("two"))
        wait(lambda: not copies.kept("two")["spilling"])
        assert list((copies.folder / "spill" / "two").glob("*.spill")) == []


@pytest.mark.parametrize("how", ["refuses", "fails"])
def test_a_sink_that_refuses_stops_alone(copies: Copies, how: str) -> None:
    copies.init()
    mark = copies.path("two").with_suffix(f".{how}")
    mark.touch()
    with copies.running():
        wait(lambda: copies.kept("two")["state"] == "refused")
        assert copies.kept("two")["reason"]
        run(copies, "UPDATE a SET n = 9")
        wait(lambda: copies.equal("one"))
        assert not copies.equal("two")
        mark.unlink()
        run(copies, "UPDATE pgcharter.sync_sinks SET wanted = 'paused' WHERE sink = 'two'")
        wait(lambda: copies.kept("two")["state"] == "paused")
        run(copies, "UPDATE pgcharter.sync_sinks SET wanted = 'running' WHERE sink = 'two'")
        wait(lambda: copies.equal("two"))


def test_a_table_taken_out_of_the_publication_is_seeded_anew_when_it_is_back(copies: Copies) -> None:
    copies.init()
    with copies.running():
        wait(lambda: copies.said)
        run(copies, "ALTER PUBLICATION p DROP TABLE a", "UPDATE a SET n = 8", "DELETE FROM a WHERE id < 9")
        wait(lambda: any("public.a was taken out of publication p" in s for s in copies.said))
        run(copies, "ALTER PUBLICATION p ADD TABLE a")
        wait(lambda: copies.equal("one") and copies.equal("two"))


def test_paused_and_resumed(copies: Copies) -> None:
    copies.init()
    with copies.running():
        run(copies, "UPDATE pgcharter.sync_sinks SET wanted = 'paused' WHERE sink = 'two'")
        wait(lambda: copies.kept("two")["state"] == "paused")
        run(copies, "UPDATE a SET n = 77")
        wait(lambda: copies.equal("one"))
        assert not copies.equal("two")
        run(copies, "UPDATE pgcharter.sync_sinks SET wanted = 'running' WHERE sink = 'two'")
        wait(lambda: copies.equal("two"))


def test_a_full_file_gives_the_sink_up_and_reset_brings_it_back(database: str, tmp_path: Path) -> None:
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute(SCHEMA.encode())
    copies = Copies(database, tmp_path, TABLES, ("one", "two"), spill=20_000)
    try:
        copies.init()
        copies.down("two")
        with copies.running():
            wait(lambda: copies.kept("two")["state"] == "down")
            run(copies, "UPDATE a SET v = repeat('z', 3000)", "DELETE FROM parts WHERE id < 100")
            wait(lambda: copies.kept("two")["state"] == "lost")
            assert "pgcharter sync reset two" in copies.kept("two")["reason"]
            wait(lambda: copies.equal("one"))
            copies.down("two", False)
            with source.open_source(database) as conn:
                assert len(beginning.reset(conn, copies.job, copies.make("two"))) == 3
            wait(lambda: copies.equal("two"))
    finally:
        copies.drop()


def test_a_sink_without_stamps_of_its_own(database: str, tmp_path: Path) -> None:
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute(SCHEMA.encode())
    copies = Copies(database, tmp_path, TABLES, keeps=False, whole=True)
    try:
        copies.init()
        run(copies, "UPDATE a SET n = 3", "UPDATE a SET id = -id WHERE id < 9")
        copies.once()
        assert copies.differences() == []
        run(copies, "DELETE FROM a WHERE id > 100")
        copies.once()
        assert copies.differences() == []
    finally:
        copies.drop()


def test_columns_come_and_go(copies: Copies) -> None:
    copies.init()
    with copies.running():
        run(
            copies, "UPDATE a SET n = 1 WHERE id = 1", "ALTER TABLE a ADD w int DEFAULT 3", "UPDATE a SET n = 2",
            "ALTER TABLE a RENAME n TO m", "ALTER TABLE a ALTER m TYPE text", "UPDATE a SET m = 'x' || id", "ALTER TABLE a DROP w",
            "UPDATE a SET m = 'y'",
        )  # fmt: skip
        wait(lambda: copies.equal("one") and copies.equal("two"))


def test_two_workers(copies: Copies, tmp_path: Path) -> None:
    copies.init()
    with copies.running():
        wait(lambda: "slot" in "".join(copies.said))
        with pytest.raises(RefusedError, match="another worker uses the folder"):
            copies.once()
        from dataclasses import replace

        other = Copies.__new__(Copies)
        other.__dict__.update(copies.__dict__)
        other.job, other.said = replace(copies.job, folder=tmp_path / "elsewhere"), []
        with other.running():
            wait(lambda: any("this worker waits" in s for s in other.said))


def test_what_is_missing_is_said(copies: Copies) -> None:
    with pytest.raises(SlotLostError, match="there is no replication slot"):
        copies.once()
    copies.init()
    run(copies, "ALTER PUBLICATION p DROP TABLE a")
    with pytest.raises(PgcharterError, match=r"publication p was changed: public\.a is not in it"):
        copies.once()
    run(copies, "ALTER PUBLICATION p ADD TABLE a", "ALTER PUBLICATION p SET (publish = 'insert')")
    with pytest.raises(PgcharterError, match="leaves out some kinds"):
        copies.once()
    run(copies, "DROP PUBLICATION p")
    with pytest.raises(PgcharterError, match="there is no publication p"):
        copies.once()
