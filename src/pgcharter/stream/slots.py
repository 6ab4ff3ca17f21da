"""The slot and what it needs: made with a snapshot, checked, guarded."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from pgcharter.db import Connection, queries
from pgcharter.errors import PgcharterError, RefusedError, UnavailableError
from pgcharter.names import literal, quote
from pgcharter.stream.errors import SlotLostError
from pgcharter.stream.replication import Replication, lsn_number
from pgcharter.stream.source import Table

BEGIN = "pgcharter sync init"
ANEW = "pgcharter sync init --anew makes another slot and seeds the copies anew"
_TRIGGERS = '[sync] capture = "triggers" in the charter, which asks nothing of server and role, then pgcharter policy apply'


@dataclass(frozen=True)
class Slot:
    """A slot as the server tells of it."""

    name: str
    plugin: str
    here: bool
    """Whether it is of this database."""
    pid: int | None
    """Process that reads it."""
    status: str
    """reserved, extended, unreserved or lost."""
    confirmed: int
    restart: int
    safe: int | None
    """Bytes that may still be written before the server lets go of its log; None: no limit."""
    invalid: str
    """Why it is invalid; empty below PostgreSQL 17 or when it is not."""
    failover: bool
    held: int
    """Bytes of log that it holds back."""
    lag: int
    """Bytes that were not confirmed."""


@dataclass(frozen=True)
class Snapshot:
    """A snapshot that a slot was made with; it lasts as long as the connection does nothing else."""

    name: str
    lsn: int


def _query(conn: Connection, name: str) -> bytes:
    return queries.query("pgcharter.stream", "source.sql", name, conn.info.server_version // 10000).encode()


def look(conn: Connection, name: str) -> Slot | None:
    """The slot of that name; None when there is none."""
    row = conn.execute(_query(conn, "slot"), [name]).fetchone()
    if row is None:
        return None
    plugin, here, pid, status, confirmed, restart, safe, invalid, failover, held, lag = row
    return Slot(
        name, plugin or "", bool(here), pid, status or "", lsn_number(confirmed or "0/0"), lsn_number(restart or "0/0"), safe,
        invalid or "", bool(failover), held or 0, lag or 0,
    )  # fmt: skip


def usable(slot: Slot | None, name: str) -> Slot:
    """The slot, when it can be read. Raises SlotLostError when it is gone or its log is, RefusedError when it is something else."""
    if slot is None:
        raise SlotLostError(f"there is no replication slot {name}, so nothing says where the copies go on", hint=ANEW)
    if not slot.here or slot.plugin != "pgoutput":
        what = f"of plugin {slot.plugin}" if slot.plugin != "pgoutput" else "of another database"
        raise RefusedError(f"replication slot {name} is {what}, so it is not ours", hint='name another in the charter: [sync] slot = "…"')
    if slot.status == "lost" or slot.invalid:
        why = slot.invalid.replace("_", " ") or "its log was removed"
        raise SlotLostError(
            f"replication slot {name} is invalid ({why}), so what was changed since cannot be streamed",
            hint=f"SELECT pg_drop_replication_slot({literal(name)}); then {ANEW}",
        )
    return slot


def ready(conn: Connection) -> Iterator[str]:
    """Check that the server can decode its log for us; yields warnings. Raises UnavailableError or RefusedError with the remedy."""
    row = conn.execute(_query(conn, "server")).fetchone()
    if row is None:
        raise RefusedError("the server does not say how it keeps its log")
    level, most, senders, used, may, keep, standby, user, sending = row
    if level != "logical":
        raise UnavailableError(
            f"wal_level is {level}, so the server's log does not hold what copies need",
            hint=f"ALTER SYSTEM SET wal_level = 'logical', then restart the server; or {_TRIGGERS}",
        )
    if not may:
        raise UnavailableError(
            f"role {quote(user)} may not use replication, so it cannot read changes",
            hint=f"ALTER ROLE {quote(user)} REPLICATION; or {_TRIGGERS}",
        )
    if used >= most:
        raise UnavailableError(
            f"all {most} replication slots of the server are in use",
            hint=f"ALTER SYSTEM SET max_replication_slots = {most + 4}, then restart the server; or drop one that nobody reads",
        )
    if sending >= senders:
        raise UnavailableError(
            f"all {senders} senders of the server are in use",
            hint=f"ALTER SYSTEM SET max_wal_senders = {senders + 4}, then restart the server",
        )
    if standby:
        yield "the server is a standby: heartbeats and progress cannot be written there"
    if keep < 0:
        yield (
            "max_slot_wal_keep_size is -1, so a worker that stays away lets the log fill the server's disk:"
            " ALTER SYSTEM SET max_slot_wal_keep_size = '10GB'; SELECT pg_reload_conf()"
        )


def published(conn: Connection, publication: str, wanted: Collection[str], found: Collection[Table]) -> None:
    """Check that the publication is as the charter's policy makes it. Raises PgcharterError with what was changed."""
    row = conn.execute(_query(conn, "publication"), [publication]).fetchone()
    hint = "pgcharter policy apply puts it right; what was changed meanwhile was not sent: then pgcharter sync reset SINK --table TABLE"
    if row is None:
        raise PgcharterError(f"there is no publication {quote(publication)}, so no change is sent", hint=hint)
    if not row[1]:
        raise PgcharterError(
            f"publication {quote(publication)} was changed: it leaves out some kinds of changes, so copies would go wrong",
            hint=hint,
        )
    for table in found:
        if set(table.names).isdisjoint(wanted) or not (table.filter or table.unpublished):
            continue
        what = f"only rows with {table.filter}" if table.filter else f"{table.sql} without {', '.join(map(quote, table.unpublished))}"
        of = f" of {table.sql}" if table.filter else ""
        raise PgcharterError(f"publication {quote(publication)} was changed: it sends {what}{of}, so copies would go wrong", hint=hint)
    if missing := lacking(wanted, found):
        raise PgcharterError(
            f"publication {quote(publication)} was changed: {', '.join(missing)} is not in it, so changes there are not copied", hint=hint
        )


def lacking(wanted: Iterable[str], found: Iterable[Table]) -> list[str]:
    """Tables that are not published whole and should be."""
    return sorted(set(wanted) - {name for table in found if not table.filter and not table.unpublished for name in table.names})


def create(replication: Replication, name: str, *, failover: bool = False, two_phase: bool = False) -> Snapshot:
    """Make the slot, with a snapshot of exactly the moment from which it streams. Waits for transactions that write at this moment.

    `failover` (PostgreSQL 17+): it is kept on standbys too, so that copies go on after a failover.
    """
    options = ["SNAPSHOT 'export'"]
    if failover:
        if replication.version < 170000:
            raise UnavailableError("failover slots need PostgreSQL 17", hint="leave --failover out")
        options.append("FAILOVER")
    if two_phase:
        options.append("TWO_PHASE")
    result = replication.command(f"CREATE_REPLICATION_SLOT {quote(name)} LOGICAL pgoutput ({', '.join(options)})")
    lsn, snapshot = result.get_value(0, 1), result.get_value(0, 2)
    if lsn is None or snapshot is None:
        raise PgcharterError(f"the server made slot {name} without a snapshot")
    return Snapshot(snapshot.decode(), lsn_number(lsn.decode()))


def drop(conn: Connection, name: str) -> None:
    """Drop the slot; one that is not there is dropped already."""
    conn.execute("SELECT pg_catalog.pg_drop_replication_slot(slot_name) FROM pg_catalog.pg_replication_slots WHERE slot_name = %s", [name])
