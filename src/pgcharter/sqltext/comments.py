"""Comments that mean something to us: suppressions and the section marks of migration tools."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import replace

from pgcharter.sqltext import Allow, Broken, Mark, Statement
from pgcharter.sqltext.source import Source
from pgcharter.sqltext.split import block_comment_end

_SEEN = re.compile(r"pgcharter:", re.IGNORECASE)
_QUOTED = re.compile(
    r"""(?P<text>(?<![\w$])[eE]'(?:[^'\\]++|\\(?s:.|\Z)|'')*(?:'|\Z)|'[^']*+'|"[^"]*+")|(?P<line>--[^\n\r]*)|(?P<block>/\*)"""
)
_SAYS = re.compile(r"\s*pgcharter:\s*(?P<verb>\S*)\s*(?P<rest>.*)\Z", re.IGNORECASE | re.DOTALL)
_BECAUSE = re.compile(r"(?:^|\s)because(?:\s+(?P<reason>\S.*))?\Z", re.IGNORECASE | re.DOTALL)
_EXAMPLE = "write it as `-- pgcharter: allow KEY01 because <the reason>`, above the statement or at the end of its line"
_SECTION = re.compile(
    r"^[ \t]*(?:--|#)+[ \t]*(?://)?(?:---)?[ \t]*(?:\+\w+[ \t]+|migrate:|pgcharter:[ \t]*|@|!)?(?P<word>ups?|downs?|undo|rollback|revert)"
    r"(?:[ \t]+migration)?[ \t]*:?[ \t]*(?:transaction:\w+[ \t]*|notransaction[ \t]*)?\r?$",
    re.IGNORECASE | re.MULTILINE,
)
_DOWN = re.compile(r"down|undo|rollback|revert", re.IGNORECASE)
MARKS = ("up", "down", "one-way", "data", "batched", "gate")
"""What `-- pgcharter:` may say of a migration file, beside suppressions."""


def marks(text: str) -> list[Mark]:
    """The comments of `text` that say something of a migration, in order; also those that stand inside a statement."""
    if not _SEEN.search(text):
        return []
    said = ((start, _SAYS.match(words)) for start, _, words in _comments(text))
    return [Mark(m["verb"].lower(), m["rest"].strip(), start) for start, m in said if m and m["verb"].lower() in MARKS]


def outside(found: Sequence[tuple[int, str]], statements: Sequence[Statement]) -> list[tuple[int, str]]:
    """Section marks without those inside a statement: `-- rollback` in a function's body says nothing about the file."""
    if not found:
        return []
    starts = [s.offset for s in statements]
    kept = []
    for start, direction in found:
        at = bisect_right(starts, start) - 1
        if at < 0 or start >= starts[at] + len(statements[at].text):
            kept.append((start, direction))
    return kept if any(direction == "down" for _, direction in kept) else []


def sections(text: str) -> list[tuple[int, str]]:
    """Offsets where a section mark changes the direction, with the new direction: goose, dbmate, sql-migrate, plain `-- Down`."""
    if not _DOWN.search(text):
        return []
    found = [(m.start(), "up" if m["word"].lower().startswith("up") else "down") for m in _SECTION.finditer(text)]
    return found if any(direction == "down" for _, direction in found) else []


def directed(statements: Sequence[Statement], marks: Sequence[tuple[int, str]]) -> list[Statement]:
    """The statements with the direction of the section each stands in."""
    if not marks:
        return list(statements)
    return [replace(s, direction=direction_at(s.offset, marks)) for s in statements]


def direction_at(offset: int, marks: Sequence[tuple[int, str]]) -> str:
    """Direction of what stands at `offset`."""
    word = "up"
    for start, direction in marks:
        if start <= offset:
            word = direction
    return word


def suppressions(source: Source, statements: Sequence[Statement]) -> tuple[list[Statement], list[Broken]]:
    """Hand every suppression comment to its statement; return the statements and the comments that say nothing."""
    if not _SEEN.search(source.text):
        return list(statements), []
    allows: dict[int, list[Allow]] = {}
    remarks: list[Broken] = []
    for start, end, comment in _comments(source.text):
        place = source.place(start, end)
        understood = _understand(comment)
        if understood is None:
            continue
        if isinstance(understood, str):
            remarks.append(Broken(understood, place, place, comment, _EXAMPLE))
            continue
        verb, codes, reason = understood
        owners = range(len(statements)) if verb == "allow-file" else _owner(source, statements, start, end)
        if not owners:
            remarks.append(Broken("this suppression stands beside no statement, so it allows nothing", place, place, comment, _EXAMPLE))
        for index in owners:
            allows.setdefault(index, []).append(Allow(codes, reason, place))
    return [replace(s, allows=tuple(allows[i])) if i in allows else s for i, s in enumerate(statements)], remarks


def _comments(text: str) -> Iterator[tuple[int, int, str]]:
    """Comments that address us: start, end, words. Those inside dollar-quoted function bodies count too."""
    at = 0
    while token := _QUOTED.search(text, at):
        at = token.end()
        if token.lastgroup == "line":
            words = token.group()[2:]
        elif token.lastgroup == "block":
            at = block_comment_end(text, token.start())
            words = text[token.end() : at].removesuffix("*/")
        else:
            continue
        if _SAYS.match(words):
            yield token.start(), at, words.strip()


def _understand(comment: str) -> tuple[str, tuple[str, ...], str] | str | None:
    """What a suppression says, or what is wrong with it; None for a mark of a migration."""
    said = _SAYS.match(comment)
    assert said is not None  # noqa: S101 - `_comments` yields only these
    verb, rest = said["verb"].lower(), said["rest"].strip()
    if verb in MARKS:
        return None
    if verb not in ("allow", "allow-file"):
        return f"the comment says `pgcharter: {said['verb']}`, which means nothing, so it allows nothing"
    because = _BECAUSE.search(rest)
    codes = tuple(c for c in re.split(r"[,\s]+", rest[: because.start()] if because else rest) if c)
    if because is None or not because["reason"]:
        return "the suppression gives no reason, so it allows nothing"
    if not codes:
        return "the suppression names no rule, so it allows nothing"
    return verb, codes, " ".join(because["reason"].split())


def _owner(source: Source, statements: Sequence[Statement], start: int, end: int) -> list[int]:
    """The statement a comment belongs to: the one it stands in, the one that ends on its line, or the one directly below."""
    line = source.line(start)
    for index, statement in enumerate(statements):
        if statement.offset <= start < statement.offset + len(statement.text):
            return [index]
        if statement.offset + len(statement.text) <= start and statement.place.end_line == line:
            return [index]
        if statement.offset >= end:
            between = source.text[end : statement.offset].replace("\r", "")
            return [] if re.search(r"\n[ \t]*\n", between) or ";" in re.sub(r"--[^\n]*", "", between) else [index]
    return []
