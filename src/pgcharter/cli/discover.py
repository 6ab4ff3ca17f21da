"""Targets that a folder seems to hold: an Alembic project, migrations, SQL files, SQLAlchemy models."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

SKIPPED = frozenset({"node_modules", "site-packages", "venv", "env", "build", "dist", "target", "vendor", "tests", "test", "__pycache__"})
"""Folders where nothing of the project's own schema stands."""
DEPTH = 4
"""Levels below the folder that are looked at."""
MAX_FILES = 5000
LONGEST = 2_000_000
"""Bytes of a file that is looked into."""
_VARIABLES = ("DATABASE_URL", "POSTGRES_URL", "DB_URL")
_ADDRESS = re.compile(r"postgres(?:ql)?(?:\+\w+)?://")
_METADATA = re.compile(r"^(?P<name>\w+)\s*(?::\s*[\w.]+\s*)?=\s*(?:\w+\.)*MetaData\(", re.MULTILINE)
_BASE = re.compile(r"^class\s+(?P<name>\w+)\s*\([^)]*\bDeclarativeBase\b", re.MULTILINE)
_FUNCTION = re.compile(r"^(?P<name>\w+)\s*=\s*(?:\w+\.)*declarative_base\(", re.MULTILINE)


def discover(folder: Path) -> tuple[tuple[str, str], ...]:
    """Targets with what they are, relative to `folder`, the most telling first; at most one of each kind."""
    files = list(_files(folder)) if folder.is_dir() else []
    found = (_alembic(files), _sql(files), _models(folder, files))
    return tuple(item for item in found if item)


def database_variable(folder: Path) -> str:
    """Name of the environment variable that gives the project its database: one that is set, or that an .env file names; its value is not
    looked at further than to see that it is a PostgreSQL address."""
    for name in _VARIABLES:
        if _ADDRESS.match(os.environ.get(name, "")):
            return name
    for file in sorted(folder.glob(".env*")) if folder.is_dir() else ():
        text = _text(file)
        for name, value in re.findall(r"^(?:export\s+)?([A-Z_][A-Z0-9_]*)\s*=\s*[\"']?(\S+)", text, re.MULTILINE):
            if _ADDRESS.match(value):
                return str(name)
    return ""


def _text(file: Path) -> str:
    """What a file holds; nothing when it is none (an editor's lock, a pipe), may not be read or is too long to be written by people."""
    try:
        return file.read_text(encoding="utf-8", errors="replace") if file.is_file() and file.stat().st_size <= LONGEST else ""
    except OSError:
        return ""


def _files(folder: Path) -> Iterator[Path]:
    """Files below `folder`, relative to it, in order."""
    count = 0
    for here, folders, names in os.walk(folder):
        relative = Path(here).relative_to(folder)
        folders[:] = sorted(f for f in folders if f not in SKIPPED and not f.startswith(".")) if len(relative.parts) < DEPTH else []
        for name in sorted(names):
            count += 1
            if count > MAX_FILES:
                return
            if _writable(str(relative / name)):
                yield relative / name


def _writable(name: str) -> bool:
    """Whether a charter, which is UTF-8, can name the file."""
    return not any("\ud800" <= c <= "\udfff" for c in name)


def _alembic(files: list[Path]) -> tuple[str, str] | None:
    ini = next((f for f in files if f.name == "alembic.ini"), None)
    return (str(ini), "Alembic project") if ini else None


def _sql(files: list[Path]) -> tuple[str, str] | None:
    """The folder with most SQL files; a lone file beside the charter by its own name, for others will hardly follow it there."""
    by_folder: dict[Path, list[Path]] = {}
    for file in files:
        if file.suffix.lower() == ".sql":
            by_folder.setdefault(file.parent, []).append(file)
    if not by_folder:
        return None
    best = max(by_folder, key=lambda f: (len(by_folder[f]), -len(f.parts)))
    if len(by_folder[best]) == 1:
        return str(best if best.parts else by_folder[best][0]), "SQL file"
    return str(best), f"{len(by_folder[best])} SQL files"


def _models(folder: Path, files: list[Path]) -> tuple[str, str] | None:
    for file in files:
        if file.suffix != ".py":
            continue
        text = _text(folder / file)
        if "sqlalchemy" not in text.lower():
            continue
        attribute = _attribute(text)
        if attribute:
            return f"{_module(file)}:{attribute}", "SQLAlchemy models"
    return None


def _attribute(text: str) -> str:
    for pattern, suffix in ((_BASE, ".metadata"), (_FUNCTION, ".metadata"), (_METADATA, "")):
        match = pattern.search(text)
        if match:
            return match["name"] + suffix
    return ""


def _module(file: Path) -> str:
    parts = list(file.with_suffix("").parts)
    if parts[0] == "src":
        parts = parts[1:]
    if parts[-1] == "__init__":
        parts = parts[:-1]
    return ".".join(parts)
