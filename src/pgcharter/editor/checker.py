"""Findings for a text that is being written: at a glance from the text alone, and in full from a build on a server that is kept warm."""

from __future__ import annotations

import contextlib
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from pgcharter.errors import PgcharterError, UsageError
from pgcharter.findings import Finding
from pgcharter.sqltext import Statement

if TYPE_CHECKING:
    from pgcharter.catalog.reading import Reading
    from pgcharter.servers.scratch import Scratch
    from pgcharter.sources.script import Script


class Held(Protocol):
    """The charter and guide that a file is held against."""

    @property
    def targets(self) -> Sequence[str]:
        """What the charter checks, as paths that lead there from here."""
        ...

    def judge(self, reading: Reading) -> Sequence[Finding]:
        """The findings that count."""
        ...


Opener = Callable[[Path], Held]
"""Finds the charter that holds for a file; raises CharterError when there is something wrong in it."""


@dataclass(frozen=True)
class _Built:
    """What the last build of a file found, with the statements that it saw."""

    statements: tuple[Statement, ...]
    findings: tuple[Finding, ...]


class Checker:
    """Checks texts for as long as an editor is open. `glance` may be called while another thread is in `build`."""

    def __init__(self, opener: Opener) -> None:
        self._opener = opener
        self._held: dict[Path, Held] = {}
        self._built: dict[Path, _Built] = {}
        self._stack = contextlib.ExitStack()
        self._scratch: Scratch | None = None

    def warm(self, folder: Path) -> None:
        """Import the rules and start the server, so that the first answer in `folder` does not wait for them. What fails here fails later
        where it can be told."""
        with contextlib.suppress(PgcharterError):
            self.glance(folder / "warm.sql", "")
            self._warm()

    def forget_charters(self) -> None:
        """Read charters and guides anew from now on: one of them was saved."""
        self._held.clear()

    def forget(self, path: Path) -> None:
        """The file at `path` is not open any more."""
        self._built.pop(path, None)

    def close(self) -> None:
        """Stop the server that builds."""
        self._stack.close()
        self._scratch = None

    def _of(self, path: Path) -> Held:
        if path.parent not in self._held:
            self._held[path.parent] = self._opener(path)
        return self._held[path.parent]

    def glance(self, path: Path, text: str) -> list[Finding]:
        """What `text` alone shows; where a build has seen a statement as it stands now, what the build found instead.

        Raises CharterError.
        """
        from pgcharter.sources import files, script

        read = script.of_text(str(path), text)
        found = [f for f in self._of(path).judge(files.text_only(str(path), read)) if f.place is not None]
        built = self._built.get(path)
        return _joined(found, read.statements, built) if built else found

    def build(self, path: Path, text: str, unsaved: Mapping[Path, str]) -> list[Finding]:
        """Build the file together with what its charter builds it with, texts not saved yet included, and return what is found in it.

        Raises CharterError; UnavailableError when no PostgreSQL is at hand; PgcharterError when the server gave up.
        """
        from pgcharter.sources import files

        held = self._of(path)
        target, read = self._script(path, text, {**unsaved, path: text}, held.targets)
        try:
            with self._warm().database() as database:
                reading = files.build_on(database, target, read)
        except Exception:
            self.close()
            raise
        found = tuple(_placed(held.judge(reading), path))
        self._built[path] = _Built(tuple(s for s in reading.statements if _is(s.place.file, path)), found)
        return list(found)

    def _script(self, path: Path, text: str, unsaved: Mapping[Path, str], targets: Iterable[str]) -> tuple[str, Script]:
        """The file with its neighbours where a target of the charter is a folder around it, else by itself."""
        from pgcharter.sources import script

        around = next((t for t in targets if Path(t).is_dir() and path.is_relative_to(Path(t).resolve())), "")
        try:
            return (around or str(path)), script.load(around or str(path), unsaved=unsaved)
        except (UsageError, OSError):
            return str(path), script.of_text(str(path), text)

    def _warm(self) -> Scratch:
        from pgcharter.servers.scratch import open_scratch

        if self._scratch is None:
            self._scratch = self._stack.enter_context(open_scratch())
        return self._scratch


def _is(file: str, path: Path) -> bool:
    return Path(file).resolve() == path


def _placed(findings: Iterable[Finding], path: Path) -> Iterable[Finding]:
    return (f for f in findings if f.place is not None and _is(f.place.file, path))


def _joined(found: Sequence[Finding], statements: Sequence[Statement], built: _Built) -> list[Finding]:
    """Findings of the text for statements that are new, and those of the last build for the ones that still stand, where they stand now."""
    waiting: dict[str, list[tuple[int, Statement]]] = {}
    for number, statement in enumerate(built.statements):
        waiting.setdefault(statement.text, []).append((number, statement))
    told = _by_statement(built.findings, built.statements)
    kept: list[Finding] = []
    seen: set[int] = set()
    for number, now in enumerate(statements):
        if waiting.get(now.text):
            before, then = waiting[now.text].pop(0)
            seen.add(number)
            kept += [_moved(f, then, now) for f in told.get(before, ())]
    fresh = _by_statement(found, statements)
    return [f for number, some in fresh.items() if number not in seen for f in some] + kept


def _by_statement(findings: Iterable[Finding], statements: Sequence[Statement]) -> dict[int, list[Finding]]:
    """Findings by the number of the statement that they stand in, several of which may share a line; -1 for those between statements."""
    starts = [(s.place.line, s.place.column) for s in statements]
    grouped: dict[int, list[Finding]] = {}
    for item in findings:
        number = bisect_right(starts, (item.place.line, item.place.column)) - 1 if item.place else -1
        ends = (statements[number].place.end_line or starts[number][0]) if number >= 0 else 0
        inside = item.place is not None and item.place.line <= ends
        grouped.setdefault(number if inside else -1, []).append(item)
    return grouped


def _moved(found: Finding, then: Statement, now: Statement) -> Finding:
    """A finding of a statement where the statement stands now."""
    place, down = found.place, now.place.line - then.place.line
    if place is None:
        return found
    right = now.place.column - then.place.column if place.line == then.place.line else 0
    end = place.end_line + down if place.end_line else 0
    return found.at(replace(place, line=place.line + down, column=max(1, place.column + right), end_line=end))
