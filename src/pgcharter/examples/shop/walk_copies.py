"""The part of the walk about copies: products in a store of their own, a change that is there at once, damage that is found and mended."""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

from pgcharter.examples.walk import Seen, hold

if TYPE_CHECKING:
    from pgcharter.db import Connection
    from pgcharter.policy.sync_settings import SyncSection

CHANGES, CHANGED, REMOVED = 20, 10, 10
_WANTED = "product_status = 'active' AND deleted_at IS NULL"
_PATIENCE = 20.0


def copied(conn: Connection, dsn: str, section: SyncSection) -> Iterator[Seen]:
    """Copy the products into a Valkey server of this walk's own, and put back what was changed; `conn` and `dsn` are the superuser's."""
    from pgcharter.servers.valkey import embedded
    from pgcharter.sinks.declared import copies, streamed
    from pgcharter.stream import beginning, slots
    from pgcharter.stream.reconcile_model import Options
    from pgcharter.stream.reconcile_rounds import compare
    from pgcharter.stream.worker import Worker

    with tempfile.TemporaryDirectory(prefix="pgcharter-walk-") as folder, embedded() as url:
        environ = {section.sink[0].url_env: url}
        job, make = streamed(section, dsn, Path(folder), environ)
        began = time.monotonic()
        beginning.begin(job, make, anew=True)
        seconds = time.monotonic() - began
        worker = Worker(job, make)
        thread = threading.Thread(target=worker.run)
        thread.start()
        try:
            store = _Store(url)
            (wanted,) = _row(conn, f"SELECT count(*) FROM catalog.products WHERE {_WANTED}")
            hold(store.count() == wanted, f"of {wanted} products the store has {store.count()}")
            yield Seen(
                f"{wanted:,} products are in a store of their own, seeded in {seconds:.2f} s at the very moment the stream begins at"
            )
            yield _changed(conn, store)
            ids = [row[0] for row in conn.execute(f"SELECT product_id FROM catalog.products WHERE {_WANTED} ORDER BY 1 LIMIT 50")]
            store.damage(ids)
            (side,) = copies(section, dsn, Path(folder), environ)
            report = compare(side, Options(repair=True))
            found = {"different": CHANGED, "missing": REMOVED, "extra": 0}
            hold(dict(report.counts) == found and not report.remaining, f"of {found} that were damaged, {dict(report.counts)} were found")
            (again,) = copies(section, dsn, Path(folder), environ)
            hold(not any(compare(again, Options()).counts.values()), "the copy is not as its source after it was mended")
            yield Seen(
                f"{CHANGED} products of it were changed behind its back and {REMOVED} removed: compared with the source, "
                f"each was found and put right in {report.seconds:.2f} s, and nothing else was touched"
            )
        finally:
            worker.stop()
            thread.join()
            slots.drop(conn, job.slot)


def _changed(conn: Connection, store: _Store) -> Seen:
    """Change a price by hand, as no application would, and look for it in the store."""
    product, price = _row(conn, f"SELECT product_id, price_amount FROM catalog.products WHERE {_WANTED} ORDER BY product_id LIMIT 1")
    times = []
    try:
        for n in range(1, CHANGES + 1):
            conn.execute("UPDATE catalog.products SET price_amount = %s WHERE product_id = %s", (price + n, product))
            times.append(_until(lambda n=n: store.price(product) == str(price + n)))  # type: ignore[misc]
    finally:
        conn.execute("UPDATE catalog.products SET price_amount = %s WHERE product_id = %s", (price, product))
    _until(lambda: store.price(product) == str(price))
    return Seen(
        f"a price that was changed by hand, {CHANGES} times, past every application, was in the store "
        f"{1000 * sorted(times)[len(times) // 2]:.1f} ms after its commit, as often as not"
    )


class _Store:
    """The store, looked at as whoever searches does."""

    def __init__(self, url: str) -> None:
        import redis

        self.client: Any = redis.Redis.from_url(url, decode_responses=True)

    def count(self) -> int:
        return sum(1 for _ in self.client.scan_iter("product:*", count=1000))

    def price(self, product: UUID) -> str | None:
        found: str | None = self.client.hget(f"product:{product}", "price_amount")
        return found

    def damage(self, ids: list[UUID]) -> None:
        """Change and remove some."""
        for each in ids[:CHANGED]:
            self.client.hset(f"product:{each}", "product_name", "nothing")
        for each in ids[CHANGED : CHANGED + REMOVED]:
            self.client.delete(f"product:{each}")


def _until(what: Callable[[], bool]) -> float:
    """Seconds until something is so."""
    began = time.monotonic()
    while not what():
        hold(time.monotonic() - began < _PATIENCE, f"what was changed was not in the store after {_PATIENCE:.0f} s")
        time.sleep(0.0005)
    return time.monotonic() - began


def _row(conn: Connection, query: str, *values: object) -> Any:
    row = conn.execute(query.encode(), values).fetchone()
    assert row is not None  # noqa: S101 (one row by its form)
    return row
