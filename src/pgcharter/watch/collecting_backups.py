"""The repository of backups, by what it records of itself: manifests or what pgBackRest lists, and proofs beside them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pgcharter.errors import PgcharterError
from pgcharter.watch.collecting_asked import Asked, NothingToAskError, Row


def _root(asked: Asked) -> Path:
    """The folder. Raises NothingToAskError where none is declared, PgcharterError where it cannot be read from here."""
    if asked.repository is None:
        raise NothingToAskError
    root = asked.repository.root
    if not (root / "repository.json").is_file():
        raise PgcharterError(
            f"{root} holds no repository of backups that can be read from here: look where it is, or pgcharter backup check"
        )
    return root


def backups(asked: Asked) -> Iterable[Row]:
    """How old the newest backup is beside what is promised. What has no manifest is none. Raises PgcharterError."""
    root = _root(asked)
    now = asked.now or datetime.now(UTC)
    found = [_manifest(path) for path in (root / "backups").glob("*/manifest.json")]
    found += [pair for path in (root / "pgbackrest" / "repo" / "backup").glob("*/backup.info") for pair in _listed(path)]
    full = max((end for kind, end in found if kind == "full"), default=None)
    newest = max((end for kind, end in found if kind != "logical"), default=None)
    promised = asked.repository.full_seconds if asked.repository else 0.0
    age = (now - full).total_seconds() if full else None
    left = [p for p in (root / "backups").glob("*") if p.is_dir() and not (p / "manifest.json").exists()]
    oldest = min((datetime.fromtimestamp(p.stat().st_mtime, UTC) for p in left), default=now)
    return (
        {
            "missing": int(full is None),
            "full_age_seconds": age,
            "full_percent": 100.0 * age / promised if age is not None and promised else None,
            "promised_seconds": promised,
            "newest": f"{newest:%Y-%m-%d %H:%M} UTC" if newest else "never",
            "unfinished_seconds": (now - oldest).total_seconds(),
            "unfinished": len(left),
            "path": str(root),
        },
    )


def _manifest(path: Path) -> tuple[str, datetime]:
    try:
        data: Any = json.loads(path.read_bytes())
        return str(data["kind"]), datetime.fromisoformat(data["ended"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise PgcharterError(f"{path} cannot be read ({type(error).__name__}): pgcharter backup verify") from None


def _listed(path: Path) -> Iterator[tuple[str, datetime]]:
    """Kind and end of the backups without errors that pgBackRest lists: a line of JSON each, unless the file is encrypted."""
    try:
        text = path.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError):
        raise PgcharterError(f"{path} is encrypted or cannot be read from here: pgcharter backup list") from None
    current = text.partition("[backup:current]\n")[2].partition("\n[")[0]
    for line in filter(None, current.splitlines()):
        said = json.loads(line.partition("=")[2])
        if not said["backup-error"]:
            yield said["backup-type"], datetime.fromtimestamp(said["backup-timestamp-stop"], UTC)


def proofs(asked: Asked) -> Iterable[Row]:
    """The newest proof of each kind: whether it holds, and until when it counts. Raises PgcharterError."""
    root = _root(asked)
    now = asked.now or datetime.now(UTC)
    newest: dict[str, Path] = {}
    for path in sorted((root / "evidence").glob("*Z-*.json")):
        newest[path.name.partition("Z-")[2].removesuffix(".json")] = path
    return [_proof(name, path, now) for name, path in newest.items()]


def _proof(name: str, path: Path, now: datetime) -> Row:
    try:
        data: Any = json.loads(path.read_bytes())
        until = datetime.fromisoformat(data["until"]) if data["until"] else None
        return {
            "proof": name, "broken": int(not data["holds"]), "seen": str(data["seen"]), "at": str(data["at"])[:16].replace("T", " "),
            "expired_seconds": (now - until).total_seconds() if until else None,
        }  # fmt: skip
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise PgcharterError(f"{path} cannot be read ({type(error).__name__})") from None
