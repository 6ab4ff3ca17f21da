"""Runs a plan of upkeep step by step: in its window, under lock timeouts with retries; what a broken build leaves is taken away.

A run that was killed is gone on with by the next one: it plans anew, and what was done is not in that plan any more.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta

import psycopg
from psycopg.conninfo import conninfo_to_dict

from pgcharter import faults
from pgcharter.db import Connection, connect
from pgcharter.errors import RefusedError
from pgcharter.findings import Evidence
from pgcharter.measures import seconds
from pgcharter.migrate.terms import Window
from pgcharter.operate import upkeep
from pgcharter.operate.upkeep_memory import Memory
from pgcharter.operate.upkeep_model import KINDS, Done, Step, UpkeepPlan
from pgcharter.operate.upkeep_settings import UpkeepSection
from pgcharter.redact import redact

POINTS = ("upkeep step", "upkeep stepped", "upkeep remembered")
COUNTS = timedelta(days=8)
"""How long a run counts as evidence."""
_ROUNDS = 3
"""Plans of one run: vacuum shows what indexes can be made smaller."""
_ONE = "SELECT pg_catalog.pg_try_advisory_lock(pg_catalog.hashtext('pgcharter upkeep'), 0)"
_LEFT = (
    "SELECT pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname) FROM pg_catalog.pg_index i"
    " JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
    " WHERE i.indrelid = (SELECT indrelid FROM pg_catalog.pg_index WHERE indexrelid = %s::text::regclass)"
    " AND NOT i.indisvalid AND c.relname ~ '_cc(new|old)[0-9]*$'"
)

Tell = Callable[[Done, int, int], None]
"""Told how a step ended, how many have, and how many there are."""


@contextmanager
def session(dsn: str) -> Iterator[Connection]:
    """A session for upkeep."""
    with connect(dsn, application_name="pgcharter upkeep", options="-c client_min_messages=warning") as conn:
        yield conn


def run(
    dsn: str, section: UpkeepSection, memory: Memory, *, first: UpkeepPlan | None = None, always: bool = False, tell: Tell = lambda *_: None
) -> tuple[list[Done], UpkeepPlan]:
    """Do what is planned, and what that makes possible; returns how each step ended, and what is left to do.

    `first` is a plan that was agreed to; later ones only add what vacuum has uncovered. `always`: outside of the window too.
    Raises RefusedError outside of the window, and where another run is under way.
    """
    done: list[Done] = []
    with session(dsn) as conn:
        _alone(conn)
        if not always and not _open(conn, section):
            raise RefusedError(f"upkeep is done in {section.window}, and it is not that time", hint="pgcharter upkeep run --now")
        for _ in range(_ROUNDS):
            plan = first or upkeep.make(conn, section, memory)
            first = None
            tried = {(d.step.kind, d.step.object) for d in done}
            steps = [s for s in plan.steps if (s.kind, s.object) not in tried]
            if not _steps(conn, dsn, section, memory, steps, done, always=always, tell=tell):
                break
        return done, upkeep.make(conn, section, memory)


def evidence(done: Sequence[Done], left: UpkeepPlan, now: datetime | None = None) -> list[Evidence]:
    """What a run has proven, for each kind of step: it holds where nothing of it is left to do."""
    at = now or datetime.now(UTC)
    made = []
    for kind in KINDS:
        mine = [d for d in done if d.step.kind == kind]
        bad = [d for d in mine if d.status != "done"]
        rest = [s for s in left.steps if s.kind == kind]
        gaps = [g for g in left.gaps if g.what.startswith(f"{kind} ")]
        seen = f"{len(mine) - len(bad)} done, {len(bad)} failed, {len(rest)} left to do, {len(gaps)} not allowed"
        facts = {"done": len(mine) - len(bad), "failed": [d.step.object for d in bad], "left": [s.object for s in rest]}
        made.append(Evidence(f"upkeep.{kind}", not (bad or rest or gaps), seen, at, at + COUNTS, facts))
    return made


def _alone(conn: Connection) -> None:
    row = conn.execute(_ONE.encode()).fetchone()
    if not (row and row[0]):
        raise RefusedError("another run of upkeep is under way in this database", hint="wait for its end")


def _open(conn: Connection, section: UpkeepSection) -> bool:
    """Whether the window is open, by the server's clock."""
    if not section.window:
        return True
    row = conn.execute("SELECT pg_catalog.clock_timestamp()").fetchone()
    assert row  # noqa: S101
    return Window.parse(section.window).opens(row[0])


def _steps(
    conn: Connection, dsn: str, section: UpkeepSection, memory: Memory, steps: Sequence[Step], done: list[Done], *, always: bool, tell: Tell
) -> bool:
    """Do steps; returns whether it is worth to look for more."""
    for n, step in enumerate(steps):
        over = "the window has ended" if not always and not _open(conn, section) else ""
        over = over or ("as many steps as one run may have are done" if section.most and len(done) >= section.most else "")
        if over:
            left = [Done(s, "left", error=f"{over}; the next run does it") for s in steps[n:]]
            done += left
            for one in left:
                tell(one, len(done), len(done))
            return False
        faults.point("upkeep step")
        ended = _step(conn, dsn, section, memory, step)
        faults.point("upkeep stepped")
        done.append(ended)
        tell(ended, n + 1, len(steps))
    return bool(steps)


def _step(conn: Connection, dsn: str, section: UpkeepSection, memory: Memory, step: Step) -> Done:
    begun, error = time.monotonic(), ""
    for attempt in range(section.retries + 1):
        if attempt:
            time.sleep(seconds(section.pause))
        seen = upkeep.seen(conn, step.object) if step.kind == "refresh" else ""
        at = conn.execute("SELECT pg_catalog.clock_timestamp()").fetchone()
        try:
            _do(conn, dsn, section, step)
        except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected) as caught:
            error = f"{_words(caught)} (tried {attempt + 1} times)"
            _tidied(conn, step)
            continue
        except psycopg.errors.UndefinedTable:
            return Done(step, "done", time.monotonic() - begun, "it is not there any more")
        except (psycopg.Error, subprocess.CalledProcessError, OSError) as caught:
            if conn.closed or conn.broken:
                raise
            _tidied(conn, step)
            return Done(step, "failed", time.monotonic() - begun, _words(caught))
        except KeyboardInterrupt:
            _tidied(conn, step)
            raise
        _remember(conn, memory, step, seen, at[0] if at else datetime.now(UTC))
        return Done(step, "done", time.monotonic() - begun)
    return Done(step, "failed", time.monotonic() - begun, error)


def _do(conn: Connection, dsn: str, section: UpkeepSection, step: Step) -> None:
    if step.kind == "repack":
        _repack(dsn, section, step)
        return
    wait = section.lock_timeout if step.kind == "refresh" else section.wait
    for name, value in (("lock_timeout", wait), ("statement_timeout", section.statement_timeout)):
        conn.execute("SELECT pg_catalog.set_config(%s, %s, false)", (name, f"{round(seconds(value) * 1000)}"))
    conn.execute(step.sql.encode())
    if step.kind == "refresh":
        conn.execute("SELECT pg_catalog.pg_stat_force_next_flush()")  # else the rows written would count as changed since this ANALYZE
        conn.execute(f"ANALYZE {step.object}".encode())


def _repack(dsn: str, section: UpkeepSection, step: Step) -> None:
    """Build a table anew with pg_repack; the password stands in its environment. Raises OSError where it is not on the path."""
    program = shutil.which("pg_repack")
    if program is None:
        raise FileNotFoundError("pg_repack is not on the path")
    wanted = {k: str(v) for k, v in conninfo_to_dict(dsn).items() if v is not None}
    names = {"host": "PGHOST", "port": "PGPORT", "user": "PGUSER", "password": "PGPASSWORD", "dbname": "PGDATABASE", "sslmode": "PGSSLMODE"}
    environment: Mapping[str, str] = {**os.environ, **{names[k]: v for k, v in wanted.items() if k in names}}
    timeout = ["--wait-timeout", str(max(1, round(seconds(section.lock_timeout)))), "--no-kill-backend"]
    done = subprocess.run(
        [program, "--no-order", *timeout, "--table", step.object], env=environment, capture_output=True, text=True, check=False,
        timeout=seconds(section.statement_timeout),
    )  # fmt: skip
    if done.returncode:
        raise OSError(redact(" ".join(done.stderr.split()))[-300:])


def _tidied(conn: Connection, step: Step) -> None:
    """Drop what a concurrent build that was broken off has left of the index it was to be."""
    if step.kind != "reindex":
        return
    with suppress(psycopg.Error):
        conn.execute("SELECT pg_catalog.set_config('lock_timeout', '10s', false)")
        for (name,) in conn.execute(_LEFT.encode(), (step.object,)).fetchall():
            conn.execute(f"DROP INDEX CONCURRENTLY {name}".encode())


def _remember(conn: Connection, memory: Memory, step: Step, seen: str, at: datetime) -> None:
    if step.kind == "refresh":
        with memory.changed():
            memory.views[step.object] = {"at": at.isoformat(), "seen": seen}
    elif step.kind == "reindex":
        row = conn.execute(
            "SELECT pg_catalog.pg_relation_size(%s::text::regclass) / pg_catalog.current_setting('block_size')::int", (step.object,)
        ).fetchone()
        with memory.changed():
            memory.indexes[step.object] = int(row[0]) if row else 0
    else:
        return
    faults.point("upkeep remembered")


def _words(error: Exception) -> str:
    primary = error.diag.message_primary if isinstance(error, psycopg.Error) else None
    return redact(primary or " ".join(str(error).split()))
