"""What pgBackRest's reports say: `info --output=json` and the text of `verify`, which ends in 0 on a damaged repository. Values only.

The fields are those of src/command/info/info.c, the lines those of src/command/verify/verify.c in pgBackRest's sources.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from pgcharter.errors import PgcharterError
from pgcharter.operate.backup_model import Backup, Kind

HOLD = "pgcharter-hold"
"""Annotation that says why a backup may not be removed."""
_EMPTY = 2  # "no valid backups"
_ROUNDED = timedelta(seconds=1)


@dataclass(frozen=True)
class Info:
    """What is in one repository."""

    backups: tuple[Backup, ...] = ()
    problems: tuple[str, ...] = ()
    """What pgBackRest says is wrong with it."""
    system: str = ""
    version: str = ""
    archive: str = ""
    """Folder of the log below the stanza's: 15-1."""
    log: tuple[str, str] = ("", "")
    """Oldest and newest segment."""
    busy: bool = False
    """Whether a backup is under way."""


def info(text: str, repo: int) -> Info:
    """The report of one stanza. Raises PgcharterError when it is none."""
    try:
        stanzas = json.loads(text)
        data = stanzas[0] if stanzas != [] else {"status": {"code": 1, "message": "missing stanza"}}
        return _info(data, repo)
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise PgcharterError(f"pgBackRest's report cannot be read ({type(error).__name__}): {text[:80]!r}") from None


def _info(data: Mapping[str, Any], repo: int) -> Info:
    here = [r["status"] for r in data.get("repo", ()) if r["key"] == repo] or [data["status"]]
    problems = tuple(s["message"] for s in here if s["code"] not in (0, _EMPTY))
    histories = [d for d in data.get("db", ()) if d["repo-key"] == repo]
    if not histories:
        return Info(problems=problems)
    newest = max(histories, key=lambda d: int(d["id"]))
    mine = [b for b in data["backup"] if b["database"]["repo-key"] == repo and b["database"]["id"] == newest["id"]]
    ids = {b["label"]: _id(b) for b in mine}
    system, version = str(newest["system-id"]), str(newest["version"])
    logs = [a for a in data["archive"] if a["database"]["repo-key"] == repo and a["database"]["id"] == newest["id"] and a["max"]]
    busy = bool(data["status"].get("lock", {}).get("backup", {}).get("held"))
    found = sorted((_backup(b, ids, system, version) for b in mine), key=lambda b: (b.ended, b.id))
    log = (logs[0]["min"], logs[0]["max"]) if logs else ("", "")
    return Info(tuple(found), problems, system, version, f"{version}-{newest['id']}", log, busy)


def _id(data: Mapping[str, Any]) -> str:
    return f"{_moment(data['timestamp']['start']):%Y%m%dT%H%M%S}Z-{_kind(data)}"


def _kind(data: Mapping[str, Any]) -> Kind:
    return "full" if data["type"] == "full" else "incremental"


def _moment(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _backup(data: Mapping[str, Any], ids: Mapping[str, str], system: str, version: str) -> Backup:
    """Its times are whole seconds, cut off: it had ended a second after what is said, so that nobody stops a restore before that."""
    major = int(version.partition(".")[0])
    facts = {
        "label": data["label"], "files": [], "tablespaces": {}, "error": bool(data.get("error")),
        "needs": [ids.get(r, r) for r in data.get("reference") or ()], "pgbackrest": data["backrest"]["version"],
        "annotations": dict(data.get("annotation") or {}),
    }  # fmt: skip
    prior = data.get("prior") or ""
    return Backup(
        ids[data["label"]], _kind(data), "pgbackrest", system, major * 10000, _moment(data["timestamp"]["start"]),
        _moment(data["timestamp"]["stop"]) + _ROUNDED, size=data["info"]["size"], stored=data["info"]["repository"]["delta"],
        timeline=int(data["archive"]["start"][:8], 16), start_lsn=data["lsn"]["start"], stop_lsn=data["lsn"]["stop"],
        base=ids.get(prior, prior), hold=str((data.get("annotation") or {}).get(HOLD, "")), facts=facts,
    )  # fmt: skip


# --- verify ---

_BACKUP = re.compile(r"^\s*backup: (\S+), status: ([\w /-]+?)(?:,|$)")
_LOGGED = re.compile(r"P\d\d\s+(INFO|WARN|ERROR): (.*)")
_PATH = re.compile(r"'?((?:\d{8}-\d{6}F[\w-]*|\d[\d.]*-\d+)/[^\s':]+)")


@dataclass(frozen=True)
class Verified:
    """What `verify` has found."""

    status: str
    """ok or error; empty: it did not get to its end."""
    backups: Mapping[str, str] = field(default_factory=dict)
    """Label → what is said of it: valid, invalid, in-progress."""
    lines: tuple[str, ...] = ()
    """Each thing that is wrong."""

    def of(self, labels: frozenset[str], archive: str) -> Iterator[str]:
        """What is wrong with some backups and the log."""
        if not self.status:
            yield "pgBackRest's verify did not get to its end, so nothing is known"
        for label in sorted(labels):
            said = self.backups.get(label, "")
            if self.status and said != "valid":
                yield f"pgBackRest says that backup {label} is {said or 'not there'}"
        for line in self.lines:
            named = _PATH.search(line)
            of = named[1].partition("/")[0] if named else ""
            if named is None or of in labels or of == archive:
                yield f"pgBackRest says: {line}"


def verified(text: str) -> Verified:
    """The report of `verify --output=text --verbose` with its log."""
    status, backups, lines = "", {}, []
    for line in text.splitlines():
        if logged := _LOGGED.search(line):
            level, words = logged.groups()
            if level != "INFO" or (_PATH.search(words) and " command " not in words):
                lines.append(words)
        elif line.startswith("status: "):
            status = line.removeprefix("status: ").strip()
        elif found := _BACKUP.match(line):
            backups[found[1]] = found[2]
    return Verified(status, backups, tuple(dict.fromkeys(lines)))
