"""What several kinds of statement share: names, relations as wholes, types, queries."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from pgcharter.catalog.model import Table, View
from pgcharter.names import ObjectId
from pgcharter.plan.scope import Form, Scope, join, words
from pgcharter.plan.surroundings import Relation
from pgcharter.plan.touched import Touched
from pgcharter.sqltext import enum_name, walk

Handler = Callable[[Any, Scope], Iterator[Form]]


def options(items: Any) -> set[str]:
    """Names of options that are on: `(full, analyze off)` has `full`."""
    found = {i.def_elem.defname: i.def_elem.arg for i in items}
    off = {"off", "false", "0", "no"}
    return {name for name, arg in found.items() if (arg.string.sval or arg.boolean.boolval or arg.integer.ival or "on") not in off}


def cascade(node: Any) -> str:
    """` cascade` where a statement says so."""
    return " cascade" if enum_name(node, "behavior") == "DROP_CASCADE" else ""


class Named:
    """A dotted name where the parser has no RangeVar."""

    def __init__(self, dotted: list[str]) -> None:
        self.schemaname, self.relname, self.inh = "".join(dotted[-2:-1]), dotted[-1], True


def whole(key: str, named: Any, scope: Scope, kind: str) -> Form:
    """A statement about a relation as a whole: all its keys, indexes and sequences are touched."""
    return scope.form(key, named, everything(scope.relation(named)), kind=kind)


def everything(found: Relation | None) -> Touched:
    """All parts of a relation."""
    if not isinstance(found, Table | View):
        return Touched()
    constraints = found.constraints if isinstance(found, Table) else ()
    columns = frozenset(c.name for c in found.columns)
    return Touched(columns, frozenset(c.name for c in constraints), frozenset(i.name for i in found.indexes))


def of_type(key: str, dotted: list[str], scope: Scope) -> Form:
    """A statement about a type: whoever has a column of it is its user. Without a catalog nobody knows who that is."""
    if scope.around is None:
        return Form(key, {"user": (), "index of user": ()})
    found = scope.user_type(dotted)
    users = scope.around.type_users.get((found.schema, found.name), ()) if found is not None else ()
    holders = [scope.around.relations.get((u.schema, u.name)) for u in users]
    indexes = tuple(i.id for h in holders if isinstance(h, Table | View) for i in h.indexes)
    return Form(key, join({"user": users, "index of user": indexes}))


def query(key: str, node: Any, scope: Scope, also: dict[str, tuple[ObjectId, ...]] | None = None) -> Form:
    """A statement around a query; what it reads are its sources, and what views among them read is read too."""
    written = {c.ctename for kind, c in walk(node) if kind == "CommonTableExpr"}
    named = [n for kind, n in walk(node) if kind == "RangeVar" and (n.schemaname or n.relname not in written)]
    found: dict[str, tuple[ObjectId, ...]] = {}
    for item in dict.fromkeys(scope.id(n) for n in named):
        roles: list[tuple[str, ObjectId]] = [("source", item)]
        if scope.around is not None:
            relation = scope.around.find(item.schema, item.name)
            under = scope.around.read(relation, " under view") if isinstance(relation, View) and relation.kind == "view" else ()
            roles = [*scope.around.reading(item), *under]
        for role, other in roles:
            found[role] = (*found.get(role, ()), other)
    return Form(key, join(also or {}, found))


def on_relation(key: str) -> Handler:
    """Statements with one RangeVar called `relation` or `table`."""

    def handle(node: Any, scope: Scope) -> Iterator[Form]:
        named = node.relation if "relation" in node.DESCRIPTOR.fields_by_name else node.table
        form = scope.form(key, named)
        yield query(form.key, node, scope, dict(form.roles))

    return handle


def of_object(verb: str, field: str) -> Handler:
    """ALTER ... OWNER TO and CREATE of things that only have a kind."""

    def handle(node: Any, scope: Scope) -> Iterator[Form]:
        del scope
        kind = words(enum_name(node, field)).replace("matview", "materialized view")
        yield Form(verb.format(kind))

    return handle
