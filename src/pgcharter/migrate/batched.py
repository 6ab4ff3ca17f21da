"""`-- pgcharter: batched key=id` above an UPDATE: the work as a Backfill, which the runner cuts into batches."""

from __future__ import annotations

from pgcharter.errors import PgcharterError
from pgcharter.names import ObjectId
from pgcharter.plan.model import Backfill
from pgcharter.sqltext import Mark, Statement
from pgcharter.sqltext.tokens import Token, tokens

EXAMPLE = "write it as `-- pgcharter: batched key=id`, the columns of a unique key, above `UPDATE app.t SET … WHERE …`"


def backfill(statement: Statement, mark: Mark) -> Backfill:
    """The Backfill that the UPDATE under `mark` stands for. Raises PgcharterError for what cannot be cut into batches, with its place."""
    if statement.kind != "update_stmt":
        raise _refused(statement, f"only an UPDATE can be run in batches, and this is {' '.join(statement.text.split()[:2])}")
    node = statement.node
    for wrong, there in (
        ("FROM", bool(node.from_clause)), ("RETURNING", node.HasField("returning_clause")), ("WITH", node.HasField("with_clause")),
        ("ONLY", not node.relation.inh), ("an alias", node.relation.HasField("alias")),
    ):  # fmt: skip
        if there:
            raise _refused(statement, f"an UPDATE with {wrong} cannot be cut into batches")
    assignments, condition = _clauses(statement)
    table = ObjectId("table", node.relation.schemaname, node.relation.relname)
    return Backfill(table, _key(statement, mark), assignments, condition)


def _clauses(statement: Statement) -> tuple[str, str]:
    """What stands after SET and after WHERE, as written, without comments around it."""
    found, text = list(tokens(statement.text)), statement.text
    start = next(n for n, t in enumerate(found) if t.kind == "SET" and not t.depth)
    where = next((n for n, t in enumerate(found) if t.kind == "WHERE" and not t.depth), None)
    assignments = text[found[start + 1].start : found[where - 1 if where else -1].end]
    return assignments, text[found[where + 1].start : found[-1].end] if where else "true"


def _key(statement: Statement, mark: Mark) -> tuple[str, ...]:
    word, equals, columns = mark.words.partition("=")
    if word.strip().lower() != "key" or not equals:
        raise _refused(statement, "the mark above this UPDATE names no key to go along")
    found = list(tokens(columns))
    names, commas = found[::2], found[1::2]
    if not names or len(names) != len(commas) + 1 or any(t.text != "," for t in commas):
        raise _refused(statement, f"key={columns.strip()} is no list of columns")
    return tuple(map(_name, names))


def _name(token: Token) -> str:
    return token.text[1:-1].replace('""', '"') if token.text.startswith('"') else token.text.lower()


def _refused(statement: Statement, message: str) -> PgcharterError:
    return PgcharterError(message, place=str(statement.place), hint=EXAMPLE)
