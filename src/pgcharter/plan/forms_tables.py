"""CREATE, DROP and the rest of what is about a table, view, index or sequence, ALTER TABLE excepted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pgcharter.catalog.model import Table, View
from pgcharter.plan.forms_common import Named, cascade, of_type, options, query, whole
from pgcharter.plan.scope import UNKNOWN, Form, Scope, names, words
from pgcharter.plan.touched import Touched
from pgcharter.sqltext import enum_name


def create_index(node: Any, scope: Scope) -> Iterator[Form]:
    """CREATE INDEX."""
    kind = "create" + " unique" * node.unique + " index" + " concurrently" * node.concurrent
    table = scope.relation(node.relation)
    there = isinstance(table, Table | View) and any(i.name == node.idxname for i in table.indexes)
    yield scope.form(kind + ", there already" * (node.if_not_exists and there), node.relation)


def drop(node: Any, scope: Scope) -> Iterator[Form]:
    """DROP of anything: one form for each object."""
    kind = words(enum_name(node, "remove_type")).replace("matview", "materialized view")
    key = f"drop {kind}{' concurrently' * node.concurrent}{cascade(node)}"
    for item in node.objects:
        dotted = names(item.list.items) if item.HasField("list") else names(item.type_name.names)
        if kind in ("table", "view", "materialized view", "index", "sequence", "foreign table"):
            yield whole(key, Named(dotted), scope, "table" if kind == "foreign table" else kind)
        elif kind in ("trigger", "policy", "rule"):
            yield scope.form(key, Named(dotted[:-1]))
        elif kind in ("type", "domain"):
            yield of_type(key, dotted, scope)
        elif kind == "statistic ext":
            yield _statistics("drop statistics", dotted, scope)
        else:
            yield Form(key)


def _statistics(key: str, dotted: list[str], scope: Scope) -> Form:
    known = scope.around.catalog.statistics if scope.around else ()
    found = [s.table for s in known if s.name == dotted[-1] and s.schema in (dotted[:-1] or scope.path)]
    return Form(key, {"table of statistics": (found[0],)} if found else {})


def truncate(node: Any, scope: Scope) -> Iterator[Form]:
    """TRUNCATE: one form for each table."""
    for item in node.relations:
        yield whole(f"truncate{' restart identity' * node.restart_seqs}{cascade(node)}", item.range_var, scope, "table")


def create_table(node: Any, scope: Scope) -> Iterator[Form]:
    """CREATE TABLE: what it does to the tables it refers to; without any, a form of its own."""
    found = list(_table_parts(node, scope))
    if node.relation.relpersistence == "t" and not found:
        yield Form("create temporary table")
    else:
        yield from found or [Form("create table")]


def _table_parts(node: Any, scope: Scope) -> Iterator[Form]:
    if node.HasField("partbound"):
        kind = " default" if node.partbound.is_default else ""
        yield scope.form(f"create table partition of{kind}", node.inh_relations[0].range_var)
    else:
        yield from (scope.form("create table inherits", p.range_var) for p in node.inh_relations)
    constraints = [e.constraint for e in node.table_elts if e.HasField("constraint")]
    for element in node.table_elts:
        if element.HasField("column_def"):
            constraints += [c.constraint for c in element.column_def.constraints]
        elif element.HasField("table_like_clause"):
            including = " including" if element.table_like_clause.options else ""
            yield scope.form(f"create table like{including}", element.table_like_clause.relation)
    for constraint in constraints:
        if enum_name(constraint, "contype") == "CONSTR_FOREIGN" and constraint.pktable.relname != node.relation.relname:
            yield scope.form("create table foreign key", constraint.pktable)


def view(node: Any, scope: Scope) -> Iterator[Form]:
    """CREATE VIEW, new or in place of one that is there."""
    found = scope.relation(node.view)
    if found is not None and node.replace and scope.around is not None:
        yield query("create or replace view", node.query, scope, dict(scope.around.roles(found)))
    elif node.replace and scope.around is None:
        yield query("create * view", node.query, scope, {"target": (scope.id(node.view, "view"),)})
    else:
        yield query("create new view", node.query, scope)


def create_table_as(node: Any, scope: Scope) -> Iterator[Form]:
    """CREATE TABLE AS and CREATE MATERIALIZED VIEW."""
    kind = words(enum_name(node, "objtype")).replace("matview", "materialized view")
    yield query(f"create {kind} as{' with no data' * node.into.skip_data}", node.query, scope)


def refresh(node: Any, scope: Scope) -> Iterator[Form]:
    """REFRESH MATERIALIZED VIEW."""
    key = f"refresh materialized view{' concurrently' * node.concurrent}{' with no data' * node.skip_data}"
    yield whole(key, node.relation, scope, "materialized view")


def trigger(node: Any, scope: Scope) -> Iterator[Form]:
    """CREATE TRIGGER."""
    others = {"referenced": node.constrrel} if node.constrrel.relname else None
    yield scope.form(f"create{' constraint' * node.isconstraint} trigger{' for each row' * node.row}", node.relation, others=others)


def rename(node: Any, scope: Scope) -> Iterator[Form]:
    """ALTER ... RENAME of anything."""
    kind = words(enum_name(node, "rename_type")).replace("matview", "materialized view")
    if not node.HasField("relation"):
        yield Form(f"rename {kind}")
    elif kind == "attribute":
        yield of_type(f"rename {kind}{cascade(node)}", [*filter(None, [node.relation.schemaname]), node.relation.relname], scope)
    elif kind in ("table", "view", "index", "sequence", "materialized view", "foreign table"):
        yield scope.form(f"rename {kind}", node.relation, kind="table" if kind == "foreign table" else kind)
    else:
        touched = Touched(frozenset([node.subname]), frozenset([node.subname]))
        facet = f" ({_constraint_kind(node, scope)})" if kind == "tabconstraint" else ""
        yield scope.form(f"rename {kind.replace('tabconstraint', 'constraint')}{facet}", node.relation, touched)


def _constraint_kind(node: Any, scope: Scope) -> str:
    table = scope.relation(node.relation)
    found = [c.kind for c in table.constraints if c.name == node.subname] if isinstance(table, Table) else []
    return found[0] if found else UNKNOWN


def set_schema(node: Any, scope: Scope) -> Iterator[Form]:
    """ALTER ... SET SCHEMA of anything."""
    kind = words(enum_name(node, "object_type")).replace("matview", "materialized view")
    key = f"alter {kind} set schema"
    yield whole(key, node.relation, scope, "table" if "table" in kind else kind) if node.HasField("relation") else Form(key)


def alter_sequence(node: Any, scope: Scope) -> Iterator[Form]:
    """ALTER SEQUENCE."""
    owned = next((names(o.def_elem.arg.list.items) for o in node.options if o.def_elem.defname == "owned_by"), [])
    others = {"new owning table": Named(owned[:-1])} if len(owned) > 1 else None
    restart = any(o.def_elem.defname == "restart" for o in node.options)
    yield scope.form(
        f"alter sequence{' owned by' if owned else ' restart' if restart else ''}", node.sequence, kind="sequence", others=others
    )


def create_sequence(node: Any, scope: Scope) -> Iterator[Form]:
    """CREATE SEQUENCE."""
    owned = next((names(o.def_elem.arg.list.items) for o in node.options if o.def_elem.defname == "owned_by"), [])
    yield scope.form("create sequence owned by", Named(owned[:-1])) if len(owned) > 1 else Form("create sequence")


def create_statistics(node: Any, scope: Scope) -> Iterator[Form]:
    """CREATE STATISTICS."""
    yield scope.form("create statistics", node.relations[0].range_var)


def cluster(node: Any, scope: Scope) -> Iterator[Form]:
    """CLUSTER."""
    yield whole("cluster", node.relation, scope, "table") if node.HasField("relation") else Form("cluster everything")


def vacuum(node: Any, scope: Scope) -> Iterator[Form]:
    """VACUUM and ANALYZE."""
    given = options(node.options)
    key = "analyze" if not node.is_vacuumcmd else "vacuum" + " full" * ("full" in given) + " analyze" * ("analyze" in given)
    found = [r.vacuum_relation.relation for r in node.rels]
    yield from (whole(key, item, scope, "table") for item in found) if found else [Form(f"{key} everything")]


def reindex(node: Any, scope: Scope) -> Iterator[Form]:
    """REINDEX."""
    kind = enum_name(node, "kind").removeprefix("REINDEX_OBJECT_").lower()
    key = f"reindex {kind}{' concurrently' * ('concurrently' in options(node.params))}"
    yield whole(key, node.relation, scope, kind) if kind in ("table", "index") else Form(key)
