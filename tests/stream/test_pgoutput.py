"""Every message of pgoutput, as a real server sends it."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from tests.conftest import ServerFactory, every_major
from tests.stream.wire import Wire, name_of, slot

from pgcharter.errors import PgcharterError
from pgcharter.stream import pgoutput
from pgcharter.stream.model import UNCHANGED
from pgcharter.stream.pgoutput import StreamAbort

SCHEMA = """
CREATE SCHEMA "Größe";
CREATE TYPE "Größe".mood AS ENUM ('sad', 'ok');
CREATE TABLE a (id int PRIMARY KEY, v text, m "Größe".mood, n numeric(12,2));
CREATE TABLE "Größe"."Full" (id int, "É" text);
ALTER TABLE "Größe"."Full" REPLICA IDENTITY FULL;
ALTER TABLE a ALTER v SET STORAGE EXTERNAL;
"""


@every_major
def test_rows(database: str, major: int) -> None:
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute(SCHEMA)
    with slot(database) as conn, Wire(database, conn) as wire:
        conn.execute("INSERT INTO a VALUES (1, repeat('x', 5000), 'ok', 1.50), (2, NULL, NULL, NULL)")
        conn.execute("UPDATE a SET n = 2 WHERE id = 1")
        conn.execute("UPDATE a SET id = 3 WHERE id = 1")
        conn.execute("DELETE FROM a WHERE id = 3")
        conn.execute("""INSERT INTO "Größe"."Full" VALUES (1, 'ü\\\\ \t'), (NULL, NULL)""")
        conn.execute("""UPDATE "Größe"."Full" SET id = 2 WHERE id = 1""")
        conn.execute("""DELETE FROM "Größe"."Full" WHERE id = 2""")
        conn.execute("""TRUNCATE a, "Größe"."Full" """)
        found = wire.until().changes
        told = [(c.relation.name, c.op, c.new, c.old) for c in found]
        big = "x" * 5000
        assert told[:5] == [
            ("a", "insert", ("1", big, "ok", "1.50"), None),
            ("a", "insert", ("2", None, None, None), None),
            ("a", "update", ("1", UNCHANGED, "ok", "2.00"), None),
            ("a", "update", ("3", UNCHANGED, "ok", "2.00"), ("1", None, None, None)),
            ("a", "delete", None, ("3", None, None, None)),
        ]
        assert told[5:9] == [
            ("Full", "insert", ("1", "ü\\\\ \t"), None),
            ("Full", "insert", (None, None), None),
            ("Full", "update", ("2", "ü\\\\ \t"), ("1", "ü\\\\ \t")),
            ("Full", "delete", None, ("2", "ü\\\\ \t")),
        ]
        assert {t[:2] for t in told[9:]} == {("a", "truncate"), ("Full", "truncate")}
        assert [c.stamp.ordinal for c in found] == [1, 2, 1, 1, 1, 1, 2, 1, 1, 1, 2]
        assert [c.stamp for c in found] == sorted(c.stamp for c in found)
        assert all(t.end > t.lsn for t in wire.transactions)
        relation = found[0].relation
        assert (relation.schema, relation.identity, [c.key for c in relation.columns]) == ("public", "default", [True, False, False, False])
        assert relation.columns[3].type == name_of(1700, (12 << 16 | 2) + 4)
        assert (found[5].relation.schema, found[5].relation.identity) == ("Größe", "full")
        assert {"B", "C", "R", "Y", "I", "U", "D", "T", "M"} <= wire.kinds
        mood = next(pgoutput.decode(m) for m in wire.raw if m[:1] == b"Y")
        assert mood[1:] == ("Größe", "mood")


@every_major
def test_toast_of_a_full_identity_is_taken_from_the_old_row(database: str, major: int) -> None:
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute("CREATE TABLE t (id int, v text STORAGE EXTERNAL)" if major >= 16 else "CREATE TABLE t (id int, v text)")
        conn.execute("ALTER TABLE t ALTER v SET STORAGE EXTERNAL, REPLICA IDENTITY FULL")
    with slot(database) as conn, Wire(database, conn) as wire:
        conn.execute("INSERT INTO t VALUES (1, repeat('y', 9000))")
        conn.execute("UPDATE t SET id = 2")
        assert wire.until().changes[1].new == ("2", "y" * 9000)


@every_major
def test_binary_values(database: str, major: int) -> None:
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute("CREATE TABLE t (id int PRIMARY KEY, v bytea)")
    with slot(database) as conn, Wire(database, conn, binary=True) as wire:
        conn.execute(r"INSERT INTO t VALUES (258, '\x00ff'), (1, NULL)")
        assert [c.new for c in wire.until().changes] == [(b"\0\0\1\2", b"\0\xff"), (b"\0\0\0\1", None)]


@every_major
@pytest.mark.parametrize("parallel", [False, True])
def test_transactions_in_progress(database: str, major: int, parallel: bool) -> None:
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute("CREATE TABLE t (id int PRIMARY KEY, v text); CREATE TABLE other (id int PRIMARY KEY)")
    with slot(database) as conn, Wire(database, conn, parallel=parallel) as wire, psycopg.connect(database) as big:
        _stream_soon(wire)
        fill = "INSERT INTO t SELECT i, repeat('x', 100) FROM generate_series(%s::int, %s) i"
        big.execute(fill, (1, 2000))
        big.execute("SAVEPOINT a")
        big.execute(fill, (2001, 4000))
        big.execute("ROLLBACK TO a")
        conn.execute("INSERT INTO other VALUES (1)")
        big.execute(fill, (4001, 6000))
        big.execute("SAVEPOINT b; SAVEPOINT c")
        big.execute("ALTER TABLE t ADD w int DEFAULT 7")
        big.execute("UPDATE t SET id = 0 WHERE id = 1")
        big.execute("SELECT pg_logical_emit_message(true, 'test', 'inside')")
        big.commit()
        big.execute(fill, (7000, 9000))
        big.rollback()
        conn.execute("INSERT INTO t VALUES (10000, 'z', 8)")
        conn.execute("INSERT INTO other VALUES (2)")
        wire.until()
        assert {"S", "E", "c", "A"} <= wire.kinds
        found = [[c for piece in t.changes() for c in piece] for t in wire.transactions]
        assert [len(f) for f in found] == [1, 4001, 1, 1]
        assert [int(str(c.new[0])) for c in found[1] if c.new] == [*range(1, 2001), *range(4001, 6001), 0]
        assert [c.stamp for c in found[1]] == [(wire.transactions[1].lsn, i) for i in range(1, 4002)]
        assert found[1][-1].new == ("0", "x" * 100, "7")
        assert [c.name for c in found[2][0].relation.columns] == ["id", "v", "w"]
        aborts = [pgoutput.decode(m) for m in wire.raw if m[:1] == b"A"]
        assert all(isinstance(a, StreamAbort) and bool(a.lsn) == (parallel and major >= 16) for a in aborts)


def _stream_soon(wire: Wire) -> None:
    """Have the server stream transactions in progress from 64 kB on."""
    wire.replication.close()
    row = wire.conn.execute("SELECT current_database()").fetchone()
    assert row is not None
    wire.conn.execute(f"ALTER DATABASE {row[0]} SET logical_decoding_work_mem = '64kB'".encode())
    wire.open()


@every_major
def test_prepared_transactions(server: ServerFactory, major: int) -> None:
    made = server(major, {"wal_level": "logical", "max_prepared_transactions": 4, "logical_decoding_work_mem": "64kB"})
    dsn = made.dsn()
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute("CREATE TABLE t (id int PRIMARY KEY, v text)")
    with slot(dsn, two_phase=True) as conn, Wire(dsn, conn, two_phase=True) as wire, psycopg.connect(dsn, autocommit=True) as other:
        fill = "INSERT INTO t SELECT i, repeat('x', 100) FROM generate_series(%s::int, %s) i"
        for gid, low, high in (("small", 1, 2), ("gone", 3, 4), ("big", 10, 3000)):
            other.execute("BEGIN")
            other.execute(fill, (low, high))
            other.execute(f"PREPARE TRANSACTION '{gid}'".encode())
        wire.until("prepared")
        assert wire.transactions == []
        assert 0 < wire.assembler.bound < wire.replication.received
        other.execute("ROLLBACK PREPARED 'gone'")
        other.execute("COMMIT PREPARED 'big'")
        other.execute("COMMIT PREPARED 'small'")
        wire.until()
        assert [int(str(c.new[0])) for c in wire.changes if c.new] == [*range(10, 3001), 1, 2]
        assert {"b", "P", "K", "r", "p"} <= wire.kinds
        assert wire.assembler.bound == 0


@every_major
def test_origins(database: str, major: int) -> None:
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute("CREATE TABLE t (id int PRIMARY KEY)")
        row = conn.execute("SELECT current_database()").fetchone()
        assert row is not None
        origin = f"from {row[0]}"
        conn.execute("SELECT pg_replication_origin_create(%s)", (origin,))
    try:
        for asked, expected in (("any", ["1", "2"]), ("none", ["1"])):
            with slot(database) as conn, Wire(database, conn, origin=asked) as wire:
                conn.execute("TRUNCATE t; INSERT INTO t VALUES (1)")
                conn.execute("SELECT pg_replication_origin_session_setup(%s)", (origin,))
                conn.execute("INSERT INTO t VALUES (2)")
                conn.execute("SELECT pg_replication_origin_session_reset()")
                wire.until()
                assert [c.new[0] for c in wire.changes if c.new] == expected
                conn.execute("DROP PUBLICATION p")
    finally:
        with psycopg.connect(database, autocommit=True) as conn:
            conn.execute("SELECT pg_replication_origin_drop(%s)", (origin,))


@pytest.mark.parametrize("m", [b"?", b"C\0", b"M\0", b"Iabc", b"I\0\0\0\1N\0\2t\0\0\0\5x", b"I\0\0\0\1N\0\1q"])
def test_what_is_damaged_is_refused(m: bytes) -> None:
    relations: dict[int, Any] = {1: None}
    with pytest.raises(PgcharterError):
        pgoutput.decode(m) if m[:1] != b"I" else list(pgoutput.changes([m], relations, 1, 1, name_of))
