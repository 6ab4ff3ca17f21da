"""Jobs on encrypted columns: batches along the key, each with its checkpoint in one transaction; killed anywhere, they are taken up again.

Rows are read without a lock, encrypted here, and written only if nobody has touched them since (same place, same `xmin`); who was touched
is found by the next pass. So a row is locked for the time of one UPDATE, and writers need not know of the job. A job ends when a pass over
the whole table finds nothing left to do.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import psycopg
from psycopg.types.json import Jsonb

from pgcharter import faults
from pgcharter.db import connect, queries
from pgcharter.errors import PgcharterError, RefusedError, UsageError
from pgcharter.migrate import lock
from pgcharter.migrate.blockers import Beside
from pgcharter.migrate.reencrypt_rows import Found, Rows, bound_to, decrypted, refused, shown_key
from pgcharter.migrate.target import Key
from pgcharter.migrate.terms import Pace
from pgcharter.migrate.throttle import Throttle
from pgcharter.names import quote
from pgcharter.runtime.encryption_format import PADDED
from pgcharter.runtime.keys import DATA, INDEX
from pgcharter.runtime.keys_subjects import load_subjects, rewrap_subjects

if TYPE_CHECKING:
    from pgcharter.db import Connection
    from pgcharter.migrate.watch import Watch
    from pgcharter.runtime.encryption import Encryption

Mode = Literal["encrypt", "rotate", "clear"]
"""encrypt: clear values into the column beside. rotate: values and blind indexes under the active keys. clear: empty the clear column."""
POINTS = ("keys read", "keys in batch", "keys before commit", "keys after batch", "keys in rewrap", "keys before finish")
"""Named places at which a test kills a job (see `faults`)."""
LEAST = 200
"""Rows of the smallest batch: on a busy server a batch takes long whatever its size, and smaller ones would come to nothing (measured:
1,700 rows/s where 8,400 are possible)."""
PASSES = 5
"""How often the whole table is gone over: behind writers who never stop writing the old way one could run for ever."""


@dataclass(frozen=True)
class Place:
    """How far a job has come: its checkpoint."""

    leaf: str = ""
    """Table that holds the rows: a partition, or the table."""
    after: Key | None = None
    changed: int = 0
    keys: str = ""
    """The active keys; with others a job begins anew."""


@dataclass(frozen=True)
class Advance:
    """One batch is done."""

    table: str
    seen: int
    changed: int
    total: int
    seconds: float


@dataclass
class Outcome:
    """What a job did."""

    changed: int = 0
    erased: int = 0
    """Rows whose subject's key is destroyed: they stay as they are."""
    left: int = 0
    """Rows that were still to do after the last pass: somebody goes on writing them the old way."""
    seconds: float = 0.0


@dataclass(frozen=True)
class Settings:
    """How a job goes about its work."""

    pace: Pace = field(default_factory=lambda: Pace(batch=0.1, largest=5_000))
    wait: float = 600.0
    """Seconds to wait for another runner to end."""
    watch: Watch = lambda _event: None
    tell: Callable[[Advance], None] = lambda _advance: None
    stop: Callable[[], bool] = lambda: False


def run(dsn: str, encryption: Encryption, column: str, mode: Mode, settings: Settings | None = None) -> Outcome:
    """Do a job from its checkpoint on. One runner works in a database at a time, migrations included.

    Raises RefusedError when it would not be safe, EncryptionError for a value that cannot be read, with the key of its row.
    """
    chosen = settings or Settings()
    began = time.monotonic()
    with lock.held(dsn, chosen.wait, chosen.watch) as held, connected(dsn) as conn:
        lock.take(conn, lock.FENCE, chosen.wait, chosen.watch)
        beside = Beside(dsn, chosen.watch, [held.pid])
        try:
            job = _Job(conn, held, beside, encryption, column, mode, chosen)
            job.run()
        finally:
            beside.close()
    job.outcome.seconds = time.monotonic() - began
    return job.outcome


def connected(dsn: str) -> Connection:
    """A session for jobs: one that fails rather than see a part of the rows (row security), and never waits long for a lock."""
    conn = connect(dsn, application_name="pgcharter keys")
    conn.execute(
        "SET row_security = off; SET lock_timeout = '2s'; SET statement_timeout = 0; SET TimeZone = 'UTC'; SET DateStyle = 'ISO, YMD'"
    )
    # A job grows the table faster than its statistics follow; without these, PostgreSQL reads all of it for every batch (measured).
    conn.execute(
        "SET enable_seqscan = off; SET enable_bitmapscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off; SET jit = off"
    )
    return conn


def wanting(encryption: Encryption, column: str, mode: Mode) -> tuple[str, dict[str, Any]]:
    """The rows that a job would still work on: a condition, and its parameters."""
    spec, ring = encryption.column(column).spec, encryption.ring
    stored, clear = quote(spec.ciphertext), quote(spec.column)
    if mode == "encrypt":
        return f"{clear} IS NOT NULL AND {stored} IS NULL", {}
    if mode == "clear":
        return f"{clear} IS NOT NULL AND {stored} IS NOT NULL", {}
    active, oldest = ring.active(spec.key, INDEX), ring.oldest(spec.key, INDEX)
    old = [f"get_byte({stored}, 5) & {PADDED} <> {PADDED if spec.padding else 0}"]
    for form in spec.search:
        blind = quote(spec.column_of(form))
        old.append(f"{blind} IS NULL OR substring({blind} FROM 1 FOR 4) <> %(mark)s")
        if spec.is_unique(form):
            beside = active != oldest
            old.append(
                f"octet_length({blind}) <> {spec.digest * (1 + beside)}" + f" OR substring({spec.oldest(form)} FROM 1 FOR 4) <> %(oldest)s"
            )
    if spec.scope != "subject":
        old.append(f"substring({stored} FROM 7 FOR 8) <> %(key)s")
    key = ring.active(spec.key, DATA).id.to_bytes(8, "big")
    return f"{stored} IS NOT NULL AND ({' OR '.join(old)})", {"mark": active.mark, "oldest": oldest.mark, "key": key}


@dataclass
class _Job:
    conn: Connection
    held: lock.RunnerLock
    beside: Beside
    encryption: Encryption
    column: str
    mode: Mode
    settings: Settings

    def __post_init__(self) -> None:
        self.cipher = self.encryption.column(self.column)
        self.spec = self.cipher.spec
        self.name = f"{self.mode} {self.column}"
        self.outcome = Outcome()
        self.rows = Rows(self.conn, self.spec)
        self.size = self.settings.pace.first
        if self.mode != "rotate" and self.spec.column not in self.rows.columns:
            raise UsageError(f"{self.spec.id} has no column {quote(self.spec.column)} in clear, so there is nothing to {self.mode}")
        if self.mode == "clear" and self.rows.columns[self.spec.column][1]:
            raise RefusedError(
                f"{self.spec.name} is NOT NULL, so it cannot be emptied",
                hint=f"ALTER TABLE {self.spec.id.sql()} ALTER COLUMN {quote(self.spec.column)} DROP NOT NULL",
            )

    def run(self) -> None:
        place = self._kept()
        leaves = self.rows.leaves
        for number in range(PASSES):
            before = self.outcome.changed
            waiting = [leaf for leaf in leaves if leaf[1] >= place.leaf] if number == 0 and place.leaf else leaves
            for oid, name, total in waiting:
                start = place if name == place.leaf and number == 0 else replace(place, leaf=name, after=None)
                place = self._leaf(oid, total, start)
            complete = number > 0 or not waiting or waiting == leaves
            if self.outcome.changed == before and complete:
                break
        else:
            self.outcome.left = self.rows.count(wanting(self.encryption, self.column, self.mode))
        if self.mode == "rotate" and self.spec.scope == "subject":
            self._rewrap()
        faults.point("keys before finish")
        self.conn.execute(queries.load("pgcharter.migrate", "reencrypt.sql")["forget"].encode(), (self.name,))

    def _rewrap(self) -> None:
        while True:
            with self.conn.transaction():
                done = rewrap_subjects(self.conn, self.encryption, self.spec.key)
                faults.point("keys in rewrap")
            if not done:
                break

    def _kept(self) -> Place:
        row = self.conn.execute(queries.load("pgcharter.migrate", "reencrypt.sql")["position"].encode(), (self.name,)).fetchone()
        keys = self._keys()
        if row is None or row[0].get("keys") != keys:
            return Place(keys=keys)
        data = row[0]
        return Place(data["leaf"], tuple(data["after"]) if data["after"] is not None else None, data["changed"], keys)

    def _keys(self) -> str:
        ring = self.encryption.ring
        active = " ".join(str(ring.active(self.spec.key, purpose).id) for purpose in (DATA, INDEX))
        return f"{active} {ring.oldest(self.spec.key, INDEX).id}"

    def _leaf(self, oid: int, total: int, place: Place) -> Place:
        """All batches of one table."""
        throttle = Throttle(self.settings.pace, self.beside, oid, self.conn.info.backend_pid, self.settings.watch)
        while True:
            self.held.check()
            if self.settings.stop():
                raise PgcharterError(
                    f"{self.name} was stopped after {self.outcome.changed:,} rows", hint="run the same command again: it goes on"
                )
            self._strained(throttle)
            began = time.monotonic()
            found = self.rows.read(place.leaf, place.after, self.size, *wanting(self.encryption, self.column, self.mode))
            faults.point("keys read")
            if not found:
                return place
            place = self._batch(found, place)
            faults.point("keys after batch")
            taken = time.monotonic() - began
            self.settings.tell(Advance(place.leaf, len(found), self.outcome.changed, total, taken))
            fitting = len(found) * self.settings.pace.batch / max(taken, 0.001)
            self.size = int(min(max(fitting, self.size / 4, LEAST), max(self.size * 2, LEAST), self.settings.pace.largest))
            if self.settings.pace.rest:
                time.sleep(self.settings.pace.rest)

    def _strained(self, throttle: Throttle) -> None:
        began = time.monotonic()
        while reasons := throttle.reasons():
            if time.monotonic() - began > self.settings.pace.longest:
                raise PgcharterError(
                    f"{self.name} paused for too long because {'; '.join(reasons)}", hint="run the same command again: it goes on"
                )
            self.held.check()
            time.sleep(0.2)

    def _batch(self, found: Sequence[Found], place: Place) -> Place:
        """Encrypt rows that were read, and write them with the checkpoint."""
        todo = self._with_subjects(found)
        values = self._values(todo)
        written = self._sealed(todo, values)
        place = replace(place, after=found[-1].key)
        for attempt in range(20):
            try:
                with self.conn.transaction():
                    changed = self.rows.write(place.leaf, todo, written, empty=self.mode == "clear") if todo else 0
                    faults.point("keys in batch")
                    place = replace(place, changed=place.changed + changed)
                    self.conn.execute(
                        queries.load("pgcharter.migrate", "reencrypt.sql")["keep"].encode(), (self.name, Jsonb(asdict(place)))
                    )
                    faults.point("keys before commit")
                break
            except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected):
                if attempt == 19:
                    raise
            except psycopg.errors.UniqueViolation as error:
                raise RefusedError(
                    f"two rows of {place.leaf} have the same value in {self.column}, which must be unique: {error.diag.constraint_name}",
                    hint="find them by the clear value, mend them, and run the same command again",
                ) from None
            except psycopg.Error as error:
                raise refused(place.leaf, error) from None
        self.outcome.changed += changed
        return place

    def _with_subjects(self, found: Sequence[Found]) -> list[Found]:
        """The rows whose subject's key is not destroyed; keys that are missing are made."""
        if self.spec.scope != "subject":
            return list(found)
        with self.conn.transaction():
            load_subjects(self.conn, self.encryption, self.column, [f.subject for f in found], create=self.mode == "encrypt")
        alive = [f for f in found if self.encryption.lives(f"{self.spec.subject_kind}:{f.subject}")]
        self.outcome.erased += len(found) - len(alive)
        return alive

    def _values(self, todo: Sequence[Found]) -> list[Any]:
        """The clear values of rows; where there is something to compare, they are compared."""
        if self.mode == "encrypt":
            return [f.clear for f in todo]
        values = decrypted(self.encryption, self.column, todo)
        if self.mode == "clear":
            for row, value in zip(todo, values, strict=True):
                if value != row.clear:
                    raise RefusedError(
                        f"{self.column} of row {shown_key(row.key)} is not what {self.spec.ciphertext} holds, so it was not emptied",
                        hint=f"set {quote(self.spec.ciphertext)} of that row to NULL, then pgcharter keys encrypt {self.column}",
                    )
        return values

    def _sealed(self, todo: Sequence[Found], values: Sequence[Any]) -> list[list[bytes | None]]:
        """Columns of what is written: ciphertext, then each blind index."""
        bound = bound_to(self.spec, todo)
        made = [self.cipher.encrypt_many(values, [f.row for f in todo], **bound)]
        tenants = {"tenants": bound["tenants"]}
        return [*made, *(self.cipher.blind_many(values, form, **tenants) for form in self.spec.search)]
