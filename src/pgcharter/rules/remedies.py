"""How a setting is mended where its value came from: ALTER SYSTEM has no effect on what a database or a role sets for itself."""

from __future__ import annotations

from pgcharter.names import quote
from pgcharter.rules.engine import Context

Remedy = tuple[tuple[str, ...], str]
"""Statements, and a hint where statements do not reach."""


def mend(ctx: Context, name: str, value: str) -> Remedy:
    """What gives `name` the `value`, or takes away what overrides it."""
    source = next((s.source for s in ctx.cluster.settings if s.name == name), "")
    database = quote(ctx.catalog.database.name)
    if source == "command line":
        return (), f"it is set on the server's command line, which ALTER SYSTEM does not overrule: take it out there, or give {value}"
    if source in ("user", "database user"):
        return _of_role(ctx, name, source)
    overridden = any(s.startswith(f"{name}=") for s in ctx.catalog.database.settings)
    if ctx.catalog.database.name and (source == "database" or (overridden and source in ("default", "reset value"))):
        return (f"ALTER DATABASE {database} RESET {name}",), ""
    if source in ("client", "environment variable"):
        return (), "it comes from the connection itself (options in the DSN or PGOPTIONS), not from the server"
    return (f"ALTER SYSTEM SET {name} = {value}", "SELECT pg_reload_conf()"), ""


def _of_role(ctx: Context, name: str, source: str) -> Remedy:
    """RESET for the one role that can be meant; which role has connected is not recorded."""
    if source == "user":
        roles = [r.name for r in ctx.cluster.roles if any(s.startswith(f"{name}=") for s in r.settings)]
        inside = ""
    else:
        entries = (s.rpartition(f":{name}=") for s in ctx.catalog.database.settings)
        roles = [role for role, found, _ in entries if found]
        inside = f" IN DATABASE {quote(ctx.catalog.database.name)}"
    if len(roles) == 1:
        return (f"ALTER ROLE {quote(roles[0])}{inside} RESET {name}",), ""
    return (), f"it is set for the role that has connected: ALTER ROLE ...{inside} RESET {name}"
