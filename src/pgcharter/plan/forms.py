"""A parsed statement, with what is known around it, as forms that the oracle has tried. Pure; never guesses: what is not known is `*`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from pgcharter.catalog.model import Catalog, Table, View
from pgcharter.names import ObjectId
from pgcharter.plan.forms_alter import alter_table
from pgcharter.plan.scope import UNKNOWN, Form, Scope, join, names, words
from pgcharter.plan.surroundings import Relation, Touched, around
from pgcharter.sqltext import Statement, enum_name, walk

PATH = ("public",)


def classify(statement: Statement, catalog: Catalog | None = None, *, timezone: str = "", path: tuple[str, ...] = PATH) -> tuple[Form, ...]:
    """The forms of one statement: one for each subcommand of ALTER TABLE, each table of DROP TABLE, and so on.

    `timezone` is the session's TimeZone where it is known: a change between timestamp and timestamptz asks for it. `path` is where
    names without a schema are looked up.
    """
    scope = Scope(around(catalog) if catalog is not None else None, path, timezone)
    handler = _KINDS.get(statement.kind)
    if statement.node is None:
        return (Form(UNKNOWN),)
    return tuple(handler(statement.node, scope)) if handler else (Form(statement.kind.removesuffix("_stmt").replace("_", " ")),)


def _options(items: Any) -> set[str]:
    """Names of options that are on: `(full, analyze off)` has `full`."""
    found = {i.def_elem.defname: i.def_elem.arg for i in items}
    off = {"off", "false", "0", "no"}
    return {name for name, arg in found.items() if (arg.string.sval or arg.boolean.boolval or arg.integer.ival or "on") not in off}


def _cascade(node: Any) -> str:
    return " cascade" if enum_name(node, "behavior") == "DROP_CASCADE" else ""


class _Named:
    """A dotted name where the parser has no RangeVar."""

    def __init__(self, dotted: list[str]) -> None:
        self.schemaname, self.relname, self.inh = "".join(dotted[-2:-1]), dotted[-1], True


def _create_index(node: Any, scope: Scope) -> Iterator[Form]:
    kind = "create" + " unique" * node.unique + " index" + " concurrently" * node.concurrent
    table = scope.relation(node.relation)
    there = isinstance(table, Table | View) and any(i.name == node.idxname for i in table.indexes)
    yield scope.form(kind + ", there already" * (node.if_not_exists and there), node.relation)


def _drop(node: Any, scope: Scope) -> Iterator[Form]:
    kind = words(enum_name(node, "remove_type")).replace("matview", "materialized view")
    key = f"drop {kind}{' concurrently' * node.concurrent}{_cascade(node)}"
    for item in node.objects:
        dotted = names(item.list.items) if item.HasField("list") else names(item.type_name.names)
        if kind in ("table", "view", "materialized view", "index", "sequence", "foreign table"):
            yield _whole(key, _Named(dotted), scope, "table" if kind == "foreign table" else kind)
        elif kind in ("trigger", "policy", "rule"):
            yield scope.form(key, _Named(dotted[:-1]))
        elif kind in ("type", "domain"):
            yield _of_type(key, dotted, scope)
        elif kind == "statistic ext":
            yield _statistics("drop statistics", dotted, scope)
        else:
            yield Form(key)


def _statistics(key: str, dotted: list[str], scope: Scope) -> Form:
    known = scope.around.catalog.statistics if scope.around else ()
    found = [s.table for s in known if s.name == dotted[-1] and s.schema in (dotted[:-1] or scope.path)]
    return Form(key, {"table of statistics": (found[0],)} if found else {})


def _whole(key: str, named: Any, scope: Scope, kind: str) -> Form:
    """A statement about a relation as a whole: all its keys, indexes and sequences are touched."""
    return scope.form(key, named, _everything(scope.relation(named)), kind=kind)


def _everything(found: Relation | None) -> Touched:
    if not isinstance(found, Table | View):
        return Touched()
    constraints = found.constraints if isinstance(found, Table) else ()
    columns = frozenset(c.name for c in found.columns)
    return Touched(columns, frozenset(c.name for c in constraints), frozenset(i.name for i in found.indexes))


def _of_type(key: str, dotted: list[str], scope: Scope) -> Form:
    """A statement about a type: whoever has a column of it is its user."""
    found = scope.user_type(dotted)
    users = scope.around.type_users.get((found.schema, found.name), ()) if found is not None and scope.around else ()
    holders = [scope.around.relations.get((u.schema, u.name)) for u in users] if scope.around else []
    indexes = tuple(i.id for h in holders if isinstance(h, Table | View) for i in h.indexes)
    return Form(key, join({"user": users, "index of user": indexes}))


def _truncate(node: Any, scope: Scope) -> Iterator[Form]:
    for item in node.relations:
        yield _whole(f"truncate{' restart identity' * node.restart_seqs}{_cascade(node)}", item.range_var, scope, "table")


def _create_table(node: Any, scope: Scope) -> Iterator[Form]:
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


def _query(key: str, node: Any, scope: Scope, also: dict[str, tuple[ObjectId, ...]] | None = None) -> Form:
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


def _view(node: Any, scope: Scope) -> Iterator[Form]:
    found = scope.relation(node.view)
    if found is not None and node.replace and scope.around is not None:
        yield _query("create or replace view", node.query, scope, dict(scope.around.roles(found)))
    elif node.replace and scope.around is None:
        yield _query("create * view", node.query, scope, {"target": (scope.id(node.view, "view"),)})
    else:
        yield _query("create new view", node.query, scope)


def _create_table_as(node: Any, scope: Scope) -> Iterator[Form]:
    kind = words(enum_name(node, "objtype")).replace("matview", "materialized view")
    yield _query(f"create {kind} as{' with no data' * node.into.skip_data}", node.query, scope)


def _refresh(node: Any, scope: Scope) -> Iterator[Form]:
    key = f"refresh materialized view{' concurrently' * node.concurrent}{' with no data' * node.skip_data}"
    yield _whole(key, node.relation, scope, "materialized view")


def _on_relation(key: str) -> _Handler:
    """Statements with one RangeVar called `relation` or `table`."""

    def handle(node: Any, scope: Scope) -> Iterator[Form]:
        named = node.relation if "relation" in node.DESCRIPTOR.fields_by_name else node.table
        form = scope.form(key, named)
        yield _query(form.key, node, scope, dict(form.roles))

    return handle


def _trigger(node: Any, scope: Scope) -> Iterator[Form]:
    others = {"referenced": node.constrrel} if node.constrrel.relname else None
    yield scope.form(f"create{' constraint' * node.isconstraint} trigger{' for each row' * node.row}", node.relation, others=others)


def _rename(node: Any, scope: Scope) -> Iterator[Form]:
    kind = words(enum_name(node, "rename_type")).replace("matview", "materialized view")
    if not node.HasField("relation"):
        yield Form(f"rename {kind}")
    elif kind == "attribute":
        yield _of_type(f"rename {kind}{_cascade(node)}", [*filter(None, [node.relation.schemaname]), node.relation.relname], scope)
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


def _set_schema(node: Any, scope: Scope) -> Iterator[Form]:
    kind = words(enum_name(node, "object_type")).replace("matview", "materialized view")
    key = f"alter {kind} set schema"
    yield _whole(key, node.relation, scope, "table" if "table" in kind else kind) if node.HasField("relation") else Form(key)


_COMMENTED = {"table", "view", "index", "sequence", "materialized view", "foreign table"}


def _comment(node: Any, scope: Scope) -> Iterator[Form]:
    kind = words(enum_name(node, "objtype")).replace("matview", "materialized view")
    dotted = names(node.object.list.items)
    key = f"comment on {kind.replace('tabconstraint', 'constraint')}"
    if kind in _COMMENTED:
        yield scope.form(key, _Named(dotted), kind="table" if kind == "foreign table" else kind)
    elif kind == "column" and scope.user_type(dotted[:-1]) is not None:
        yield Form(f"{key} of type")
    elif kind in ("column", "trigger", "policy", "rule", "tabconstraint"):
        yield scope.form(key, _Named(dotted[:-1]))
    else:
        yield Form(key)


def _grant(node: Any, scope: Scope) -> Iterator[Form]:
    kind = words(enum_name(node, "objtype"))
    word = "grant" if node.is_grant else "revoke"
    target = enum_name(node, "targtype")
    found = [o.range_var for o in node.objects if o.HasField("range_var")]
    columns = " columns" if any(p.access_priv.cols for p in node.privileges) else ""
    if target == "ACL_TARGET_OBJECT" and found:
        yield from (scope.form(f"{word} on {kind}{columns}", item) for item in found)
    else:
        yield Form(f"{word} on {kind}{'' if target == 'ACL_TARGET_OBJECT' else ' in schema'}")


def _alter_sequence(node: Any, scope: Scope) -> Iterator[Form]:
    owned = next((names(o.def_elem.arg.list.items) for o in node.options if o.def_elem.defname == "owned_by"), [])
    others = {"new owning table": _Named(owned[:-1])} if len(owned) > 1 else None
    restart = any(o.def_elem.defname == "restart" for o in node.options)
    yield scope.form(
        f"alter sequence{' owned by' if owned else ' restart' if restart else ''}", node.sequence, kind="sequence", others=others
    )


def _create_sequence(node: Any, scope: Scope) -> Iterator[Form]:
    owned = next((names(o.def_elem.arg.list.items) for o in node.options if o.def_elem.defname == "owned_by"), [])
    yield scope.form("create sequence owned by", _Named(owned[:-1])) if len(owned) > 1 else Form("create sequence")


def _create_statistics(node: Any, scope: Scope) -> Iterator[Form]:
    yield scope.form("create statistics", node.relations[0].range_var)


def _cluster(node: Any, scope: Scope) -> Iterator[Form]:
    yield _whole("cluster", node.relation, scope, "table") if node.HasField("relation") else Form("cluster everything")


def _vacuum(node: Any, scope: Scope) -> Iterator[Form]:
    options = _options(node.options)
    key = "analyze" if not node.is_vacuumcmd else "vacuum" + " full" * ("full" in options) + " analyze" * ("analyze" in options)
    found = [r.vacuum_relation.relation for r in node.rels]
    yield from (_whole(key, item, scope, "table") for item in found) if found else [Form(f"{key} everything")]


def _reindex(node: Any, scope: Scope) -> Iterator[Form]:
    kind = enum_name(node, "kind").removeprefix("REINDEX_OBJECT_").lower()
    key = f"reindex {kind}{' concurrently' * ('concurrently' in _options(node.params))}"
    yield _whole(key, node.relation, scope, kind) if kind in ("table", "index") else Form(key)


def _lock(node: Any, scope: Scope) -> Iterator[Form]:
    from pgcharter.catalog.effect import Mode

    for item in node.relations:
        yield scope.form(f"lock table in {Mode(node.mode).sql.lower()} mode", item.range_var)


def _publication(node: Any, scope: Scope) -> Iterator[Form]:
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


def _alter_domain(node: Any, scope: Scope) -> Iterator[Form]:
    constraint = getattr(node, "def").constraint if node.HasField("def") else None
    facet = {"T": "default", "N": "drop not null", "O": "set not null", "C": "add", "X": "drop constraint", "V": "validate constraint"}
    key = f"alter domain {facet.get(node.subtype, UNKNOWN)}"
    if node.subtype == "C" and constraint is not None:
        key += f" {words(enum_name(constraint, 'contype')).replace('notnull', 'not null')}{' not valid' * constraint.skip_validation}"
    yield _of_type(key, names(node.type_name), scope)


def _alter_enum(node: Any, scope: Scope) -> Iterator[Form]:
    yield _of_type("alter type rename value" if node.old_val else "alter type add value", names(node.type_name), scope)


def _of_object(verb: str, field: str) -> _Handler:
    """ALTER ... OWNER TO and CREATE of things that only have a kind."""

    def handle(node: Any, scope: Scope) -> Iterator[Form]:
        del scope
        kind = words(enum_name(node, field)).replace("matview", "materialized view")
        yield Form(verb.format(kind))

    return handle


def _write(word: str) -> _Handler:
    def handle(node: Any, scope: Scope) -> Iterator[Form]:
        found = scope.relation(node.relation)
        roles: dict[str, tuple[ObjectId, ...]] = {"target": (scope.id(node.relation),)}
        if found is not None and scope.around is not None:
            roles = join(roles, scope.around.roles(found))
        yield _query(f"{word} on {scope.context(found)}", node, scope, roles)

    return handle


def _select(node: Any, scope: Scope) -> Iterator[Form]:
    own = {f.name for f in scope.around.catalog.functions} if scope.around else set()
    called = {names(n.funcname)[-1] for kind, n in walk(node) if kind == "FuncCall" and n.funcname}
    if called & own or (scope.around is None and called - _known_functions()):
        yield Form(UNKNOWN)
    else:
        kind = " into" if node.HasField("into_clause") else " for update" if node.locking_clause else ""
        yield _query(f"select{kind}", node, scope)


def _known_functions() -> set[str]:
    from pgcharter.plan.oracle import volatilities

    return set(volatilities())


def _copy(node: Any, scope: Scope) -> Iterator[Form]:
    if node.HasField("query"):
        yield _query("copy query", node.query, scope)
    else:
        yield scope.form(f"copy {'from' if node.is_from else 'to'}", node.relation)


def _transaction(node: Any, scope: Scope) -> Iterator[Form]:
    del scope
    yield Form(enum_name(node, "kind").removeprefix("TRANS_STMT_").replace("_", " ").lower())


def _opaque(node: Any, scope: Scope) -> Iterator[Form]:
    """DO, CALL, EXECUTE: what they do is not in their text."""
    del node, scope
    yield Form(UNKNOWN)


_Handler = Callable[[Any, Scope], Iterator[Form]]
_KINDS: dict[str, _Handler] = {
    "alter_table_stmt": alter_table,
    "index_stmt": _create_index,
    "drop_stmt": _drop,
    "truncate_stmt": _truncate,
    "create_stmt": _create_table,
    "view_stmt": _view,
    "create_table_as_stmt": _create_table_as,
    "refresh_mat_view_stmt": _refresh,
    "create_trig_stmt": _trigger,
    "rule_stmt": _on_relation("create rule"),
    "create_policy_stmt": _on_relation("create policy"),
    "alter_policy_stmt": _on_relation("alter policy"),
    "rename_stmt": _rename,
    "alter_object_schema_stmt": _set_schema,
    "alter_owner_stmt": _of_object("alter {} owner to", "object_type"),
    "comment_stmt": _comment,
    "grant_stmt": _grant,
    "alter_seq_stmt": _alter_sequence,
    "create_seq_stmt": _create_sequence,
    "create_stats_stmt": _create_statistics,
    "define_stmt": _of_object("create {}", "kind"),
    "cluster_stmt": _cluster,
    "vacuum_stmt": _vacuum,
    "reindex_stmt": _reindex,
    "lock_stmt": _lock,
    "create_publication_stmt": _publication,
    "alter_publication_stmt": _publication,
    "alter_domain_stmt": _alter_domain,
    "alter_enum_stmt": _alter_enum,
    "insert_stmt": _write("insert"),
    "update_stmt": _write("update"),
    "delete_stmt": _write("delete"),
    "merge_stmt": _write("merge"),
    "select_stmt": _select,
    "copy_stmt": _copy,
    "transaction_stmt": _transaction,
    "do_stmt": _opaque,
    "call_stmt": _opaque,
    "execute_stmt": _opaque,
    "explain_stmt": _opaque,
}
