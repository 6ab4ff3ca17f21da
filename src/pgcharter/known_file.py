"""The file of known findings: JSON with one finding a line, sorted, so that a diff shows what came and went. Pure; texts go in and out."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from pgcharter.errors import UsageError
from pgcharter.findings import Finding
from pgcharter.known import Entry, Where, counted, entry_of, split

FORMAT = "pgcharter-known"
VERSION = 1
"""Version of the file; grows when an older pgcharter would misread a newer file."""
DEFAULT_NAME = "pgcharter-known.json"
_CONFLICT = re.compile(r"^(?:<{7} |={7}$|>{7} )", re.MULTILINE)


@dataclass(frozen=True)
class Known:
    """What a known file holds: entries by the target they were found in."""

    targets: Mapping[str, tuple[Entry, ...]] = field(default_factory=dict)

    def of(self, target: str) -> tuple[Entry, ...]:
        """The entries for `target`; for one that was never recorded (one file of a recorded folder, say) those of all targets."""
        if target in self.targets:
            return self.targets[target]
        best: dict[str, Entry] = {}
        for entry in (e for entries in self.targets.values() for e in entries):
            if entry.key not in best or best[entry.key].count < entry.count:
                best[entry.key] = entry
        return tuple(best.values())


@dataclass(frozen=True)
class Record:
    """What a check found in one target, to be written down."""

    found: tuple[Finding, ...]
    looked: Callable[[Entry], bool]
    """Whether an entry would have been found again, if it were still there."""


@dataclass(frozen=True, slots=True)
class Change:
    """What recording changed: findings that the file now holds of a target, those that are new in it, those it does not hold any more."""

    total: int = 0
    new: int = 0
    mended: int = 0

    def __add__(self, other: Change) -> Change:
        return Change(self.total + other.total, self.new + other.new, self.mended + other.mended)


def updated(
    old: Known, target: str, record: Record, *, where: Where = str, missing: Callable[[str], bool] | None = None
) -> tuple[Known, Change]:
    """`old` with what was found in `target` now; of its other entries those stay that nobody looked for this time.

    A finding that was recorded with its schema keeps that entry when the text alone is read, which does not tell the schema.
    """
    parts = split(record.found, old.targets.get(target, ()), where=where, missing=missing)
    again = [e if f.object and not f.object.schema else entry_of(f, where) for f, e in zip(parts.known, parts.by, strict=True)]
    kept = [e for e in parts.gone if not record.looked(e)]
    held = (*counted([*again, *(entry_of(f, where) for f in parts.new)]), *kept)
    change = Change(sum(e.count for e in held), len(parts.new), sum(e.count for e in parts.gone) - sum(e.count for e in kept))
    return Known({**old.targets, target: tuple(sorted(_once(held)))}), change


def _once(entries: Iterable[Entry]) -> Iterable[Entry]:
    """Entries with one key as one: of two findings in one file the rule may have looked for one only."""
    best: dict[str, Entry] = {}
    for entry in entries:
        count = entry.count + (best[entry.key].count if entry.key in best else 0)
        best[entry.key] = replace(entry, count=count)
    return best.values()


def dumps(known: Known, program: str) -> str:
    """The text of the file: one finding a line, sorted by target and key."""
    blocks = [_block(name, known.targets[name]) for name in sorted(known.targets)]
    head = f'{{\n  "format": "{FORMAT}",\n  "version": {VERSION},\n  "written_by": {_json(program)},\n  "targets": {{'
    return head + ("\n" + ",\n".join(blocks) + "\n  " if blocks else "") + "}\n}\n"


def _block(name: str, entries: Iterable[Entry]) -> str:
    lines = ",\n".join(f"      {_json(_plain(e))}" for e in sorted(entries))
    return f"    {_json(name)}: [" + (f"\n{lines}\n    ]" if lines else "]")


def _plain(entry: Entry) -> dict[str, Any]:
    plain: dict[str, Any] = {"key": entry.key, "code": entry.code, "message": entry.message}
    if entry.file:
        plain["file"] = entry.file
    return plain if entry.count == 1 else {**plain, "count": entry.count}


def _json(data: object) -> str:
    text = json.dumps(data, ensure_ascii=False)
    return text if text.isprintable() and not any("\ud800" <= c <= "\udfff" for c in text) else json.dumps(data)


def loads(text: str, name: str) -> Known:
    """Read the text of the file called `name`.

    Raises UsageError with place and remedy for conflict markers, broken JSON, another kind of file, or one from a newer pgcharter.
    """
    if conflict := _CONFLICT.search(text):
        line = text.count("\n", 0, conflict.start()) + 1
        hint = "keep the lines of both sides and take out the markers; --record then takes out what is mended"
        raise UsageError("the known findings hold the marks of a merge conflict", place=f"{name}:{line}", hint=hint)
    try:
        data = json.loads(text)
    except json.JSONDecodeError as error:
        place = f"{name}:{error.lineno}:{error.colno}"
        raise UsageError(f"the known findings are not JSON: {_lower(error.msg)}", place=place, hint=_AGAIN) from None
    except ValueError:
        raise UsageError("the known findings hold a number that is too long to be one", place=name, hint=_AGAIN) from None
    except RecursionError:
        raise UsageError("the known findings are nested too deeply to be any", place=name, hint=_AGAIN) from None
    _refuse_other(data, name)
    return Known({str(target): tuple(_entries(entries, str(target), name)) for target, entries in data["targets"].items()})


_AGAIN = "mend the file, or take it away and let --record write it anew"


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]


def _refuse_other(data: Any, name: str) -> None:
    """Raise UsageError when `data` is no known file of a version that this program reads."""
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise UsageError(f'the file does not say that it holds known findings ("format": "{FORMAT}")', place=name, hint=_AGAIN)
    version = data.get("version")
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise UsageError(
            f'"version" of the known findings must be a whole number from 1, not {json.dumps(version)}', place=name, hint=_AGAIN
        )
    if version > VERSION:
        by = f" by {data['written_by']}" if isinstance(data.get("written_by"), str) else ""
        sentence = f"the known findings were written{by} in version {version} of the file, and this pgcharter reads up to {VERSION}"
        raise UsageError(sentence, place=name, hint="pip install --upgrade pgcharter")
    if not isinstance(data.get("targets"), dict):
        raise UsageError('"targets" of the known findings must be an object with a list for each target', place=name, hint=_AGAIN)


def _entries(written: Any, target: str, name: str) -> Iterable[Entry]:
    if not isinstance(written, list):
        raise UsageError(f"the known findings of {target} must be a list", place=name, hint=_AGAIN)
    for number, item in enumerate(written, start=1):
        texts = [item.get(k, "") if isinstance(item, dict) else None for k in ("key", "code", "message", "file")]
        count = item.get("count", 1) if isinstance(item, dict) else None
        if not all(isinstance(t, str) for t in texts) or not texts[0] or not isinstance(count, int) or isinstance(count, bool) or count < 1:
            raise UsageError(f"known finding {number} of {target} has no key, or a field of the wrong kind", place=name, hint=_AGAIN)
        key, code, message, file = map(str, texts)
        yield Entry(key, code or key.partition(":")[0], message, file, count)
