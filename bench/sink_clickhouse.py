"""Rows of eight columns copied into ClickHouse by one process, in batches as the worker makes them; and read back."""

from __future__ import annotations

import statistics
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal

from tests.sinks import servers

from pgcharter.sinks.clickhouse import ClickHouseSink
from pgcharter.stream.model import Field, Row, Shape, Stamp

ROWS, BATCHES = 200_000, (1_000, 5_000, 20_000)
_TYPES = {
    "id": "bigint", "customer": "integer", "status": "text", "total": "numeric(12,2)", "placed": "timestamp with time zone", "ref": "uuid",
    "note": "text", "paid": "boolean",
}  # fmt: skip


def orders(count: int, to: str = "orders") -> Iterator[Row]:
    """Rows of a shop, each with a commit of its own."""
    shape = Shape(to, tuple(Field(name, type_, key=name == "id") for name, type_ in _TYPES.items()), "app.orders")
    placed, total = datetime(2024, 5, 6, 7, 8, 9, 123456, tzinfo=UTC), Decimal("1234.50")
    for n in range(1, count + 1):
        values = (n, n % 1000, "open", total, placed, uuid.UUID(int=n), "a note of some thirty letters", n % 2 == 0)
        yield Row(shape, "put", (n,), dict(zip(_TYPES, values, strict=True)), Stamp(n * 100, 1))


def run() -> None:
    """Print rows a second for each size of batch, medians of three, and for reading them back."""
    rows = list(orders(ROWS))
    print(f"{ROWS:,} rows of {len(_TYPES)} columns, one process, clickhouse-server on this machine")
    with servers.running("clickhouse-server") as server:
        sink = ClickHouseSink(server.url, "bench")
        for batch in BATCHES:
            speeds = [ROWS / _written(sink, rows, batch) for _ in range(3)]
            print(f"  write, batches of {batch:>6,}  {statistics.median(speeds):>10,.0f} rows/s")
        begun = time.perf_counter()
        count = sum(1 for _ in sink.read(rows[0].shape, None, None))
        print(f"  read back (FINAL)        {count / (time.perf_counter() - begun):>10,.0f} rows/s")
        sink.close()


def _written(sink: ClickHouseSink, rows: list[Row], batch: int) -> float:
    sink.open([rows[0].shape])
    sink._http.run("TRUNCATE TABLE orders")
    sink.open([rows[0].shape])
    begun = time.perf_counter()
    for at in range(0, len(rows), batch):
        sink.write(rows[at : at + batch], rows[at + batch - 1].stamp)
    return time.perf_counter() - begun
