"""Templates of names, such as `idx_{table}_{columns}`: filled in, cut to 63 bytes, and recognised in names that others have cut."""

from __future__ import annotations

import re
from collections.abc import Collection, Container, Iterable, Mapping
from functools import lru_cache

from pgcharter import nouns
from pgcharter.catalog.model import Table
from pgcharter.names import MAX_BYTES, cut

Values = Mapping[str, str]
"""What each placeholder stands for; an empty value is not known and may be anything."""
_HOLE = re.compile(r"\{(\w+)\}")
_HASHED = re.compile(r"_?[0-9a-f]{4,12}(?:_[a-z]{2,4})?\Z")
"""How SQLAlchemy, Alembic, Rails and Django end a name they had to shorten: four to twelve digits, with Django's suffix behind."""
_HASHED_LEAST = 24
"""Rails' and Django's shortened names may be well below 63 bytes."""


def values(table: Table, columns: Iterable[str] = (), referenced: Table | None = None) -> dict[str, str]:
    """Placeholders of a name that belongs to `table`."""
    joined = "_".join(columns)
    filled = {"table": table.name, "singular": singular(table.name), "schema": table.schema}
    filled |= {"columns": joined, "column": joined, "description": joined}
    if referenced is not None:
        filled |= {"referenced": referenced.name, "referenced_singular": singular(referenced.name)}
    return filled


@lru_cache(maxsize=16384)
def singular(name: str) -> str:
    """The singular of a table's name, or the name itself when that is not certain."""
    return nouns.singular_name(name) or name


def render(template: str, filled: Values) -> str:
    """The template with its placeholders filled in, however long."""
    texts, holes = _parts(template)
    return "".join([part for text, hole in zip(texts, holes, strict=True) for part in (text, filled.get(hole, ""))])


@lru_cache(maxsize=64)
def _parts(template: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The fixed texts of a template, and the placeholder behind each of them; the last is empty."""
    pieces = _HOLE.split(template)
    return tuple(pieces[::2]), (*pieces[1::2], "")


def shortened(template: str, filled: Values) -> str:
    """The name within 63 bytes: the longest part loses bytes first, and no character is cut through, as PostgreSQL does it itself."""
    whole = render(template, filled)
    if len(whole) * 4 <= MAX_BYTES or len(whole.encode()) <= MAX_BYTES:
        return whole
    bytes_ = {name: filled.get(name, "").encode() for name in dict.fromkeys(_HOLE.findall(template))}
    excess = len(whole.encode()) - MAX_BYTES
    while excess > 0 and any(bytes_.values()):
        longest = max(reversed(bytes_), key=lambda n: len(bytes_[n]))
        bytes_[longest] = bytes_[longest][:-1]
        excess -= template.count(f"{{{longest}}}")
    return cut(render(template, {n: b.decode(errors="ignore") for n, b in bytes_.items()}))


def fits(name: str, template: str, filled: Values, *, free: Collection[str] = (), numbered: bool = False) -> bool:
    """Whether `name` follows the template.

    The placeholders in `free` may be anything. A name that had to be cut need only agree as far as the ways of cutting it leave it:
    at 63 bytes, part by part as PostgreSQL does, or with a hash at the end. `numbered` allows a tail that tells apart what would
    otherwise have one name.
    """
    if _matches(name, template, filled, free, numbered=numbered):
        return True
    whole = render(template, filled)
    if len(name.encode()) > MAX_BYTES - 4:
        head = template[: min((m.start() for m in _HOLE.finditer(template) if _is_free(m[1], filled, free)), default=len(template))]
        if head != template and (_agree(name, render(head, filled)) or _is_cut_inside(name, template, filled, free)):
            return True
    if numbered and _is_counted(name, template, filled):
        return True
    return len(whole.encode()) > MAX_BYTES and _is_cut(name, template, filled)


def _is_counted(name: str, template: str, filled: Values) -> bool:
    """Whether the name is the template's with a number behind, and was cut to make room for it."""
    number = re.search(r"_?[0-9]+\Z", name)
    return number is not None and name == shortened(template + number[0], filled)


def _is_free(hole: str, filled: Values, free: Collection[str]) -> bool:
    return hole in free or not filled.get(hole)


@lru_cache(maxsize=256)
def _pieces(template: str) -> tuple[str, ...]:
    """Texts and names of placeholders in turn, beginning and ending with a text."""
    return tuple(_HOLE.split(template))


def _matches(name: str, template: str, filled: Values, free: Collection[str], *, numbered: bool) -> bool:
    """Whether the name is the template filled in; the case of tables and columns does not count."""
    pieces = _pieces(template)
    at = 0
    for number, piece in enumerate(pieces):
        if number % 2 and _is_free(piece, filled, free):
            return _ends(name[at:], pieces[number:], filled, free, numbered=numbered)
        text = filled[piece] if number % 2 else piece
        part = name[at : at + len(text)]
        if part != text and not (number % 2 and part.lower() == text.lower()):
            return False
        at += len(text)
    return at == len(name) or (numbered and re.fullmatch(r"_.+|\d+", name[at:]) is not None)


def _ends(rest: str, pieces: tuple[str, ...], filled: Values, free: Collection[str], *, numbered: bool) -> bool:
    """Whether `rest` is what a template may be from its first free placeholder on."""
    if len(pieces) == 2:
        return (rest.endswith(pieces[1]) and len(rest) > len(pieces[1])) or (numbered and pieces[1] in rest[1:])
    holes = (".+" if _is_free(h, filled, free) else f"(?i:{re.escape(filled[h])})" for h in pieces[::2])
    pattern = "".join(hole + re.escape(text) for hole, text in zip(holes, pieces[1::2], strict=True))
    return re.fullmatch(pattern + (r"(?:_.+|\d+)?" if numbered else ""), rest) is not None


def _is_cut_inside(name: str, template: str, filled: Values, free: Collection[str]) -> bool:
    """Whether the name is the template's with parts that lack their end."""
    pieces = _pieces(template)
    holes = (".+" if _is_free(h, filled, free) else f"(?i:{_beginning(filled[h])})" for h in pieces[1::2])
    parts = "".join(re.escape(text) + hole for text, hole in zip(pieces[::2], (*holes, ""), strict=True))
    return re.fullmatch(parts, name) is not None


def _beginning(word: str) -> str:
    """A regular expression of the word and of all its beginnings."""
    return "".join(f"(?:{re.escape(c)}" for c in word) + ")?" * len(word)


def _agree(name: str, head: str) -> bool:
    """Whether one begins with the other, whatever the case."""
    shorter, longer = sorted((name.lower(), head.lower()), key=len)
    return longer.startswith(shorter)


def _is_cut(name: str, template: str, filled: Values) -> bool:
    """Whether `name` is the template's name, too long as it is, shortened in a known way."""
    whole = render(template, filled)
    if name in (cut(whole), shortened(template, filled)) or _is_counted(name, template, filled):
        return True
    found = _HASHED.search(name)
    if found is None or len(name.encode()) < _HASHED_LEAST:
        return False
    stem = name[: found.start()]
    return _agree(stem, whole) or _agree(stem, f"idx_on_{filled.get('columns', '')}") or _agree(stem[:10], filled.get("table", "")[:10])


def proposal(template: str, filled: Values, taken: Container[str]) -> str:
    """A name after the template that fits into 63 bytes and is free: with the columns where it has none, or with a number."""
    first = shortened(template, filled)
    if first not in taken:
        return first
    with_columns = render(f"{template}_{{columns}}", filled)
    if "{column" not in template and len(with_columns.encode()) <= MAX_BYTES and filled.get("columns") and with_columns not in taken:
        return with_columns
    return shortened(f"{template}_{_free_number(template, filled, taken)}", filled)


def _free_number(template: str, filled: Values, taken: Container[str]) -> int:
    """A number whose name is free and, from 2 on, the one before it is not: thousands of tables may want the same name."""
    free = 2
    while shortened(f"{template}_{free}", filled) in taken:
        free *= 2
    used = free // 2
    while free - used > 1:
        middle = (free + used) // 2
        if shortened(f"{template}_{middle}", filled) in taken:
            used = middle
        else:
            free = middle
    return free
