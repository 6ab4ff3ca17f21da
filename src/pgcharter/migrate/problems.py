"""What stands in the way of applying migrations: edited and missing files, gaps, files older than the database, runs that did not end."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from pgcharter.migrate import layouts
from pgcharter.migrate.files import Folder
from pgcharter.migrate.ledger import Run
from pgcharter.migrate.settings import MigrateSection
from pgcharter.migrate.state import Entry, when
from pgcharter.redact import redact_sql


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that speaks against applying anything."""

    kind: Literal["edited", "missing", "older", "out of order", "gap", "unfinished", "elsewhere"]
    message: str
    hint: str
    place: str = ""
    refuses: bool = True
    """False: worth a warning."""
    entry: Entry | None = None


def problems(entries: Sequence[Entry], folder: Folder, section: MigrateSection) -> tuple[Problem, ...]:
    """All problems, in the order of the migrations; the charter says which of them refuse."""
    newest = max((layouts.numbers(m.version) for m in folder.migrations), default=())
    found = [p for e in entries for p in _of(e, newest, section)]
    if section.gaps != "allow":
        hint = 'was a file forgotten? If not: [migrate] gaps = "allow" in pgcharter.toml'
        found += [Problem("gap", sentence, hint, folder.target, section.gaps == "refuse") for sentence in folder.gaps]
    return tuple(found)


def difference(before: str | None, now: str, file: str) -> tuple[str, ...]:
    """What was edited, as a unified difference without passwords; a line that says so when the applied text was not kept."""
    if before is None:
        return ("the text that was applied was not kept in the ledger, so the difference cannot be shown",)
    old, new = (redact_sql(text).replace("\r\n", "\n").splitlines() for text in (before, now))
    found = tuple(difflib.unified_diff(old, new, f"{file} (as applied)", f"{file} (now)", lineterm=""))
    return found or ("only a password, or white space at the end, was edited; passwords are not kept in the ledger",)


def _of(e: Entry, newest: tuple[int, ...], section: MigrateSection) -> Iterator[Problem]:
    if e.word == "edited" and e.migration and e.run:
        message = f"{e.migration.file} was applied on {when(e.run)} and has been edited since, so the database is not what the file says"
        hint = f"undo the edit and write the change as a new file; or take the new text as applied: pgcharter migrate repair {e.version}"
        yield Problem("edited", message, hint, e.migration.file, True, e)
    elif e.word == "missing" and e.run:
        yield _missing(e, e.run, newest, section)
    elif e.late and e.word == "pending" and e.migration:
        message = f"{e.migration.file} is not applied, but a later version is, so it would run out of order"
        hint = 'give it a later version; or allow it: [migrate] out_of_order = "allow" in pgcharter.toml; or, if the database has all of it'
        hint += f" and only the record is lost: pgcharter migrate baseline {e.version}"
        yield Problem("out of order", message, hint, e.migration.file, section.out_of_order == "refuse", e)
    if e.unfinished:
        yield _unfinished(e, e.unfinished)


def _missing(e: Entry, run: Run, newest: tuple[int, ...], section: MigrateSection) -> Problem:
    refuses, called = section.missing == "refuse", f"{e.title} ({run.file})" if run.file else e.title
    if newest and layouts.numbers(run.version) > newest:
        message = f"the database has {called} since {when(run)}, which these files do not have: they are older than the database"
        return Problem("older", message, "take the files of the release that made it: git pull", run.file, refuses, e)
    message = f"{called} was applied on {when(run)} and its file is missing, so nobody can say what it did or take it back"
    hint = 'bring the file back from version control; or, after files were put together: [migrate] missing = "allow" in pgcharter.toml'
    return Problem("missing", message, hint, run.file, refuses, e)


def _unfinished(e: Entry, run: Run) -> Problem:
    way = "way back" if run.direction == "down" else "run"
    place = e.migration.file if e.migration else ""
    if e.migration is None:
        message = f"the {way} of {e.title} that began on {when(run)} is half done, and its file is missing"
        hint = (
            f"bring {run.file or 'the file'} back from version control, then pgcharter migrate {run.direction}; or set the run aside: "
            f"pgcharter migrate repair {e.version or e.name}"
        )
    elif run.outcome == "running" and run.error:
        message = f"the {way} of {e.title} stopped on {when(run)}: {run.error}"
        hint = f"pgcharter migrate {run.direction} goes on where it was"
    elif run.outcome == "running":
        message = f"the {way} of {e.title} that began on {when(run)} has not ended: it is at work, or it died"
        hint = f"pgcharter migrate {run.direction} goes on where it was, once no other runner is at work"
    else:
        message = f"the {way} of {e.title} failed on {when(run)}" + (f": {run.error}" if run.error else "")
        hint = f"mend the cause; pgcharter migrate {run.direction} goes on where it was, pgcharter migrate repair sets the run aside"
    return Problem("unfinished", message, hint, place, False, e)
