"""Comments, privileges, publications, types, data."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pgcharter.catalog.effect import Mode
from pgcharter.names import ObjectId
from pgcharter.plan.forms_common import Handler, Named, of_type, query
from pgcharter.plan.oracle import volatilities
from pgcharter.plan.scope import UNKNOWN, Form, Scope, join, names, words
from pgcharter.sqltext import enum_name, walk


def lock(node: Any, scope: Scope) -> Iterator[Form]:
    """LOCK TABLE: the mode is part of the form."""
    for item in node.relations:
        yield scope.form(f"lock table in {Mode(node.mode).sql.lower()} mode", item.range_var)


_COMMENTED = {"table", "view", "index", "sequence", "materialized view", "foreign table"}


def comment(node: Any, scope: Scope) -> Iterator[Form]:
    """COMMENT ON."""
    kind = words(enum_name(node, "objtype")).replace("matview", "materialized view")
    dotted = names(node.object.list.items)
    key = f"comment on {kind.replace('tabconstraint', 'constraint')}"
    if kind in _COMMENTED:
        yield scope.form(key, Named(dotted), kind="table" if kind == "foreign table" else kind)
    elif kind == "column" and scope.user_type(dotted[:-1]) is not None:
        yield Form(f"{key} of type")
    elif kind in ("column", "trigger", "policy", "rule", "tabconstraint"):
        yield scope.form(key, Named(dotted[:-1]))
    else:
        yield Form(key)


def grant(node: Any, scope: Scope) -> Iterator[Form]:
    """GRANT and REVOKE on objects (not of roles)."""
    kind = words(enum_name(node, "objtype"))
    word = "grant" if node.is_grant else "revoke"
    target = enum_name(node, "targtype")
    found = [o.range_var for o in node.objects if o.HasField("range_var")]
    columns = " columns" if any(p.access_priv.cols for p in node.privileges) else ""
    if target == "ACL_TARGET_OBJECT" and found:
        yield from (scope.form(f"{word} on {kind}{columns}", item) for item in found)
    else:
        yield Form(f"{word} on {kind}{'' if target == 'ACL_TARGET_OBJECT' else ' in schema'}")


def publication(node: Any, scope: Scope) -> Iterator[Form]:
    """CREATE and ALTER PUBLICATION."""
    word = words(enum_name(node, "action")) if "action" in node.DESCRIPTOR.fields_by_name else ""
    key = (
        f"alter publication {word.replace('addobjects', 'add').replace('dropobjects', 'drop').replace('setobjects', 'set')}"
        if word
        else "create publication"
    )
    objects = [o.publication_obj_spec for o in node.pubobjects]
    found = [o.pubtable.relation for o in objects if o.HasField("pubtable")]
    if found:
        yield from (scope.form(f"{key} table", item) for item in found)
    else:
        yield Form(f"{key} {'for all tables' if getattr(node, 'for_all_tables', False) else 'in schema' if objects else 'options'}")


def alter_domain(node: Any, scope: Scope) -> Iterator[Form]:
    """ALTER DOMAIN: tables with a column of the domain are its users."""
    constraint = getattr(node, "def").constraint if node.HasField("def") else None
    facet = {"T": "default", "N": "drop not null", "O": "set not null", "C": "add", "X": "drop constraint", "V": "validate constraint"}
    key = f"alter domain {facet.get(node.subtype, UNKNOWN)}"
    if node.subtype == "C" and constraint is not None:
        key += f" {words(enum_name(constraint, 'contype')).replace('notnull', 'not null')}{' not valid' * constraint.skip_validation}"
    yield of_type(key, names(node.type_name), scope)


def alter_enum(node: Any, scope: Scope) -> Iterator[Form]:
    """ALTER TYPE ... ADD VALUE and RENAME VALUE."""
    yield of_type("alter type rename value" if node.old_val else "alter type add value", names(node.type_name), scope)


def write(word: str) -> Handler:
    """INSERT, UPDATE, DELETE, MERGE."""

    def handle(node: Any, scope: Scope) -> Iterator[Form]:
        found = scope.relation(node.relation)
        roles: dict[str, tuple[ObjectId, ...]] = {"target": (scope.id(node.relation),)}
        if found is not None and scope.around is not None:
            roles = join(roles, scope.around.roles(found))
        yield query(f"{word} on {scope.context(found)}", node, scope, roles)

    return handle


def select(node: Any, scope: Scope) -> Iterator[Form]:
    """SELECT; not known when it calls a function that is not PostgreSQL's own."""
    own = {f.name for f in scope.around.catalog.functions} if scope.around else set()
    called = {names(n.funcname)[-1] for kind, n in walk(node) if kind == "FuncCall" and n.funcname}
    if called & own or (scope.around is None and called - set(volatilities())):
        yield Form(UNKNOWN)
    else:
        kind = " into" if node.HasField("into_clause") else " for update" if node.locking_clause else ""
        yield query(f"select{kind}", node, scope)


def copy(node: Any, scope: Scope) -> Iterator[Form]:
    """COPY."""
    if node.HasField("query"):
        yield query("copy query", node.query, scope)
    else:
        yield scope.form(f"copy {'from' if node.is_from else 'to'}", node.relation)


def transaction(node: Any, scope: Scope) -> Iterator[Form]:
    """BEGIN, COMMIT and their kin."""
    del scope
    yield Form(enum_name(node, "kind").removeprefix("TRANS_STMT_").replace("_", " ").lower())


def opaque(node: Any, scope: Scope) -> Iterator[Form]:
    """DO, CALL, EXECUTE: what they do is not in their text."""
    del node, scope
    yield Form(UNKNOWN)
