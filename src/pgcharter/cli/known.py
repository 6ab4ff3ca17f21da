"""The file of known findings on disk: found, read, asked for each target, written in one step."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from pgcharter import __version__, known, known_file
from pgcharter.errors import PgcharterError, UsageError
from pgcharter.known import Entry
from pgcharter.known_file import Change, Known, Record

if TYPE_CHECKING:
    from pgcharter.cli.project import Project
    from pgcharter.render.report import Report


@dataclass
class Book:
    """A known file: read once, asked for each target, written once."""

    path: Path
    shown: str
    """As messages name it."""
    held: Known = field(default_factory=Known)
    from_charter: bool = False
    _records: dict[str, Record] = field(default_factory=dict)

    def told(self, report: Report, target: str) -> Report:
        """The report with its known findings set apart, and what is mended."""
        entries = self.held.of(target)
        where, missing = locator(self.path.parent), self._missing
        parts = known.split(report.findings, entries, where=where, missing=missing)
        allowed = [f for f, _ in (*report.waived, *report.suppressed, *report.left_out)]
        gone = known.split(allowed, parts.gone, where=where, missing=missing).gone if target in self.held.targets else ()
        looked = _looked(report)
        return replace(report, findings=parts.new, known=parts.known, known_gone=tuple(e for e in gone if looked(e)), known_file=self.shown)

    def _missing(self, file: str) -> bool:
        return not (self.path.parent / file).exists()

    def note(self, report: Report, target: str) -> Report:
        """Remember what `report` counts for `write`, and return the report with all of it known."""
        self._records[target] = Record(report.findings, _looked(report))
        return replace(report, findings=(), known=report.findings, known_file=self.shown)

    def write(self) -> Change:
        """Bring the file up to what was noted, in one step: whoever reads meanwhile sees the old or the new one, never half of it."""
        with _alone(self.path.parent, self.shown):
            old = read_known(self.path, self.shown) if self.path.exists() else Known()
            self.held = Known({t: entries for t, entries in old.targets.items() if not (_is_path(t) and self._missing(t))})
            change = Change()
            for target, record in self._records.items():
                self.held, more = known_file.updated(self.held, target, record, where=locator(self.path.parent), missing=self._missing)
                change += more
            _replace(self.path, known_file.dumps(self.held, f"pgcharter {__version__}"), self.shown)
        return change


def _is_path(target: str) -> bool:
    """Whether a target of a known file is a file or folder, so that it can be gone (see `target_name`)."""
    return target not in ("-", "database") and ":" not in target and not target.startswith(("environment ", "database "))


def _looked(report: Report) -> Callable[[Entry], bool]:
    """Whether an entry would have been found again: its rule ran, its source was built; or never will be, because the rule is no more."""
    from pgcharter.guides.model import OWN
    from pgcharter.rules import engine

    ran, rules, built = frozenset(report.ran), engine.load(), report.reading.catalog is not None

    def looked(entry: Entry) -> bool:
        if entry.code.startswith("SRC"):
            return built
        return entry.code in ran or (entry.code not in rules and not entry.code.startswith(OWN))

    return looked


def open_book(option: Path | None, project: Project, *, record: bool, opened: Mapping[Path, Book]) -> Book | None:
    """The known file that the command line or else the charter names; with `record` there is always one, and it need not exist yet.

    Those in `opened` are not read again.

    Raises UsageError when the file is missing or holds something else.
    """
    from pgcharter.cli.project import shortest

    charter = project.charter
    if option is None and not charter.check.known and not record:
        return None
    named = charter.folder / charter.check.known if charter.check.known else None
    path = option or named or charter.folder / known_file.DEFAULT_NAME
    shown = str(option) if option else shortest(path)
    path = Path(os.path.realpath(path.expanduser()))
    from_charter = named is not None and os.path.realpath(named) == str(path)
    if path in opened:
        return opened[path]
    if path.is_dir():
        hint = f"name a file in it: --known {(option or path) / known_file.DEFAULT_NAME}"
        raise UsageError(f"{shown} is a folder, and known findings are kept in a file", hint=hint)
    if path.exists() and not path.is_file():
        raise UsageError(f"{shown} is no regular file, and known findings are kept in one", hint="--known pgcharter-known.json")
    if record and not path.exists():
        return Book(path, shown, from_charter=from_charter)
    if not path.exists():
        place = charter.file.place(*charter.root, "check", "known") if from_charter and charter.file else ""
        command = "pgcharter check --record" if from_charter else f"pgcharter check … --known {shown} --record"
        raise UsageError(f"there is no file {shown} with known findings", place=place, hint=f"`{command}` records what is found now")
    return Book(path, shown, read_known(path, shown), from_charter)


def read_known(path: Path, shown: str) -> Known:
    """Read a known file. Raises UsageError when it holds something else, PgcharterError when it may not be read."""
    from pgcharter.sources.text import read_text

    return known_file.loads(read_text(path, shown), shown)


@contextmanager
def _alone(folder: Path, shown: str) -> Iterator[None]:
    """Hold the folder of a known file, so that two who record at once do not lose each other's targets."""
    try:
        import fcntl

        descriptor = os.open(folder, os.O_RDONLY)
    except ImportError:
        yield
        return
    except OSError as error:
        raise _unwritable(shown, error) from None
    try:
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _replace(path: Path, text: str, shown: str) -> None:
    """Write `text` to a new file and put it in the place of `path`, with the rights that it had."""
    new = ""
    try:
        mode = path.stat().st_mode & 0o777 if path.exists() else 0o666 & ~_umask()
        descriptor, new = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        with open(descriptor, "w", encoding="utf-8", newline="\n") as file:  # noqa: PTH123 - a descriptor
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(new).chmod(mode)
        Path(new).replace(path)
    except OSError as error:
        if new:
            Path(new).unlink(missing_ok=True)
        raise _unwritable(shown, error) from None


def _umask() -> int:
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


def _unwritable(shown: str, error: OSError) -> PgcharterError:
    why = (error.strerror or "unknown error").lower()
    return PgcharterError(f"the known findings cannot be written: {why}", place=shown, hint="name another file with --known FILE")


def locator(folder: Path) -> Callable[[str], str]:
    """A function that gives a file, as a finding names it, the path by which a known file in `folder` names it."""
    top = os.path.realpath(folder)

    @cache
    def where(file: str) -> str:
        if file == "-" or not os.path.lexists(file):
            return file
        try:
            return os.path.relpath(os.path.realpath(file), top).replace(os.sep, "/")
        except ValueError:
            return file

    return where


def target_name(target: str, environment: str, folder: Path) -> str:
    """How a known file in `folder` names a target: without host, user and password, and the same wherever one stands."""
    if environment:
        return f"environment {environment}"
    if target == "-" or target.startswith("env:"):
        return target
    path = str(Path(target).expanduser())
    if "://" not in target and os.path.lexists(path):
        return locator(folder)(path)
    return _database_name(target) if "://" in target or "=" in target else target


def _database_name(dsn: str) -> str:
    import psycopg
    from psycopg.conninfo import conninfo_to_dict

    scheme, slashes, rest = dsn.partition("://")
    try:
        found = conninfo_to_dict(f"postgresql://{rest}" if slashes else scheme)
    except psycopg.ProgrammingError:
        return "database"
    return f"database {found.get('dbname') or found.get('service') or found.get('user') or ''}".rstrip()
