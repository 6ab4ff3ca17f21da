"""The ledger: what was done to a database, kept in the database itself (`pgcharter.schema_migrations`), one row a run; or what was done to
a schema that has its own history, kept in that schema (`home`).

No function begins or ends a transaction but `install`: each joins the caller's, so that a unit and the record of it stand or fall together.
"""

from __future__ import annotations

import codecs
import hashlib
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from pgcharter import __version__
from pgcharter.errors import PgcharterError, UnavailableError
from pgcharter.migrate import home
from pgcharter.names import literal, quote
from pgcharter.redact import redact_sql

if TYPE_CHECKING:
    from pgcharter.db import Connection
    from pgcharter.migrate.model import Migration, Unit

VERSION = 1
"""Version of the tables, as `pgcharter.components` has it."""
LONGEST = 1_000_000
"""Characters of the longest text that is kept with a run; of a longer one only the checksum is."""
Direction = Literal["up", "down"]
Outcome = Literal["running", "done", "failed", "baseline", "accepted", "cleared"]
"""baseline: taken as applied without a run. accepted: an edited text taken as the applied one. cleared: a failed run set aside."""


@dataclass(frozen=True, slots=True)
class Run:
    """One row of the ledger."""

    id: int
    version: str
    """Empty for a repeatable migration."""
    name: str
    kind: str
    direction: str
    outcome: str
    checksum: str
    description: str = ""
    author: str = ""
    file: str = ""
    """Name of the file without its folders."""
    started: datetime | None = None
    finished: datetime | None = None
    duration: int | None = None
    """Milliseconds."""
    error: str = ""
    tool: str = ""
    role: str = ""
    begun: bool = False
    """Of a run that did not end: whether a part of it is done in the database."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far one unit of a run has come."""

    checksum: str
    """`unit_checksum` of the unit it was."""
    done: bool
    position: Any = None
    """The last checkpoint of a backfill."""
    rows: int = 0
    """Rows changed up to it."""


def sql(conn: Connection, name: str) -> bytes:
    """A query of `ledger.sql` on the ledger that `conn` is at home with."""
    from pgcharter.db import queries

    return home.of(conn).sql(queries.load("pgcharter.migrate", "ledger.sql")[name]).encode()


def unit_checksum(unit: Unit) -> str:
    """SHA-256 of what a unit does: where it differs, a run that was interrupted after this unit cannot go on with the edited file."""
    return hashlib.sha256("\0".join((*unit.statements, unit.gate)).encode("utf-8", "surrogatepass")).hexdigest()


def installed(conn: Connection) -> bool:
    """Whether the ledger is there in this program's version.

    Raises UnavailableError when a newer pgcharter made it, PgcharterError when one of its tables is gone.
    """
    components, *tables, _ = _row(conn, sql(conn, "installed"))
    found = _row(conn, sql(conn, "version"))[0] if components else 0
    here = home.of(conn)
    if found and not all(tables):
        name = here.sql(("pgcharter.schema_migrations", "pgcharter.schema_migration_units")[bool(tables[0])])
        begin = here.sql("DELETE FROM pgcharter.components WHERE component = 'migrate'")
        raise PgcharterError(
            f"the ledger is damaged: {name} is gone, so what is applied cannot be known",
            hint=f"restore the table from a backup; or, to begin a new record: {begin}",
            place=name,
        )
    if found > VERSION:
        raise UnavailableError(
            f"the ledger in this database is of version {found}, made by a newer pgcharter; this one knows version {VERSION}",
            hint="pip install --upgrade pgcharter",
            place=here.sql("pgcharter.components"),
        )
    return bool(found == VERSION)


def install(conn: Connection) -> None:
    """Make the ledger, or bring an older one (also that of `pgcharter up`) to this version; nothing happens where it is there.

    Raises PgcharterError when the role may not make the schema or write to it, UnavailableError when a newer pgcharter made the ledger.
    """
    import psycopg

    try:
        there = installed(conn)
        _refuse_reader(conn)
        if there:
            return
        with conn.transaction():
            conn.execute("SET LOCAL client_min_messages = warning")
            conn.execute(sql(conn, "lock"))
            if not installed(conn):
                if not home.of(conn).schema:
                    conn.execute(sql(conn, "schema"))
                conn.execute(sql(conn, "install"))
    except psycopg.errors.InsufficientPrivilege as error:
        raise PgcharterError(
            f"the ledger cannot be made in this database, so nothing was applied: {error.diag.message_primary}",
            hint=f"as its owner: {_leave(conn)}",
            place=home.of(conn).runs,
        ) from None


def _leave(conn: Connection) -> str:
    """What allows the role to make the ledger."""
    schema, role = home.of(conn).schema, quote(conn.info.user)
    return f"GRANT USAGE, CREATE ON SCHEMA {quote(schema)} TO {role}" if schema else f"CREATE SCHEMA pgcharter AUTHORIZATION {role}"


def _writable(conn: Connection) -> str:
    """What lets the session write, by where its setting comes from."""
    role, database = quote(conn.info.user), quote(conn.info.dbname)
    ways = {
        "database": f"ALTER DATABASE {database} RESET default_transaction_read_only",
        "user": f"ALTER ROLE {role} RESET default_transaction_read_only",
        "database user": f"ALTER ROLE {role} IN DATABASE {database} RESET default_transaction_read_only",
        "client": "take default_transaction_read_only out of the connection string's options, or out of PGOPTIONS",
        "configuration file": "ALTER SYSTEM RESET default_transaction_read_only; SELECT pg_reload_conf()",
    }
    (source,) = _row(conn, b"select source from pg_catalog.pg_settings where name = 'default_transaction_read_only'")
    return f"if that is not meant: {ways.get(source, 'switch default_transaction_read_only off')}"


def _refuse_reader(conn: Connection) -> None:
    """Raise PgcharterError when the role or the session may read the ledger only: what is run could not be recorded."""
    only_reads, forbidden = _row(conn, sql(conn, "forbidden"))
    if only_reads:
        raise PgcharterError(
            "this session may only read, so what is applied could not be recorded, and nothing was run",
            hint=_writable(conn),
            place=home.of(conn).runs,
        )
    if forbidden:
        raise PgcharterError(
            f"role {quote(conn.info.user)} may not write to {forbidden}, so what is applied could not be recorded, and nothing was run",
            hint=f"as its owner: GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA {home.of(conn).owner} TO {quote(conn.info.user)}",
            place=home.of(conn).runs,
        )


def start(conn: Connection, migration: Migration, direction: Direction = "up") -> int:
    """Record that a run begins; return its id. Finish it with `finish`."""
    return int(_row(conn, sql(conn, "start"), _facts(conn, migration, direction, "running"))[0])


def record(conn: Connection, migration: Migration, direction: Direction = "up", seconds: float = 0.0, outcome: Outcome = "done") -> int:
    """Record a whole run in one statement; return its id.

    For a migration of one transactional unit, inside that transaction: one round trip, and nothing is left of it when it fails.
    `seconds` is how long it took.
    """
    return int(_row(conn, sql(conn, "record"), (*_facts(conn, migration, direction, outcome), seconds, seconds))[0])


def resume(conn: Connection, run: int, migration: Migration) -> None:
    """Record that an unfinished run goes on, with the text that the file has now."""
    conn.execute(sql(conn, "resume"), (migration.checksum, _kept(conn, migration.text), __version__, run))


def unit_done(conn: Connection, run: int, number: int, unit: Unit) -> None:
    """Record that unit `number` (from 0) is done: inside its own transaction when it has one, right after it otherwise."""
    conn.execute(sql(conn, "unit_done"), (run, number, unit_checksum(unit)))


def checkpoint(conn: Connection, run: int, number: int, unit: Unit, position: Any, rows: int) -> None:
    """Record how far a backfill has come, in the transaction of its batch: `position` (any JSON) and `rows` changed altogether."""
    from psycopg.types.json import Jsonb

    conn.execute(sql(conn, "checkpoint"), (run, number, unit_checksum(unit), Jsonb(position), rows))


def finish(conn: Connection, run: int, outcome: Outcome, error: str = "") -> None:
    """Record how a run ended; the duration counts from its first start."""
    conn.execute(sql(conn, "finish"), (outcome, error, run))


def clear(conn: Connection, run: int) -> None:
    """Set a failed or abandoned run aside: its migration counts as it did before that run."""
    conn.execute(sql(conn, "clear"), (run,))


def progress(conn: Connection, run: int) -> dict[int, Progress]:
    """How far the units of a run have come, by number; those that were never begun are not there."""
    return {number: Progress(*rest) for number, *rest in conn.execute(sql(conn, "units"), (run,)).fetchall()}


def read(conn: Connection) -> tuple[Run, ...]:
    """All runs in order, without texts; none where there is no ledger. The first form of the table, that of `pgcharter up`, is read too.

    Raises PgcharterError when the table lacks columns, may not be read, or stays locked beyond the session's
    lock_timeout, so that nobody acts on half a record.
    """
    import psycopg

    try:
        there = installed(conn)
        _, table, units, runs = _row(conn, sql(conn, "installed"))
        if not table:
            return ()
        form = "read" if there or runs else "read_first"
        found = tuple(Run(*row) for row in conn.execute(sql(conn, form)).fetchall())
        if not units or all(run.outcome not in ("running", "failed") for run in found):
            return found
        begun = {run for (run,) in conn.execute(sql(conn, "begun")).fetchall()}
        return tuple(replace(run, begun=run.id in begun) for run in found)
    except psycopg.errors.UndefinedColumn as error:
        raise PgcharterError(
            f"the ledger is damaged: {error.diag.message_primary}, so what is applied cannot be known",
            hint="restore the table from a backup, or add the column and fill it in",
            place=home.of(conn).runs,
        ) from None
    except psycopg.errors.InsufficientPrivilege as error:
        raise PgcharterError(
            f"the ledger cannot be read: {error.diag.message_primary}",
            hint=f"GRANT USAGE ON SCHEMA {home.of(conn).owner} TO {quote(conn.info.user)}; "
            f"GRANT SELECT ON ALL TABLES IN SCHEMA {home.of(conn).owner} TO {quote(conn.info.user)}",
            place=home.of(conn).runs,
        ) from None
    except psycopg.errors.LockNotAvailable:
        raise PgcharterError(
            "another session keeps the ledger locked, so what is applied could not be read, and nothing was run",
            hint="who it is: SELECT pid, usename, state, query FROM pg_stat_activity WHERE pid IN "
            f"(SELECT pid FROM pg_locks WHERE relation = {literal(home.of(conn).runs)}::regclass AND granted)",
            place=home.of(conn).runs,
        ) from None


def text(conn: Connection, run: int) -> str | None:
    """The text that a run was made of; None when it was too long to keep, or was never known."""
    row = conn.execute(sql(conn, "text"), (run,)).fetchone()
    return row[0] if row else None


def _facts(conn: Connection, migration: Migration, direction: Direction, outcome: Outcome) -> tuple[object, ...]:
    m, encoding = migration, _encoding(conn)
    file = m.path.name if m.path else m.file
    described = m.description.encode(encoding, "replace").decode(encoding)
    author = m.author.encode(encoding, "replace").decode(encoding)
    return (m.version, m.name, m.kind, direction, outcome, m.checksum, described, author, file, _kept(conn, m.text), __version__)


def _kept(conn: Connection, text: str) -> str | None:
    """The text without passwords, or None when it is too long or has characters that the database's encoding lacks."""
    text = redact_sql(text)
    try:
        text.encode(_encoding(conn))
    except UnicodeEncodeError:
        return None
    return text if len(text) <= LONGEST else None


def _encoding(conn: Connection) -> str:
    """Python's name for the characters that the database can hold; ASCII for the few sets that Python does not have."""
    name = conn.info.parameter_status("server_encoding") or "UTF8"
    if name in ("UTF8", "SQL_ASCII"):
        return "utf-8"
    try:
        return codecs.lookup(name.replace("WIN", "cp")).name
    except LookupError:
        return "ascii"


def _row(conn: Connection, query: bytes, parameters: tuple[object, ...] = ()) -> tuple[Any, ...]:
    row = conn.execute(query, parameters or None).fetchone()
    assert row is not None  # noqa: S101  (each of these queries gives a row)
    return row
