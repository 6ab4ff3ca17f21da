"""One attack sent and observed, in a transaction that is rolled back. What is kept of the answer: its state, counts, and a fingerprint."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from psycopg import pq

from pgcharter.names import literal

if TYPE_CHECKING:
    from pgcharter.db import Connection

Context = Mapping[str, str]
"""Values of settings, for one transaction."""

NOTED = "pgcharter.noted"
"""Setting in which triggers of the copy note what is written (`probe.watch`)."""
_WRITTEN = f"""SELECT pg_catalog.current_setting('{NOTED}', true), sum(pg_stat_get_xact_tuples_inserted(oid)),
       sum(pg_stat_get_xact_tuples_updated(oid)), sum(pg_stat_get_xact_tuples_deleted(oid))
  FROM pg_catalog.pg_class WHERE relkind = 'r' AND oid >= 16384""".encode()
_READ = b"""SELECT count(*) FROM pg_catalog.pg_stat_xact_all_tables
 WHERE relid IN (SELECT oid FROM pg_catalog.pg_class WHERE relnamespace = pg_catalog.pg_my_temp_schema() AND relkind = 'r')
   AND coalesce(seq_scan, 0) + coalesce(idx_scan, 0) + n_tup_ins + n_tup_upd + n_tup_del > 0"""


@dataclass(frozen=True, slots=True)
class Wrote:
    """One row that was written."""

    table: int
    """Position in `watch.watched`."""
    operation: str
    whose: str
    """Value of the column that says whose it is."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What an attack gave."""

    state: str = ""
    """SQLSTATE of the refusal; empty: it was let through."""
    rows: int = 0
    """Rows returned or changed."""
    print: str = ""
    """Fingerprint of the rows or of the message."""
    written: tuple[int, ...] = ()
    """Rows inserted, updated and deleted in any table, whoever did it."""
    wrote: tuple[Wrote, ...] = field(default=(), compare=False)
    """Whose rows of guarded tables they were."""
    key: str = ""
    """The foreign key that stopped a row from being written, not one from being deleted: schema, table and constraint, with dots."""
    taken: int = 0
    """Temporary tables of the attacker that were read or written by what was run."""
    astray: bool = False
    """Refused because no partition takes the row: that is found out before row policies are asked."""

    @property
    def passed(self) -> bool:
        """Whether it was let through: also when only a constraint stopped it, which is looked at after privileges and row policies."""
        return not self.state or (self.state.startswith("23") and not self.astray)


def settings(context: Context) -> str:
    """The statements that set a context for the transaction."""
    return "".join(f"SELECT pg_catalog.set_config({literal(n)}, {literal(v)}, true);" for n, v in sorted(context.items()))


def observe(
    conn: Connection,
    statement: str,
    context: Context,
    *,
    first: str = "",
    data: str = "",
    written: bool = False,
    taken: bool = False,
    deferred: bool = False,
    find: str = "",
) -> Seen:
    """Run `first` and the context, then `statement` (COPY with `data`), and what it put off if `deferred`.

    It is rolled back when the next one begins, or the session ends.
    """
    raw = conn.pgconn
    begun = raw.exec_(f"ROLLBACK; BEGIN; {first}{settings(context)}".encode() + _WRITTEN * (written or taken))
    if begun.status == pq.ExecStatus.FATAL_ERROR:
        return _refused(begun)
    seen = _answer(raw, raw.exec_(statement.encode()), data, find.encode())
    if not seen.state and deferred:
        late = raw.exec_(b"SET CONSTRAINTS ALL IMMEDIATE")
        seen = _refused(late) if late.status == pq.ExecStatus.FATAL_ERROR else seen
    if not seen.state and (written or taken):
        ended = raw.exec_(_WRITTEN)
        numbers = tuple(b - a for a, b in zip(_counts(begun), _counts(ended), strict=True))
        stolen = int(raw.exec_(_READ).get_value(0, 0) or 0) if taken else 0
        seen = replace(seen, written=numbers, wrote=_noted(ended), taken=stolen)
    if "PREPARE " in statement:
        raw.exec_(b"ROLLBACK; DEALLOCATE ALL")
    return seen


def _noted(result: pq.abc.PGresult) -> tuple[Wrote, ...]:
    """What the triggers noted: number of the table, operation, and whose row it was, a line each."""
    text = (result.get_value(0, 0) or b"").decode() if result.ntuples else ""
    lines = (line.split(" ", 2) for line in text.split("\n") if line.count(" ") > 1)
    return tuple(dict.fromkeys(Wrote(int(n), operation, whose) for n, operation, whose in lines if n.isdigit()))


def _counts(result: pq.abc.PGresult) -> tuple[int, ...]:
    """Rows inserted, updated and deleted, as counted since the session last told the server: also in what was rolled back."""
    return tuple(int(result.get_value(0, i) or 0) for i in range(1, 4)) if result.ntuples else (0, 0, 0)


def _answer(raw: pq.abc.PGconn, result: pq.abc.PGresult, data: str, find: bytes) -> Seen:
    if result.status == pq.ExecStatus.COPY_IN:
        raw.put_copy_data(data.encode())
        raw.put_copy_end()
        return _last(raw)
    if result.status == pq.ExecStatus.COPY_OUT:
        return _copied(raw)
    if result.status == pq.ExecStatus.FATAL_ERROR:
        return _refused(result)
    if result.status == pq.ExecStatus.TUPLES_OK:
        lines = [b"\t".join(result.get_value(r, c) or b"\\N" for c in range(result.nfields)) for r in range(result.ntuples)]
        if find:
            return Seen(rows=sum(find in line for line in lines))
        return Seen(rows=max(result.ntuples, result.command_tuples or 0), print=_print(lines))
    return Seen(rows=result.command_tuples or 0)


def _last(raw: pq.abc.PGconn) -> Seen:
    seen = Seen()
    while (result := raw.get_result()) is not None:
        seen = _refused(result) if result.status == pq.ExecStatus.FATAL_ERROR else Seen(rows=result.command_tuples or 0)
    return seen


def _copied(raw: pq.abc.PGconn) -> Seen:
    lines: list[bytes] = []
    while True:
        count, data = raw.get_copy_data(0)
        if count < 0:
            break
        lines.append(bytes(data))
    seen = _last(raw)
    return seen if seen.state else Seen(rows=len(lines), print=_print(lines))


def _refused(result: pq.abc.PGresult) -> Seen:
    state = (result.error_field(pq.DiagnosticField.SQLSTATE) or b"").decode()
    message = result.error_field(pq.DiagnosticField.MESSAGE_PRIMARY) or b""
    detail = result.error_field(pq.DiagnosticField.MESSAGE_DETAIL) or b""
    fields = (pq.DiagnosticField.SCHEMA_NAME, pq.DiagnosticField.TABLE_NAME, pq.DiagnosticField.CONSTRAINT_NAME)
    key = ".".join((result.error_field(f) or b"").decode() for f in fields) if message.startswith(b"insert or update on table") else ""
    return Seen(state or "08006", print=_print([message, detail]), key=key, astray=b"no partition of relation" in message)


def _print(lines: Iterable[bytes]) -> str:
    return hashlib.blake2b(b"\n".join(sorted(lines)), digest_size=12).hexdigest()
