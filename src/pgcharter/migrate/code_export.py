"""Stored code written to files in the layout that a plan reads: `app/functions/total.sql`, `app/triggers/orders.sql`."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from pgcharter.catalog.model import Catalog, Function
from pgcharter.errors import RefusedError
from pgcharter.migrate.stored_code import bare, code_of, without
from pgcharter.names import ObjectId
from pgcharter.plan import ddl, diff
from pgcharter.plan.extent import OUR_SCHEMA
from pgcharter.sources.layout import direction

_FOLDERS = {"function": "functions", "procedure": "procedures", "aggregate": "aggregates", "view": "views",
            "materialized view": "materialized_views", "trigger": "triggers", "rule": "rules"}  # fmt: skip
_REPLACEABLE = re.compile(r"CREATE (?=(?:FUNCTION|PROCEDURE|AGGREGATE|VIEW|TRIGGER|RULE)\b)")
_TAKEN = re.compile(r"(?:con|prn|aux|nul|com\d|lpt\d|node_modules|__pycache__|venv|site-packages)\Z")
"""Names that some file system keeps for itself, or that folders of SQL are not looked for in."""
_SAFE = frozenset("abcdefghijklmnopqrstuvwxyz0123456789_-$")


def files(catalog: Catalog, schemas: Collection[str] = ()) -> Mapping[str, str]:
    """The text of each file by its path: routines of one name share a file, so do the triggers and rules of one relation.

    What is not there: privileges, owners, code of extensions and of policies, and whatever lies outside `schemas` when any are named. Built
    over the same tables, the files make the same code.
    """
    ours = {table.part("trigger", t.name) for table in catalog.tables for t in table.triggers if t.function.schema == OUR_SCHEMA}
    owned = {i for i in code_of(catalog) if i.schema != OUR_SCHEMA and i not in ours and (not schemas or i.schema in schemas)}
    a, b = bare(without(catalog, owned)), bare(catalog)
    sides, indexes = ddl.Sides(a, b), {i.id: v.id for v in b.views for i in v.indexes}
    found: dict[str, list[str]] = {}
    for operation in diff.operations(a, b).operations:
        address = indexes.get(operation.object, operation.object)
        if address.kind == "column":
            address = b.relation[address.schema, address.name].id
        if address.kind in _FOLDERS:
            name = operation.new.name if isinstance(operation.new, Function) else address.name
            found.setdefault(_path(address, name), []).extend(ddl.statements(operation, sides))
    return {name: _text(found[name]) for name in sorted(found)}


def _path(address: ObjectId, name: str) -> str:
    return f"{safe(address.schema)}/{_FOLDERS[address.kind]}/{safe(name)}.sql"


def _text(statements: Iterable[str]) -> str:
    return "\n\n".join(f"{_REPLACEABLE.sub('CREATE OR REPLACE ', sql, count=1)};" for sql in statements) + "\n"


def safe(name: str) -> str:
    """A name as every file system keeps it, also those that know no difference of case: all but plain characters as %XX of its bytes."""
    plain = "".join(letter if letter in _SAFE else _escaped(letter) for letter in name)
    if _TAKEN.match(plain) or direction(Path(plain, f"{plain}.sql")) != "up":
        return _escaped(plain[0]) + plain[1:-1] + _escaped(plain[-1]) if len(plain) > 1 else _escaped(plain)
    return plain


def _escaped(letters: str) -> str:
    return "".join(f"%{byte:02X}" for byte in letters.encode())


def write(folder: Path, texts: Mapping[str, str], *, replacing: bool = False) -> tuple[int, tuple[str, ...]]:
    """Write the files below `folder`; return how many were written, and those of stored code there that nothing was written to.

    Raises RefusedError, before anything is written, when a file holds something else and `replacing` is not set.
    """
    there = {name: path.read_text("utf-8", "replace") for name in texts if (path := folder / name).is_file()}
    other = [name for name, text in there.items() if text != texts[name]]
    if other and not replacing:
        more = f" and {len(other) - 1} more" if len(other) > 1 else ""
        raise RefusedError(f"{folder / other[0]}{more} holds something else, so nothing was written", hint="--replace writes over it")
    wanted = [name for name in texts if there.get(name) != texts[name]]
    for name in wanted:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(texts[name], "utf-8", newline="\n")
    left = (str(p.relative_to(folder).as_posix()) for p in folder.rglob("*.sql") if p.parent.name in _FOLDERS.values())
    return len(wanted), tuple(sorted(set(left) - texts.keys()))
