"""Minor releases of PostgreSQL as far as they were known when this was written, and whether a server runs the last one.

Sources: the announcements at https://www.postgresql.org/about/newsarchive/pgsql/ and the change logs that distributions ship with them.
All supported major versions get their minor releases on the same day.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

from pgcharter.findings import Finding, Severity
from pgcharter.names import ObjectId
from pgcharter.rules.engine import Context, rule


@dataclass(frozen=True, slots=True)
class Day:
    """A day on which minor releases came out."""

    on: date
    minors: tuple[int, ...]
    """The minor version of major 14, 15, ... in this order."""
    security: bool
    """Whether they closed holes that have a CVE number."""


_FIRST_MAJOR = 14
DAYS = (
    Day(date(2021, 9, 30), (0,), security=False),
    Day(date(2021, 11, 11), (1,), security=True),
    Day(date(2022, 2, 10), (2,), security=False),
    Day(date(2022, 5, 12), (3,), security=True),
    Day(date(2022, 6, 16), (4,), security=False),
    Day(date(2022, 8, 11), (5,), security=True),
    Day(date(2022, 11, 10), (6, 1), security=False),
    Day(date(2023, 2, 9), (7, 2), security=True),
    Day(date(2023, 5, 11), (8, 3), security=True),
    Day(date(2023, 8, 10), (9, 4), security=True),
    Day(date(2023, 11, 9), (10, 5, 1), security=True),
    Day(date(2024, 2, 8), (11, 6, 2), security=True),
    Day(date(2024, 5, 9), (12, 7, 3), security=True),
    Day(date(2024, 8, 8), (13, 8, 4), security=True),
    Day(date(2024, 11, 14), (14, 9, 5, 1), security=True),
    Day(date(2024, 11, 21), (15, 10, 6, 2), security=False),
    Day(date(2025, 2, 13), (16, 11, 7, 3), security=True),
    Day(date(2025, 2, 20), (17, 12, 8, 4), security=False),
    Day(date(2025, 5, 8), (18, 13, 9, 5), security=True),
    Day(date(2025, 8, 14), (19, 14, 10, 6), security=True),
    Day(date(2025, 11, 13), (20, 15, 11, 7, 1), security=True),
    Day(date(2026, 2, 12), (21, 16, 12, 8, 2), security=True),
    Day(date(2026, 2, 26), (22, 17, 13, 9, 3), security=False),
    Day(date(2026, 5, 14), (23, 18, 14, 10, 4), security=True),
    Day(date(2026, 8, 13), (24, 19, 15, 11, 5), security=True),
    Day(date(2026, 11, 12), (25, 20, 16, 12, 6), security=True),
)
"""Every day since the first release of 14; the first releases of later major versions, their minor 0, are left out."""
KNOWN_UNTIL = DAYS[-1].on


@rule("SRV12", "minor-version-behind", Severity.WARNING, needs="cluster")
def minor_version_behind(ctx: Context) -> Iterator[Finding]:
    """A server that lacks minor releases of its major version.

    Why: minor releases hold nothing but corrections: closed holes, wrong results, crashes. What they close is published with them, so
    who waits is attacked with a description at hand.

    Instead: install the last minor release and restart; no dump, no pg_upgrade. Read its notes for indexes to rebuild.

    Except: a vendor who carries corrections back under the old number. The list of releases ends on a day that the message names: a newer
    release is not known here, and a server that runs one is not flagged. Without closed holes in between it is only a note.
    """
    major, minor = divmod(ctx.cluster.server_version, 10000)
    missed = [(day, day.minors[major - _FIRST_MAJOR]) for day in DAYS if 0 <= major - _FIRST_MAJOR < len(day.minors)]
    missed = [(day, number) for day, number in missed if number > minor]
    if not missed:
        return
    last_day, last = missed[-1]
    holes = [f"{major}.{number}" for day, number in missed if day.security]
    closed = f"; {', '.join(holes)} closed holes that are published" if holes else ""
    yield ctx.finding(
        ObjectId("setting", "", "server_version"),
        f"PostgreSQL {major}.{minor} lacks {len(missed)} minor {'release' if len(missed) == 1 else 'releases'}: {major}.{last} came out on "
        f"{last_day.on}, the last one known to this program{closed}",
        hint=f"install {major}.{last} or newer and restart: https://www.postgresql.org/docs/release/{major}.{last}/",
        severity=Severity.WARNING if holes else Severity.INFO,
        missed=[f"{major}.{number}" for _, number in missed],
        security=holes,
    )
