"""`backup check`: whether backups can work, asked of the live server and the repository: not what is set, but what happens."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from pgcharter.errors import PgcharterError, RefusedError
from pgcharter.findings import Evidence
from pgcharter.measures import seconds
from pgcharter.operate import backup_server, backup_wal
from pgcharter.operate.backup_repository import Repository
from pgcharter.operate.backup_server import Facts
from pgcharter.operate.backup_wal import Segment, lsn_number

if TYPE_CHECKING:
    from pgcharter.db import Connection
    from pgcharter.operate.backup_native import Native

COUNTS = timedelta(days=1)
"""How long what is seen here counts."""
SKEW = 5.0
"""Seconds by which clocks may differ."""


def check(engine: Native) -> tuple[Evidence, ...]:
    """All of it; the repository is made when it is not there. Raises ConnectError when the server cannot be asked."""
    with backup_server.opened(engine.dsn) as conn:
        facts = backup_server.facts(conn, engine.dsn)
        now = datetime.now(UTC)
        found = [_evidence(*said, at=now) for said in _before(engine, conn, facts)]
        try:
            repository = engine.ready(facts)
        except PgcharterError as error:
            return (*found, _evidence("repository", False, error.message, {"hint": error.hint}, at=now))
        found.append(_evidence("repository", True, f"{repository.root} is that of system {facts.system}", {}, at=now))
        found += [_evidence(*said, at=now) for said in _after(engine, conn, facts, repository)]
    return tuple(found)


Said = tuple[str, bool, str, Mapping[str, Any]]


def _evidence(name: str, holds: bool, seen: str, facts: Mapping[str, Any], *, at: datetime) -> Evidence:
    return Evidence(f"backup.{name}", holds, seen, at, at + COUNTS, facts)


def _before(engine: Native, conn: Connection, facts: Facts) -> Iterator[Said]:
    yield _settings(engine, facts)
    yield _rights(engine, conn)
    yield _clock(facts)
    yield _source(engine, conn, facts)


def _after(engine: Native, conn: Connection, facts: Facts, repository: Repository) -> Iterator[Said]:
    yield _space(facts, repository)
    yield _manifests(repository)
    yield _arrives(engine, conn, facts, repository)
    yield _gaps(repository)
    yield _lag(engine, conn, facts, repository)


def _settings(engine: Native, facts: Facts) -> Said:
    wrong = []
    if facts.wal_level == "minimal":
        wrong.append("wal_level is minimal: nothing can be restored past a backup (ALTER SYSTEM SET wal_level = replica, then restart)")
    if engine.section.log == "archive" and facts.archive_mode == "off" and not facts.standby:
        wrong.append("archive_mode is off (ALTER SYSTEM SET archive_mode = on, then restart)")
    if facts.full_page_writes != "on":
        wrong.append("full_page_writes is off, so a page torn by a crash cannot be mended (ALTER SYSTEM SET full_page_writes = on)")
    rpo = seconds(engine.section.rpo)
    if engine.section.log == "archive" and not 0 < facts.archive_timeout <= rpo:
        wrong.append(
            f"archive_timeout is {facts.archive_timeout} s, so up to a whole segment may be lost, however old; an RPO of {rpo:.0f} s needs"
            f" ALTER SYSTEM SET archive_timeout = '{max(1, int(rpo / 2))}s'"
        )
    if engine.section.incremental != "never" and facts.major >= 17 and facts.summarize != "on":
        wrong.append("summarize_wal is off, so there are no incremental backups (ALTER SYSTEM SET summarize_wal = on)")
    checksums = {"checksums": facts.checksums}
    if wrong:
        return "settings", False, "; ".join(wrong), checksums
    note = "" if facts.checksums == "on" else "; data_checksums are off, so a damaged page is not seen when it is copied"
    return "settings", True, f"wal_level {facts.wal_level}, archive_mode {facts.archive_mode}{note}", checksums


def _rights(engine: Native, conn: Connection) -> Said:
    superuser, replication, switch, point, settings, data, senders, used = backup_server.ask(conn, "rights")[0]
    user = conn.info.user
    wrong = []
    if not (superuser or replication):
        wrong.append(f"{user} has no REPLICATION (ALTER ROLE {user} REPLICATION)")
    if not (superuser or switch):
        wrong.append("it may not switch segments, so nobody can ask whether one arrives (GRANT EXECUTE ON FUNCTION pg_switch_wal() TO …)")
    if engine.section.mark and not (superuser or data):
        wrong.append("it may not read all rows, so they cannot be marked (GRANT pg_read_all_data TO …, or mark = false)")
    if senders - used < 1:
        wrong.append(f"all {senders} of max_wal_senders are in use")
    told = {"superuser": superuser, "restore_points": point, "settings": settings}
    if wrong:
        return "rights", False, "; ".join(wrong), told
    more = ", and more than it needs: it is a superuser" if superuser else ""
    return "rights", True, f"{user} may do what is needed{more}", told


def _clock(facts: Facts) -> Said:
    skew = (facts.now - datetime.now(UTC)).total_seconds()
    if abs(skew) > SKEW:
        said = f"the server's clock is {abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} this machine's: restores go by the server's"
        return "clock", False, said, {"skew": skew}
    return "clock", True, f"the clocks differ by {abs(skew):.1f} s at most", {"skew": skew}


def _source(engine: Native, conn: Connection, facts: Facts) -> Said:
    from pgcharter.operate.backup_source import refuse_stale

    if not facts.standby:
        return "source", True, "the server is a primary", {}
    try:
        refuse_stale(conn, facts, seconds(engine.section.rpo))
    except RefusedError as error:
        return "source", False, error.message, {}
    return "source", True, "the server is a standby that follows its primary; the log must come from that one", {}


def _space(facts: Facts, repository: Repository) -> Said:
    from pgcharter.operate.backup_native import places

    for at in places(repository):
        usage = shutil.disk_usage(at.root)
        last = [b.stored for b in at.backups() if b.kind == "full"][-1:]
        needs = last[0] * 2 if last else facts.size
        if usage.free < needs:
            said = f"{usage.free >> 20} MB are free at {at.root}, fewer than the {needs >> 20} MB that two backups take"
            return "space", False, said, {"free": usage.free, "needs": needs}
        if not os.access(at.root, os.W_OK | os.X_OK):
            return "space", False, f"{at.root} cannot be written", {}
    return "space", True, f"{shutil.disk_usage(repository.root).free >> 20} MB are free", {"size": facts.size}


def _manifests(repository: Repository) -> Said:
    damaged = repository.damaged()
    if damaged:
        return "manifests", False, "; ".join(damaged), {}
    there = repository.backups()
    if not there:
        return "manifests", False, "there is no backup yet: pgcharter backup take", {}
    newest = max(there, key=lambda b: b.ended)
    return "manifests", True, f"{len(there)} backups, the newest {newest.id}", {"newest": newest.ended.isoformat()}


def _arrives(engine: Native, conn: Connection, facts: Facts, repository: Repository) -> Said:
    """Switch a segment and wait for it: `archive_command = '/bin/true'` says yes too."""
    from pgcharter.operate.backup_arrival import await_segments, why_late

    if facts.standby:
        return "archive", False, "the server is a standby, which cannot switch segments: ask its primary", {}
    before = time.monotonic()
    try:
        with conn.transaction():
            backup_server.ask(conn, "emit")
        end = str(backup_server.ask(conn, "position")[0][0])
        backup_server.ask(conn, "switch")
    except Exception as error:
        if getattr(error, "sqlstate", None) != "42501":
            raise
        return "archive", False, "nothing was proven: the role may not switch segments (GRANT EXECUTE ON FUNCTION pg_switch_wal() TO …)", {}
    segment = Segment.at(facts.timeline, lsn_number(end) - 1, facts.segment)
    try:
        await_segments(repository, [segment], seconds(engine.section.wait), lambda name: why_late(conn, name), lambda *_: None)
    except PgcharterError as error:
        return "archive", False, error.message, {"segment": segment.name}
    problem = backup_wal.look(repository, segment.name)
    took = time.monotonic() - before
    if problem:
        return "archive", False, problem, {"segment": segment.name}
    return "archive", True, f"segment {segment.name} was there and whole after {took:.1f} s", {"segment": segment.name, "seconds": took}


def _gaps(repository: Repository) -> Said:
    found: list[Segment] = []
    physical = [b for b in repository.backups() if b.kind != "logical"]
    for timeline in sorted({b.timeline for b in physical}):
        start = min(lsn_number(b.start_lsn) for b in physical if b.timeline == timeline and (not b.hold or len(physical) == 1))
        found += backup_wal.gaps(repository, timeline, start)
    if found:
        names = ", ".join(s.name for s in found[:3]) + (f" and {len(found) - 3} more" if len(found) > 3 else "")
        said = f"{names} of the log is missing, so nothing behind can be restored from the backups before: take a full backup now"
        return "log", False, said, {"missing": [s.name for s in found]}
    return "log", True, "the log has no gap since the oldest backup" if physical else "there is no backup whose log could have a gap", {}


def lag(conn: Connection, repository: Repository, timeline: int) -> tuple[float, int]:
    """Seconds and bytes of log that are on the server alone: what would be lost if it were lost now."""
    position = lsn_number(str(backup_server.ask(conn, "position")[0][0]))
    there = backup_wal.segments(repository, timeline)
    if not there:
        return float("inf"), position
    behind = position - there[-1].end
    if behind <= 0x60:  # the head of a segment in which nothing was written yet
        return 0.0, max(0, behind)
    return max(0.0, time.time() - backup_wal.arrived(repository, there[-1])), behind


def _lag(engine: Native, conn: Connection, facts: Facts, repository: Repository) -> Said:
    late, size = lag(conn, repository, facts.timeline)
    rpo = seconds(engine.section.rpo)
    if late == float("inf"):
        return "lag", False, "no log of this timeline is in the repository", {"seconds": None, "bytes": size, "rpo": rpo}
    told = {"seconds": late, "bytes": size, "rpo": rpo}
    if late > rpo:
        return (
            "lag",
            False,
            f"changes of the last {late:.0f} s ({size >> 10} kB of log) are on the server alone; the RPO is {rpo:.0f} s",
            told,
        )
    return "lag", True, f"{size >> 10} kB of log are on the server alone, for {late:.0f} s; the RPO is {rpo:.0f} s", told
