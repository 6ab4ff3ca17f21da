"""The SQL that closes a hole."""

from __future__ import annotations

from pgcharter.catalog.model import Function, Table, View
from pgcharter.names import literal, quote
from pgcharter.policy.probed import Hole
from pgcharter.probe.ground import Ground

_POLICY = "pgcharter_tenant"
_VERBS = ("INSERT", "UPDATE", "DELETE")


def remedy(hole: Hole, part: str, ground: Ground) -> str:
    """The statements that close a hole, as far as the catalog tells; empty when only a person can say."""
    at, role = hole.object, quote(hole.role) if hole.role else "PUBLIC"
    catalog = ground.catalog
    if at.kind == "role":
        return _of_role(hole, part, role)
    if at.kind == "schema":
        return f"REVOKE CREATE ON SCHEMA {quote(at.name)} FROM {role}"
    if at.kind == "sequence":
        return f"REVOKE ALL ON SEQUENCE {at.sql()} FROM {role}"
    function = catalog.function.get(at)
    if function:
        return _of_function(function, hole)
    relation = catalog.relation.get((at.schema, at.name))
    if isinstance(relation, View):
        return _of_view(relation, hole, role)
    if isinstance(relation, Table):
        return _of_table(relation, hole, part, role, ground)
    if at.name.startswith("pgcharter_future"):
        return f"ALTER DEFAULT PRIVILEGES IN SCHEMA {quote(at.schema)} REVOKE ALL ON TABLES FROM PUBLIC"
    return ""


def _of_role(hole: Hole, part: str, role: str) -> str:
    if hole.attack == "setting":
        return f"ALTER ROLE {role} RESET {part}"
    option = "ADMIN OPTION FOR " * (hole.attack == "GRANT")
    return f"REVOKE {option}{quote(hole.object.name)} FROM {role}"


def _of_function(function: Function, hole: Hole) -> str:
    word = "PROCEDURE" if function.kind == "procedure" else "FUNCTION"
    if hole.attack == "leakproof":
        return f"ALTER FUNCTION {function.id.sql()} NOT LEAKPROOF"
    if hole.attack == "temporary table":
        return f"ALTER {word} {function.id.sql()} SET search_path = {quote(function.schema)}, pg_temp"
    if not hole.role:
        return f"REVOKE EXECUTE ON {word} {function.id.sql()} FROM PUBLIC"
    return f"ALTER {word} {function.id.sql()} SECURITY INVOKER" if function.security_definer else ""


def _of_view(view: View, hole: Hole, role: str) -> str:
    if view.kind == "materialized view" or not hole.role:
        return f"REVOKE ALL ON {view.id.sql()} FROM {role}"
    return "" if view.security_invoker else f"ALTER VIEW {view.id.sql()} SET (security_invoker = true)"


def _of_table(table: Table, hole: Hole, part: str, role: str, ground: Ground) -> str:
    name = table.id.sql()
    if not hole.role:
        return f"REVOKE ALL ON {name} FROM PUBLIC"
    if hole.attack in ("TRUNCATE", "TRIGGER", "switch off"):
        if table.owner == hole.role or hole.attack == "switch off":
            return f"ALTER TABLE {name} OWNER TO a role that nobody logs in as"
        return f"REVOKE {hole.attack} ON {name} FROM {role}"
    if table.id not in ground.guards.tables or table.kind == "foreign table":
        return f"REVOKE {hole.attack if hole.attack in _VERBS else 'SELECT'} ON {name} FROM {role}"
    if hole.attack == "temporary table":
        return f"ALTER FUNCTION {part} SET search_path = {quote(table.schema)}, pg_temp"
    if hole.attack == "self-made membership":
        return f"REVOKE INSERT, UPDATE ON {part} FROM {role}"
    if hole.attack in ("INSERT own", "UPDATE own", "DELETE own", "values of others", "INSERT for a fixed tenant"):
        return ""
    tenants = ", ".join(quote(c) for c in sorted(ground.tenant_columns(table)))
    if hole.attack == "unique key":
        return (
            f"CREATE UNIQUE INDEX CONCURRENTLY ON {name} ({', '.join(filter(None, (tenants, part)))}), and drop the key without the tenant"
        )
    if hole.attack == "foreign key":
        return f"let constraint {quote(part)} of {name} include the tenant: FOREIGN KEY ({tenants or 'tenant'}, …) REFERENCES … (tenant, …)"
    if not table.row_security:
        return f"ALTER TABLE {name} ENABLE ROW LEVEL SECURITY; ALTER TABLE {name} FORCE ROW LEVEL SECURITY{_restrictive(table, ground)}"
    if not table.force_row_security:
        return f"ALTER TABLE {name} FORCE ROW LEVEL SECURITY"
    folded = next((f for f in ground.catalog.own_functions if f.volatility == "immutable" and "current_setting" in f.body), None)
    if hole.attack == "prepared statement" and folded:
        return f"ALTER FUNCTION {folded.id.sql()} STABLE"
    return _restrictive(table, ground).removeprefix("; ")


def _restrictive(table: Table, ground: Ground) -> str:
    """A restrictive policy on the tenant column: it holds whatever else is allowed. Nothing where there is no such column."""
    for setting, (of, column) in ground.guards.settings.items():
        kind = ground.guards.kind(of, column)
        here = next((c for c in table.columns if ground.guards.kind(table.id, c.name) == kind), None)
        if here is not None:
            value = f"nullif(current_setting({literal(setting)}, true), '')"
            value += "" if here.type.basic in ("text", "varchar") else f"::{here.type.sql}"
            condition = f"({quote(here.name)} = {value})"
            return f"; CREATE POLICY {_POLICY} ON {table.id.sql()} AS RESTRICTIVE USING {condition} WITH CHECK {condition}"
    return ""
