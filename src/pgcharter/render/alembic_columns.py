"""Types, columns and constraints as SQLAlchemy writes them, and tables made of them. Pure text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pgcharter.render.alembic_words import UnsaidError, bound, call, literal, named, names, strings, text
from pgcharter.sqltext import enum_name
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


# types


def sa_type(node: Any) -> str:
    """A type as SQLAlchemy writes it. Raises UnsaidError for one that it does not know by name."""
    names = strings(node.names)
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
    names = strings(node.names)
    if node.typmods or node.array_bounds or node.setof or not names:
        raise UnsaidError
    schema = names[-2] if len(names) > 1 else ""
    return call("postgresql.ENUM", name=literal(names[-1]), schema=text(schema), create_type="False")


def kind_of(node: Any) -> str:
    """A type, built in or the project's own. Raises UnsaidError for one that SQLAlchemy has no word for."""
    try:
        return sa_type(node)
    except UnsaidError:
        return user_type(node)


# columns and constraints


def column(node: Any, keys: Sequence[str] = ()) -> str:
    """A column; `keys` are those of the primary key. Raises UnsaidError for what SQLAlchemy has no word for."""
    options: dict[str, str] = {}
    more: list[str] = []
    kind = kind_of(node.type_name)
    if node.HasField("coll_clause"):
        kind = collated(kind, strings(node.coll_clause.collname))
    for item in node.constraints:
        c = item.constraint
        what = enum_name(c, "contype")
        if what == "CONSTR_NOTNULL" and not c.conname:
            options["nullable"] = "False"
        elif what == "CONSTR_DEFAULT":
            options["server_default"] = f"sa.text({literal(bound(expression(c.raw_expr)))})"
        elif what == "CONSTR_IDENTITY":
            more.append(_identity(c))
        elif what == "CONSTR_GENERATED":
            stored = getattr(c, "generated_kind", "s") != "v"
            more.append(call("sa.Computed", literal(bound(expression(c.raw_expr))), persisted=str(stored)))
        else:
            raise UnsaidError
    if node.storage_name or node.compression or node.fdwoptions:
        raise UnsaidError
    if node.colname in keys and not more:
        options["autoincrement"] = "False"
    if node.colname in keys:
        options.setdefault("nullable", "True")
    return call("sa.Column", literal(node.colname), kind, *more, **options)


def collated(kind: str, names: Sequence[str]) -> str:
    """A type with a collation. Raises UnsaidError for one that is not PostgreSQL's own, or of no text."""
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
    return call("sa.Identity", **options)


def deferred(node: Any) -> dict[str, str]:
    """When a constraint is checked."""
    return {"deferrable": "True" * node.deferrable, "initially": literal("DEFERRED") if node.initdeferred else ""}


def actions(node: Any) -> dict[str, str]:
    """What a foreign key does on DELETE and UPDATE, and how it matches."""
    if node.fk_del_set_cols or getattr(node, "fk_with_period", False):
        raise UnsaidError
    return {
        "ondelete": text(_ACTIONS[node.fk_del_action or "a"]), "onupdate": text(_ACTIONS[node.fk_upd_action or "a"]),
        "match": literal("FULL") if node.fk_matchtype == "f" else "",
    }  # fmt: skip


def refuse_more(node: Any) -> None:
    """Raise UnsaidError for parts of a constraint that Alembic has no word for."""
    if node.indexname or node.options or node.indexspace or node.is_no_inherit or getattr(node, "without_overlaps", False):
        raise UnsaidError
    if enum_name(node, "contype") in ("CONSTR_CHECK", "CONSTR_FOREIGN") and not getattr(node, "is_enforced", True):
        raise UnsaidError


def constraint(item: Any) -> str:
    """A table constraint inside CREATE TABLE."""
    c, options = item, deferred(item)
    refuse_more(c)
    kind, name = enum_name(c, "contype"), named(c.conname)
    if kind in ("CONSTR_PRIMARY", "CONSTR_UNIQUE"):
        more = unique(c)
        word = "PrimaryKeyConstraint" if kind == "CONSTR_PRIMARY" else "UniqueConstraint"
        return call(f"sa.{word}", *map(literal, strings(c.keys)), name=name, **options, **more)
    if kind == "CONSTR_CHECK" and not c.skip_validation:
        return call("sa.CheckConstraint", literal(bound(expression(c.raw_expr))), name=name)
    if kind == "CONSTR_FOREIGN" and not c.skip_validation:
        if not c.pk_attrs:
            raise UnsaidError
        target = ".".join(filter(None, (c.pktable.schemaname, c.pktable.relname)))
        if "." in c.pktable.relname or "." in c.pktable.schemaname:
            raise UnsaidError
        there = [f"{target}.{column}" for column in strings(c.pk_attrs)]
        return call("sa.ForeignKeyConstraint", names(strings(c.fk_attrs)), names(there), name=name, **actions(c), **options)
    raise UnsaidError


def unique(c: Any) -> dict[str, str]:
    """What a key includes beside its columns, and whether NULLs are alike."""
    return {
        "postgresql_include": names(strings(c.including)) if c.including else "",
        "postgresql_nulls_not_distinct": "True" if c.nulls_not_distinct else "",
    }


def create_table(node: Any) -> str:
    """A table. Raises UnsaidError for what Alembic has no word for."""
    relation = node.relation
    plain = relation.relpersistence == "p" and not (node.inh_relations or node.options or node.tablespacename or node.access_method)
    if not plain or node.HasField("partspec") or node.HasField("partbound") or node.HasField("of_typename") or node.if_not_exists:
        raise UnsaidError
    constraints = [e.constraint for e in node.table_elts if e.HasField("constraint")]
    keys = [k for c in constraints if enum_name(c, "contype") == "CONSTR_PRIMARY" for k in strings(c.keys)]
    parts = [column(e.column_def, keys) for e in node.table_elts if e.HasField("column_def")]
    parts += [constraint(c) for c in constraints]
    given = [literal(relation.relname), *parts, *([f"schema={literal(relation.schemaname)}"] if relation.schemaname else [])]
    return "op.create_table(\n" + "".join("    " + p.replace("\n", "\n    ") + ",\n" for p in given) + ")"
