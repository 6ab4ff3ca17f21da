"""From the text of a migration to units: what runs in one transaction, what by itself, what in batches, what waits for a release."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from pgcharter.errors import PgcharterError
from pgcharter.migrate import in_transaction, liquibase
from pgcharter.migrate.batched import backfill
from pgcharter.migrate.model import Migration, Unit
from pgcharter.sqltext import Mark, Meta, Parsed, Statement, enum_name, parse
from pgcharter.sqltext.comments import direction_at, marks, outside, sections

EACH = ("pgcharter", "sqitch")
"""Layouts whose files say themselves what belongs together; in all others a file is one transaction."""
WHOLE = ("flyway", "liquibase", "sqitch")
"""Layouts whose files have no sections: `-- rollback` in them is a comment like any other."""
_NO_TRANSACTION = re.compile(
    r"^[ \t]*--[ \t]*(?:migrate:(?P<dbmate>up|down)\b.*\btransaction:false\b|(?P<goose>\+goose[ \t]+NO[ \t]+TRANSACTION\b)"
    r"|\+migrate[ \t]+(?P<sql_migrate>up|down)\b.*\bnotransaction\b)",
    re.IGNORECASE | re.MULTILINE,
)
_ENVSUB = re.compile(r"^[ \t]*--[ \t]*\+goose[ \t]+ENVSUB[ \t]+ON\b", re.IGNORECASE | re.MULTILINE)
_PLACEHOLDER = re.compile(r"\$\{(?P<name>[^}\s]+)\}")
_HARMLESS = {"echo", "qecho", "warn", "timing", "pset", "x", "encoding", "restrict", "unrestrict", "conninfo", "unset"}
"""psql's commands that change nothing in a database."""
_ROWS = {"insert_stmt", "update_stmt", "delete_stmt", "merge_stmt", "select_stmt", "truncate_stmt", "variable_set_stmt", "do_stmt",
         "call_stmt", "lock_stmt", "vacuum_stmt", "transaction_stmt", "discard_stmt"}  # fmt: skip
"""Kinds of statement that a data migration may have."""


def parsed(migration: Migration, placeholders: Mapping[str, str] | None = None) -> Migration:
    """`migration` with its units in both directions, and notes on how it will run.

    Raises PgcharterError with the place for text that is no SQL, needs psql, or contradicts itself: nothing of such a file is run.
    """
    m, values = migration, placeholders or {}
    if m.layout == "goose" and (asked := _ENVSUB.search(m.text)):
        place = f"{m.file}:{m.text.count(chr(10), 0, asked.start()) + 1}"
        raise PgcharterError(
            "variables of the environment are not put into SQL, so nothing was run", place=place, hint="write the values themselves"
        )
    values = {**values, **liquibase.properties(m.text)} if m.layout == "liquibase" else values
    both = _Side(m, _filled(m, m.text, values), m.file, m.line - 1)
    whole = m.layout in WHOLE
    up, notes = both.units("" if whole else "up", each=_each(m, "up"))
    if m.layout == "liquibase":
        back = liquibase.rollback(both.parsed.text)
        down = None if back is None else _Side(m, back, m.file, m.line - 1).units("up", each=_each(m, "up"))[0]
    elif m.down_file:
        if not whole and any(s.direction == "down" for s in both.parsed.statements):
            hint = "keep one of them"
            raise PgcharterError(f"{m.file} has a section that leads back, and {m.down_file} leads back too", hint=hint, place=m.file)
        down = _Side(m, _filled(m, m.down_text, values), m.down_file, 0).units("", each=_each(m, "down"))[0] or None
    elif whole:
        down = None
    else:
        down = both.units("down", each=_each(m, "down"))[0] or None
    one_way = next((k for k in both.marks if k.verb == "one-way"), None)
    if one_way and down:
        raise PgcharterError(f"{m.file} says that there is no way back and has one", hint="keep either `one-way` or `down`", place=m.file)
    if one_way and not one_way.words:
        hint = "write it as `-- pgcharter: one-way the old amounts are gone`"
        raise PgcharterError("the mark gives no reason why there is no way back", place=both.place(one_way), hint=hint)
    return replace(m, up=up, down=down, notes=notes, one_way=bool(one_way), why_one_way=one_way.words if one_way else "")


def _each(m: Migration, direction: str) -> bool:
    """Whether every statement of the direction runs by itself."""
    if m.layout in EACH:
        return True
    if m.layout == "flyway":
        return _flyway_setting(m, "executeInTransaction") == "false"
    if m.layout == "liquibase":
        return not liquibase.changesets(m.text, m.file)[0].says("runintransaction", True)
    found = _NO_TRANSACTION.finditer(m.down_text if direction == "down" and m.down_file else m.text)
    return any(f["goose"] or (f["dbmate"] or f["sql_migrate"] or "").lower() == direction for f in found)


def _flyway_setting(m: Migration, name: str) -> str:
    """What the script's own configuration (`V1__a.sql.conf`) says, in lower case; empty when it says nothing."""
    conf = m.path.with_name(m.path.name + ".conf") if m.path else Path()
    if not m.path or not conf.is_file():
        return ""
    pairs = (line.partition("=") for line in conf.read_text("utf-8", "replace").splitlines())
    return {key.strip(): value.strip().lower() for key, _, value in pairs}.get(name, "")


def _filled(m: Migration, text: str, values: Mapping[str, str]) -> str:
    """The text with ${placeholders} filled in, for the two tools that have them. Raises PgcharterError for one without a value."""
    if "${" not in text or m.layout not in ("flyway", "liquibase") or _flyway_setting(m, "placeholderReplacement") == "false":
        return text

    def value(found: re.Match[str]) -> str:
        if found["name"] in values:
            return values[found["name"]]
        line = text[: found.start()]
        if "--" in line[line.rfind("\n") + 1 :] or m.layout == "liquibase":
            return found[0]
        place = f"{m.file}:{m.line + line.count(chr(10))}"
        hint = f'in pgcharter.toml: [migrate.placeholders] {found["name"]} = "…"; or placeholderReplacement=false in {m.file}.conf'
        raise PgcharterError(f"the placeholder {found[0]} has no value, so nothing was run", place=place, hint=hint)

    return _PLACEHOLDER.sub(value, text)


class _Side:
    """One text, looked through for what cannot be run."""

    def __init__(self, migration: Migration, text: str, file: str, above: int) -> None:
        self.migration = migration
        self.parsed = parse(text, file, above, everything=True)
        _refuse_no_sql(self.parsed)
        body = self.parsed.text
        self.turns = outside(sections(body), self.parsed.statements)
        within = [(s.offset, s.offset + len(s.text)) for s in self.parsed.statements]
        self.marks = [k for k in marks(body) if not any(a <= k.offset < b for a, b in within)] if migration.layout == "pgcharter" else []

    def place(self, mark: Mark) -> str:
        """Where a mark stands."""
        return str(self.parsed.source.place(mark.offset))

    def units(self, direction: str, *, each: bool) -> tuple[tuple[Unit, ...], tuple[str, ...]]:
        """The units of one direction ("": of the whole text) and what is to be said of them."""
        statements = [s for s in self.parsed.statements if direction in ("", s.direction)]
        if self.migration.kind == "data":
            _refuse_structure(statements)
        stated = [k for k in self.marks if k.verb in ("gate", "batched") and direction in ("", direction_at(k.offset, self.turns))]
        making = _Making(each)
        waiting: Mark | None = None
        items: list[Statement | Mark] = sorted([*statements, *stated], key=lambda i: i.offset)
        for item in items:
            if isinstance(item, Statement):
                making.take(item, waiting)
                waiting = None
            elif item.verb == "batched" and waiting is None:
                waiting = item
            elif waiting is None and item.words and making.block is None:
                making.flush()
                making.made.append(Unit(gate=item.words, line=self.parsed.source.line(item.offset)))
            else:
                raise PgcharterError(
                    _WRONG_MARK, place=self.place(item), hint="a gate: `-- pgcharter: gate the new release runs everywhere`"
                )
        if waiting:
            raise PgcharterError("below this mark stands no UPDATE to run in batches", place=self.place(waiting))
        return making.end()


_WRONG_MARK = "the mark says nothing, or stands inside a transaction or above another one, so the file cannot be understood"


@dataclass
class _Making:
    """Units as they come together."""

    each: bool
    made: list[Unit] = field(default_factory=list)
    loose: list[Statement] = field(default_factory=list)
    """Statements outside of BEGIN and COMMIT that make one transaction."""
    block: list[Statement] | None = None
    opening: Statement | None = None
    apart: list[tuple[str, int]] = field(default_factory=list)
    """What runs by itself though the file is one transaction, with its line."""

    def take(self, statement: Statement, batched: Mark | None) -> None:
        """Put the next statement where it belongs."""
        if statement.kind == "transaction_stmt":
            self._control(statement)
            return
        _refuse_for_psql(statement)
        refused = in_transaction.refused(statement)
        if self.block is not None:
            if refused or batched:
                what = refused or "an UPDATE in batches"
                raise _wrong(statement, f"{what} cannot run between BEGIN and COMMIT, so nothing was run", "move it out of the transaction")
            self.block.append(statement)
        elif batched:
            self.flush()
            self.made.append(Unit((statement.text,), backfill=backfill(statement, batched), line=statement.place.line))
        elif refused or (in_transaction.stands_alone(statement) and (self.each or statement.kind == "do_stmt")):
            self.flush()
            self.apart.append((refused or " ".join(statement.text.split()[:1]).upper(), statement.place.line))
            self.made.append(Unit((statement.text,), transactional=False, line=statement.place.line))
        else:
            self.loose.append(statement)
            if self.each:
                self.flush()

    def _control(self, statement: Statement) -> None:
        word = enum_name(statement.node, "kind").removeprefix("TRANS_STMT_")
        if word in ("BEGIN", "START") and self.block is None:
            self.flush()
            self.block, self.opening = [], statement
        elif word == "COMMIT" and self.block is not None and not statement.node.chain:
            self.made += _together(self.block, self.opening)
            self.block = None
        elif word in ("SAVEPOINT", "RELEASE", "ROLLBACK_TO") and (self.block is not None or not self.each):
            (self.loose if self.block is None else self.block).append(statement)
        else:
            words = " ".join(statement.text.split()).upper()
            message = f"{words} stands where it would end or mix up the transactions of the file, so nothing was run"
            raise _wrong(statement, message, "write BEGIN; … COMMIT; around what belongs together, and nothing else")

    def flush(self) -> None:
        """End the transaction of what stands outside of BEGIN and COMMIT."""
        self.made += _together(self.loose, None)
        self.loose = []

    def end(self) -> tuple[tuple[Unit, ...], tuple[str, ...]]:
        """All units, and what is to be said of them."""
        if self.block is not None and self.opening:
            raise _wrong(
                self.opening, "no COMMIT follows this BEGIN, so nothing of it would stay", "write COMMIT; where the transaction ends"
            )
        self.flush()
        if self.each or len(self.made) < 2:
            return tuple(self.made), ()
        return tuple(self.made), tuple(_apart(what, line, len(self.made)) for what, line in self.apart)


def _apart(what: str, line: int, parts: int) -> str:
    return (
        f"{what} in line {line} runs by itself, because PostgreSQL allows it in no transaction: the file is applied in {parts} parts, "
        "and what came before a failure stays"
    )


def _together(statements: Sequence[Statement], opening: Statement | None) -> list[Unit]:
    """One transaction of several statements; none of nothing."""
    if not statements:
        return []
    texts = [s.text for s in statements]
    if opening is not None and opening.node.options:
        texts.insert(
            0, re.sub(r"\A(?:BEGIN|START)(?:\s+(?:WORK|TRANSACTION))?", "SET TRANSACTION", opening.text, count=1, flags=re.IGNORECASE)
        )
    return [Unit(tuple(texts), line=(opening or statements[0]).place.line)]


def _refuse_no_sql(found: Parsed) -> None:
    for broken in found.errors:
        raise PgcharterError(f"this is not SQL, so nothing was run: {broken.message}", place=str(broken.place))
    refuse_commands(found.metas)


def refuse_commands(metas: Sequence[Meta]) -> None:
    """Raise PgcharterError for a command of psql that would do something."""
    for meta in metas:
        if meta.command not in _HARMLESS:
            raise PgcharterError(
                f"\\{meta.command} is a command of psql and not SQL, so nothing was run",
                place=str(meta.place),
                hint="take it out; what it includes can be a migration of its own",
            )


def _refuse_for_psql(statement: Statement) -> None:
    if statement.variables:
        raise _wrong(statement, f"only psql could fill in :{statement.variables[0]}, so nothing was run", "write the value itself")
    if statement.kind == "copy_stmt" and statement.node.is_from and not statement.node.filename:
        raise _wrong(statement, "COPY … FROM stdin takes its rows from psql, so nothing was run", "write the rows as INSERT … VALUES")


def _refuse_structure(statements: Sequence[Statement]) -> None:
    for statement in statements:
        if statement.kind not in _ROWS:
            what = " ".join(statement.text.split()[:2]).upper()
            raise _wrong(statement, f"a data migration changes rows only, and this is {what}", "put it into a migration of its own")


def _wrong(statement: Statement, message: str, hint: str) -> PgcharterError:
    return PgcharterError(message, place=str(statement.place), hint=hint)
