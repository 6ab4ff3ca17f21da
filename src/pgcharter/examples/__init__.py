"""Example projects that ship inside the package, and what builds and fills a database from a folder."""

from __future__ import annotations

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
