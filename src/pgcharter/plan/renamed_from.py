"""Renames that comments of the wanted files declare: `email text NOT NULL, -- renamed from mail`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace

from pgcharter.errors import UsageError
from pgcharter.findings import Place
from pgcharter.names import ObjectId
from pgcharter.plan.renames import Intent

_SAID = re.compile(r'--\s*renamed\s+from\s+("(?:[^"]|"")+"|[^\s".,;()]+)\s*$', re.IGNORECASE)
_KINDS = ("table", "view", "materialized view", "sequence", "type", "domain", "function", "procedure", "index", "column", "constraint")


def said(places: Mapping[ObjectId, Place], texts: Mapping[str, str]) -> tuple[Intent, ...]:
    """The renames, of what begins on a comment's line or, when the comment has a line to itself, on the next one.

    `places` says where each object of the wanted side is made, `texts` holds the files. A comment stays when its rename is done: then it
    means nothing any more. Raises UsageError for one beside which several columns or nothing at all is made.
    """
    found = {new: old for file, text in texts.items() for new, old in _of_file(file, text, places)}
    tables = {(new.schema, new.name): old for new, old in found.items() if not new.part}
    return tuple(Intent(_before(new, old, tables), new.part or _bare(new.name), lasting=True) for new, old in found.items())


def _of_file(file: str, text: str, places: Mapping[ObjectId, Place]) -> Iterator[tuple[ObjectId, str]]:
    """New addresses with the old bare names."""
    if "renamed" not in text.lower():
        return
    lines = text.splitlines()
    made: dict[int, list[tuple[int, int, ObjectId]]] = {}
    for address, place in places.items():
        if place.file == file and address.kind in _KINDS:
            made.setdefault(place.line, []).append((place.column, _KINDS.index(address.kind), address))
    for number, line in enumerate(lines, 1):
        comment = _SAID.search(line)
        if comment:
            alone = not line[: comment.start()].strip()
            yield _beside(file, number, made.get(number + 1 if alone else number, [])), _name(comment[1])


def _beside(file: str, line: int, made: list[tuple[int, int, ObjectId]]) -> ObjectId:
    first = min(made, default=None)
    columns = [address for _, _, address in made if address.kind == "column"]
    if first is None or (first[2].kind == "column" and len(columns) > 1):
        what = "several columns are made" if first else "nothing is made"
        raise UsageError(
            f"a comment says that something was renamed, and {what} beside it, so it is not known what",
            hint="write it at the end of the line on which the column, table or other object begins, or on a line of its own just before",
            place=f"{file}:{line}",
        )
    return first[2]


def _name(word: str) -> str:
    return word[1:-1].replace('""', '"') if word.startswith('"') else word.lower()


def _bare(name: str) -> str:
    return name.partition("(")[0]


def _before(new: ObjectId, old: str, tables: Mapping[tuple[str, str], str]) -> ObjectId:
    """The old address; of a part, in the old name of its relation."""
    if new.part:
        return replace(new, name=tables.get((new.schema, new.name), new.name), part=old)
    arguments = new.name[new.name.index("(") :] if "(" in new.name else ""
    return replace(new, name=old + arguments)
