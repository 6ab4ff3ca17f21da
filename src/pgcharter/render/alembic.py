"""Statements as Alembic operations: the call of `op` that sends the same statement, where Alembic has one. Pure text.

What is written here is a proposal: `migrate.alembic_plan` lets Alembic render each call and keeps it only when it says the same as the
statement; `op.execute` with the statement itself stands for all others.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from pgcharter.render.alembic_columns import actions, collated, column, create_table, deferred, kind_of, refuse_more, unique
from pgcharter.render.alembic_words import UnsaidError, bound, call, literal, named, names, strings, text
from pgcharter.sqltext import Statement, enum_name
from pgcharter.sqltext.trees import expression

Call = Callable[[Any], str]


def operation(statement: Statement) -> str:
    """The call of `op` for a statement; empty when there is none."""
    make = _KINDS.get(statement.kind)
    try:
        return make(statement.node) if make and statement.node is not None else ""
    except UnsaidError:
        return ""


def execute(sql: str, *, bound: bool = False) -> str:
    """`op.execute` of a statement; `bound`: with colons protected from being taken for bound values."""
    text = re.sub(r":(?=[\w$])(?<!::)|(?<=\\):", r"\:", sql) if bound else sql
    if "\n" in text and '"""' not in text and not text.endswith('"'):
        return f'op.execute({"r" if chr(92) in text else ""}"""{text}""")' if not text.endswith("\\") else f"op.execute({literal(text)})"
    return f"op.execute({literal(text)})"


def _create_index(node: Any) -> str:
    if node.table_space or node.options or node.if_not_exists or not node.idxname or not node.relation.inh:
        raise UnsaidError
    operators: dict[str, str] = {}
    columns = [_index_key(item.index_elem, operators) for item in node.index_params]
    where = f"sa.text({literal(bound(expression(node.where_clause)))})" if node.HasField("where_clause") else ""
    include = [i.index_elem.name for i in node.index_including_params]
    return call(
        "op.create_index", named(node.idxname), literal(node.relation.relname), f"[{', '.join(columns)}]",
        unique="True" if node.unique else "", schema=text(node.relation.schemaname),
        postgresql_using=literal(node.access_method) if node.access_method not in ("", "btree") else "",
        postgresql_where=where, postgresql_include=names(include) if include else "",
        postgresql_nulls_not_distinct="True" if node.nulls_not_distinct else "",
        postgresql_ops=json.dumps(operators) if operators else "", postgresql_concurrently="True" if node.concurrent else "",
    )  # fmt: skip


def _index_key(elem: Any, operators: dict[str, str]) -> str:
    order = {"SORTBY_DESC": " DESC", "SORTBY_ASC": " ASC"}.get(enum_name(elem, "ordering"), "")
    nulls = {"SORTBY_NULLS_FIRST": " NULLS FIRST", "SORTBY_NULLS_LAST": " NULLS LAST"}.get(enum_name(elem, "nulls_ordering"), "")
    if elem.collation or elem.opclassopts:
        raise UnsaidError
    if elem.opclass:
        if not elem.name or order or nulls:
            raise UnsaidError
        operators[elem.name] = ".".join(strings(elem.opclass))
    if elem.name and not order and not nulls:
        return literal(elem.name)
    from pgcharter.names import quote

    key = quote(elem.name) if elem.name else f"({expression(elem.expr)})"
    return f"sa.text({literal(bound(key + order + nulls))})"


def _alter_table(node: Any) -> str:
    if len(node.cmds) != 1 or enum_name(node, "objtype") != "OBJECT_TABLE" or not node.relation.inh or node.missing_ok:
        raise UnsaidError
    command = node.cmds[0].alter_table_cmd
    make = _COMMANDS.get(enum_name(command, "subtype"))
    if make is None or command.missing_ok or enum_name(command, "behavior") == "DROP_CASCADE":
        raise UnsaidError
    return make(command, node.relation)


def _alter_column(command: Any, relation: Any, **options: str) -> str:
    return call("op.alter_column", literal(relation.relname), literal(command.name), schema=text(relation.schemaname), **options)


def _default(command: Any, relation: Any) -> str:
    value = getattr(command, "def")
    there = command.HasField("def")
    return _alter_column(command, relation, server_default=f"sa.text({literal(bound(expression(value)))})" if there else "None")


def _retype(command: Any, relation: Any) -> str:
    column = getattr(command, "def").column_def
    using = literal(expression(column.raw_default)) if column.HasField("raw_default") else ""
    kind = kind_of(column.type_name)
    if column.HasField("coll_clause"):
        kind = collated(kind, strings(column.coll_clause.collname))
    return _alter_column(command, relation, type_=kind, postgresql_using=using)


def _add_column(command: Any, relation: Any) -> str:
    made = column(getattr(command, "def").column_def)
    return call("op.add_column", literal(relation.relname), made, schema=text(relation.schemaname))


def _drop_column(command: Any, relation: Any) -> str:
    return call("op.drop_column", literal(relation.relname), literal(command.name), schema=text(relation.schemaname))


def _drop_constraint(command: Any, relation: Any) -> str:
    return call("op.drop_constraint", named(command.name), literal(relation.relname), schema=text(relation.schemaname))


def _add_constraint(command: Any, relation: Any) -> str:
    c = getattr(command, "def").constraint
    refuse_more(c)
    kind, name, table, schema = enum_name(c, "contype"), named(c.conname), literal(relation.relname), text(relation.schemaname)
    late = "True" if c.skip_validation else ""
    if kind == "CONSTR_CHECK":
        condition = literal(bound(expression(c.raw_expr)))
        return call("op.create_check_constraint", name, table, condition, schema=schema, postgresql_not_valid=late)
    if kind == "CONSTR_FOREIGN" and c.pk_attrs:
        return call(
            "op.create_foreign_key", name, table, literal(c.pktable.relname), names(strings(c.fk_attrs)), names(strings(c.pk_attrs)),
            **actions(c), **deferred(c), source_schema=schema, referent_schema=text(c.pktable.schemaname), postgresql_not_valid=late,
        )  # fmt: skip
    columns = names(strings(c.keys))
    if kind == "CONSTR_UNIQUE":
        return call("op.create_unique_constraint", name, table, columns, schema=schema, **deferred(c), **unique(c))
    if kind == "CONSTR_PRIMARY":
        return call("op.create_primary_key", name, table, columns, schema=schema)
    raise UnsaidError


_COMMANDS: Mapping[str, Callable[[Any, Any], str]] = {
    "AT_AddColumn": _add_column,
    "AT_DropColumn": _drop_column,
    "AT_AddConstraint": _add_constraint,
    "AT_DropConstraint": _drop_constraint,
    "AT_ColumnDefault": _default,
    "AT_AlterColumnType": _retype,
    "AT_SetNotNull": lambda command, relation: _alter_column(command, relation, nullable="False"),
    "AT_DropNotNull": lambda command, relation: _alter_column(command, relation, nullable="True"),
}


def _drop(node: Any) -> str:
    kind = enum_name(node, "remove_type")
    if len(node.objects) != 1 or node.missing_ok or enum_name(node, "behavior") == "DROP_CASCADE":
        raise UnsaidError
    if kind not in ("OBJECT_TABLE", "OBJECT_INDEX"):
        raise UnsaidError
    *schema, name = strings(node.objects[0].list.items)
    where = text(schema[-1] if schema else "")
    if kind == "OBJECT_TABLE":
        return call("op.drop_table", literal(name), schema=where)
    return call("op.drop_index", named(name), schema=where, postgresql_concurrently="True" if node.concurrent else "")


def _rename(node: Any) -> str:
    kind, relation = enum_name(node, "rename_type"), node.relation
    if node.missing_ok or (kind == "OBJECT_COLUMN" and enum_name(node, "relation_type") != "OBJECT_TABLE"):
        raise UnsaidError
    if kind == "OBJECT_TABLE":
        return call("op.rename_table", literal(relation.relname), literal(node.newname), schema=text(relation.schemaname))
    if kind == "OBJECT_COLUMN":
        new = literal(node.newname)
        return call("op.alter_column", literal(relation.relname), literal(node.subname), new_column_name=new,
                     schema=text(relation.schemaname))  # fmt: skip
    raise UnsaidError


def _comment(node: Any) -> str:
    kind = enum_name(node, "objtype")
    names = strings(node.object.list.items)
    said = literal(node.comment) if node.comment else "None"
    if kind == "OBJECT_TABLE":
        schema = text(names[-2] if len(names) > 1 else "")
        if not node.comment:
            return call("op.drop_table_comment", literal(names[-1]), schema=schema)
        return call("op.create_table_comment", literal(names[-1]), said, schema=schema)
    if kind == "OBJECT_COLUMN" and len(names) > 1:
        return call(
            "op.alter_column", literal(names[-2]), literal(names[-1]), comment=said, schema=text(names[-3] if len(names) > 2 else "")
        )
    raise UnsaidError


_KINDS: Mapping[str, Call] = {
    "create_stmt": create_table,
    "index_stmt": _create_index,
    "alter_table_stmt": _alter_table,
    "drop_stmt": _drop,
    "rename_stmt": _rename,
    "comment_stmt": _comment,
}
