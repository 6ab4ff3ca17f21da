"""ALTER TABLE and its kin: one form for each subcommand, with what decides about its locks, rewrites and scans."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from pgcharter.catalog.model import Index, Table, View
from pgcharter.plan.forms_constraints import (
    Head,
    add_column,
    add_constraint,
    alter_constraint,
    altered,
    drop_column,
    drop_constraint,
    dropping,
    proves,
    set_not_null,
    validate_constraint,
)
from pgcharter.plan.forms_types import change_facet
from pgcharter.plan.scope import UNKNOWN, Form, Scope, words
from pgcharter.plan.touched import Touched, computes
from pgcharter.sqltext import enum_name


def alter_table(node: Any, scope: Scope) -> Iterator[Form]:
    """The forms of ALTER TABLE, ALTER INDEX, ALTER VIEW, ALTER SEQUENCE, ALTER FOREIGN TABLE, ALTER TYPE with attributes."""
    head = (f"alter {words(enum_name(node, 'objtype'))}", node.relation)
    for item in node.cmds:
        command = item.alter_table_cmd
        subtype = enum_name(command, "subtype")
        handler = _HANDLERS.get(subtype)
        if handler is not None and head[0] in ("alter table", "alter foreign table", "alter index"):
            yield from handler(head, command, scope)
        elif head[0] == "alter type":
            yield _composite(head, words(subtype) + (" cascade" if command.behavior == dropping(command) else ""), scope)
        else:
            yield altered(head, words(subtype), scope, Touched(frozenset([command.name])))


def _composite(head: Head, facet: str, scope: Scope) -> Form:
    if scope.around is None:
        return Form(f"{head[0]} {facet}", {"user": ()})
    found = scope.user_type([*filter(None, [head[1].schemaname]), head[1].relname])
    users = scope.around.type_users.get((found.schema, found.name), ()) if found is not None else ()
    return Form(f"{head[0]} {facet}", {"user": users} if users else {})


def _alter_type(head: Head, command: Any, scope: Scope) -> Iterator[Form]:
    column = scope.column(head[1], command.name)
    definition = getattr(command, "def").column_def
    touched = Touched(frozenset([command.name]))
    facet = change_facet(column, definition, scope)
    yield altered(head, f"alter column type ({facet})", scope, touched)
    table = scope.relation(head[1])
    if column is not None and isinstance(table, Table):
        for trait in _traits(table, command.name, scope):
            kept = "" if trait == "in check" else ", same comparison" if _alike(facet) else ", other comparison"
            yield altered(head, f"alter column type of column {trait}{kept}", scope, touched)


def _set_identity(head: Head, command: Any, scope: Scope) -> Iterator[Form]:
    restart = any(i.def_elem.defname == "restart" for i in getattr(command, "def").list.items)
    yield altered(head, f"set identity{' restart' * restart}", scope, Touched(frozenset([command.name])))


def _traits(table: Table, column: str, scope: Scope) -> Iterator[str]:
    if any(column in c.columns for c in table.checks):
        yield "in check"
    if any(column in k.columns for k in table.foreign_keys):
        yield "in foreign key"
    if any(computes(i, column) for i in table.indexes):
        yield "in computed index"
    incoming = scope.around.catalog.referencing.get(table.id, ()) if scope.around else ()
    if any(column in k.referenced_columns for _, k in incoming):
        yield "under foreign key"


def _alike(facet: str) -> bool:
    """Whether old and new type are compared by the same operator: then a foreign key need not be checked anew."""
    old, _, new = facet.removesuffix(" using cast").partition(" to ")
    plain = old.removesuffix("(n)")
    return (
        new in ("longer", "shorter", "the same", "other scale")
        or new.removesuffix("(n)") == plain
        or {plain, new.removesuffix("(n)")} == {"varchar", "text"}
    )


def _options(head: Head, command: Any, scope: Scope) -> Iterator[Form]:
    word = words(enum_name(command, "subtype")).split()[0]
    for item in getattr(command, "def").list.items:
        option = item.def_elem
        name = f"{option.defnamespace}.{option.defname}" if option.defnamespace else option.defname
        yield altered(head, f"{word} ({name})", scope)


def _attach(head: Head, command: Any, scope: Scope) -> Iterator[Form]:
    definition = getattr(command, "def").partition_cmd
    parent, child = scope.relation(head[1]), scope.relation(definition.name)
    if head[0] == "alter index" or isinstance(parent, Index):
        yield altered(head, "attach partition", scope, others={"attached": definition.name})
        return
    facet = UNKNOWN
    if isinstance(parent, Table) and isinstance(child, Table):
        facet = " default" if definition.bound.is_default else ", proven by check" if _within(parent, child, definition.bound) else ""
    yield altered(head, f"attach partition{facet}", scope, others={"attached": definition.name})


def _within(parent: Table, child: Table, bound: Any) -> bool:
    """Whether one validated check of `child` is plainly the partition's bound (`NOT NULL AND >= a AND < b`), so that no scan is needed."""
    if parent.partition_strategy != "range" or len(parent.partition_columns) != 1 or not parent.partition_columns[0]:
        return False
    column = parent.partition_columns[0]
    lower, upper = _datum(bound.lowerdatums), _datum(bound.upperdatums)
    if not lower or not upper:
        return False
    required = column in child.column and child.column[column].not_null
    for check in (c for c in child.checks if c.validated and c.enforced):
        parts = {_bare(part) for part in re.split(r"\bAND\b", check.expression)}
        if {_bare(f"{column} >= {lower}"), _bare(f"{column} < {upper}")} <= parts and (required or proves(check.expression, column)):
            return " OR " not in check.expression
    return False


def _datum(datums: Any) -> str:
    value = datums[0].a_const if len(datums) == 1 and datums[0].HasField("a_const") else None
    if value is None:
        return ""
    return str(
        {"ival": lambda: value.ival.ival, "sval": lambda: value.sval.sval, "fval": lambda: value.fval.fval}.get(
            value.WhichOneof("val"), str
        )()
    )


def _bare(part: str) -> str:
    return re.sub(r"""::[\w ]+(?:\(\d+\))?|["'()\s]""", "", part)


def _detach(head: Head, command: Any, scope: Scope) -> Iterator[Form]:
    definition = getattr(command, "def").partition_cmd
    facet = words(enum_name(command, "subtype")) + (" concurrently" if definition.concurrent else "")
    parent = scope.relation(head[1])
    if scope.around is None or parent is None:
        facet += UNKNOWN
    elif any(scope.around.catalog.referencing.get(p) for p in (parent.id, *(a.id for a in _ancestors(parent, scope)))):
        facet += ", referenced"
    yield altered(head, facet, scope, others={"detached": definition.name})


def _ancestors(relation: object, scope: Scope) -> tuple[Table, ...]:
    return scope.around.ancestors(relation) if scope.around and isinstance(relation, Table) else ()


def _inherit(head: Head, command: Any, scope: Scope) -> Iterator[Form]:
    yield altered(head, words(enum_name(command, "subtype")), scope, others={"named parent": getattr(command, "def").range_var})


def _replica_identity(head: Head, command: Any, scope: Scope) -> Iterator[Form]:
    identity = getattr(command, "def").replica_identity_stmt
    facet = {"d": "default", "n": "nothing", "f": "full", "i": "using index"}.get(identity.identity_type, UNKNOWN)
    yield altered(head, f"replica identity {facet}", scope, Touched(indexes=frozenset([identity.name])))


def _persistence(head: Head, command: Any, scope: Scope) -> Iterator[Form]:
    facet = words(enum_name(command, "subtype")).replace("un logged", "unlogged")
    table = scope.relation(head[1])
    already = table.unlogged is (facet == "set unlogged") if isinstance(table, Table) else None
    yield altered(head, facet + {True: ", there already", False: "", None: UNKNOWN}[already], scope)


def _access_method(head: Head, command: Any, scope: Scope) -> Iterator[Form]:
    table = scope.relation(head[1])
    held = (table.access_method or "heap") if isinstance(table, Table) else None
    yield altered(head, "set access method" + (UNKNOWN if held is None else ", there already" if held == command.name else ""), scope)


def _tablespace(head: Head, command: Any, scope: Scope) -> Iterator[Form]:
    held = scope.relation(head[1])
    known = held.tablespace or "pg_default" if isinstance(held, Table | View | Index) else None
    yield altered(head, "set tablespace" + (UNKNOWN if known is None else ", there already" if known == command.name else ""), scope)


def _cluster_on(head: Head, command: Any, scope: Scope) -> Iterator[Form]:
    yield altered(head, words(enum_name(command, "subtype")), scope, Touched(indexes=frozenset([command.name])))


def _column_default(head: Head, command: Any, scope: Scope) -> Iterator[Form]:
    word = "set default" if command.HasField("def") else "drop default"
    yield altered(head, word, scope, Touched(frozenset([command.name])))


def _expression(head: Head, command: Any, scope: Scope) -> Iterator[Form]:
    column = scope.column(head[1], command.name)
    facet = f"{words(enum_name(command, 'subtype'))} ({column.generated if column and column.generated else UNKNOWN})"
    yield altered(head, facet, scope, Touched(frozenset([command.name])))


def _owner(head: Head, command: Any, scope: Scope) -> Iterator[Form]:
    held = scope.relation(head[1])
    named = enum_name(command.newowner, "roletype") == "ROLESPEC_CSTRING"
    known = held is not None and not isinstance(held, Index) and named
    same = known and getattr(held, "owner", "") == command.newowner.rolename
    yield _whole(head, "owner to" + (", there already" if same else "" if known else UNKNOWN), scope)


def _whole(head: Head, facet: str, scope: Scope) -> Form:
    found = scope.relation(head[1])
    columns = frozenset(c.name for c in found.columns) if isinstance(found, Table) else frozenset()
    return altered(head, facet, scope, Touched(columns))


_Handler = Callable[[Head, Any, Scope], Iterator[Form]]


_HANDLERS: dict[str, _Handler] = {
    "AT_AddColumn": add_column,
    "AT_AddConstraint": add_constraint,
    "AT_SetNotNull": set_not_null,
    "AT_DropConstraint": drop_constraint,
    "AT_ValidateConstraint": validate_constraint,
    "AT_AlterConstraint": alter_constraint,
    "AT_DropColumn": drop_column,
    "AT_AlterColumnType": _alter_type,
    "AT_ColumnDefault": _column_default,
    "AT_SetExpression": _expression,
    "AT_DropExpression": _expression,
    "AT_SetRelOptions": _options,
    "AT_ResetRelOptions": _options,
    "AT_AttachPartition": _attach,
    "AT_DetachPartition": _detach,
    "AT_DetachPartitionFinalize": _detach,
    "AT_AddInherit": _inherit,
    "AT_DropInherit": _inherit,
    "AT_ReplicaIdentity": _replica_identity,
    "AT_SetLogged": _persistence,
    "AT_SetUnLogged": _persistence,
    "AT_SetAccessMethod": _access_method,
    "AT_SetTableSpace": _tablespace,
    "AT_ClusterOn": _cluster_on,
    "AT_ChangeOwner": _owner,
    "AT_SetIdentity": _set_identity,
}
