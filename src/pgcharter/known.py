"""Known findings: what is recorded of a finding, and which findings of today are those recorded. Pure; the file is `known_file.py`."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from pgcharter.findings import Finding

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


@dataclass(frozen=True, slots=True)
class Split:
    """Findings divided by a list of entries."""

    new: tuple[Finding, ...]
    known: tuple[Finding, ...]
    gone: tuple[Entry, ...]
    """What was recorded and is found no more, with the number of findings that are missing."""
    by: tuple[Entry, ...] = ()
    """For each of `known` the entry that knows it."""


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
    return counted(entry_of(f, where) for f in found)


def counted(entries: Iterable[Entry]) -> tuple[Entry, ...]:
    """`entries`, each taken for one finding, sorted, equal keys counted."""
    made = list(entries)
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
    taken: dict[int, Entry] = {}
    for take in (rest.exact, rest.elsewhere, rest.vague, rest.renamed(missing)):
        if rest.empty:
            break
        taken |= {n: rest.last for n, (f, made) in enumerate(everything) if n not in taken and take(f, made)}
    return Split(
        tuple(f for n, (f, _) in enumerate(everything) if n not in taken),
        tuple(everything[n][0] for n in sorted(taken)),
        rest.gone,
        tuple(taken[n] for n in sorted(taken)),
    )


class _Rest:
    """Entries that have not been found yet."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        self._entries: dict[str, Entry] = {}
        for entry in entries:
            if entry.key not in self._entries or entry.count > self._entries[entry.key].count:
                self._entries[entry.key] = entry
        self._left = {key: e.count for key, e in self._entries.items()}
        self.last = Entry("", "", "")
        """The entry that was taken last."""
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
        if count:
            self.last = self._entries[key]
        return count > 0


def _words(entry: Entry) -> tuple[str, str, str]:
    return entry.code, entry.key.removeprefix(f"{entry.code}:{entry.file}"), entry.message.replace(entry.file, "")
