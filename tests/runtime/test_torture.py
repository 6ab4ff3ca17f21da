"""The torture, small; and the interleavings at which the usual cursors fail, one by one."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from tests.runtime import torture
from tests.runtime.own_tables import install
from tests.runtime.torture import APPEND, LOG, NAIVE, judged, prepared, truth, write

from pgcharter.runtime.database import Database
from pgcharter.runtime.feeds import Feed, Outside

A, B = "00000000-0000-0000-0000-0000000a0000", "00000000-0000-0000-0000-0000000b0000"


class Readers:
    """The usual cursors and a feed, side by side."""

    def __init__(self, dsn: str, db: Database) -> None:
        self.conn = psycopg.connect(dsn, autocommit=True)
        self.at = {name: {"position": 0, "xid": 0} for name in NAIVE}
        self.seen: dict[str, list[int]] = {name: [] for name in (*NAIVE, "feed")}
        self.feed = Feed(db, LOG, "c", Outside(lambda events: self.seen["feed"].extend(e.position for e in events)))

    def look(self) -> None:
        """Each reads on from where it was."""
        for name, sql in NAIVE.items():
            rows = self.conn.execute(sql.encode(), self.at[name]).fetchall()
            self.seen[name].extend(row[0] for row in rows)
            if rows:
                self.at[name] = {"position": rows[-1][0], "xid": rows[-1][1]}
        self.feed.catch_up()


def append(conn: Any, aggregate: str, after: int | None = None) -> None:
    conn.execute(APPEND, {"types": ["t"], "ids": [aggregate], "expected": [-1], "counts": [1], "number": 1, "after": after})


@pytest.fixture
def dsn(database: str) -> str:
    install(database, "messaging")
    return database


PLAIN, XMIN, PAIR = NAIVE


def test_one_that_is_slow_to_commit(dsn: str) -> None:
    with psycopg.connect(dsn) as slow, psycopg.connect(dsn, autocommit=True) as quick, Database(dsn) as db:
        readers = Readers(dsn, db)
        append(slow, A)
        append(quick, B)
        readers.look()
        assert readers.seen["feed"] == []
        slow.commit()
        readers.look()
        real = truth(dsn)
        assert judged(real, readers.seen["feed"]).right
        assert judged(real, readers.seen[PLAIN]).lost == 1
        readers.conn.close()


def test_one_with_an_older_transaction_and_a_younger_position(dsn: str) -> None:
    with psycopg.connect(dsn) as first, psycopg.connect(dsn) as second, Database(dsn) as db:
        readers = Readers(dsn, db)
        second.execute("SELECT pg_current_xact_id()")
        append(first, A)
        append(second, B)
        second.commit()
        readers.look()
        first.commit()
        readers.look()
        real = truth(dsn)
        assert judged(real, readers.seen["feed"]).right
        assert judged(real, readers.seen[XMIN]).lost == 1
        readers.conn.close()


def test_an_older_transaction_that_appends_to_what_a_younger_one_began(dsn: str) -> None:
    with psycopg.connect(dsn) as old, psycopg.connect(dsn, autocommit=True) as young, Database(dsn) as db:
        readers = Readers(dsn, db)
        old.execute("SELECT pg_current_xact_id()")
        append(young, A)
        append(old, A, after=1)
        old.commit()
        readers.look()
        real = truth(dsn)
        assert judged(real, readers.seen["feed"]).right
        turned = judged(real, readers.seen[PAIR])
        assert (turned.lost, turned.stream_turned > 0, turned.cause_turned) == (0, True, 1)
        readers.conn.close()


@pytest.fixture(scope="module")
def roomy() -> Iterator[tuple[str, str]]:
    """Two databases of a server on which transactions can be prepared."""
    with torture.server() as made:
        yield prepared(made.dsn())


def test_who_is_open_in_another_database_or_prepared(roomy: tuple[str, str]) -> None:
    dsn, other = roomy
    with psycopg.connect(other) as elsewhere, psycopg.connect(dsn, autocommit=True) as conn, Database(dsn) as db:
        readers = Readers(dsn, db)
        elsewhere.execute("INSERT INTO elsewhere VALUES (1)")
        append(conn, A)
        conn.execute("BEGIN")
        append(conn, B)
        conn.execute("PREPARE TRANSACTION 'p'")
        append(conn, A)
        readers.look()
        assert len(readers.seen["feed"]) == 1
        assert readers.seen[XMIN] == readers.seen[PAIR] == []
        conn.execute("COMMIT PREPARED 'p'")
        readers.look()
        assert judged(truth(dsn), readers.seen["feed"]).right
        readers.conn.close()


def test_some_writers(roomy: tuple[str, str]) -> None:
    dsn, _ = roomy
    seen: list[int] = []

    def feed() -> Feed[Any]:
        return Feed(db, LOG, "w", Outside(lambda events: seen.extend(e.position for e in events), ordered=True))

    with Database(dsn) as db:
        reader = feed()
        threads = [threading.Thread(target=write, args=(dsn, 150, n, 50, 0.2)) for n in range(6)]
        for thread in (reading := threading.Thread(target=reader.run), *threads):
            thread.start()
        for thread in threads:
            thread.join()
        reader.stop()
        reading.join()
        feed().catch_up()
    real = truth(dsn)
    assert len(real.keys) >= 900
    assert judged(real, seen).right
