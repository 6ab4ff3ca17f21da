"""Bulk: COPY and COPY-merge beside psycopg by hand, executemany and SQLAlchemy's insertmanyvalues.

`python -m bench.bulk [rows]`, 300,000 unless said. All in one run, taking turns; medians and ratios, of time and of
processor time, which other load on the machine disturbs least. Every turn is rolled back.
executemany and insertmanyvalues are given a tenth of the rows, and compared by rows a second.
"""

from __future__ import annotations

import csv
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict

from pgcharter.runtime import bulk
from pgcharter.servers import binaries, lifecycle

ROUNDS = 5
SETTINGS: dict[str, lifecycle.Setting] = {"shared_buffers": "1GB", "max_wal_size": "16GB"}
TABLE = "CREATE TABLE {} (id bigint{}, owner text, balance numeric, at timestamptz, n int)"
TYPES = ["int8", "text", "numeric", "timestamptz", "int4"]
NAMES = "id, owner, balance, at, n"
UPSERT = "owner = excluded.owner, balance = excluded.balance, at = excluded.at, n = excluded.n"
Row = tuple[int, str, Decimal, datetime, int]


def rows(count: int, start: int = 0) -> Iterator[Row]:
    now, balance = datetime.now(UTC), Decimal("12.50")
    return ((i, "owner of an account", balance, now, i % 1000) for i in range(start, start + count))


def shuffled(count: int, taken: int = 0) -> Iterator[Row]:
    """Half of the keys are there already, in no order; the first so many of them."""
    now, balance = datetime.now(UTC), Decimal("12.50")
    prime = 1_000_003 if count != 1_000_003 else 1_000_033
    return ((i * prime % count + count // 2, "owner of an account", balance, now, i % 1000) for i in range(taken or count))


def by_hand(conn: psycopg.Connection[Any], into: str, source: Iterator[Row]) -> None:
    with conn.cursor() as cursor, cursor.copy(f"COPY {into} ({NAMES}) FROM STDIN (FORMAT binary)".encode()) as copy:
        copy.set_types(TYPES)
        for row in source:
            copy.write_row(row)


def merged_by_hand(conn: psycopg.Connection[Any], source: Iterator[Row]) -> None:
    conn.execute("CREATE TEMP TABLE staged (LIKE keyed) ON COMMIT DROP")
    by_hand(conn, "staged", source)
    conn.execute(f"INSERT INTO keyed SELECT * FROM staged ON CONFLICT (id) DO UPDATE SET {UPSERT}".encode())
    conn.execute("DROP TABLE staged")


def many(conn: psycopg.Connection[Any], table: str, source: Iterator[Row], rest: str = "") -> None:
    with conn.cursor() as cursor:
        cursor.executemany(f"INSERT INTO {table} ({NAMES}) VALUES (%s, %s, %s, %s, %s){rest}".encode(), source)


def alchemy(dsn: str) -> tuple[Callable[[str, Iterator[Row], bool], None], Callable[[], None], int]:
    """insertmanyvalues of SQLAlchemy's core, on a connection of its own."""
    import sqlalchemy as sa
    from sqlalchemy.dialects.postgresql import insert

    parts = conninfo_to_dict(dsn)
    url = sa.URL.create("postgresql+psycopg", str(parts["user"]), str(parts["password"]), database=str(parts["dbname"]),
                        query={"host": str(parts["host"]), "port": str(parts["port"])})  # fmt: skip
    conn, names = sa.create_engine(url).connect(), NAMES.split(", ")

    def write(table: str, source: Iterator[Row], upsert: bool) -> None:
        there = sa.Table(table, sa.MetaData(), autoload_with=conn)
        given = [dict(zip(names, row, strict=True)) for row in source]
        statement = insert(there).returning(there.c.id)  # RETURNING: without it SQLAlchemy calls executemany
        if upsert:
            statement = statement.on_conflict_do_update(index_elements=["id"], set_={n: statement.excluded[n] for n in names[1:]})
        conn.execute(statement, given)

    pid = conn.connection.driver_connection.info.backend_pid  # type: ignore[union-attr]
    conn.rollback()
    return write, conn.rollback, pid


def spent(pids: list[int]) -> float:
    """Seconds of processor time of this process and of its sessions' server processes (Linux alone tells of those)."""
    files = [Path(f"/proc/{pid}/schedstat") for pid in pids]
    return time.process_time() + sum(int(f.read_text().split()[0]) for f in files if f.exists()) / 1e9


def measured(
    work: dict[str, tuple[int, Callable[[], object]]], back: Callable[[], None], pids: list[int]
) -> dict[str, tuple[float, float]]:
    """Rows a second, and rows a second of processor time, of each; the medians of rounds in turn."""
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in work}
    for _ in range(ROUNDS):
        for name, (count, call) in work.items():
            began, used = time.perf_counter(), spent(pids)
            call()
            times[name].append((count / (time.perf_counter() - began), count / (spent(pids) - used)))
            back()
    return {name: (statistics.median(t for t, _ in found), statistics.median(c for _, c in found)) for name, found in times.items()}


def show(title: str, found: dict[str, tuple[float, float]], ours: str) -> None:
    print(f"{title:48}    rows/s  ours is   rows a second of CPU  ours is")
    for name, (rate, cpu) in found.items():
        print(f"  {name:44} {rate:11,.0f} {found[ours][0] / rate:7.2f}× {cpu:22,.0f} {found[ours][1] / cpu:7.2f}×")


def run() -> None:
    count = int(sys.argv[-1]) if sys.argv[-1].isdigit() else 300_000
    few = count // 10
    with lifecycle.start_ephemeral(binaries.choose(None), settings=SETTINGS) as server, psycopg.connect(server.dsn("postgres")) as conn:
        conn.execute(TABLE.format("plain", "").encode())
        conn.execute(TABLE.format("keyed", " PRIMARY KEY").encode())
        by_hand(conn, "keyed", rows(count))
        conn.commit()
        conn.execute("ANALYZE")
        conn.commit()
        write, undo, pid = alchemy(server.dsn("postgres"))
        pids = [conn.info.backend_pid, pid]

        def back() -> None:
            """Take back, and away what that leaves behind: the next one would pay for it."""
            conn.rollback()
            undo()
            conn.autocommit = True
            conn.execute("VACUUM plain, keyed")
            conn.autocommit = False

        fields = NAMES.split(", ")
        show("COPY into a table without keys", measured({
            "bulk.load, tuples": (count, lambda: bulk.load(conn, "plain", rows(count))),
            "psycopg binary COPY by hand": (count, lambda: by_hand(conn, "plain", rows(count))),
            "bulk.load, dicts": (count, lambda: bulk.load(conn, "plain", (dict(zip(fields, r, strict=True)) for r in rows(count)))),
            "bulk.load, text": (count, lambda: bulk.load(conn, "plain", rows(count), format="text")),
            "bulk.load, bad rows to be set aside": (count, lambda: bulk.load(conn, "plain", rows(count), bad="aside")),
            "psycopg executemany": (few, lambda: many(conn, "plain", rows(few))),
            "SQLAlchemy insertmanyvalues": (few, lambda: write("plain", rows(few), False)),
        }, back, pids), "bulk.load, tuples")  # fmt: skip
        upsert = f" ON CONFLICT (id) DO UPDATE SET {UPSERT}"
        show("merge into a table with a key, half of the rows there already", measured({
            "bulk.merge": (count, lambda: bulk.merge(conn, "keyed", shuffled(count))),
            "COPY + INSERT … SELECT by hand": (count, lambda: merged_by_hand(conn, shuffled(count))),
            "psycopg executemany": (few, lambda: many(conn, "keyed", shuffled(count, few), upsert)),
            "SQLAlchemy insertmanyvalues": (few, lambda: write("keyed", shuffled(count, few), True)),
        }, back, pids), "bulk.merge")  # fmt: skip
        frames(conn, count, back, pids)


def frames(conn: psycopg.Connection[Any], count: int, back: Callable[[], None], pids: list[int]) -> None:
    """CSV and Arrow, in and out."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.csv"
        with path.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(NAMES.split(", "))
            writer.writerows(rows(count))

        def raw() -> None:
            with path.open("rb") as file, conn.cursor() as cursor, cursor.copy(b"COPY plain FROM STDIN (FORMAT csv, HEADER)") as copy:
                while piece := file.read(1 << 16):
                    copy.write(piece)

        work: dict[str, tuple[int, Callable[[], object]]] = {
            "bulk.load, CSV": (count, lambda: bulk.load(conn, "plain", bulk.Csv(path))),
            "CSV by hand, bytes as they are": (count, raw),
        }
        try:
            import pyarrow as pa
        except ImportError:
            print("  pyarrow is not installed: no Arrow")
        else:
            table = pa.Table.from_pylist([dict(zip(NAMES.split(", "), r, strict=True)) for r in rows(count)])
            work["bulk.load, Arrow"] = (count, lambda: bulk.load(conn, "plain", table))
            work["Arrow to_pylist, psycopg by hand"] = (
                count,
                lambda: by_hand(conn, "plain", (tuple(d.values()) for d in table.to_pylist())),
            )  # type: ignore[misc]
        show("CSV and Arrow into a table without keys", measured(work, back, pids), "bulk.load, CSV")


if __name__ == "__main__":
    run()
