"""Reading what pgBackRest keeps: its `verify`, by what it says and not by what it ends with, and the log that it does not miss."""

from __future__ import annotations

from collections.abc import Iterator

from pgcharter.operate import backup_pgbackrest_program as programs
from pgcharter.operate import backup_pgbackrest_report as report
from pgcharter.operate import backup_wal
from pgcharter.operate.backup_model import Advance, Backup
from pgcharter.operate.backup_pgbackrest_stanza import Stanza, chained
from pgcharter.operate.backup_wal import Segment, lsn_number, lsn_text


def verify(repository: Stanza, backup: Backup, advance: Advance | None = None) -> Iterator[str]:
    """What is wrong with a backup, those it is built on, and the log from its start on."""
    for gone in dict.fromkeys(chained(repository, backup)):
        yield f"backup {backup.id} is incremental to {gone}, which is gone, so it cannot be restored"
    if backup.facts.get("error"):
        yield f"pages of the database were damaged when backup {backup.id} was taken: their checksums did not fit"
    if advance:
        advance("reading", 0, 0)
    said = repository.program.run(
        "verify", f"--repo={repository.number}", "--output=text", "--verbose", "--job-retry=0", "--log-level-console=info",
        "--log-level-stderr=error",
    )  # fmt: skip
    if said.code:  # it gives up at some damage, and does not say where
        yield programs.failed(said, "pgBackRest's verify did not get to its end").message
        yield from log(repository, backup, read=True)
        return
    by_id = {b.id: str(b.facts["label"]) for b in repository.backups() if b.kind != "logical"}
    own = {str(backup.facts["label"]), *(by_id[i] for i in (backup.base, *backup.facts["needs"]) if i in by_id)}
    yield from report.verified(said.out).of(frozenset(own), repository.info.archive)
    yield from log(repository, backup)


def log(repository: Stanza, backup: Backup, *, read: bool = False) -> Iterator[str]:
    """Segments that are not there, for pgBackRest's verify takes the rest for two ranges, both whole; with `read`, damaged ones too."""
    size = repository.about.segment
    first, last = lsn_number(backup.start_lsn) // size, max(0, lsn_number(backup.stop_lsn) - 1) // size
    have = {s.number for s in backup_wal.segments(repository, backup.timeline)}
    for number in range(first, max([last, *have]) + 1):
        segment = Segment(backup.timeline, number, size)
        problem = f"segment {segment.name} is missing" if number not in have else ""
        if read and not problem:
            problem = backup_wal.look(repository, segment.name)
        if problem:
            what = f"without it backup {backup.id} cannot be used"
            if number > last:
                what = f"nothing after {lsn_text(segment.start)} can be restored"
            yield f"{problem}; {what}"
