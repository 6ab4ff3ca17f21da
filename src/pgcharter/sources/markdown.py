"""Markdown with SQL blocks: a document is no script, so what blocks lack is invented, and what they define twice is kept apart.

Every block is read in place. Tables defined later are built when they are first needed; tables never defined get stand-ins. A block that
defines something again, or takes something away, is built on a copy of the database and read by itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from pgcharter.catalog.model import Catalog
from pgcharter.catalog.reading import Reading, TextBlock
from pgcharter.errors import UsageError
from pgcharter.findings import Finding, Gap
from pgcharter.names import ObjectId
from pgcharter.sources import Progress
from pgcharter.sources.effects import makes, qualified
from pgcharter.sources.excuses import excuse
from pgcharter.sources.fences import SQL, fences
from pgcharter.sources.policy import decide
from pgcharter.sources.script import CONNECTS, remark_finding
from pgcharter.sources.text import read_text
from pgcharter.sqltext import Broken, Parsed, Source, Statement, parse

if TYPE_CHECKING:
    from pgcharter.servers.scratch import Scratch, ScratchDatabase
    from pgcharter.sources.build import Builder, Refusal
    from pgcharter.sources.stand_ins import StandIns

ROUNDS = 40
"""How often one statement is tried again, each time with one more stand-in."""
_MISSING = {"42P01", "42703", "42883", "42704", "3F000", "42P02", "42830", "0A000"}
_REPEATED = {"42P07", "42710", "42P06", "42723", "42701"}
_DROPS = {
    "create_stmt": "TABLE", "create_table_as_stmt": "TABLE", "view_stmt": "VIEW", "create_enum_stmt": "TYPE", "create_seq_stmt": "SEQUENCE",
    "create_domain_stmt": "DOMAIN", "composite_type_stmt": "TYPE", "index_stmt": "INDEX", "create_function_stmt": "ROUTINE",
}  # fmt: skip
_COMMENT = re.compile(r"--[^\n\r]*|/\*.*?\*/", re.DOTALL)
_IF_NOT_EXISTS = re.compile(r"\bif\s+not\s+exists\b", re.IGNORECASE)


@dataclass
class Document:
    """What a Markdown text says, before a server has seen any of it."""

    name: str
    text: str
    blocks: list[Parsed] = field(default_factory=list)
    others: list[TextBlock] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)

    @property
    def statements(self) -> tuple[Statement, ...]:
        """All statements in order."""
        return tuple(s for b in self.blocks for s in b.statements)


def read(
    target: str, *, major: int | None = None, scratch_url: str | None = None, server: bool = True, progress: Progress | None = None
) -> Reading:
    """Read the SQL blocks of a Markdown file.

    Raises UsageError when it has none, UnavailableError when no PostgreSQL is at hand to build on.
    """
    document = load(target, read_text(Path(target).expanduser(), target))
    if not server:
        return _reading(document)
    from pgcharter.servers.scratch import open_scratch

    with open_scratch(major, url=scratch_url) as scratch:
        return _Building(document, scratch).read(progress)


def load(name: str, text: str) -> Document:
    """Find the blocks of `text` and parse those that are SQL. Raises UsageError when none is."""
    document = Document(name, text)
    source = Source(text, name)
    for fence in fences(text):
        body = fence.text(text)
        if fence.language not in SQL:
            document.others.append(TextBlock(fence.language, body, source.place(fence.start, fence.end)))
            continue
        parsed = parse(body, name, source.line(fence.start) - 1)
        document.blocks.append(parsed)
        document.gaps += [_fragment(e) for e in parsed.errors]
        document.findings += [remark_finding(r) for r in parsed.remarks]
        document.gaps += [
            Gap(f"\\{m.command} {m.argument}", "not run: everything is built in one database", m.place)
            for m in parsed.metas if m.command in CONNECTS
        ]  # fmt: skip
    if not document.blocks:
        raise UsageError(f"{name} has no SQL block", hint="SQL stands between ```sql and ```")
    return document


def _fragment(broken: Broken) -> Gap:
    head = " ".join(broken.text.split())
    return Gap(head if len(head) <= 60 else head[:57] + "...", f"not SQL by itself: {broken.message}", broken.place)


def _reading(document: Document) -> Reading:
    return Reading(
        document.name,
        "markdown",
        statements=document.statements,
        findings=tuple(document.findings),
        gaps=tuple(document.gaps),
        texts={document.name: document.text},
        blocks=tuple(document.others),
    )


class _World:
    """One database with what was built there: the document's main line, or the copy on which one block was built."""

    def __init__(self, database: ScratchDatabase, builder: Builder, stand_ins: StandIns) -> None:
        self.database = database
        self.builder = builder
        self.stand_ins = stand_ins
        self.names: dict[tuple[str, str], Statement] = {}
        """What stands there by schema and name, with the statement that made it."""


class _Building:
    """The build of one document."""

    def __init__(self, document: Document, scratch: Scratch) -> None:
        from pgcharter.sources.guesses import collect

        self.document = document
        self.scratch = scratch
        self.usage, self.types = collect(document.statements)
        self.stack = ExitStack()
        self.copies: list[_World] = []
        """Databases on which blocks were built that contradict the main line."""
        self.done: set[int] = set()
        self.findings: list[Finding] = []
        self.gaps: list[Gap] = []
        self.unbuilt: list[Statement] = []
        self.later: dict[tuple[str, str], Statement] = {}
        for block in document.blocks:
            if not _takes_away(block):
                for statement in block.statements:
                    for name in qualified(statement):
                        self.later.setdefault(name, statement)

    def read(self, progress: Progress | None) -> Reading:
        """Build every block and read what stands at the end."""
        with ExitStack() as self.stack:
            main = self._world(None)
            for number, block in enumerate(self.document.blocks):
                if progress:
                    progress("building", number, len(self.document.blocks))
                if _takes_away(block):
                    self._apart(block.statements, main)
                else:
                    self._block(block.statements, main)
            alternatives = tuple(self._state(w, only_made=True) for w in self.copies)
            state = self._state(main, only_made=False)
            invented = tuple(self._invented(main))
        return replace(
            _reading(self.document),
            catalog=state.catalog,
            places=state.places,
            stand_ins=state.stand_ins,
            unbuilt=tuple(self.unbuilt),
            alternatives=alternatives,
            findings=(*self.document.findings, *self.findings),
            gaps=(*self.document.gaps, *self.gaps, *invented),
        )

    def _world(self, template: _World | None) -> _World:
        from pgcharter.sources import recorder
        from pgcharter.sources.build import Builder
        from pgcharter.sources.stand_ins import StandIns

        if template is not None:
            template.database.close()
        database = self.stack.enter_context(self.scratch.database(template.database.name if template else None))
        if template is None:
            recorder.install(database.admin)
        world = _World(database, Builder(database), StandIns(database, self.usage, self.types))
        if template is not None:
            world.builder.numbered = list(template.builder.numbered)
            world.builder.first = len(world.builder.numbered)
            world.stand_ins.made = list(template.stand_ins.made)
            world.names = dict(template.names)
        return world

    def _block(self, statements: Sequence[Statement], world: _World) -> None:
        """Build statements in order; from the first one on that defines something else under a name that is taken, on a copy."""
        for position, statement in enumerate(statements):
            if id(statement) in self.done:
                continue
            if _conflicts(statement, world):
                self._apart(statements[position:], world)
                break
            self._statement(statement, world)
        world.builder.end_file()

    def _apart(self, statements: Sequence[Statement], world: _World) -> None:
        """Build statements on a copy of `world`, out of which what they define anew was dropped."""
        copy = self._world(world)
        self.copies.append(copy)
        for statement in statements:
            if _conflicts(statement, copy):
                for name in qualified(statement):
                    _drop(copy.database, statement, name)
                    copy.names.pop(name, None)
        self._block(statements, copy)

    def _statement(self, statement: Statement, world: _World, depth: int = 0) -> None:
        """Build one statement with whatever it needs; note what became of it."""
        self.done.add(id(statement))
        if decide(statement)[0] != "run":
            builder = world.builder
            builder.unbuilt.clear()
            builder.run(statement)
            self.unbuilt += builder.unbuilt
            self.gaps += builder.gaps
            builder.gaps.clear()
            return
        refusal = self._attempt(statement, world, depth)
        if refusal is None:
            for name in qualified(statement):
                world.names.setdefault(name, statement)
            return
        if refusal.sqlstate in _REPEATED and all(_same(statement, world.names[n]) for n in qualified(statement) if n in world.names):
            return
        self._refused(refusal, world)

    def _attempt(self, statement: Statement, world: _World, depth: int) -> Refusal | None:
        sql = _IF_NOT_EXISTS.sub(lambda m: " " * len(m.group()), statement.text, count=1) if qualified(statement) else statement.text
        refusal = world.builder.attempt(statement, sql)
        for _ in range(ROUNDS):
            if refusal is None or refusal.sqlstate not in _MISSING:
                break
            other = self._elsewhere(refusal, world)
            if other is not None:
                return self._attempt(statement, other, depth)
            if not self._hoist(refusal, world, depth) and not world.stand_ins.provide(refusal):
                break
            refusal = world.builder.attempt(statement, sql)
        return refusal

    def _elsewhere(self, refusal: Refusal, world: _World) -> _World | None:
        """The copy on which an earlier block made what the main line lacks."""
        name = _missing_relation(refusal)
        return next((w for w in reversed(self.copies) if w is not world and name and name in w.names), None)

    def _hoist(self, refusal: Refusal, world: _World, depth: int) -> bool:
        """Build the later definition of what is missing now."""
        from pgcharter.sources.effects import missing_name

        name = _missing_relation(refusal) or ("", missing_name(refusal.message))
        found = self.later.get(name)
        if found is None or id(found) in self.done or found is refusal.statement or depth > 20:
            return False
        self._statement(found, world, depth + 1)
        return name in world.names

    def _refused(self, refusal: Refusal, world: _World) -> None:
        """Something is missing that could not be invented: a gap. Anything else: PostgreSQL's word against the document."""
        from pgcharter.sources.build import head

        statement = refusal.statement
        self.unbuilt.append(statement)
        extension_column = refusal.sqlstate == "42703" and "pg_stat_statements" in statement.text
        why = excuse(statement.kind, statement.text, refusal.sqlstate, refusal.message, world.builder.unavailable)
        if why:
            self.gaps.append(Gap(head(statement), why, statement.place))
        elif (refusal.sqlstate in _MISSING - {"0A000"} and not extension_column) or refusal.sqlstate in _REPEATED:
            self.gaps.append(Gap(head(statement), f"not built: {refusal.message}", statement.place))
        else:
            world.builder.refusals.append(refusal)
            self.findings += world.builder.findings()[-1:]

    def _state(self, world: _World, *, only_made: bool) -> Reading:
        """The catalog of one world. In a copy, only what its own block made is looked at."""
        from pgcharter.sources import live, recorder
        from pgcharter.sources.files import anonymous
        from pgcharter.sources.places import locate

        made = recorder.read(world.database.admin)
        recorder.remove(world.database.admin)
        catalog = anonymous(live.read_catalog(world.database.admin))
        copied = _copied(world, only_made)
        own = [m for m in made if m.statement >= (world.builder.first if only_made else 0) and m.statement not in copied]
        made_here = {m.id for m in own}
        places = {i: p for i, p in locate(own, world.builder.numbered, catalog).items() if i in made_here or not only_made}
        invented = frozenset(_everything(catalog)) - made_here
        places = {i: p for i, p in places.items() if i not in invented}
        return Reading(self.document.name, "markdown", catalog=catalog, places=places, stand_ins=invented)

    def _invented(self, main: _World) -> Iterator[Gap]:
        from pgcharter.sources.build import unresolved_roles

        everything = dict.fromkeys(name for w in (main, *self.copies) for name in w.stand_ins.made)
        if everything:
            yield Gap(", ".join(everything), "used but never defined: stand-ins were made, and nothing is said about them")
        roles = {r for w in (main, *self.copies) for r in w.builder.roles}
        if roles:
            main.builder.roles = sorted(roles)
            yield from unresolved_roles(main.builder)


def _copied(world: _World, apart: bool) -> set[int]:
    """Numbers of the statements that copy a table with LIKE and say nothing themselves: of an invented table, or (`apart`) in a recipe."""
    found = set()
    for number, statement in enumerate(world.builder.numbered):
        if statement.kind == "create_stmt":
            likes = [e.table_like_clause.relation.relname for e in statement.node.table_elts if e.WhichOneof("node") == "table_like_clause"]
            if likes and (apart or any(f"table {name}" in world.stand_ins.made for name in likes)):
                found.add(number)
    return found


def _everything(catalog: Catalog) -> Iterator[ObjectId]:
    for target, _ in catalog.objects():
        yield target


def _missing_relation(refusal: Refusal) -> tuple[str, str] | None:
    match = re.search(r'(?:relation|type|schema|function) "?([^"(]+)', refusal.message)
    if match is None or "does not exist" not in refusal.message:
        return None
    schema, _, name = match.group(1).strip().rpartition(".")
    return schema, name


def _takes_away(block: Parsed) -> bool:
    """Whether a block drops or renames what it did not make itself: a migration recipe, not a definition."""
    own: set[str] = set()
    for statement in block.statements:
        if statement.kind == "drop_stmt" and not statement.node.missing_ok and not _about(statement) & own:
            return True
        if statement.kind == "rename_stmt" and statement.node.relation.relname not in own:
            return True
        if statement.kind == "alter_table_stmt" and re.search(
            r"\bdrop\s+(?:column|constraint)\b|\battach\b|\bdetach\b", statement.text, re.I
        ):
            return statement.node.relation.relname not in own
        own |= set(makes(statement))
    return False


def _about(statement: Statement) -> set[str]:
    items = [o.list.items for o in statement.node.objects if o.WhichOneof("node") == "list"]
    return {i[-1].string.sval for i in items if i}


def _conflicts(statement: Statement, world: _World) -> bool:
    """Whether `statement` defines something else under a name that stands there already."""
    if (statement.kind == "create_function_stmt" and statement.node.replace) or (statement.kind == "view_stmt" and statement.node.replace):
        return False
    return any(name in world.names and not _same(statement, world.names[name]) for name in qualified(statement))


def _same(one: Statement, other: Statement) -> bool:
    return one is other or _bare(one.text) == _bare(other.text)


def _bare(text: str) -> str:
    plain = _IF_NOT_EXISTS.sub("", _COMMENT.sub(" ", text))
    return re.sub(r"\s+|(?<=[(,])\s*|\s*(?=[),])", " ", plain).strip().lower()


def _drop(database: ScratchDatabase, statement: Statement, name: tuple[str, str]) -> None:
    """Clear the way on a copy for another definition of `name`."""
    from contextlib import suppress

    import psycopg

    from pgcharter.names import quote

    kind = _DROPS.get(statement.kind)
    address = ".".join(quote(part) for part in name if part)
    if kind:
        with suppress(psycopg.Error):
            database.conn.execute(f"DROP {kind} IF EXISTS {address} CASCADE")
