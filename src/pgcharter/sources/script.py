"""SQL files as one script: parsed, includes resolved, in the order in which psql would run them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from pgcharter.errors import UsageError
from pgcharter.findings import Finding, Gap, Severity
from pgcharter.sources import Progress
from pgcharter.sources.layout import SqlFile, find
from pgcharter.sources.text import foreign_dialect, read_stdin, read_text
from pgcharter.sqltext import Broken, Meta, Parsed, Statement, parse
from pgcharter.sqltext.parser import VARIABLE

INCLUDES = ("i", "ir", "include", "include_relative")
CONNECTS = ("c", "connect")


@dataclass(frozen=True, slots=True)
class Step:
    """A statement in its turn."""

    statement: Statement
    sql: str
    """What is sent: the statement with psql variables filled in."""
    file: str
    """The outermost file that runs: session settings end with it."""


@dataclass
class Script:
    """Everything a file target says, before a server has seen any of it."""

    parsed: list[Parsed] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)

    @property
    def statements(self) -> tuple[Statement, ...]:
        """All statements, both directions, in order of the files."""
        return tuple(s for p in self.parsed for s in p.statements)

    @property
    def texts(self) -> dict[str, str]:
        """Full text by file name."""
        return {p.file: p.text for p in self.parsed}


def load(target: str, progress: Progress | None = None, *, unsaved: Mapping[Path, str] | None = None, one_way: bool = False) -> Script:
    """Read and parse what `target` holds (`-` is standard input). `unsaved` are texts by real path that go before what is on disk.
    With `one_way` no name of a file makes it lead back: `undo.sql` holds a function of that name.

    Raises UsageError when it holds no SQL, or is something else than PostgreSQL's SQL.
    """
    if target == "-":
        root, files, texts = Path.cwd(), [SqlFile(Path("-"), "-")], {"-": read_stdin()}
    else:
        root, files = find(target)
        files = [replace(f, direction="up") for f in files] if one_way else files
        texts = {f.name: text for f in files if (text := unsaved.get(f.path.resolve())) is not None} if unsaved else {}
    script = Script()
    for number, file in enumerate(files):
        if progress and number % 50 == 0:
            progress("reading", number, len(files))
        _parsed(file, texts.get(file.name), script)
    _refuse_nothing(target, files, script)
    return _finished(root, files, script)


def of_text(name: str, text: str) -> Script:
    """The script of a text that is no file, called `name`; includes in it are not followed. It may be empty."""
    file, script = SqlFile(Path(name), name), Script()
    _parsed(file, text, script)
    return _finished(Path(), [file], script)


def _finished(root: Path, files: list[SqlFile], script: Script) -> Script:
    """`script` with its steps in order, and what parsing found."""
    _order(root, files, script)
    for parsed in script.parsed:
        script.findings += [broken_finding(b) for b in parsed.errors]
        script.findings += [remark_finding(r) for r in parsed.remarks]
        if parsed.skipped:
            script.gaps.append(
                Gap(f"{parsed.skipped} data statements of {parsed.file}", "the file is large; data says nothing about a schema")
            )
    return script


def _parsed(file: SqlFile, text: str | None, script: Script) -> Parsed:
    parsed = parse(read_text(file.path, file.name) if text is None else text, file.name)
    if file.direction != "up":
        parsed = replace(parsed, statements=tuple(replace(s, direction="down") for s in parsed.statements))
    script.parsed.append(parsed)
    return parsed


def _refuse_nothing(target: str, files: list[SqlFile], script: Script) -> None:
    if len(files) == 1:
        other = foreign_dialect(script.parsed[0])
        if other:
            raise UsageError(f"{target} is {other}'s SQL, not PostgreSQL's", hint="convert it first, for example with pgloader")
    if not any(p.statements or p.errors or any(m.command in INCLUDES for m in p.metas) for p in script.parsed):
        raise UsageError(f"{target} holds no SQL statement", hint="is everything in it commented out?")


def broken_finding(broken: Broken) -> Finding:
    """SRC02: text that is no SQL."""
    head = " ".join(broken.text.split())[:60]
    return Finding(
        "SRC02", f"this is not SQL that PostgreSQL understands: {broken.message}; the statement was left out", place=broken.place,
        severity=Severity.ERROR, hint=broken.hint, facts={"detail": head, "statement": broken.start.line},
    )  # fmt: skip


def remark_finding(broken: Broken) -> Finding:
    """SRC04: a suppression comment that allows nothing."""
    return Finding(
        "SRC04", broken.message, place=broken.place, severity=Severity.WARNING, hint=broken.hint, facts={"detail": broken.text[:60]}
    )


def _order(root: Path, files: list[SqlFile], script: Script) -> None:
    """Fill in `steps`: each file that no other one includes, its includes in their places."""
    included = {p for parsed in script.parsed for m in parsed.metas if m.command in INCLUDES for p in _candidates(root, parsed, m)}
    paths = [file.path.resolve() if included else file.path for file in files]
    known = dict(zip(paths, script.parsed, strict=True))
    for file, path in zip(files, paths, strict=True):
        if file.direction == "up" and (path not in included or len(files) == 1):
            variables: dict[str, str] = {}
            script.steps += _expand(root, path, known, file.name, variables, (), script)


def _candidates(root: Path, parsed: Parsed, meta: Meta) -> list[Path]:
    name = meta.argument.strip("'\"")
    return [(Path(parsed.file).parent / name).resolve(), (root / name).resolve()] if name else []


def _expand(
    root: Path, path: Path, known: dict[Path, Parsed], top: str, variables: dict[str, str], inside: tuple[Path, ...], script: Script
) -> Iterator[Step]:
    parsed = known[path]
    if not parsed.metas:
        yield from (Step(s, filled(s, variables), top) for s in parsed.statements if s.direction == "up")
        return
    items: list[Statement | Meta] = sorted([*parsed.statements, *parsed.metas], key=lambda item: item.offset)
    for item in items:
        if isinstance(item, Statement):
            if item.direction == "up":
                yield Step(item, filled(item, variables), top)
        elif item.command == "set" and item.argument:
            name, _, value = item.argument.partition(" ")
            variables[name] = value.strip().strip("'")
        elif item.command in INCLUDES:
            target = _included(root, parsed, item, known, script)
            if target is not None and target not in (*inside, path):
                yield from _expand(root, target, known, top, variables, (*inside, path), script)
        else:
            script.gaps += _noted(item)


def _included(root: Path, parsed: Parsed, meta: Meta, known: dict[Path, Parsed], script: Script) -> Path | None:
    r"""The file that `\i` or `\ir` names, read if need be; None with a Gap when it is missing or outside the folder."""
    inside = [p for p in _candidates(root, parsed, meta) if p.is_relative_to(root)]
    for path in inside:
        if path in known:
            return path
        if path.is_file():
            name = str(Path(parsed.file).parent / meta.argument.strip("'\""))
            known[path] = _parsed(SqlFile(path, name), None, script)
            return path
    why = "there is no such file" if inside else "it lies outside the folder, which is never left"
    script.gaps.append(Gap(f"\\{meta.command} {meta.argument}".strip(), f"not included: {why}", meta.place))
    return None


def _noted(meta: Meta) -> list[Gap]:
    if meta.command in CONNECTS:
        return [Gap(f"\\{meta.command} {meta.argument}".strip(), "not run: everything is built in one database", meta.place)]
    if meta.command in ("if", "elif", "else", "gexec", "copy"):
        return [Gap(f"\\{meta.command} {meta.argument}".strip(), "psql's own command, not run; what stands around it is", meta.place)]
    return []


def filled(statement: Statement, variables: dict[str, str]) -> str:
    r"""The statement's text with the psql variables that `\set` gave a value."""
    if not statement.variables:
        return statement.text

    def value(match: re.Match[str]) -> str:
        name = match["quoted"] or match["bare"]
        if not match.lastgroup or name not in variables:
            return match.group()
        text, quote = variables[name], match["quote"] or ""
        return quote + text.replace(quote, quote * 2) + quote if quote else text

    return VARIABLE.sub(value, statement.text)
