"""Which SQL files a target holds, in what order they run, and which of them lead back (down, undo, revert)."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from pgcharter.errors import PgcharterError, UsageError

SUFFIXES = (".sql", ".ddl", ".pgsql", ".psql")
_DOWN_FOLDER = {"down", "downs", "revert", "rollback", "rollbacks", "undo"}
_DOWN_NAME = re.compile(r"(?:^|[._-])(?:down|undo|rollback|revert)$", re.IGNORECASE)
FLYWAY = re.compile(r"(?P<kind>[VUBR])(?P<version>[0-9][0-9._]*)?__(?P<name>.*)", re.IGNORECASE)
"""The stem or name of a file of Flyway's: `V1_2__add_total`, `R__views`, `U1__a`."""
_NUMBERS = re.compile(r"(\d+)")
_IGNORED = {"node_modules", "__pycache__", "venv", "site-packages"}


@dataclass(frozen=True, slots=True)
class SqlFile:
    """One SQL file of a target."""

    path: Path
    name: str
    """As shown: the target as the user wrote it, with the rest of the path."""
    direction: str = "up"
    """up; down for files that take back; verify for Sqitch's checks. Only up is run."""


def find(target: str) -> tuple[Path, list[SqlFile]]:
    """Return the folder that includes may not leave, and the files of `target` in the order they run.

    Raises UsageError when a folder holds no SQL file, PgcharterError when it may not be read.
    """
    path = Path(target).expanduser()
    if not path.is_dir():
        return path.resolve().parent, [SqlFile(path, target)]
    found = files_in(path, target)
    if not found:
        raise UsageError(f"{target} holds no SQL file", hint=f"looked for {', '.join('*' + s for s in SUFFIXES)} in it and below")
    plan = {change.name: number for number, change in enumerate(sqitch_plan(path))}
    found.sort(key=lambda f: (_planned(f, plan), *_order(f.path.relative_to(path))))
    return path.resolve(), found


def files_in(folder: Path, target: str) -> list[SqlFile]:
    """The SQL files in and below `folder`, which the user calls `target`, in no order; empty when there is none."""
    return [SqlFile(p, _shown(target, folder, p), direction(p.relative_to(folder))) for p in _walk(folder, target)]


def _walk(folder: Path, target: str) -> Iterator[Path]:
    def refuse(error: OSError) -> None:
        raise PgcharterError(f"{error.filename or target} cannot be read: {error.strerror}")

    for root, folders, names in os.walk(folder, onerror=refuse):
        folders[:] = sorted(f for f in folders if not f.startswith(".") and f not in _IGNORED)
        for name in names:
            if name.lower().endswith(SUFFIXES) and not name.startswith("."):
                path = Path(root) / name
                if path.is_file() or path.is_symlink():
                    yield path


def _shown(target: str, root: Path, path: Path) -> str:
    return os.path.normpath(os.path.join(target, path.relative_to(root)))  # noqa: PTH118 - keeps the target as the user wrote it


def direction(path: Path) -> str:
    """Which way a file leads, by its path below the folder that is read: up, down or verify."""
    folders = {part.lower() for part in path.parts[:-1]}
    if "verify" in folders:
        return "verify"
    flyway = FLYWAY.match(path.name)
    if folders & _DOWN_FOLDER or _DOWN_NAME.search(path.stem) or (flyway and flyway["kind"].upper() == "U"):
        return "down"
    return "up"


def _order(path: Path) -> tuple[object, ...]:
    """Natural order by folder and name: 2 before 10; Flyway's repeatable files after all others."""
    flyway = FLYWAY.match(path.name)
    repeatable = bool(flyway and flyway["kind"].upper() == "R" and not flyway["version"])
    folders = [natural(part) for part in path.parts[:-1]]
    version = [int(n) for n in re.findall(r"\d+", flyway["version"])] if flyway and flyway["version"] else []
    return (repeatable, folders, version, natural(path.name))


def natural(name: str) -> list[tuple[int, int, str]]:
    """A key that sorts names as a person would: 2 before 10."""
    return [(0, int(piece), "") if piece.isdigit() else (1, 0, piece.lower()) for piece in _NUMBERS.split(name) if piece]


@dataclass(frozen=True, slots=True)
class Change:
    """One change of a Sqitch plan."""

    name: str
    """Stem of its scripts: the change's name, with `@tag` where a later change of that name replaces it."""
    planner: str = ""
    date: str = ""
    note: str = ""


_CHANGE = re.compile(
    r"(?P<name>[^\s@#%\[]\S*)(?:\s+\[[^\]]*\])?(?:\s+(?P<date>\d{4}-\d\d-\d\dT\S+))?\s*(?P<planner>[^<#]*?)\s*(?:<[^>]*>)?\s*(?:#\s*(?P<note>.*))?$"
)


def sqitch_plan(folder: Path) -> list[Change]:
    """The changes of `folder/sqitch.plan` in order; none where there is no plan.

    A name that comes again (`sqitch rework`) leaves its first scripts under `name@tag`, the tag being the first one after it.
    """
    plan = folder / "sqitch.plan"
    if not plan.is_file():
        return []
    changes: list[Change] = []
    tags: list[tuple[int, str]] = []
    for line in plan.read_text("utf-8", "replace").splitlines():
        text = line.strip()
        if text.startswith("@"):
            tags.append((len(changes), text.split()[0]))
        elif text and text[0] not in "%#" and (found := _CHANGE.match(text)):
            changes.append(Change(found["name"], found["planner"], found["date"] or "", found["note"] or ""))
    last = {change.name: number for number, change in enumerate(changes)}
    return [c if last[c.name] == n else replace(c, name=c.name + _tag_after(n, tags)) for n, c in enumerate(changes)]


def _tag_after(number: int, tags: list[tuple[int, str]]) -> str:
    return next((tag for position, tag in tags if position > number), "")


def _planned(file: SqlFile, plan: dict[str, int]) -> int:
    return plan.get(file.path.stem, len(plan)) if plan else 0
