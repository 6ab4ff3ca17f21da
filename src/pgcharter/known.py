"""Known findings: old ones recorded once in a file, so that only new ones count. Pure; whoever reads and writes the file is elsewhere.

The file is JSON with one finding a line, sorted, so that a diff shows what came and went and two branches seldom meet on one line.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from pgcharter.errors import UsageError
from pgcharter.findings import Finding

FORMAT = "pgcharter-known"
VERSION = 1
"""Version of the file; grows when an older pgcharter would misread a newer file."""
DEFAULT_NAME = "pgcharter-known.json"
_CONFLICT = re.compile(r"^(?:<{7} |={7}$|>{7} )", re.MULTILINE)
_HEAD = re.compile(r"""[^:]+:[^:]+:(?:"(?:[^"]|"")*"|[^":])+""")
_FIRST_NAME = re.compile(r"""([^:]+:[^:]+:)(?:"(?:[^"]|"")*"|[^\s".(:]+)\.(?=\S)""")


@dataclass(frozen=True, slots=True, order=True)
class Entry:
    """A recorded finding."""

    key: str
    """Its identity (`Finding.key`); where it has no object, with the file's path as the known file's folder sees it."""
    code: str
    message: str = field(compare=False)
    """What it said when it was recorded, for people."""
    file: str = field(default="", compare=False)
    """The file of a finding without an object."""
    count: int = field(default=1, compare=False)
    """How many findings have this key."""


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


@dataclass(frozen=True, slots=True)
class Split:
    """Findings divided by a list of entries."""

    new: tuple[Finding, ...]
    known: tuple[Finding, ...]
    gone: tuple[Entry, ...]
    """What was recorded and is found no more, with the number of findings that are missing."""


Where = Callable[[str], str]
"""A file as a finding names it → its path as entries name it."""


def entry_of(found: Finding, where: Where = str) -> Entry:
    """What is recorded of `found`."""
    if found.object or not found.place:
        return Entry(found.key, found.code, found.message)
    file = where(found.place.file)
    return Entry(f"{found.code}:{file}{_detail(found)}", found.code, found.message, file)


def _detail(found: Finding) -> str:
    detail = found.facts.get("detail", "")
    return f":{detail}" if detail else ""


def entries_of(found: Iterable[Finding], where: Where = str) -> tuple[Entry, ...]:
    """What is recorded of `found`, sorted, equal keys counted."""
    made = [entry_of(f, where) for f in found]
    counts = Counter(e.key for e in made)
    first = {e.key: e for e in reversed(made)}
    return tuple(sorted(replace(e, count=counts[key]) for key, e in first.items()))


def same_key(found: Finding, key: str) -> bool:
    """Whether `key` is that of `found`, also where only one of the two says the schema or the detail: text alone may know neither."""
    if found.key == key:
        return True
    if found.object is None:
        return False
    if found.object.schema:
        return key in (bare_key(found), head(found.key), head(bare_key(found)))
    return found.key in (without_schema(key), head(key), head(without_schema(key)))


def head(key: str) -> str:
    """`key` without its detail: code, kind and address."""
    match = _HEAD.match(key)
    return match[0] if match else key


def bare_key(found: Finding) -> str:
    """The key of `found` without the schema of its object."""
    return replace(found, object=replace(found.object, schema="")).key if found.object else found.key


def without_schema(key: str) -> str:
    """`key` without the first name of its address; empty when the address has only one."""
    match = _FIRST_NAME.match(key)
    return match[1] + key[match.end() :] if match else ""


def split(found: Iterable[Finding], entries: Iterable[Entry], *, where: Where = str, missing: Callable[[str], bool] | None = None) -> Split:
    """Divide `found` into what `entries` know and what is new.

    An entry takes as many findings as it counts: those with its key; then those whose key differs by a schema or a detail that one side
    does not say, as text alone may not; then those without an object that say the same in another file, when `missing` tells that the
    entry's own file is gone (renamed).
    """
    rest = _Rest(entries)
    everything = [(f, entry_of(f, where)) for f in found]
    taken: set[int] = set()
    for take in (rest.exact, rest.elsewhere, rest.vague, rest.renamed(missing)):
        if rest.empty:
            break
        taken |= {n for n, (f, made) in enumerate(everything) if n not in taken and take(f, made)}
    return Split(
        tuple(f for n, (f, _) in enumerate(everything) if n not in taken),
        tuple(f for n, (f, _) in enumerate(everything) if n in taken),
        rest.gone,
    )


class _Rest:
    """Entries that have not been found yet."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        self._entries: dict[str, Entry] = {}
        for entry in entries:
            if entry.key not in self._entries or entry.count > self._entries[entry.key].count:
                self._entries[entry.key] = entry
        self._left = {key: e.count for key, e in self._entries.items()}
        self._bare: dict[str, list[str]] | None = None
        self._heads: dict[str, list[str]] | None = None

    @property
    def empty(self) -> bool:
        """Whether every entry was found."""
        return not self._left

    @property
    def gone(self) -> tuple[Entry, ...]:
        """What is left, sorted."""
        return tuple(sorted(replace(self._entries[key], count=count) for key, count in self._left.items()))

    def exact(self, _: Finding, made: Entry) -> bool:
        """Take the entry with this very key."""
        return self._take(made.key)

    def elsewhere(self, found: Finding, _: Entry) -> bool:
        """Take the entry whose key differs only by a schema that one of the two does not say; schema public before others."""
        if found.object is None:
            return False
        if found.object.schema:
            return self._take(bare_key(found))
        if self._bare is None:
            self._bare = self._by(without_schema)
        return any(self._take(key) for key in self._bare.get(found.key, ()))

    def vague(self, found: Finding, _: Entry) -> bool:
        """Take an entry about the same object when one of the two does not say the detail, or not the schema."""
        if found.object is None:
            return False
        if self._heads is None:
            self._heads = self._by(head)
            self._bare = self._by(lambda key: head(without_schema(key)))
        mine = head(found.key)
        near = self._heads.get(head(bare_key(found)), ()) if found.object.schema else (self._bare or {}).get(mine, ())
        same = [key for key in self._heads.get(mine, ()) if mine in (key, found.key)]
        return any(self._take(key) for key in (*same, *near))

    def _by(self, name: Callable[[str], str]) -> dict[str, list[str]]:
        """Keys of objects that are left, by another name for them; those in schema public before others."""
        named: dict[str, list[str]] = {}
        for key in sorted(self._left, key=lambda k: (":public." not in k, k)):
            if not self._entries[key].file:
                named.setdefault(name(key), []).append(key)
        return named

    def renamed(self, missing: Callable[[str], bool] | None) -> Callable[[Finding, Entry], bool]:
        """A function that takes an entry of a file that is gone when it says the same of another file."""
        by_words: dict[tuple[str, str, str], list[str]] = {}
        for key in self._left if missing else ():
            entry = self._entries[key]
            if missing and entry.file and missing(entry.file):
                by_words.setdefault(_words(entry), []).append(key)

        def take(_: Finding, made: Entry) -> bool:
            return bool(made.file) and any(self._take(key) for key in by_words.get(_words(made), ()))

        return take

    def _take(self, key: str) -> bool:
        count = self._left.get(key, 0)
        if count > 1:
            self._left[key] = count - 1
        elif count:
            del self._left[key]
        return count > 0


def _words(entry: Entry) -> tuple[str, str, str]:
    return entry.code, entry.key.removeprefix(f"{entry.code}:{entry.file}"), entry.message.replace(entry.file, "")


def updated(old: Known, target: str, found: Sequence[Entry], looked: Callable[[Entry], bool]) -> Known:
    """`old` with what was `found` in `target` now; its entries that nobody `looked` for this time stay."""
    keys = {e.key for e in found}
    kept = [e for e in old.targets.get(target, ()) if e.key not in keys and not looked(e)]
    return Known({**old.targets, target: tuple(sorted([*found, *kept]))})


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
