"""Marks: what all rows were at a known position of the log, for drills to compare.

Under one snapshot every table is counted and its rows are summed up by a checksum that does not depend on their order (the sum of
`hashtextextended` of each row as text). A snapshot and a position mean the same rows only when no transaction was between writing its
commit and being seen: the mark waits a while for such a moment, and notes the transactions that were under way; on the copy, which stands
at that position, PostgreSQL says which of them it holds as committed. With none of them the comparison is exact.
"""

from __future__ import annotations

import json
import re
import select
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import pq
from psycopg.conninfo import make_conninfo

from pgcharter.catalog import codec
from pgcharter.db import connect
from pgcharter.db.queries import query
from pgcharter.errors import ConnectError, PgcharterError, RefusedError
from pgcharter.names import literal, quote
from pgcharter.operate import backup_files as files
from pgcharter.operate import backup_server
from pgcharter.operate.backup_model import Advance
from pgcharter.operate.backup_repository import Repository
from pgcharter.operate.backup_server import Facts
from pgcharter.operate.backup_wal import lsn_number
from pgcharter.sources.live import read_catalog

if TYPE_CHECKING:
    from pgcharter.db import Connection
    from pgcharter.operate.backup_native import Native

QUIET = 3.0
"""Seconds for which a moment without transactions under way is waited for."""
TOGETHER = 40
"""Tables that one statement sums up."""
_NAME = re.compile(r"([0-9A-F]{8})-([0-9A-F]{16})\.json.*")


@dataclass(frozen=True)
class Rows:
    """One table at a position."""

    count: int
    checksum: str


@dataclass(frozen=True)
class Marked:
    """One database at a position."""

    snapshot: str
    """As pg_current_snapshot writes it: xmin:xmax:xip."""
    tables: Mapping[str, Rows]
    sequences: Mapping[str, int]
    gaps: Mapping[str, str]
    """Tables that could not be read, and why."""
    catalog: str
    """What the schema was, as a snapshot file."""

    @property
    def doubtful(self) -> tuple[int, ...]:
        """Transactions under way then."""
        return tuple(int(x) for x in self.snapshot.split(":")[2].split(",") if x)

    @property
    def next(self) -> int:
        """The first transaction that had not begun."""
        return int(self.snapshot.split(":")[1])


@dataclass(frozen=True)
class Mark:
    """What all rows were at a position."""

    system: str
    timeline: int
    lsn: str
    at: datetime
    """By the server's clock."""
    databases: Mapping[str, Marked] = field(default_factory=dict)

    @property
    def quiet(self) -> bool:
        """Whether no transaction was under way."""
        return not any(d.doubtful for d in self.databases.values())


def sql(name: str, major: int) -> bytes:
    """A query of `backup_mark.sql`."""
    return query("pgcharter.operate", "backup_mark.sql", name, major).encode()


def take(engine: Native, advance: Advance | None = None, *, quiet: float = QUIET) -> Mark:
    """Record a mark in the repository and have the log up to it archived. Raises RefusedError on a standby, PgcharterError."""
    with ExitStack() as stack:
        conn = stack.enter_context(backup_server.opened(engine.dsn))
        facts = backup_server.facts(conn, engine.dsn)
        if facts.standby:
            raise RefusedError("the server is a standby, whose rows cannot be marked", hint="mark its primary")
        repository = engine.ready(facts)
        names = list(dict.fromkeys((facts.database, *engine.section.databases)))
        sessions = {n: stack.enter_context(backup_server.opened(make_conninfo(engine.dsn, dbname=n))) for n in names}
        for last in (False, False, True):  # a schema that changes meanwhile is read again, twice
            mark = _mark(engine, facts, conn, sessions, quiet, advance)
            if last or all(d.catalog for d in mark.databases.values()):
                break
            for session in sessions.values():
                session.execute("ROLLBACK")
        keep(repository, mark)
        _push(conn)
    return mark


def _mark(
    engine: Native, facts: Facts, conn: Connection, sessions: Mapping[str, Connection], quiet: float, advance: Advance | None
) -> Mark:
    """One mark. No snapshot holds sequences still, nor all of a schema: they are read before the position."""
    before = {n: (sequences(c), codec.dumps(read_catalog(c))) for n, c in sessions.items()}
    exact = None
    if facts.wal_level == "logical" and len(sessions) == 1:
        exact = _exported(engine.dsn, next(iter(sessions.values())), quiet)
    snapshots, lsn, at = exact or _moment(conn, list(sessions.values()), quiet)
    marked = {}
    for (name, session), snapshot in zip(sessions.items(), snapshots, strict=True):
        found = look(session, snapshot, advance)
        numbers, catalog = before[name]
        marked[name] = replace(found, sequences=numbers, catalog=catalog if catalog == found.catalog else "")
    return Mark(facts.system, facts.timeline, lsn, at, marked)


def _exported(dsn: str, session: Connection, limit: float) -> tuple[list[str], str, datetime] | None:
    """The snapshot that a logical slot begins with: exactly what was committed before its position, however busy the server is.

    (Documentation, "Streaming Replication Protocol", CREATE_REPLICATION_SLOT.) None when no slot can be had in time: it waits for all
    transactions that are under way.
    """
    try:
        walsender = connect(dsn, replication="database", application_name="pgcharter backup")
    except ConnectError:
        return None
    with closing(walsender):  # it goes, and with it the slot
        pg = walsender.pgconn
        pg.send_query(f"CREATE_REPLICATION_SLOT pgcharter_mark_{pg.backend_pid} TEMPORARY LOGICAL pgoutput (SNAPSHOT 'export')".encode())
        deadline = time.monotonic() + limit
        while pg.is_busy():
            if not select.select([pg.socket], [], [], max(0.0, deadline - time.monotonic()))[0]:
                return None
            pg.consume_input()
        result = pg.get_result()
        if result is None or result.status != pq.ExecStatus.TUPLES_OK:
            return None
        lsn, name = ((result.get_value(0, n) or b"").decode() for n in (1, 2))
        session.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        session.execute(f"SET TRANSACTION SNAPSHOT {literal(name)}".encode())
        row = session.execute("SELECT pg_catalog.pg_current_snapshot()::text, pg_catalog.clock_timestamp()").fetchone()
    assert row is not None  # noqa: S101
    return [str(row[0])], lsn, row[1].astimezone(UTC)


def _moment(conn: Connection, sessions: Sequence[Connection], quiet: float) -> tuple[list[str], str, datetime]:
    """Open a snapshot in each session and take the position; again until nothing is under way, or the time is over."""
    deadline = time.monotonic() + quiet
    major = conn.info.server_version // 10000
    while True:
        snapshots = []
        for session in sessions:
            session.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            row = session.execute(sql("snapshot", major)).fetchone()
            snapshots.append(str(row[0]) if row else "")
        lsn, at = backup_server.ask(conn, "position")[0]
        after = conn.execute(sql("snapshot", major)).fetchone()
        still = after is not None and all(s == after[0] and s.endswith(":") for s in snapshots)
        if still or time.monotonic() > deadline:
            return snapshots, str(lsn), at.astimezone(UTC)
        for session in sessions:
            session.execute("ROLLBACK")
        time.sleep(0.002)


def look(conn: Connection, snapshot: str, advance: Advance | None = None) -> Marked:
    """What one database holds, seen by the transaction that `conn` is in."""
    major = conn.info.server_version // 10000
    conn.execute(sql("settings", major))
    names = [(f"{quote(s)}.{quote(t)}", k) for s, t, k in conn.execute(sql("tables", major)).fetchall()]
    tables: dict[str, Rows] = {}
    gaps: dict[str, str] = {}
    for at in range(0, len(names), TOGETHER):
        _sum(conn, names[at : at + TOGETHER], tables, gaps)
        if advance:
            advance("counting rows", min(len(names), at + TOGETHER), len(names))
    return Marked(snapshot, tables, {}, gaps, codec.dumps(read_catalog(conn)))


def sequences(conn: Connection) -> dict[str, int]:
    """The last value of each sequence that has given one."""
    rows = conn.execute(sql("sequences", conn.info.server_version // 10000)).fetchall()
    return {f"{quote(s)}.{quote(n)}": int(v) for s, n, v in rows if v is not None}


def _sum(conn: Connection, names: Sequence[tuple[str, str]], tables: dict[str, Rows], gaps: dict[str, str]) -> None:
    """Sum some tables up in one statement; where that fails, each in its own, and say why one could not be."""
    try:
        with conn.transaction():
            rows = conn.execute(" UNION ALL ".join(_one(n, k) for n, k in names).encode()).fetchall()
    except psycopg.Error as error:
        if conn.closed or (isinstance(error, psycopg.errors.OperationalError) and not error.sqlstate):
            raise PgcharterError("the server was lost while rows were counted") from None
        if len(names) == 1:
            gaps[names[0][0]] = (error.diag.message_primary or type(error).__name__).strip()
            return
        for one in names:
            _sum(conn, [one], tables, gaps)
        return
    tables.update({str(n): Rows(int(c), str(s)) for n, c, s in rows})


def _one(name: str, kind: str) -> str:
    only = "ONLY " if kind == "r" else ""
    rows = 'coalesce(sum(pg_catalog.hashtextextended((t.*)::text COLLATE "C", 0)), 0)'
    return f"SELECT {literal(name)}, count(*), {rows} FROM {only}{name} AS t"


def _push(conn: Connection) -> None:
    """Have the log up to the mark sent; a role that may not waits for archive_timeout."""
    try:
        backup_server.ask(conn, "emit")
        backup_server.ask(conn, "switch")
    except psycopg.errors.InsufficientPrivilege:
        return


# --- kept beside the backups ---


def keep(repository: Repository, mark: Mark) -> None:
    """Write a mark into the repository and its second location."""
    name = f"{mark.timeline:08X}-{lsn_number(mark.lsn):016X}.json"
    data = json.dumps({"format": "pgcharter-backup-mark", "version": 1, **asdict(mark), "at": mark.at.isoformat()}).encode()
    second = repository.seconds()
    for at in (repository, second) if second else (repository,):
        with files.refusing():
            folder = files.make(at.root / "marks")
            target = folder / (name + at.form.ending())
            output = files.Output(folder / f".{name}.partial", f"marks/{name}", at.form)
            try:
                output.write(data)
                output.finish()
                output.path.rename(target)
            except BaseException:
                output.abandon()
                raise
            files.settle(folder)


@dataclass(frozen=True)
class Known:
    """A mark that is in the repository."""

    timeline: int
    position: int
    path: Any

    def read(self, repository: Repository) -> Mark:
        """Read it. Raises PgcharterError when it is damaged."""
        name = self.path.name.split(".json")[0] + ".json"
        try:
            data = json.loads(files.content(self.path, f"marks/{name}", repository.form))
            databases = {n: Marked(**{**d, "tables": {t: Rows(**r) for t, r in d["tables"].items()}}) for n, d in data["databases"].items()}
            return Mark(data["system"], data["timeline"], data["lsn"], datetime.fromisoformat(data["at"]), databases)
        except (ValueError, KeyError, TypeError, AttributeError):
            raise PgcharterError(f"mark {self.path.name} is damaged: it cannot be read", place=str(self.path)) from None


def known(repository: Repository) -> Iterator[Known]:
    """The marks that are there, oldest first."""
    folder = repository.root / "marks"
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if match := _NAME.fullmatch(path.name):
            yield Known(int(match[1], 16), int(match[2], 16), path)


# --- compared with a copy ---


@dataclass(frozen=True)
class Compared:
    """How a copy that stands at the position of a mark differs from it."""

    differences: tuple[str, ...]
    """What is wrong, each a sentence."""
    unproven: tuple[str, ...]
    """What could not be compared, and why."""
    tables: int
    rows: int


def compare(mark: Marked, conn: Connection) -> Compared:
    """Compare a database of a copy that is paused at the mark's position."""
    from pgcharter.catalog.compare import compare as differing

    major = conn.info.server_version // 10000
    with conn.transaction():
        conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        late = _late(mark, conn, major)
        here = replace(look(conn, "::"), sequences=sequences(conn))
        catalog = read_catalog(conn)
    wrong: list[str] = []
    unproven: list[str] = []
    if not mark.catalog:
        unproven.append("the schema was not marked, for it changed meanwhile")
    elif (known_ := codec.loads(mark.catalog)) != catalog:
        found = differing(known_, catalog)
        wrong += [f"{d.object.kind} {d.object.sql()} {d.change}{f' in {d.field}' if d.field else ''} in the copy" for d in found[:20]]
    for name, rows in mark.tables.items():
        there = here.tables.get(name)
        if there == rows:
            continue
        said = f"table {name} has {there.count if there else 'no readable'} rows in the copy, other ones than the {rows.count} marked"
        if there and there.count != rows.count:
            said = f"table {name} has {there.count} rows in the copy instead of {rows.count}"
        if name in here.gaps:
            said = f"table {name} cannot be read in the copy: {here.gaps[name]}"
        if late and name not in here.gaps:
            unproven.append(f"{said}, perhaps by {len(late)} transactions that were committing at the mark")
        else:
            wrong.append(said)
    wrong += [f"table {n} is in the copy but was not marked" for n in here.tables.keys() - mark.tables.keys() - mark.gaps.keys()]
    for name, value in mark.sequences.items():
        if here.sequences.get(name, value) < value:
            wrong.append(
                f"sequence {name} stands at {here.sequences[name]} in the copy, behind the {value} marked: it would give numbers twice"
            )
    unproven += [f"table {n} was not marked: {why}" for n, why in mark.gaps.items()]
    return Compared(tuple(wrong), tuple(unproven), len(mark.tables), sum(r.count for r in mark.tables.values()))


def _late(mark: Marked, conn: Connection, major: int) -> tuple[int, ...]:
    """Transactions that the copy holds as committed though the mark has not seen them."""
    row = conn.execute(sql("next", major)).fetchone()
    after = range(mark.next, min(int(row[0]) if row else 0, mark.next + 100_000))
    asked = [str(x) for x in (*mark.doubtful, *after)]
    return tuple(int(x) for (x,) in conn.execute(sql("status", major), [asked]).fetchall()) if asked else ()
