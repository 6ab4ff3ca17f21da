"""Where statements begin and end in a text that may not be valid SQL, in psql's manner: quotes, comments, BEGIN ATOMIC, COPY data."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

# Letters, digits and underscore of ASCII and all beyond it, said by what is left out: a range up there takes Python 3 ms to compile.
_LETTER, _MARK, _INNER = r"[^\x00-@\[-^`{-\x7f]", r"[^\x00-/:-@\[-^`{-\x7f]", r"[^\x00-#%-/:-@\[-^`{-\x7f]"
_NAME = rf"{_LETTER}{_MARK}*"
SPACE = " \t\n\r\f\v"
"""PostgreSQL's white space; to its scanner every other such character (a no-break space, say) is part of a name."""
_SPACE = re.compile(r"(?:[ \t\n\r\f\v]++|--[^\n\r]*+)*")
# A run of what needs no thought: no backslash, block comment or dollar quote. No group here is repeated possessively: Python before
# 3.11.5 loses its place when an alternative in such a group fails after its first character.
_PLAIN = re.compile(r"""(?:[^;'"$\\/-]++|'[^'\\]*+'|"[^"]*+"|--[^\n\r]*+|-(?!-)|/(?!\*)|\$(?=[0-9]))*""")
_DOLLAR = re.compile(rf"(?<![\w$])\$(?:{_NAME})?\$")
_TOKEN = re.compile(
    rf"""(?P<space>[ \t\n\r\f\v]+|--[^\n\r]*)
    |(?P<block>/\*)
    |(?P<text>[eE]'(?:[^'\\]++|\\(?s:.|\Z)|'')*(?:'|\Z)|'(?:[^']++|'')*(?:'|\Z)|"(?:[^"]++|"")*(?:"|\Z))
    |(?P<dollar>\$(?:{_NAME})?\$)
    |(?P<word>{_LETTER}{_INNER}*)
    |(?P<back>\\)
    |(?P<semicolon>;)
    |(?P<open>[(])|(?P<close>[)])
    |(?P<other>[0-9][0-9A-Za-z_.$]*|.)""",
    re.VERBOSE | re.DOTALL,
)
_ATOMIC = re.compile(r"\bbegin\s+atomic\b", re.IGNORECASE)
_ROUTINE = re.compile(r"create\s+(?:or\s+replace\s+)?(?:function|procedure)\b", re.IGNORECASE)
_RULE = re.compile(r"create\s+(?:or\s+replace\s+)?rule\b", re.IGNORECASE)
_COPY = re.compile(r"copy\b.*\bfrom\s+(?:stdin|pstdin)\b", re.IGNORECASE | re.DOTALL)
_BLOCK_EDGE = re.compile(r"/\*|\*/")
_DATA_END = re.compile(r"^\\\.[ \t]*\r?$", re.MULTILINE)
_COMMAND = re.compile(r"\\(?P<command>[A-Za-z_!?.;]+[+]?|.)?(?P<argument>[^\n\r]*)")


@dataclass(slots=True)
class Piece:
    """A stretch of text between semicolons, without what surrounds it: a statement, or what was meant as one."""

    start: int
    end: int
    blanks: list[tuple[int, int]] = field(default_factory=list)
    """Stretches inside it that are psql's, not PostgreSQL's."""

    def text(self, whole: str) -> str:
        """Its text, psql's parts blanked."""
        body = whole[self.start : self.end]
        for start, end in self.blanks:
            body = body[: start - self.start] + " " * (end - start) + body[end - self.start :]
        return body


@dataclass(slots=True)
class Command:
    """A psql meta-command."""

    start: int
    name: str
    argument: str


def block_comment_end(text: str, start: int) -> int:
    """Offset after the block comment that opens at `start`; comments nest. The end of the text when it is never closed."""
    end = _closing(text, start)
    return len(text) if end is None else end


def _closing(text: str, start: int) -> int | None:
    depth = 0
    for edge in _BLOCK_EDGE.finditer(text, start):
        depth += 1 if edge.group() == "/*" else -1
        if depth == 0:
            return edge.end()
    return None


def skip_space(text: str, at: int) -> int:
    """Offset of the first character at or after `at` that is neither white space nor comment."""
    while True:
        at = _SPACE.match(text, at).end()  # type: ignore[union-attr]
        if not text.startswith("/*", at):
            return at
        at = block_comment_end(text, at)


def _unclosed(text: str, at: int) -> int | None:
    """Offset of the block comment among the white space and comments at `at` that is never closed; None when all are."""
    while True:
        at = _SPACE.match(text, at).end()  # type: ignore[union-attr]
        if not text.startswith("/*", at):
            return None
        end = _closing(text, at)
        if end is None:
            return at
        at = end


def pieces(text: str) -> Iterator[Piece | Command]:
    """Cut `text` into pieces and psql commands, in order. Nothing but white space, comments, semicolons and COPY data is left out.

    A comment that is never closed is a piece too: it hides whatever stands after it.
    """
    at, size = 0, len(text)
    no_commands: list[Command] = []
    while True:
        before, at = at, skip_space(text, at)
        if at >= size:
            opened = _unclosed(text, before)
            if opened is not None:
                yield Piece(opened, size)
            return
        if text[at] == ";":
            at += 1
        elif text[at] == "\\":
            command, at = _command(text, at)
            yield command
        else:
            found = _plain(text, at)
            if found is None:
                piece, at, commands = _careful(text, at)
            else:
                piece, at, commands = Piece(at, found - 1), found, no_commands
            whole = piece.end
            piece.end = trimmed(text, piece.start, whole)
            if whole == size:
                at = piece.end
            yield piece
            yield from commands
            at = _after_data(text, piece, at)


def _plain(text: str, at: int) -> int | None:
    """End of the statement at `at` if nothing in it needs thought."""
    end = _semicolon(text, at)
    if end is None:
        return None
    head = text[at : at + 40]
    if (_ROUTINE.match(head) and _ATOMIC.search(text, at, end)) or _RULE.match(head):
        return None
    return end


def _semicolon(text: str, at: int) -> int | None:
    """Offset after the semicolon that ends the statement, dollar-quoted strings skipped; None when it takes more care to find."""
    while True:
        at = _PLAIN.match(text, at).end()  # type: ignore[union-attr]
        if text.startswith(";", at):
            return at + 1
        opening = _DOLLAR.match(text, at)
        closing = text.find(opening[0], opening.end()) if opening else -1
        if opening is None or closing < 0:
            return None
        at = closing + len(opening[0])


def _careful(text: str, at: int) -> tuple[Piece, int, list[Command]]:
    """The piece at `at` read token by token, the offset after it, and the psql commands inside it."""
    piece = Piece(at, at)
    commands: list[Command] = []
    routine, rule = bool(_ROUTINE.match(text, at)), bool(_RULE.match(text, at))
    depth = parens = 0
    before = ""
    while at < len(text):
        token = _TOKEN.match(text, at)
        assert token is not None  # noqa: S101 - the last branch takes any character
        kind, start, at = token.lastgroup, at, token.end()
        if kind == "block":
            at = block_comment_end(text, start)
        elif kind == "dollar":
            closing = text.find(token.group(), at)
            at = len(text) if closing < 0 else closing + len(token.group())
        elif kind == "back":
            command, at = _command(text, start)
            if command.name == ";" or command.name.startswith("g"):
                piece.end = start
                return piece, start + 2 if command.name == ";" else at, commands
            commands.append(command)
            piece.blanks.append((start, at))
        elif kind == "semicolon":
            if depth == 0 and parens == 0:
                piece.end = start
                return piece, at, commands
        elif kind == "word" and routine:
            depth, before = _deeper(depth, before, token.group().lower())
        elif rule and kind in ("open", "close"):
            parens = max(0, parens + (1 if kind == "open" else -1))
    piece.end = len(text)
    return piece, at, commands


def _deeper(depth: int, before: str, word: str) -> tuple[int, str]:
    if word == "atomic" and before == "begin":
        return 1, word
    if depth and word == "case":
        return depth + 1, word
    if depth and word == "end":
        return depth - 1, word
    return depth, word


def _command(text: str, at: int) -> tuple[Command, int]:
    match = _COMMAND.match(text, at)
    assert match is not None  # noqa: S101 - it begins with the backslash that was seen
    name = match.group("command") or ""
    if name.startswith(";"):
        return Command(at, ";", ""), at + 2
    return Command(at, name, match.group("argument").strip()), match.end()


def trimmed(text: str, start: int, end: int) -> int:
    """`end` moved back over white space and trailing comments."""
    body = text[start:end]
    bare = body.rstrip(SPACE)
    if "--" not in bare.rpartition("\n")[2] and not bare.endswith("*/"):
        return start + len(bare)
    at = last = start
    while at < end:
        if text.startswith(("--", "/*"), at) or text[at] in SPACE:
            at = skip_space(text, at)
            continue
        token = _TOKEN.match(text, at)
        assert token is not None  # noqa: S101 - the last branch takes any character
        at = token.end()
        if token.lastgroup == "dollar":
            closing = text.find(token.group(), at)
            at = end if closing < 0 else closing + len(token.group())
        last = min(at, end)
    return last


def _after_data(text: str, piece: Piece, at: int) -> int:
    r"""Offset after the data of `COPY ... FROM stdin` (through its `\.` line); `at` for every other statement."""
    if text[piece.start : piece.start + 4].lower() != "copy" or not _COPY.match(text, piece.start, piece.end):
        return at
    line = text.find("\n", at)
    if line < 0:
        return len(text)
    end = _DATA_END.search(text, line)
    return len(text) if end is None else end.end()
