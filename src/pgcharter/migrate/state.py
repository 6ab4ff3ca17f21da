"""Files against ledger: what is applied, what is pending, what was edited since, what is missing; and what to run to get somewhere."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC
from functools import cached_property
from pathlib import PurePath
from typing import Literal

from pgcharter.errors import PgcharterError, RefusedError, UsageError
from pgcharter.migrate import layouts
from pgcharter.migrate.files import Folder
from pgcharter.migrate.ledger import Run
from pgcharter.migrate.model import ALEMBIC, Migration
from pgcharter.tomlfile import nearest

Word = Literal["applied", "pending", "edited", "missing", "failed", "running", "changed"]
"""changed: a repeatable migration that will run again. failed, running: a run did not end; `running` may be at work right now."""
Identity = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Entry:
    """One migration as files and ledger have it."""

    word: Word
    migration: Migration | None
    """None when its file is missing."""
    run: Run | None
    """The run that made it applied; None when none did."""
    unfinished: Run | None = None
    """A later run that did not end."""
    late: bool = False
    """Pending, and something with a higher version is applied."""
    turn: int = 0
    """Position among what is applied, in the order in which it was run; accepting an edited text does not change it."""

    @property
    def version(self) -> str:
        """As the file writes it, or the ledger where there is no file."""
        known = self.migration or self.run or self.unfinished
        return known.version if known else ""

    @property
    def name(self) -> str:
        """The rest of the name."""
        known = self.migration or self.run or self.unfinished
        return known.name if known else ""

    @property
    def title(self) -> str:
        """`20261121 add_total`."""
        return f"{self.version} {self.name}".strip()

    @property
    def applied(self) -> bool:
        """Whether the database has it, in whatever form."""
        return self.run is not None


@dataclass(frozen=True)
class Standing:
    """All migrations of a folder and of a database, in the order of their versions."""

    entries: tuple[Entry, ...]

    @cached_property
    def applied(self) -> tuple[Entry, ...]:
        """Those that the database has, in the order in which they were applied."""
        return tuple(sorted((e for e in self.entries if e.run), key=lambda e: e.turn))

    @cached_property
    def pending(self) -> tuple[Entry, ...]:
        """Those that `up` would run, in order: not applied, unfinished, or repeatable and changed."""
        return tuple(e for e in self.entries if e.migration and (e.run is None or e.word == "changed" or _goes_up(e)))


def _goes_up(entry: Entry) -> bool:
    return entry.unfinished is not None and entry.unfinished.direction == "up"


def standing(folder: Folder, runs: Sequence[Run]) -> Standing:
    """Where a database stands. Raises PgcharterError when the ledger contradicts itself, so that nobody acts on it."""
    applied, unfinished = _history(runs, folder)
    files = {layouts.identity(m.version, m.name): m for m in folder.migrations}
    renamed = _renamed(files, applied)
    applied = {renamed.get(key, key): run for key, run in applied.items()}
    order = {key: _order(m, n) for n, (key, m) in enumerate(files.items())}
    last = max((order[key] for key in applied if key in files and key[0]), default=(-1,))
    turns = {key: number for number, key in enumerate(applied)}
    made = [_entry(m, applied.get(key), unfinished.get(key), late=order[key] < last, turn=turns.get(key, 0)) for key, m in files.items()]
    for key, run in applied.items():
        if key not in files:
            made.insert(_slot(made, run), Entry("missing", None, run, unfinished.get(key), turn=turns[key]))
    for key, run in unfinished.items():
        if run.begun and key not in files and key not in applied:
            made.insert(_slot(made, run), Entry("missing", None, None, run))
    return Standing(tuple(made))


def applied_runs(runs: Iterable[Run]) -> tuple[Run, ...]:
    """The runs that what is applied now goes back to, by the ledger's own names."""
    found: dict[tuple[str, str], Run] = {}
    for run in runs:
        if run.outcome in ("done", "baseline", "accepted"):
            found.pop((run.version, run.name), None)
            if run.direction == "up":
                found[run.version, run.name] = run
    return tuple(found.values())


def _order(m: Migration, number: int) -> tuple[int, ...]:
    """By what a migration is later than another: several of one day are not, nor are changesets of Liquibase, nor revisions of a graph."""
    return (0,) if m.layout in ("liquibase", ALEMBIC) else layouts.numbers(m.version) or (number,)


def _history(runs: Iterable[Run], folder: Folder) -> tuple[dict[Identity, Run], dict[Identity, Run]]:
    """The run that made each migration applied, and the one that did not end."""
    applied: dict[Identity, Run] = {}
    unfinished: dict[Identity, Run] = {}
    names = {_short(m.path): m for m in folder.migrations if m.path}
    for run in runs:
        _refuse_nonsense(run)
        key = _identity(run, names, folder)
        if key is None:
            continue
        if run.outcome in ("done", "baseline", "accepted"):
            unfinished.pop(key, None)
            if run.direction == "up":
                if run.outcome != "accepted":
                    applied.pop(key, None)
                applied[key] = run
            elif applied.pop(key, None) is None:
                raise _damaged(run, f"it takes {run.version or run.name} back, which was not applied")
        elif run.outcome != "cleared":
            unfinished[key] = run
    return applied, unfinished


def _identity(run: Run, names: dict[str, Migration], folder: Folder) -> Identity | None:
    """Which migration a run is of; None for what is none. `pgcharter up` records paths: migrations/001_roles, seed/001_rows."""
    if run.tool:
        return layouts.identity(run.version, run.name)
    path = PurePath(run.version)
    here = PurePath(folder.target).name
    known = names.get(_short(path)) or (names.get(f"{here}/{path}") if len(path.parts) == 1 else None)
    if known:
        return layouts.identity(known.version, known.name)
    named = layouts.named(path.with_name(path.name + ".sql"))
    return layouts.identity(named.version, named.name) if named and path.parent.name in ("", here) else None


def _short(path: PurePath) -> str:
    """The last folder and the name without suffix."""
    return f"{path.parent.name}/{path.name.removesuffix('.sql')}"


def _refuse_nonsense(run: Run) -> None:
    if not run.version and not run.name:
        raise _damaged(run, "it names no migration")
    if run.outcome not in ("running", "done", "failed", "baseline", "accepted", "cleared"):
        raise _damaged(run, f"its outcome is {run.outcome!r}")
    if run.direction not in ("up", "down"):
        raise _damaged(run, f"its direction is {run.direction!r}")
    if not re.fullmatch(r"[0-9a-f]{64}", run.checksum):
        raise _damaged(run, "its checksum is no SHA-256")


def _damaged(run: Run, why: str) -> PgcharterError:
    return PgcharterError(
        f"the ledger is damaged in run {run.id}: {why}, so what is applied cannot be known",
        hint=f"look at it: SELECT * FROM pgcharter.schema_migrations WHERE run_id >= {run.id}; restore the table, or mend the row",
        place="pgcharter.schema_migrations",
    )


def _renamed(files: dict[Identity, Migration], applied: dict[Identity, Run]) -> dict[Identity, Identity]:
    """Applied migrations whose file has another name now, but the same version and text."""
    free = {(m.version, m.checksum): key for key, m in files.items() if key not in applied}
    return {
        key: free[run.version, run.checksum] for key, run in applied.items() if key not in files and (run.version, run.checksum) in free
    }


def _entry(m: Migration, run: Run | None, unfinished: Run | None, *, late: bool, turn: int) -> Entry:
    if run is None:
        word: Word = "pending" if unfinished is None else "running" if unfinished.outcome == "running" else "failed"
        return Entry(word, m, None, unfinished, late and m.kind != "repeatable")
    if unfinished is not None:
        return Entry("running" if unfinished.outcome == "running" else "failed", m, run, unfinished, turn=turn)
    word = "applied" if same(m, run) else "changed" if m.kind == "repeatable" else "edited"
    return Entry(word, m, run, turn=turn)


def same(m: Migration, run: Run) -> bool:
    """Whether a file has the text that was run. `pgcharter up` takes line ends as they are."""
    return m.checksum == run.checksum or (not run.tool and hashlib.sha256(m.text.encode()).hexdigest() == run.checksum)


def _slot(made: Sequence[Entry], run: Run) -> int:
    """Where a migration without a file stands among the others: by its version; before the repeatable ones."""
    numbers = layouts.numbers(run.version)
    for n, entry in enumerate(made):
        if not entry.version or (numbers and layouts.numbers(entry.version) > numbers):
            return n
    return len(made)


def when(run: Run) -> str:
    """When a run ended, or began where it did not: `2026-11-21 09:30 UTC`."""
    moment = run.finished or run.started
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC" if moment else "an unknown day"


def find(entries: Sequence[Entry], word: str) -> Entry:
    """The entry that a person means by a version, a name, or the beginning of a version. Raises UsageError when it is none or several."""
    if not word:
        raise UsageError("the version is empty, so nobody knows which migration is meant", hint="pgcharter migrate status lists them")
    wanted = layouts.identity(word, "")
    exact = [e for e in entries if word in (e.version, e.title, e.name) or (e.version and layouts.identity(e.version, "") == wanted)]
    found = exact or [e for e in entries if e.version.startswith(word)]
    if len(found) == 1:
        return found[0]
    if found:
        raise UsageError(
            f"{word} means several migrations: {', '.join(e.title for e in found[:4])}", hint="write version and name in quotes"
        )
    hint = nearest(word, [n for e in entries for n in (e.version, e.name) if n], "{}") or "pgcharter migrate status lists them"
    raise UsageError(f"there is no migration {word}", hint=hint)


def back(entries: Iterable[Entry]) -> tuple[Migration, ...]:
    """The migrations that take `entries` back, in that order, called as the ledger calls them; without units.

    Raises RefusedError for one whose file is missing or was edited, for what it undoes is not known then.
    """
    made = []
    for e in entries:
        if e.migration is None or e.run is None:
            raise RefusedError(f"the file of {e.title} is missing, so its way back is not known", hint="bring it back from version control")
        if e.word == "edited":
            hint = f"undo the edit; or take the new text as the applied one: pgcharter migrate repair {e.version}"
            raise RefusedError(
                f"{e.title} has been edited since it was applied, so its way back may not fit", hint=hint, place=e.migration.file
            )
        made.append(replace(e.migration, version=e.run.version, name=e.run.name))
    return tuple(made)


def after(standing: Standing, wanted: Entry) -> tuple[Entry, ...]:
    """What is applied beyond `wanted`, the last one applied first; repeatable migrations belong to no version and stay."""
    number = standing.entries.index(wanted)
    beyond = set(map(id, standing.entries[number + 1 :]))
    return tuple(e for e in reversed(standing.applied) if id(e) in beyond and e.version)


def upto(standing: Standing, wanted: Entry) -> tuple[Entry, ...]:
    """What is pending up to and with `wanted`; the repeatable ones too when nothing is pending beyond it."""
    number = standing.entries.index(wanted)
    within = set(map(id, standing.entries[: number + 1]))
    rest = [e for e in standing.pending if id(e) not in within]
    return tuple(e for e in standing.pending if id(e) in within or not any(r.version for r in rest))
