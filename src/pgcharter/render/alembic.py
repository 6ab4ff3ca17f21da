"""Statements as Alembic operations: the call of `op` that sends the same statement, where Alembic has one. Pure text.

What is written here is a proposal: `migrate.alembic_plan` lets Alembic render each call and keeps it only when it says the same as the
statement; `op.execute` with the statement itself stands for all others.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pgcharter.sqltext import Statement, enum_name
from pgcharter.sqltext.trees import expression

_PLAIN = {
    "int2": "sa.SmallInteger()", "int4": "sa.Integer()", "int8": "sa.BigInteger()", "bool": "sa.Boolean()", "text": "sa.Text()",
    "float4": "sa.REAL()", "float8": "sa.Double()", "date": "sa.Date()", "uuid": "sa.Uuid()", "bytea": "sa.LargeBinary()",
    "numeric": "sa.Numeric()", "varchar": "sa.String()", "timestamp": "sa.DateTime()", "timestamptz": "sa.DateTime(timezone=True)",
    "time": "sa.Time()", "timetz": "sa.Time(timezone=True)", "json": "postgresql.JSON()", "jsonb": "postgresql.JSONB()",
    "interval": "postgresql.INTERVAL()", "inet": "postgresql.INET()", "cidr": "postgresql.CIDR()", "macaddr": "postgresql.MACADDR()",
    "macaddr8": "postgresql.MACADDR8()", "oid": "postgresql.OID()", "money": "postgresql.MONEY()", "regclass": "postgresql.REGCLASS()",
    "tsvector": "postgresql.TSVECTOR()", "tsquery": "postgresql.TSQUERY()", "hstore": "postgresql.HSTORE()",
    "int4range": "postgresql.INT4RANGE()", "int8range": "postgresql.INT8RANGE()", "numrange": "postgresql.NUMRANGE()",
    "daterange": "postgresql.DATERANGE()", "tsrange": "postgresql.TSRANGE()", "tstzrange": "postgresql.TSTZRANGE()",
    "citext": "postgresql.CITEXT()",
}  # fmt: skip
_MEASURED = {
    "varchar": "sa.String({0})", "bpchar": "sa.CHAR({0})", "numeric": "sa.Numeric({all})", "bit": "postgresql.BIT({0})",
    "varbit": "postgresql.BIT({0}, varying=True)", "timestamp": "postgresql.TIMESTAMP(precision={0})",
    "timestamptz": "postgresql.TIMESTAMP(timezone=True, precision={0})", "time": "postgresql.TIME(precision={0})",
    "timetz": "postgresql.TIME(timezone=True, precision={0})",
}  # fmt: skip
_ACTIONS = {"a": "", "r": "RESTRICT", "c": "CASCADE", "n": "SET NULL", "d": "SET DEFAULT"}
Call = Callable[[Any], str]


class UnsaidError(Exception):
    """Alembic has no operation for this."""


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


def literal(value: str) -> str:
    """A Python string."""
    return json.dumps(value, ensure_ascii=False)


def _call(function: str, /, *arguments: str, **options: str) -> str:
    """A call; options without a value are left out. It is broken over lines where it is long."""
    given = [a for a in arguments if a] + [f"{key}={value}" for key, value in options.items() if value]
    flat = f"{function}({', '.join(given)})"
    if len(flat) <= 110:
        return flat
    return f"{function}(\n" + "".join("    " + a.replace("\n", "\n    ") + ",\n" for a in given) + ")"


def _text(value: str) -> str:
    return literal(value) if value else ""


def _list(names: Sequence[str]) -> str:
    return f"[{', '.join(map(literal, names))}]"


def _strings(items: Any) -> list[str]:
    return [i.string.sval for i in items]


def _name(value: str) -> str:
    """A constraint's name as it is, whatever naming convention the project has. Raises UnsaidError for one that has none."""
    if not value:
        raise UnsaidError
    return f"op.f({literal(value)})"


# types


def sa_type(node: Any) -> str:
    """A type as SQLAlchemy writes it. Raises UnsaidError for one that it does not know by name."""
    names = _strings(node.names)
    schema = names[-2] if len(names) > 1 else ""
    inner = _MEASURED.get(names[-1], "") if node.typmods else _PLAIN.get(names[-1], "")
    if schema not in ("", "pg_catalog") or not inner or node.setof:
        raise UnsaidError
    if node.typmods:
        values = [str(m.a_const.ival.ival) for m in node.typmods]
        inner = inner.format(*values, all=", ".join(values))
    if len(node.array_bounds) > 1 or any(b.integer.ival != -1 for b in node.array_bounds):
        raise UnsaidError
    return f"postgresql.ARRAY({inner})" if node.array_bounds else inner


def user_type(node: Any) -> str:
    """A type of the project's own, which is there: written by its name."""
    names = _strings(node.names)
    if node.typmods or node.array_bounds or node.setof or not names:
        raise UnsaidError
    schema = names[-2] if len(names) > 1 else ""
    return _call("postgresql.ENUM", name=literal(names[-1]), schema=_text(schema), create_type="False")


def _type(node: Any) -> str:
    try:
        return sa_type(node)
    except UnsaidError:
        return user_type(node)


# columns and constraints


def _column(node: Any, keys: Sequence[str] = ()) -> str:
    options: dict[str, str] = {}
    more: list[str] = []
    kind = _type(node.type_name)
    if node.HasField("coll_clause"):
        kind = _collated(kind, _strings(node.coll_clause.collname))
    for item in node.constraints:
        c = item.constraint
        what = enum_name(c, "contype")
        if what == "CONSTR_NOTNULL" and not c.conname:
            options["nullable"] = "False"
        elif what == "CONSTR_DEFAULT":
            options["server_default"] = f"sa.text({literal(_bound(expression(c.raw_expr)))})"
        elif what == "CONSTR_IDENTITY":
            more.append(_identity(c))
        elif what == "CONSTR_GENERATED":
            stored = getattr(c, "generated_kind", "s") != "v"
            more.append(_call("sa.Computed", literal(_bound(expression(c.raw_expr))), persisted=str(stored)))
        else:
            raise UnsaidError
    if node.storage_name or node.compression or node.fdwoptions:
        raise UnsaidError
    if node.colname in keys and not more:
        options["autoincrement"] = "False"
    if node.colname in keys:
        options.setdefault("nullable", "True")
    return _call("sa.Column", literal(node.colname), kind, *more, **options)


def _bound(sql: str) -> str:
    return re.sub(r"(?<![:\w]):(?=[\w$])", r"\:", sql)


def _collated(kind: str, names: Sequence[str]) -> str:
    if (len(names) > 1 and names[0] != "pg_catalog") or not kind.startswith(("sa.Text", "sa.String", "sa.CHAR")):
        raise UnsaidError
    return f"{kind[:-1]}{'' if kind.endswith('()') else ', '}collation={literal(names[-1])})"


_SEQUENCE = {"start": "start", "increment": "increment", "minvalue": "minvalue", "maxvalue": "maxvalue", "cache": "cache", "cycle": "cycle"}


def _identity(node: Any) -> str:
    options = {"always": "True" if node.generated_when == "a" else "False"}
    for item in node.options:
        option = item.def_elem
        value = option.arg
        if option.defname not in _SEQUENCE:
            raise UnsaidError
        if value.HasField("boolean"):
            options[_SEQUENCE[option.defname]] = str(value.boolean.boolval)
        else:
            options[_SEQUENCE[option.defname]] = value.float.fval if value.HasField("float") else str(value.integer.ival)
    return _call("sa.Identity", **options)


def _deferred(node: Any) -> dict[str, str]:
    return {"deferrable": "True" * node.deferrable, "initially": literal("DEFERRED") if node.initdeferred else ""}


def _actions(node: Any) -> dict[str, str]:
    if node.fk_del_set_cols or getattr(node, "fk_with_period", False):
        raise UnsaidError
    return {
        "ondelete": _text(_ACTIONS[node.fk_del_action or "a"]), "onupdate": _text(_ACTIONS[node.fk_upd_action or "a"]),
        "match": literal("FULL") if node.fk_matchtype == "f" else "",
    }  # fmt: skip


def _nothing_more(node: Any) -> None:
    """Raise UnsaidError for parts of a constraint that Alembic has no word for."""
    if node.indexname or node.options or node.indexspace or node.is_no_inherit or getattr(node, "without_overlaps", False):
        raise UnsaidError
    if enum_name(node, "contype") in ("CONSTR_CHECK", "CONSTR_FOREIGN") and not getattr(node, "is_enforced", True):
        raise UnsaidError


def _constraint(item: Any) -> str:
    """A table constraint inside CREATE TABLE."""
    c, options = item, _deferred(item)
    _nothing_more(c)
    kind, name = enum_name(c, "contype"), _name(c.conname)
    if kind in ("CONSTR_PRIMARY", "CONSTR_UNIQUE"):
        more = _unique(c)
        word = "PrimaryKeyConstraint" if kind == "CONSTR_PRIMARY" else "UniqueConstraint"
        return _call(f"sa.{word}", *map(literal, _strings(c.keys)), name=name, **options, **more)
    if kind == "CONSTR_CHECK" and not c.skip_validation:
        return _call("sa.CheckConstraint", literal(_bound(expression(c.raw_expr))), name=name)
    if kind == "CONSTR_FOREIGN" and not c.skip_validation:
        if not c.pk_attrs:
            raise UnsaidError
        target = ".".join(filter(None, (c.pktable.schemaname, c.pktable.relname)))
        if "." in c.pktable.relname or "." in c.pktable.schemaname:
            raise UnsaidError
        there = [f"{target}.{column}" for column in _strings(c.pk_attrs)]
        return _call("sa.ForeignKeyConstraint", _list(_strings(c.fk_attrs)), _list(there), name=name, **_actions(c), **options)
    raise UnsaidError


def _unique(c: Any) -> dict[str, str]:
    return {
        "postgresql_include": _list(_strings(c.including)) if c.including else "",
        "postgresql_nulls_not_distinct": "True" if c.nulls_not_distinct else "",
    }


# statements


def _create_table(node: Any) -> str:
    relation = node.relation
    plain = relation.relpersistence == "p" and not (node.inh_relations or node.options or node.tablespacename or node.access_method)
    if not plain or node.HasField("partspec") or node.HasField("partbound") or node.HasField("of_typename") or node.if_not_exists:
        raise UnsaidError
    constraints = [e.constraint for e in node.table_elts if e.HasField("constraint")]
    keys = [k for c in constraints if enum_name(c, "contype") == "CONSTR_PRIMARY" for k in _strings(c.keys)]
    parts = [_column(e.column_def, keys) for e in node.table_elts if e.HasField("column_def")]
    parts += [_constraint(c) for c in constraints]
    given = [literal(relation.relname), *parts, *([f"schema={literal(relation.schemaname)}"] if relation.schemaname else [])]
    return "op.create_table(\n" + "".join("    " + p.replace("\n", "\n    ") + ",\n" for p in given) + ")"


def _create_index(node: Any) -> str:
    if node.table_space or node.options or node.if_not_exists or not node.idxname or not node.relation.inh:
        raise UnsaidError
    operators: dict[str, str] = {}
    columns = [_index_key(item.index_elem, operators) for item in node.index_params]
    where = f"sa.text({literal(_bound(expression(node.where_clause)))})" if node.HasField("where_clause") else ""
    include = [i.index_elem.name for i in node.index_including_params]
    return _call(
        "op.create_index", _name(node.idxname), literal(node.relation.relname), f"[{', '.join(columns)}]",
        unique="True" if node.unique else "", schema=_text(node.relation.schemaname),
        postgresql_using=literal(node.access_method) if node.access_method not in ("", "btree") else "",
        postgresql_where=where, postgresql_include=_list(include) if include else "",
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
        operators[elem.name] = ".".join(_strings(elem.opclass))
    if elem.name and not order and not nulls:
        return literal(elem.name)
    from pgcharter.names import quote

    key = quote(elem.name) if elem.name else f"({expression(elem.expr)})"
    return f"sa.text({literal(_bound(key + order + nulls))})"


def _alter_table(node: Any) -> str:
    if len(node.cmds) != 1 or enum_name(node, "objtype") != "OBJECT_TABLE" or not node.relation.inh or node.missing_ok:
        raise UnsaidError
    command = node.cmds[0].alter_table_cmd
    make = _COMMANDS.get(enum_name(command, "subtype"))
    if make is None or command.missing_ok or enum_name(command, "behavior") == "DROP_CASCADE":
        raise UnsaidError
    return make(command, node.relation)


def _alter_column(command: Any, relation: Any, **options: str) -> str:
    return _call("op.alter_column", literal(relation.relname), literal(command.name), schema=_text(relation.schemaname), **options)


def _default(command: Any, relation: Any) -> str:
    value = getattr(command, "def")
    there = command.HasField("def")
    return _alter_column(command, relation, server_default=f"sa.text({literal(_bound(expression(value)))})" if there else "None")


def _retype(command: Any, relation: Any) -> str:
    column = getattr(command, "def").column_def
    using = literal(expression(column.raw_default)) if column.HasField("raw_default") else ""
    kind = _type(column.type_name)
    if column.HasField("coll_clause"):
        kind = _collated(kind, _strings(column.coll_clause.collname))
    return _alter_column(command, relation, type_=kind, postgresql_using=using)


def _add_column(command: Any, relation: Any) -> str:
    made = _column(getattr(command, "def").column_def)
    return _call("op.add_column", literal(relation.relname), made, schema=_text(relation.schemaname))


def _drop_column(command: Any, relation: Any) -> str:
    return _call("op.drop_column", literal(relation.relname), literal(command.name), schema=_text(relation.schemaname))


def _drop_constraint(command: Any, relation: Any) -> str:
    return _call("op.drop_constraint", _name(command.name), literal(relation.relname), schema=_text(relation.schemaname))


def _add_constraint(command: Any, relation: Any) -> str:
    c = getattr(command, "def").constraint
    _nothing_more(c)
    kind, name, table, schema = enum_name(c, "contype"), _name(c.conname), literal(relation.relname), _text(relation.schemaname)
    late = "True" if c.skip_validation else ""
    if kind == "CONSTR_CHECK":
        condition = literal(_bound(expression(c.raw_expr)))
        return _call("op.create_check_constraint", name, table, condition, schema=schema, postgresql_not_valid=late)
    if kind == "CONSTR_FOREIGN" and c.pk_attrs:
        return _call(
            "op.create_foreign_key", name, table, literal(c.pktable.relname), _list(_strings(c.fk_attrs)), _list(_strings(c.pk_attrs)),
            **_actions(c), **_deferred(c), source_schema=schema, referent_schema=_text(c.pktable.schemaname), postgresql_not_valid=late,
        )  # fmt: skip
    columns = _list(_strings(c.keys))
    if kind == "CONSTR_UNIQUE":
        return _call("op.create_unique_constraint", name, table, columns, schema=schema, **_deferred(c), **_unique(c))
    if kind == "CONSTR_PRIMARY":
        return _call("op.create_primary_key", name, table, columns, schema=schema)
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
    *schema, name = _strings(node.objects[0].list.items)
    where = _text(schema[-1] if schema else "")
    if kind == "OBJECT_TABLE":
        return _call("op.drop_table", literal(name), schema=where)
    return _call("op.drop_index", _name(name), schema=where, postgresql_concurrently="True" if node.concurrent else "")


def _rename(node: Any) -> str:
    kind, relation = enum_name(node, "rename_type"), node.relation
    if node.missing_ok or (kind == "OBJECT_COLUMN" and enum_name(node, "relation_type") != "OBJECT_TABLE"):
        raise UnsaidError
    if kind == "OBJECT_TABLE":
        return _call("op.rename_table", literal(relation.relname), literal(node.newname), schema=_text(relation.schemaname))
    if kind == "OBJECT_COLUMN":
        new = literal(node.newname)
        return _call("op.alter_column", literal(relation.relname), literal(node.subname), new_column_name=new,
                     schema=_text(relation.schemaname))  # fmt: skip
    raise UnsaidError


def _comment(node: Any) -> str:
    kind = enum_name(node, "objtype")
    names = _strings(node.object.list.items)
    said = literal(node.comment) if node.comment else "None"
    if kind == "OBJECT_TABLE":
        schema = _text(names[-2] if len(names) > 1 else "")
        if not node.comment:
            return _call("op.drop_table_comment", literal(names[-1]), schema=schema)
        return _call("op.create_table_comment", literal(names[-1]), said, schema=schema)
    if kind == "OBJECT_COLUMN" and len(names) > 1:
        return _call(
            "op.alter_column", literal(names[-2]), literal(names[-1]), comment=said, schema=_text(names[-3] if len(names) > 2 else "")
        )
    raise UnsaidError


_KINDS: Mapping[str, Call] = {
    "create_stmt": _create_table,
    "index_stmt": _create_index,
    "alter_table_stmt": _alter_table,
    "drop_stmt": _drop,
    "rename_stmt": _rename,
    "comment_stmt": _comment,
}
