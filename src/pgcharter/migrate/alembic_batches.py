"""Backfills in revisions: a DO block that any `alembic upgrade` runs in batches, and that pgcharter runs with its own runner of backfills.

A revision must not need pgcharter where it is only Alembic that runs it. So the batches are written out in PL/pgSQL, each committed, and
what they do stands above as one UPDATE. `migrate` knows the block by that head: when block and head say the same, the UPDATE is done with
pace, throttle and checkpoints. A block that was edited is a statement like any other.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from pgcharter.errors import PgcharterError
from pgcharter.migrate import backfill, batched, ledger
from pgcharter.migrate.model import Unit
from pgcharter.migrate.work import Work
from pgcharter.names import literal, quote
from pgcharter.sqltext import parse
from pgcharter.sqltext.comments import marks

if TYPE_CHECKING:
    from pgcharter.migrate.alembic_parts import Parts
    from pgcharter.plan.model import Backfill

SIZE = 5000
"""Rows of a batch."""
_HEAD = re.compile(r"-- pgcharter: batched [^\n]*\n(?P<update>(?:--[^\n]*\n)+)DO ")
_SIZE = re.compile(r"\bLIMIT (\d+)\) AS batch\b")


def block(job: Backfill, size: int = SIZE) -> str:
    """The backfill as a DO block, for outside of transactions."""
    table, columns = job.table.sql(), [quote(column) for column in job.key]
    key, one = ", ".join(columns), len(columns) == 1

    def at(name: str) -> str:
        values = ", ".join(f"{name}.{column}" for column in columns)
        return values if one else f"({values})"

    row, down = key if one else f"({key})", ", ".join(f"{column} DESC" for column in columns)
    condition = "" if job.condition.strip().lower() in ("", "true") else f"\n          AND ({job.condition})"
    late = (
        f"\n    -- rows that came behind the batches\n    UPDATE {table} SET {job.assignments}\n        WHERE {job.condition};"
        if condition
        else ""
    )
    said = "".join(f"-- {line}\n" for line in job.sql().split("\n"))
    body = f"""
DECLARE
    batch_begin record;
    batch_end record;
BEGIN
    SELECT {key} INTO batch_begin FROM {table} ORDER BY {key} LIMIT 1;
    WHILE FOUND LOOP
        SELECT {key} INTO batch_end
            FROM (SELECT {key} FROM {table} WHERE {row} >= {at("batch_begin")} ORDER BY {key} LIMIT {size}) AS batch
            ORDER BY {down} LIMIT 1;
        UPDATE {table} SET {job.assignments}
        WHERE {row} >= {at("batch_begin")} AND {row} <= {at("batch_end")}{condition};
        COMMIT;
        SELECT {key} INTO batch_begin FROM {table} WHERE {row} > {at("batch_end")} ORDER BY {key} LIMIT 1;
    END LOOP;{late}
END """
    tag = "$$" if "$$" not in body else "$batches$"
    return f"-- pgcharter: batched key={key}\n{said}DO {tag}{body}{tag}"


def job_of(sql: str) -> Backfill | None:
    """The backfill that a statement is the block of; None for any other statement, also for a block that was edited."""
    found = _HEAD.match(sql)
    if not found:
        return None
    update = "".join(line[3:] + "\n" for line in found["update"].splitlines())
    text = sql[: found.start("update")] + update
    parsed, above = parse(text, ""), marks(text)
    if len(parsed.statements) != 1 or parsed.errors or len(above) != 1:
        return None
    try:
        job = batched.backfill(parsed.statements[0], above[0])
    except PgcharterError:
        return None
    size = _SIZE.search(sql)
    return job if size and block(job, int(size[1])) == sql else None


@dataclass
class Filling(Work):
    """A backfill at work as a part of a revision: on the runner's session, recorded with the revision's parts."""

    parts: Parts | None = None
    digest: str = ""

    def record(self) -> None:
        """Record the part, in the transaction that is open."""
        assert self.parts is not None  # noqa: S101  (`fill` gives them)
        self.parts.record_part(self.session.conn, self.digest)


def fill(parts: Parts, cursor: Any, job: Backfill, digest: str) -> None:
    """Do the backfill from its checkpoint on, as the role and with the search_path that `cursor` has. Raises what a backfill raises."""
    work, session, number = parts.work, parts.work.session, parts.work.number + 1 + len(parts.done)
    known = {f.name: getattr(work, f.name) for f in fields(Work)}
    own = Filling(**known, parts=parts, digest=digest)
    own.number, own.units = number, (*([Unit()] * number), Unit((job.sql(),), backfill=job))
    own.progress, own.pid = ledger.progress(session.conn, work.run or 0), 0
    cursor.execute("SELECT current_user::text, current_setting('search_path')")
    role, path = cursor.fetchone()
    before, session.look = session.look, own.look
    try:
        session.run(f"SELECT pg_catalog.set_config('search_path', {literal(path)}, false); SET ROLE {quote(role)}")
        backfill.run(own, job)
    finally:
        session.look = before
        if not session.lost:
            own.rollback()
            session.run("RESET ROLE; RESET search_path")
