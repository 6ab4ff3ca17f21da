"""The chain of hashes over the trail: sealing what is committed, proving that nothing sealed has changed, dropping what is too old.

A seal takes rows by number. Writers hold a lock (ROW EXCLUSIVE on audit_log, as INSERT takes it) from before they draw a number to the end
of their transaction; so once the holders that there were after a number had been drawn are gone, no row up to that number can come any more
(decision 10: a barrier, not a guess).
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from hashlib import sha256
from typing import Any

from pgcharter.db import Connection, queries
from pgcharter.errors import PgcharterError, RefusedError, UnavailableError
from pgcharter.names import literal
from pgcharter.policy.audit_tables import LOG, first, partition

ORIGIN = bytes(32)
"""What stands for the seal before the first."""
_PATIENCE = 5_000
"""Milliseconds that a month that is dropped waits for those who read it."""
_AT_ONCE = 100_000
"""Numbers that one statement looks at, so that a long backlog needs no more memory than a short one."""


@dataclass(frozen=True)
class Sealed:
    """What one run of the sealer did."""

    rows: int
    seals: int
    upto: int
    waiting: tuple[str, ...] = ()
    """Transactions that may still write smaller numbers, so that nothing could be sealed now."""


@dataclass(frozen=True)
class Head:
    """The last seal, to be kept where whoever can change the database cannot."""

    seal: int
    hash: str
    upto: int

    def dumps(self, database: str) -> str:
        """As a file."""
        return json.dumps({"format": "pgcharter-audit-head", "database": database, **asdict(self)}, indent=2) + "\n"

    @classmethod
    def loads(cls, text: str) -> Head:
        """From a file's text. Raises PgcharterError when it is none."""
        try:
            data = json.loads(text)
            return cls(int(data["seal"]), str(data["hash"]), int(data["upto"]))
        except (ValueError, KeyError, TypeError):
            raise PgcharterError(
                "the file is no head of a chain, so there is nothing to verify against", hint="pgcharter audit head --to FILE writes one"
            ) from None


def seal(conn: Connection, *, wait: float = 10.0) -> Sealed:
    """Seal what is committed; waits up to `wait` seconds for transactions that wrote before and have not ended.

    Raises RefusedError while another sealer is at work, UnavailableError where nothing is to be sealed at all.
    """
    sql = of_trail(conn)
    with conn.transaction():
        conn.execute(sql["canonical"])
        _alone(conn)
        number, after, previous = _last(conn)
        upto = int(_one(conn, sql["drawn"])[0])
        waiting = _passed(conn, wait) if upto > after else ()
        if waiting or upto <= after:
            return Sealed(0, 0, after, waiting)
        rows, first_seal, sealed = 0, number, after
        for start in range(after, upto, _AT_ONCE):
            end = min(start + _AT_ONCE, upto)
            pieces = conn.execute(sql["pieces"], {"after": start, "upto": end}).fetchall()
            for at, (month, numbers, prints, digest) in enumerate(pieces, 1):
                number += 1
                sealed = end if at == len(pieces) else start
                previous = _add(conn, number, "rows", month, sealed, numbers, prints, digest, previous, "")
                rows += len(numbers)
        return Sealed(rows, number - first_seal, sealed)


def head(conn: Connection) -> Head:
    """The last seal. Raises UnavailableError when there is none."""
    of_trail(conn)
    number, upto, value = _last(conn)
    if not number:
        raise UnavailableError("nothing is sealed yet, so there is no head to export", hint="pgcharter audit seal")
    return Head(number, value.hex(), upto)


def retire(
    conn: Connection, keep: int, *, now: datetime | None = None, reason: str = "", told: Callable[[str], None] = print
) -> list[date]:
    """Drop the months before the last `keep` whole ones; each leaves its seals and one that says it was retired.

    `conn` is in autocommit mode: partitions are detached concurrently, and what was cut off goes on next time. Raises
    RefusedError when rows of a month are not sealed yet.
    """
    sql = of_trail(conn)
    oldest = first((now or datetime.now(UTC)).date(), -keep)
    gone = {month: how for month, how in _standing(conn) if month < oldest and (how != "detached" or _retired(conn, month))}
    for month, how in gone.items():
        at = partition(month)
        with conn.transaction():
            conn.execute(sql["canonical"])
            _alone(conn)
            number, upto, previous = _last(conn)
            if _one(conn, sql["unsealed_in"], (month, upto))[0]:
                raise RefusedError(
                    f"{at} has rows that are not sealed, so dropping it would leave no trace of them", hint="pgcharter audit seal"
                )
            if not _retired(conn, month):
                who = f"{conn.info.user}: {reason or f'older than {keep} months'}"
                _add(conn, number + 1, "retired", month, upto, [], b"", bytes(32), previous, who)
        if how != "detached":
            form = "CONCURRENTLY" if how == "attached" else "FINALIZE"
            before = _one(conn, "SELECT current_setting('lock_timeout')")[0]
            conn.execute(f"SET lock_timeout = {_PATIENCE}".encode())
            try:
                conn.execute(f"ALTER TABLE {LOG.sql()} DETACH PARTITION {at.sql()} {form}".encode())
            finally:
                if not conn.closed:
                    conn.execute(f"SET lock_timeout = {literal(before)}".encode())
        with conn.transaction():
            conn.execute(f"DROP TABLE {at.sql()}".encode())
            conn.execute(sql["forget"], (at.name,))
        told(f"{at} is dropped; its seals stay")
    return list(gone)


def of_trail(conn: Connection) -> Mapping[str, str]:
    """The queries. Raises UnavailableError where there is no trail, or no chain over it."""
    sql = queries.load("pgcharter.migrate", "audit_seals.sql")
    there, chained = _one(conn, sql["there"])
    if not there or not chained:
        what = "pgcharter.audit_seals: the charter declares no chain" if there else "pgcharter.audit_log: nothing is recorded"
        raise UnavailableError(f"there is no {what} in this database", hint="[audit] in the charter, then: pgcharter policy apply")
    return sql


def _one(conn: Connection, sql: str, parameters: Any = None) -> Any:
    return conn.execute(sql.encode(), parameters).fetchone()


def _alone(conn: Connection) -> None:
    if not _one(conn, queries.load("pgcharter.migrate", "audit_seals.sql")["alone"])[0]:
        raise RefusedError("another sealer is at work in this database, and the chain has one end only", hint="wait for it to end")


def _last(conn: Connection) -> tuple[int, int, bytes]:
    """Number of the last seal, up to which row all is sealed, and its hash."""
    row = _one(conn, queries.load("pgcharter.migrate", "audit_seals.sql")["last"])
    return (int(row[0]), int(row[1]), bytes(row[2])) if row else (0, 0, ORIGIN)


def _passed(conn: Connection, wait: float) -> tuple[str, ...]:
    """Wait until the writers there are now have ended; those that have not after `wait` seconds."""
    sql = queries.load("pgcharter.migrate", "audit_seals.sql")["writers"]
    before = {row[0] for row in conn.execute(sql)}
    end = time.monotonic() + wait
    pause = 0.002
    while before:
        left = [row for row in conn.execute(sql) if row[0] in before]
        if not left or time.monotonic() >= end:
            return tuple(f"process {pid} of {user or 'nobody'}, open for {age:.0f} s" if pid else f"prepared transaction {vxid}"
                         for vxid, pid, user, age in left)  # fmt: skip
        time.sleep(pause)
        pause = min(pause * 2, 0.2)
    return ()


def _add(
    conn: Connection,
    number: int,
    kind: str,
    month: date,
    upto: int,
    numbers: list[int],
    prints: bytes,
    digest: bytes,
    previous: bytes,
    note: str,
) -> bytes:
    at = _now(conn)
    value = hashed(number, at, kind, month, upto, numbers, digest, previous, note)
    sql = queries.load("pgcharter.migrate", "audit_seals.sql")["insert"]
    conn.execute(sql, (number, at, kind, month, upto, numbers, prints, digest, previous, value, note))
    return value


def _now(conn: Connection) -> datetime:
    """The server's time: sealers may stand on several machines."""
    at: datetime = _one(conn, queries.load("pgcharter.migrate", "audit_seals.sql")["clock"])[0]
    return at


def hashed(
    number: int, at: datetime, kind: str, month: date, upto: int, numbers: list[int], digest: bytes, previous: bytes, note: str
) -> bytes:
    """The hash of a seal: of everything in it but the prints, the seal before included."""
    moment = f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%f}"
    data = [number, moment, kind, str(month), upto, numbers, digest.hex(), previous.hex(), note]
    return sha256(json.dumps(data, ensure_ascii=True).encode()).digest()


def _standing(conn: Connection) -> Iterator[tuple[date, str]]:
    """Months that have a table, and how it stands to the trail."""
    for name, how in conn.execute(queries.load("pgcharter.migrate", "audit_seals.sql")["standing"]).fetchall():
        year, _, month = name.removeprefix(f"{LOG.name}_").partition("_")
        yield date(int(year), int(month), 1), how


def _retired(conn: Connection, month: date) -> bool:
    return bool(_one(conn, "SELECT EXISTS (SELECT FROM pgcharter.audit_seals WHERE kind = 'retired' AND month = %s)", (month,))[0])
