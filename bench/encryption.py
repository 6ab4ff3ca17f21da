"""Encryption: values a second in bulk, lookups by blind index against plain ones, and a rotation under load.

`python -m bench.encryption [rows]`, a million unless said. Lookups: the same rows, a plain text column with an index beside. Rotation: both
keys at once (values and blind index) while somebody reads and writes single rows, whose waiting times are printed.
"""

from __future__ import annotations

import multiprocessing
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psycopg

from pgcharter.migrate import planning, reencrypt
from pgcharter.migrate.planning import Wish
from pgcharter.migrate.policies import Chosen
from pgcharter.policy import encryption as policy
from pgcharter.policy.encryption_settings import EncryptedColumn, EncryptionSection
from pgcharter.runtime.encryption import Encryption
from pgcharter.runtime.keys import DATA, INDEX
from pgcharter.runtime.keys_providers import RingFile
from pgcharter.servers import binaries, lifecycle

ROWS = 1_000_000
COLUMN = EncryptedColumn("app.users", "email", search=("folded",))
NAME = COLUMN.name
SETTINGS: dict[str, lifecycle.Setting] = {"shared_buffers": "512MB", "max_wal_size": "8GB", "fsync": True, "synchronous_commit": True}


def values(encryption: Encryption, count: int = 200_000) -> None:
    """Small values in a second of one core's time, whatever else the machine does."""
    email = encryption.column(NAME)
    clear = [f"user{n}@example.org" for n in range(count)]
    rows = list(range(count))
    began = time.thread_time()
    sealed = email.encrypt_many(clear, rows)
    encrypted = time.thread_time()
    back = email.decrypt_many(sealed, rows)
    decrypted = time.thread_time()
    email.blind_many(clear)
    blinded = time.thread_time()
    assert back == clear
    for what, taken in (("encrypt", encrypted - began), ("decrypt", decrypted - encrypted), ("blind index", blinded - decrypted)):
        print(f"{what:>12}: {count / taken:>10,.0f} values/s in bulk (wanted 200,000)")


class Load:
    """Somebody else's reads and writes, in a process of its own, and how long each took, in seconds."""

    def __init__(self, dsn: str, ring: Path, rows: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._over, self._told = context.Event(), context.SimpleQueue()
        self._process = context.Process(target=_work, args=(dsn, ring, rows, self._over, self._told))
        self._process.start()
        self._told.get()
        self.taken: list[float] = []

    def end(self) -> Load:
        """Stop, and have the times."""
        self._over.set()
        self.taken = self._told.get()
        self._process.join()
        return self

    def at(self, part: float) -> float:
        """A percentile in milliseconds."""
        return sorted(self.taken)[min(int(len(self.taken) * part), len(self.taken) - 1)] * 1000


def _work(dsn: str, ring: Path, rows: int, over: Any, told: Any) -> None:
    chosen, email, taken = random.Random(1), Encryption((COLUMN,), RingFile(ring)).column(NAME), []
    with psycopg.connect(dsn, autocommit=True) as conn:
        told.put("ready")
        while not over.is_set():
            key = chosen.randint(1, rows)
            began = time.monotonic()
            conn.execute("UPDATE app.users SET seen = now() WHERE id = %s", (key,))
            row = conn.execute("SELECT email_encrypted FROM app.users WHERE id = %s", (key,)).fetchone()
            taken.append(time.monotonic() - began)
            assert row
            assert email.decrypt(row[0], row=key) == f"user{key}@example.org"
            time.sleep(0.002)
    told.put(taken)


def prepare(dsn: str, rows: int) -> None:
    """The table, its policy, its clear values."""
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute("CREATE SCHEMA app; CREATE TABLE app.users (id bigint PRIMARY KEY, email text, seen timestamptz)")
        chosen = Chosen((policy.policy(EncryptionSection(column=(COLUMN,))),))
        for step in planning.make(Wish("", dsn, chosen=chosen, prove=False)).plan.steps:
            conn.execute(step.sql.encode())
        conn.execute(f"INSERT INTO app.users SELECT i, 'user' || i || '@example.org' FROM generate_series(1, {rows}) i".encode())
        conn.execute("CREATE INDEX plain ON app.users (email)")
        conn.execute("VACUUM ANALYZE app.users")


def job(dsn: str, ring: Path, mode: Any, rows: int, *, load: bool, settings: reencrypt.Settings | None = None) -> None:
    """One job, alone or beside a load."""
    encryption = Encryption((COLUMN,), RingFile(ring))
    if load:
        before = Load(dsn, ring, rows)
        time.sleep(3)
        before.end()
        beside = Load(dsn, ring, rows)
    outcome = reencrypt.run(dsn, encryption, NAME, mode, settings)
    rate = outcome.changed / outcome.seconds
    print(f"{mode:>12}: {outcome.changed:,} rows in {outcome.seconds:.1f} s: {rate:>8,.0f} rows/s (wanted 15,000)")
    if load:
        beside.end()
        print(
            f"{'load':>12}: p50 {before.at(0.5):.1f} → {beside.at(0.5):.1f} ms, p99 {before.at(0.99):.1f} → {beside.at(0.99):.1f} ms,"
            f" longest {beside.at(1):.0f} ms, of an update and a read ({len(beside.taken):,} of them)"
        )


def lookups(dsn: str, encryption: Encryption, rows: int, count: int = 4_000) -> None:
    """Single lookups, plain and by blind index in turn; the digest is part of the time. Medians."""
    email, chosen = encryption.column(NAME), random.Random(2)
    taken: dict[str, list[float]] = {"plain": [], "blind": []}
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute("VACUUM ANALYZE app.users")
        for n in range(count + 200):
            value = f"user{chosen.randint(1, rows)}@example.org"
            for kind in ("plain", "blind") if n % 2 else ("blind", "plain"):
                began = time.perf_counter()
                if kind == "plain":
                    found = conn.execute("SELECT id FROM app.users WHERE email = %s", (value,)).fetchall()
                else:
                    condition, parameters = email.where(value)
                    found = conn.execute(f"SELECT id FROM app.users WHERE {condition}".encode(), parameters).fetchall()
                assert len(found) == 1
                if n >= 200:
                    taken[kind].append(time.perf_counter() - began)
    plain, blind = (statistics.median(taken[k]) * 1000 for k in ("plain", "blind"))
    print(f"{'lookup':>12}: plain {plain:.3f} ms, blind index {blind:.3f} ms: {blind / plain:.2f} times (wanted 1.2)")


def run(rows: int = ROWS) -> None:
    """All of it, on a server that flushes every commit."""
    with tempfile.TemporaryDirectory() as folder, lifecycle.start_ephemeral(binaries.choose(None), settings=SETTINGS) as server:
        ring = RingFile(Path(folder) / "ring.json")
        ring.change(lambda r: r.create("default"))
        encryption, dsn = Encryption((COLUMN,), ring), server.dsn()
        values(encryption)
        prepare(dsn, rows)
        job(dsn, ring.path, "encrypt", rows, load=False)
        lookups(dsn, encryption, rows)
        ring.change(lambda r: r.rotate("default", DATA)[0].rotate("default", INDEX)[0])
        encryption = Encryption((COLUMN,), ring)
        lookups(dsn, encryption, rows)
        job(dsn, ring.path, "rotate", rows, load=True)


if __name__ == "__main__":
    run(int(sys.argv[1]) if len(sys.argv) > 1 else ROWS)
