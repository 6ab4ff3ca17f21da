"""Example projects that ship inside the package, and what builds and fills a database from a folder."""

from __future__ import annotations

import os
from pathlib import Path

from pgcharter.errors import UsageError

_HERE = Path(__file__).parent


def names() -> tuple[str, ...]:
    """Names of the examples."""
    return tuple(sorted(p.name for p in _HERE.iterdir() if p.is_dir() and any(p.rglob("*.sql"))))


def folder(name: str) -> Path:
    """The folder of the example called `name`; it may be read only.

    Raises UsageError with the names there are.
    """
    if name not in names():
        raise UsageError(f"there is no example {name!r}", hint=f"there are {', '.join(names())}")
    return _HERE / name


def name_of(path: Path) -> str | None:
    """Name of the example that lives in `path`; None for any other folder."""
    real = path.resolve()
    return real.name if real.parent == _HERE.resolve() and real.name in names() else None


def data_folder(name: str) -> Path:
    """The writable folder of the user's that the server of an example belongs to; made when it is missing."""
    root = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    path = root / "pgcharter" / "examples" / name
    path.mkdir(parents=True, exist_ok=True)
    return path
