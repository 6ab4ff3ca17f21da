"""From text to statements with the C parser: the whole file in one call when it is sound, piece by piece when it is not."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable
from functools import cache
from typing import Any

from pgcharter.errors import UsageError
from pgcharter.sqltext import Broken, Meta, Parsed, Statement
from pgcharter.sqltext.comments import directed, direction_at, outside, sections, suppressions
from pgcharter.sqltext.source import Source
from pgcharter.sqltext.split import SPACE, Command, Piece, pieces, trimmed

LARGE = 1_000_000
"""Characters above which a text is never handed to the parser in one piece, and its data statements are only counted."""
_DATA = re.compile(r"(?:insert|update|delete)\b", re.IGNORECASE)
VARIABLE = re.compile(
    r"""'(?:[^']|'')*'|"[^"]*"|--[^\n\r]*|(?<![:\w\]]):(?:(?P<quote>["'])(?P<quoted>\w+)(?P=quote)|(?P<bare>[A-Za-z_]\w*))"""
)
"""A psql variable (then a named group matched), or a string or comment in which there is none."""


DEEP = 20_000
"""Characters below which no text can nest so deeply that the parser, which writes its trees by recursion, outgrows a usual stack."""
_STACK_PER_CHARACTER, _LARGEST_STACK = 300, 1 << 30
"""Bytes of stack that the deepest text of that length takes (a level is two characters and, measured, less than 420 bytes)."""


@cache
def _postgast() -> Any:
    import postgast
    from google.protobuf.internal import api_implementation

    deeper = getattr(vars(api_implementation).get("_c_module"), "SetAllowOversizeProtos", None)
    if deeper:
        deeper(True)  # 65,535 levels instead of 100, which a concatenation of 45 strings exceeds
    return postgast


def _tree(text: str) -> Any:
    """The parser's tree of `text`. Raises PgQueryError, UnicodeError, or DecodeError where it is too deep to be handed over."""
    postgast = _postgast()
    if len(text) < DEEP:
        return postgast.parse(text)
    found: list[Any] = []
    refused: list[Exception] = []

    def work() -> None:
        try:
            found.append(postgast.parse(text))
        except Exception as error:
            refused.append(error)

    usual = threading.stack_size(min(_LARGEST_STACK, max(64 << 20, len(text) * _STACK_PER_CHARACTER)))
    try:
        thread = threading.Thread(target=work, name="pgcharter-parser", daemon=True)
        thread.start()
    finally:
        threading.stack_size(usual)
    thread.join()
    if refused:
        raise refused[0]
    return found[0]


def scanned(text: str) -> list[tuple[str, int, int]]:
    """Name, first byte and byte after the last of each token of a sound text, without comments."""
    name = _postgast().pg_query_pb2.Token.Name
    found = ((name(token.token), token.start, token.end) for token in _postgast().scan(text).tokens)
    return [token for token in found if token[0] not in ("SQL_COMMENT", "C_COMMENT")]


@cache
def refusals() -> tuple[type[Exception], ...]:
    """What the parser raises for a text that it does not understand."""
    from google.protobuf.message import DecodeError

    return (_postgast().PgQueryError, UnicodeError, DecodeError)


def parse_text(text: str, file: str, above: int, *, everything: bool = False) -> Parsed:
    """See `pgcharter.sqltext.parse`."""
    source = Source(text.removeprefix("\ufeff"), file, above)
    nul = source.text.find("\0")
    if nul >= 0:
        raise UsageError("the text holds a NUL byte, which no PostgreSQL text can", place=str(source.place(nul)),
                         hint="save the file as UTF-8 text; is it perhaps binary or UTF-16?")  # fmt: skip
    statements = _whole(source) if len(source.text) <= LARGE else None
    errors: list[Broken] = []
    metas: list[Meta] = []
    skipped = 0
    if statements is None:
        statements, errors, metas, skipped = _by_piece(source, everything=everything)
    marks = outside(sections(source.text), statements)
    statements, remarks = suppressions(source, directed(statements, marks))
    if marks:
        errors = [Broken(e.message, e.place, e.start, e.text, e.hint, direction_at(_offset(source, e), marks)) for e in errors]
    return Parsed(file, source, tuple(statements), tuple(errors), tuple(remarks), tuple(metas), skipped)


def _offset(source: Source, broken: Broken) -> int:
    return source.offset(broken.start.line, broken.start.column)


def _whole(source: Source) -> list[Statement] | None:
    """All statements from one call, or None when the text is not sound."""
    try:
        tree = _tree(source.text)
    except refusals():
        return None
    return list(_statements(source, tree.stmts, 0))


def _statements(source: Source, raw: Iterable[Any], base: int, variables: tuple[str, ...] = ()) -> Iterable[Statement]:
    """The parser's statements as ours; their locations count from byte `base` of the source."""
    for item in raw:
        kind = item.stmt.WhichOneof("node")
        if kind is None:
            continue
        start = source.char(base + item.stmt_location)
        if item.stmt_len:
            end = source.char(base + item.stmt_location + item.stmt_len)
            body = source.text[start:end].rstrip(SPACE)
            if "--" in body.rpartition("\n")[2] or body.endswith("*/"):
                body = _without_tail(source.text, start, end)
        else:
            body = _without_tail(source.text, start, len(source.text))
        place = source.place(start, start + len(body))
        yield Statement(kind, body, place, start, getattr(item.stmt, kind), source=source, base=base, variables=variables)


def _without_tail(text: str, start: int, end: int) -> str:
    return text[start : trimmed(text, start, end)]


def _by_piece(source: Source, *, everything: bool) -> tuple[list[Statement], list[Broken], list[Meta], int]:
    statements: list[Statement] = []
    errors: list[Broken] = []
    metas: list[Meta] = []
    skipped = 0
    large = len(source.text) > LARGE and not everything
    for item in pieces(source.text):
        if isinstance(item, Command):
            metas.append(Meta(item.name, item.argument, source.place(item.start), item.start))
        elif large and _DATA.match(source.text, item.start):
            skipped += 1
        else:
            found = _piece(source, item)
            if isinstance(found, Broken):
                errors.append(found)
            else:
                statements += found
    return statements, errors, metas, skipped


def _piece(source: Source, piece: Piece) -> list[Statement] | Broken:
    """The statement of one piece, or what is wrong with it. psql variables are looked through when that makes it SQL."""
    body = piece.text(source.text)
    base = source.byte(piece.start)
    try:
        return _in_piece(source, piece, _tree(body).stmts, base, ())
    except refusals() as error:
        first = error
    names = tuple(dict.fromkeys(m["quoted"] or m["bare"] for m in VARIABLE.finditer(body) if m.lastgroup))
    if names:
        try:
            raw = _tree(VARIABLE.sub(lambda m: " " + m.group()[1:] if m.lastgroup else m.group(), body)).stmts
            return _in_piece(source, piece, raw, base, names)
        except refusals():
            pass
    return _broken(source, piece, body, first)


def _in_piece(source: Source, piece: Piece, raw: Any, base: int, names: tuple[str, ...]) -> list[Statement]:
    if len(raw) == 1 and (kind := raw[0].stmt.WhichOneof("node")):
        text = piece.text(source.text)
        place = source.place(piece.start, piece.end)
        return [Statement(kind, text, place, piece.start, getattr(raw[0].stmt, kind), source=source, base=base, variables=names)]
    return list(_statements(source, raw, base, names))


def _broken(source: Source, piece: Piece, body: str, error: Exception) -> Broken:
    """PostgreSQL's message at its position. `cursorpos` counts characters from 1 (tried on the parser, whatever its documentation says)."""
    position = getattr(error, "cursorpos", 0)
    message = getattr(error, "message", "")
    if not message:
        message = "the text cannot be encoded as UTF-8" if isinstance(error, UnicodeError) else "it is nested too deeply to be looked at"
    if message.startswith("unterminated /* comment"):
        message = "unterminated /* comment"  # the parser repeats the whole comment
    start = source.place(piece.start, piece.end)
    if position < 1:
        return Broken(message, start, start, body)
    at = min(piece.start + position - 1, max(piece.start, len(source.text) - 1))
    return Broken(message, source.place(at), start, body)
