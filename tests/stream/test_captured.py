"""Copies by triggers: what a slot gives, triggers give, and copies end alike."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests.conftest import ServerFactory, every_major
from tests.runtime.poolers import through
from tests.stream.copying import Copies, wait

from pgcharter.errors import PgcharterError, UnavailableError
from pgcharter.stream import beginning, source, standing
from pgcharter.stream.captured_rows import fields
from pgcharter.stream.errors import SlotLostError
from pgcharter.stream.reconcile_moment import caught_up, moment, streamed

SCHEMA = """
CREATE TABLE a (id int PRIMARY KEY, v text, n numeric(12,2), f float8, at timestamptz, i interval, b bytea, r regclass);
CREATE SCHEMA "É";
CREATE TABLE "É"."B b" (x int, y text, "ü" timestamptz, PRIMARY KEY (y, x));
CREATE TABLE parts (id int PRIMARY KEY, v text) PARTITION BY HASH (id);
CREATE TABLE parts0 PARTITION OF parts FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE parts1 (v text, gone int, id int NOT NULL);
ALTER TABLE parts1 DROP gone;
ALTER TABLE parts ATTACH PARTITION parts1 FOR VALUES WITH (MODULUS 2, REMAINDER 1);
CREATE TABLE whole (k int, v text); ALTER TABLE whole REPLICA IDENTITY FULL;
CREATE TABLE made (id int PRIMARY KEY, n int, twice int GENERATED ALWAYS AS (n * 2) STORED);
INSERT INTO a SELECT i, repeat('v', i * 10), i / 7.0, i / 7.0, now() + i * interval '1 h', i * interval '1 min', '\\x00ff', 'a'
  FROM generate_series(1, 150) i;
INSERT INTO "É"."B b" SELECT i, CASE i % 3 WHEN 0 THEN 'ä"\\b' WHEN 1 THEN 'c,d (e)' ELSE '' END, now() FROM generate_series(1, 150) i;
INSERT INTO parts SELECT i, 'p' FROM generate_series(1, 250) i;
INSERT INTO made (id, n) SELECT i, i FROM generate_series(1, 20) i;
"""
TABLES = ("public.a", '"É"."B b"', "public.parts", "public.made")


def run(dsn: str, *statements: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as conn:
        for sql in statements:
            conn.execute(sql.encode())


@pytest.fixture
def copies(database: str, tmp_path: Path) -> Iterator[Copies]:
    run(database, SCHEMA)
    made = Copies(database, tmp_path, TABLES, ("one", "two"), capture="triggers")
    yield made
    made.drop()


def test_rows_are_read_as_they_are_written(conn: psycopg.Connection[Any]) -> None:
    values = ["", None, "a", 'q"u', "b\\s", "c,d", "(x)", " s ", "n\nl", "NULL", '""', "ü", "\\", ","]
    row = conn.execute("SELECT ROW(" + ", ".join(["%s::text"] * len(values)) + ")::text", values).fetchone()
    assert row is not None
    assert fields(row[0], len(values)) == values
    assert fields("(1,,x)", 3) == ["1", None, "x"]
    assert fields('("a b",)', 2) == ["a b", None]
    assert fields('("")', 1) == [""]


@every_major
def test_seeded_and_followed(copies: Copies, major: int) -> None:
    copies.init()
    assert copies.equal("one")
    with copies.running():
        run(
            copies.dsn, "UPDATE a SET n = n + 1, f = -f", "UPDATE a SET id = -id WHERE id < 50", "DELETE FROM a WHERE id > 100",
            "UPDATE parts SET id = id + 1000", "TRUNCATE made", "INSERT INTO made VALUES (1, 4)", "UPDATE a SET v = NULL WHERE id < -40",
            "INSERT INTO a SELECT i, repeat('x', 9000), NULL FROM generate_series(1000, 1050) i", "UPDATE a SET n = 1 WHERE id > 1000",
            """UPDATE "É"."B b" SET y = y || '"', "ü" = NULL WHERE x < 70""",
            "SET datestyle = 'German'; SET extra_float_digits = 0; SET timezone = 'Asia/Tokyo'; SET bytea_output = 'escape';"
            " SET intervalstyle = 'iso_8601'; UPDATE a SET f = f / 3, at = at + interval '1 ms', i = i * 2, b = b || '\\x01', r = 'parts'",
        )  # fmt: skip
        wait(lambda: copies.equal("one") and copies.equal("two"))
    copies.once()
    assert copies.differences("two") == []


def test_columns_come_and_go(copies: Copies) -> None:
    copies.init()
    run(
        copies.dsn, "UPDATE a SET n = 1 WHERE id = 1", "ALTER TABLE a ADD w int DEFAULT 3", "UPDATE a SET n = 2",
        "BEGIN; UPDATE a SET f = 1; ALTER TABLE a RENAME f TO g; UPDATE a SET g = 2; ALTER TABLE a DROP i; DELETE FROM a WHERE id = 7;"
        " COMMIT",
        "ALTER TABLE a RENAME n TO m", "ALTER TABLE a ALTER m TYPE text", "UPDATE a SET m = 'x' || id", "ALTER TABLE a DROP w",
        "UPDATE a SET m = m || 'y'", "ALTER TABLE parts ADD w int DEFAULT 7", "UPDATE parts SET v = 'w'",
    )  # fmt: skip
    with psycopg.connect(copies.dsn) as one:
        one.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        one.execute("SELECT 1")
        run(copies.dsn, 'ALTER TABLE "É"."B b" RENAME x TO z', 'ALTER TABLE "É"."B b" ADD w text')
        one.execute("""INSERT INTO "É"."B b" (z, y, w) VALUES (9000, 'new', 'w')""")
    run(copies.dsn, """UPDATE "É"."B b" SET "ü" = now() WHERE z < 9000""")
    copies.once()
    assert [copies.differences(n) for n in ("one", "two")] == [[], []]


def test_nothing_that_is_committed_late_is_lost(copies: Copies) -> None:
    """Positions are drawn early and committed late; a snapshot is taken in between."""
    with psycopg.connect(copies.dsn) as early:
        early.execute("UPDATE a SET n = 5 WHERE id = 3")  # before there was anybody to write it down for
        begun = threading.Thread(target=copies.init)
        begun.start()
        begun.join(0.5)
        assert begun.is_alive()
        early.commit()
        begun.join(20)
    with psycopg.connect(copies.dsn) as late, copies.running():
        late.execute("UPDATE a SET n = 7 WHERE id = 5")
        run(copies.dsn, "UPDATE a SET n = 8 WHERE id = 6", "DELETE FROM parts WHERE id = 3")
        run(copies.dsn, "UPDATE pgcharter.sync_sinks SET wanted = 'reset' WHERE sink = 'two'")
        late.execute("UPDATE a SET n = 9 WHERE id = 7")
        late.commit()
        wait(lambda: copies.equal("one") and copies.equal("two"))


def test_parts_of_the_log_are_emptied(copies: Copies) -> None:
    copies.job = replace(copies.job, keep=800_000)
    copies.init()
    with copies.running():
        for i in range(30):
            run(copies.dsn, f"UPDATE parts SET v = repeat('{i % 10}', 100)")
            wait(lambda: copies.equal("one"))
        wait(lambda: copies.equal("two"))
        with psycopg.connect(copies.dsn, autocommit=True) as conn:
            wait(
                lambda: (
                    int(
                        (
                            conn.execute(
                                "SELECT sum(pg_relation_size(inhrelid)) FROM pg_inherits WHERE inhparent = 'pgcharter.sync_log'::regclass"
                            ).fetchone()
                            or (0,)
                        )[0]
                    )
                    < 500_000
                )
            )


def test_a_log_that_nobody_fetches_ends(database: str, tmp_path: Path) -> None:
    run(database, SCHEMA)
    copies = Copies(database, tmp_path, TABLES, ("one",), capture="triggers", keep=1 << 20)
    copies.init()
    run(database, *["UPDATE parts SET v = repeat('x', 300)"] * 20)
    with source.open_source(database) as conn:
        found = standing.look(conn, copies.job, 1 << 20)
        assert any("more than [sync] keep allows" in p and "--anew" in p for p in found.problems)
    with pytest.raises(SlotLostError, match="not written down any more"):
        copies.once()
    copies.init(anew=True)
    run(database, "UPDATE parts SET v = 'again'")
    copies.once()
    assert copies.differences() == []


def test_what_is_missing_is_said(copies: Copies) -> None:
    with pytest.raises(SlotLostError, match="no changes are captured"):
        copies.once()
    copies.init()
    run(copies.dsn, 'ALTER TABLE a DISABLE TRIGGER "0_pgcharter_sync"')
    with pytest.raises(PgcharterError, match=r"triggers of public\.a were dropped or switched off"):
        copies.once()


def test_moments_for_comparisons(copies: Copies) -> None:
    """A position before which all is in the snapshot, and one that the copy reaches though an open transaction came behind it."""
    copies.init()
    with psycopg.connect(copies.dsn) as late, copies.running(), source.open_source(copies.dsn) as conn:
        late.execute("UPDATE a SET n = 77 WHERE id = 1")
        late.commit()
        wait(lambda: copies.equal("one"))
        run(copies.dsn, "UPDATE a SET n = 78 WHERE id = 2")
        with moment(conn, 5) as at:
            assert at.stamp.lsn == at.upto
        late.execute("UPDATE a SET n = 79 WHERE id = 3")
        caught_up(conn, at.upto, streamed(conn, copies.job.slot, "one"), 10)
        with moment(conn, 5) as at:
            assert at.stamp.lsn < at.upto
        late.commit()
        caught_up(conn, at.upto, streamed(conn, copies.job.slot, "one"), 10)
        assert copies.equal("one")


def test_standing(copies: Copies) -> None:
    copies.init()
    run(copies.dsn, "UPDATE a SET n = 1")
    with source.open_source(copies.dsn) as conn:
        found = standing.look(conn, copies.job, 1 << 30)
        assert [s.behind_rows for s in found.sinks] == [150, 150]
        assert found.sinks[0].behind_bytes > 10_000
        assert any("no worker reads the changes" in p for p in found.problems)
        with copies.running():
            wait(lambda: standing.look(conn, copies.job, 1 << 30).problems == ())
            wait(lambda: standing.look(conn, copies.job, 1 << 30).sinks[1].behind_rows == 0)


class Dice:
    """The same changes for any source, one after the other and at once."""

    def __init__(self, dsn: str, seed: int, which: int) -> None:
        self.dsn, self.dice, self.which = dsn, random.Random(seed * 10 + which), which

    def run(self) -> None:
        dice = self.dice
        with psycopg.connect(self.dsn) as conn:
            for _ in range(25):
                for _ in range(dice.randint(1, 5)):
                    rolled = dice.random() < 0.25
                    conn.execute("SAVEPOINT s")
                    try:
                        conn.execute(self.statement().encode())
                    except psycopg.Error:
                        rolled = True
                    conn.execute("ROLLBACK TO s" if rolled else "RELEASE s")
                conn.rollback() if dice.random() < 0.15 else conn.commit()

    def statement(self) -> str:
        dice, i = self.dice, self.dice.randint(1, 60) * 3 + self.which  # of its own rows, so that the outcome does not hang on time
        j = dice.randint(1, 60) * 3 + self.which
        big = f"repeat('{dice.choice('xyz')}', {dice.choice((3, 3000, 9000))})"
        return dice.choice(
            (
                f"UPDATE a SET n = n + 1, v = {dice.choice((big, 'NULL', 'v'))} WHERE id = {i}", f"UPDATE a SET id = {j} WHERE id = {i}",
                f"DELETE FROM a WHERE id = {i}", f"INSERT INTO a (id, v) VALUES ({i}, {big}) ON CONFLICT (id) DO UPDATE SET n = a.id",
                f"UPDATE parts SET id = {j}, v = NULL WHERE id = {i}", f"INSERT INTO parts VALUES ({i}, {big})",
                f"DELETE FROM parts WHERE id = {i}", f"UPDATE made SET n = {i} WHERE id = {j}",
                f"""UPDATE "É"."B b" SET x = {j}, y = {big} WHERE x = {i}""",
                f"DELETE FROM parts0 WHERE id = {i}", f"MERGE INTO made USING (SELECT {i}) s (i) ON id = i WHEN MATCHED THEN DELETE"
                " WHEN NOT MATCHED THEN INSERT (id, n) VALUES (i, 1)",
            )
        )  # fmt: skip


@pytest.mark.parametrize("seed", [1, 2])
def test_both_captures_end_alike(database: str, tmp_path: Path, seed: int) -> None:
    run(database, SCHEMA)
    both = [Copies(database, tmp_path / c, TABLES, (c,), capture=c) for c in ("triggers", "stream")]
    try:
        for copies in both:
            copies.init()
        with both[0].running(), both[1].running():
            writers = [threading.Thread(target=Dice(database, seed, which).run) for which in range(3)]
            for writer in writers:
                writer.start()
            for writer in writers:
                writer.join(60)
            run(database, "TRUNCATE made", "INSERT INTO made VALUES (1, 1)")
            wait(lambda: both[0].equal("triggers") and both[1].equal("stream"), 60)
        assert [c.differences(c.job.capture) for c in both] == [[], []]
    finally:
        both[1].drop()


def test_through_a_pooler_and_without_rights(server: ServerFactory, tmp_path: Path) -> None:
    """PgBouncer in transaction mode, its sessions used by others with other settings; a role that may only read; wal_level replica."""
    made = server(settings={"wal_level": "replica"})
    run(made.dsn(), "CREATE DATABASE d", "CREATE ROLE copier LOGIN PASSWORD 'secret'")
    direct = made.dsn("d")
    run(direct, SCHEMA)
    with through(made) as behind:
        copies = Copies(direct, tmp_path, TABLES, ("one", "two"), capture="triggers", role="copier")
        copies.job = replace(copies.job, dsn=behind.dsn("d", "copier", "secret"))
        slot = replace(copies.job, capture="stream")
        with pytest.raises(UnavailableError) as refused:
            beginning.look(slot, copies.make)
        assert 'capture = "triggers"' in (refused.value.hint or "")
        copies.init()
        assert copies.equal("one")
        over = threading.Event()
        others = threading.Thread(target=_others, args=(behind.dsn("d", "copier", "secret"), over))
        others.start()
        try:
            with copies.running():
                run(direct, "UPDATE a SET f = f / 3, at = at + interval '1 s'", "DELETE FROM parts WHERE id < 20", "TRUNCATE made")
                wait(lambda: copies.equal("one") and copies.equal("two"))
                with source.open_source(copies.job.dsn) as conn:
                    beginning.reset(conn, copies.job, copies.make("two"))
                    run(direct, "UPDATE a SET id = id + 1000, f = f / 7")
                    wait(lambda: copies.kept("two")["wanted"] == "running")
                    wait(lambda: copies.equal("one") and copies.equal("two"))
                    wait(lambda: standing.look(conn, copies.job, 1 << 30).problems == ())
        finally:
            over.set()
            others.join(20)
        with psycopg.connect(behind.dsn("d", "copier", "secret"), autocommit=True, prepare_threshold=None) as conn:
            assert {conn.execute("SHOW search_path").fetchone() for _ in range(8)} == {('"$user", public',)}


def _others(dsn: str, over: threading.Event) -> None:
    """Leave settings of their own in the pooler's sessions."""
    while not over.is_set():
        with psycopg.connect(dsn, autocommit=True, prepare_threshold=None) as conn:
            for setting in ("datestyle = 'German'", "extra_float_digits = -3", "timezone = 'Asia/Tokyo'", "statement_timeout = '20s'"):
                conn.execute(f"SET {setting}".encode())
        over.wait(0.02)


def test_what_was_seen_is_on_disk(server: ServerFactory) -> None:
    """Else a copy could have what a crash of the source takes back."""
    made = server(settings={"wal_writer_delay": "10s", "synchronous_commit": True})
    with psycopg.connect(made.dsn(), autocommit=True) as other, source.open_source(made.dsn()) as conn:
        other.execute("CREATE TABLE t (x int); SET synchronous_commit = off")
        for _ in range(5):
            other.execute("INSERT INTO t VALUES (1)")
            row = other.execute("SELECT pg_current_wal_insert_lsn()").fetchone()
            source.flush(conn)
            assert other.execute("SELECT pg_current_wal_flush_lsn() >= %s", row).fetchone() == (True,)
