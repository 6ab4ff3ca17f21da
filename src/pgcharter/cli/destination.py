"""Migrations judged for a database: what of them it has behind it, how large its tables are, and what the rest would do there."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from pgcharter.catalog.reading import Destination
from pgcharter.errors import PgcharterError
from pgcharter.findings import Gap

if TYPE_CHECKING:
    from pgcharter.catalog.model import Catalog, Stats
    from pgcharter.catalog.reading import Reading
    from pgcharter.charter import Charter
    from pgcharter.migrate.settings import MigrateSection


@dataclass(frozen=True)
class Journey:
    """From files to one environment's database, which was read once."""

    environment: str
    dsn: str
    section: MigrateSection
    catalog: Catalog
    stats: Stats

    def led(self, target: str, reading: Reading, scratch_url: str | None, *, server: bool) -> Reading:
        """The reading of SQL files or of an Alembic project, as it looks from that database; others are left as they are."""
        if reading.source not in ("sql", "alembic"):
            return reading
        applied, why = self._told(target, reading)
        found = Destination(self.environment, self.catalog, self.stats, applied)
        gaps = [Gap(f"which files {self.environment} has", f"{why}, so all of them are judged")] if why else []
        if applied:
            what = f"{len(applied)} file{'s' * (len(applied) > 1)} that {self.environment} has applied"
            gaps.append(Gap(what, "how they run is no hazard any more; the others are judged by the sizes there"))
        reading = replace(reading, destination=found, gaps=(*reading.gaps, *gaps))
        return self._tried(reading, applied or frozenset(), scratch_url) if server and applied is not None else reading

    def _told(self, target: str, reading: Reading) -> tuple[frozenset[str] | None, str]:
        """The files that the database has behind it, or why nobody knows."""
        try:
            applied = self._by_alembic(target) if reading.source == "alembic" else self._by_ledger(target, reading)
        except PgcharterError as error:
            return None, error.message
        return applied, "" if applied is not None else "it has no ledger that is known here"

    def _by_alembic(self, target: str) -> frozenset[str]:
        from pgcharter.migrate import alembic
        from pgcharter.migrate.alembic_env import standpoint

        revisions = alembic.read(target)
        done = revisions.applied(standpoint(revisions.alembic, self.dsn).heads)
        return frozenset(m.file for m in revisions.migrations if m.version in done)

    def _by_ledger(self, target: str, reading: Reading) -> frozenset[str] | None:
        from pgcharter.db import connect
        from pgcharter.migrate.behind import behind

        path = Path(target)
        files = {s.place.file for s in (*reading.statements, *reading.back)}
        with connect(self.dsn, application_name="pgcharter check", client_encoding="UTF8") as conn:
            conn.execute("SET default_transaction_read_only = on; SET lock_timeout = '5s'")
            return behind(conn, self.catalog, files, target if path.is_dir() else str(path.parent), self.section)

    def _tried(self, reading: Reading, applied: frozenset[str], scratch_url: str | None) -> Reading:
        """The reading with what the pending files do to the schema that is there, instead of to an empty database."""
        from pgcharter.cli.progress import progress
        from pgcharter.migrate import proving
        from pgcharter.servers.scratch import open_scratch
        from pgcharter.sources import onward

        pending = [s for s in reading.statements if s.place.file not in applied]
        if not pending:
            return reading
        try:
            with (
                progress(f"trying what {self.environment} does not have") as advance,
                open_scratch(self.catalog.major, url=scratch_url) as scratch,
                scratch.database() as database,
            ):
                proving.build(database, self.catalog)
                seen = onward.see(database, pending, advance)
        except PgcharterError as error:
            why = f"{error.message}; so they were tried on an empty database"
            return replace(reading, gaps=(*reading.gaps, Gap(f"what pending files do in {self.environment}", why)))
        return seen.onto(reading, frozenset(s.place.file for s in pending))


def journey(environment: str, dsn: str, charter: Charter, live: Reading) -> Journey | None:
    """The way to the database of an environment that was read; None when its schema or sizes could not be."""
    from pgcharter.migrate.settings import MIGRATE

    if live.catalog is None or live.stats is None:
        return None
    return Journey(environment, dsn, charter.section(MIGRATE), live.catalog, live.stats)
