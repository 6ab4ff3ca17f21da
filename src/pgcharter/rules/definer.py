"""SECURITY DEFINER functions: code that runs with its owner's rights for whoever may call it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from pgcharter.catalog.model import Function, Schema
from pgcharter.findings import Finding, Severity
from pgcharter.names import quote
from pgcharter.rules import bodies
from pgcharter.rules.engine import Context, rule


def _definers(ctx: Context) -> Iterator[Function]:
    for function in ctx.catalog.own_functions:
        if function.security_definer and function.language not in ("c", "internal"):
            yield function


def _alter(function: Function) -> str:
    return f"ALTER {function.id.kind.upper()} {function.id.sql()}"


def _path_for(ctx: Context, function: Function) -> str:
    """A search_path under which the body finds what it names, temporary objects last."""
    used = {m.schema for m in bodies.known_relations(ctx.catalog, function.body) if bodies.readable(function)}
    schemas = [function.schema, *sorted(used - {function.schema})]
    return ", ".join([*(quote(s) for s in schemas), "pg_temp"])


@rule("SEC20", "definer-without-search-path", Severity.ERROR)
def definer_without_search_path(ctx: Context) -> Iterator[Finding]:
    """A SECURITY DEFINER function without a search_path of its own.

    Why: it runs with its owner's rights, but finds tables, functions and operators along the caller's search_path, and temporary tables
    come first. A caller makes a temporary table of the same name and the function trusts it.
    Instead: `ALTER FUNCTION app.is_admin() SET search_path = app, pg_temp`.
    Except: none; functions with an SQL-standard body (BEGIN ATOMIC) are bound when they are made and are not reported.
    """
    for function in _definers(ctx):
        if function.setting("search_path") is None and not bodies.bound_early(function):
            yield ctx.finding(
                function,
                f"{function.id} is SECURITY DEFINER without its own search_path: "
                "a caller's temporary table or schema takes the place of what it names",
                fix=f"{_alter(function)} SET search_path = {_path_for(ctx, function)}",
            )


@definer_without_search_path.text
def _without_path_in_text(ctx: Context) -> Iterator[Finding]:
    for statement in ctx.of_kind("create_function_stmt"):
        options = {o.def_elem.defname: o.def_elem for o in statement.node.options if o.HasField("def_elem")}
        security = options.get("security")
        if security is None or not security.arg.boolean.boolval or statement.node.HasField("sql_body"):
            continue
        sets = [o.def_elem.arg.variable_set_stmt.name for o in statement.node.options if o.def_elem.defname == "set"]
        if "search_path" not in sets:
            name = ".".join(quote(part.string.sval) for part in statement.node.funcname)
            yield ctx.finding(
                statement,
                f"function {name} is SECURITY DEFINER without its own search_path: "
                "a caller's temporary table or schema takes the place of what it names",
                hint="SET search_path = <schema>, pg_temp",
                detail=name,
            )


@rule("SEC21", "definer-search-path-open", Severity.WARNING)
def definer_search_path_open(ctx: Context) -> Iterator[Finding]:
    """A SECURITY DEFINER function whose search_path others can put objects into.

    Why: temporary tables are looked up first unless `pg_temp` is named, and in its place when it is named. A schema in which others may
    create is as open. Either way the caller's table takes the place of the owner's.
    Instead: trusted schemas only, `pg_temp` last: `SET search_path = app, pg_temp`.
    Except: bodies that qualify every name; where that is plain, nothing is said.
    """
    open_schemas = {s.name: _creators(s) for s in ctx.catalog.schemas}
    for function in _definers(ctx):
        path = function.setting("search_path")
        if path is None or bodies.bound_early(function):
            continue
        names = [bodies.unquoted(p.strip()) for p in path.split(",") if p.strip().strip('"')]
        creators = {n: open_schemas.get(n, ()) for n in names}
        writable = next((n for n in names if creators[n] and _unqualified(ctx, function, names)), "")
        fix = f"{_alter(function)} SET search_path = {', '.join([*(quote(n) for n in names if n != 'pg_temp'), 'pg_temp'])}"
        if writable:
            found = ctx.finding(
                function,
                f"the search_path of {function.id} has schema {quote(writable)}, where {', '.join(creators[writable])} may create: "
                "an object made there takes the place of the owner's",
                hint=f"REVOKE CREATE ON SCHEMA {quote(writable)} FROM {', '.join(creators[writable])}",
            )
            yield replace(found, severity=Severity.ERROR)
        elif "pg_temp" in names[:-1] or ("pg_temp" not in names and _unqualified(ctx, function, names)):
            where = "not last" if "pg_temp" in names else "not named, so first,"
            yield ctx.finding(
                function,
                f"pg_temp is {where} in the search_path of {function.id}: a caller's temporary table takes the place of the owner's",
                fix=fix,
            )


def _creators(schema: Schema) -> tuple[str, ...]:
    """Who but the owner may create in the schema."""
    return tuple(
        sorted(
            {quote(g.grantee) if g.grantee else "PUBLIC" for g in schema.acl or () if g.privilege == "CREATE" and g.grantee != schema.owner}
        )
    )


def _unqualified(ctx: Context, function: Function, path: list[str]) -> bool:
    """Whether the body names a table or view without its schema and finds it along `path`."""
    if not bodies.readable(function):
        return False
    bare = {m.name for m in bodies.mentions(function.body) if not m.schema}
    return any(m.name in bare and m.schema in path for m in bodies.known_relations(ctx.catalog, function.body))


@rule("SEC22", "definer-for-everyone", Severity.WARNING)
def definer_for_everyone(ctx: Context) -> Iterator[Finding]:
    """A SECURITY DEFINER function that PUBLIC may execute.

    Why: EXECUTE goes to PUBLIC when a function is made. Every role that can connect may then do what the owner can, through this function.
    Instead: `REVOKE EXECUTE ON FUNCTION app.close_month(date) FROM PUBLIC`, then grant it to the roles that need it.
    Except: functions meant for everybody; grant them to the roles by name, and they are left alone. Trigger functions cannot be called, and
    a schema that only its owner can use keeps everybody out.
    """
    schemas = {s.name: s for s in ctx.catalog.schemas}
    for function in _definers(ctx):
        if function.returns in ("trigger", "event_trigger") or not _public_may_execute(function):
            continue
        schema = schemas.get(function.schema)
        if schema is not None and not any(g.privilege == "USAGE" and g.grantee != schema.owner for g in schema.acl or ()):
            continue
        yield ctx.finding(
            function,
            f"{function.id} runs with its owner's rights and everybody may execute it",
            fix=f"REVOKE EXECUTE ON {function.id.kind.upper()} {function.id.sql()} FROM PUBLIC",
            hint=f"then GRANT EXECUTE ON {function.id.kind.upper()} {function.id.sql()} TO the roles that need it",
        )


def _public_may_execute(function: Function) -> bool:
    return function.acl is None or any(g.grantee == "" and g.privilege == "EXECUTE" for g in function.acl)


@rule("FUN03", "definer-trusts-current-user", Severity.WARNING)
def definer_trusts_current_user(ctx: Context) -> Iterator[Finding]:
    """A SECURITY DEFINER function that asks who the user is by `current_user`.

    Why: inside such a function current_user is the owner, whoever calls. An audit trail then names the owner for every change, and a
    permission test passes for everybody.
    Instead: `session_user`, or the application's own setting: `current_setting('app.user_id', true)`.
    Except: code that records both; where session_user stands beside it nothing is said.
    """
    asks = re.compile(r"(?<![\w.])current_user\b(?!\s*\()", re.IGNORECASE)
    knows = re.compile(r"\bsession_user\b|\bcurrent_setting\s*\(\s*'\s+'", re.IGNORECASE)
    for function in _definers(ctx):
        body = bodies.mask(function.body) if bodies.readable(function) else ""
        if asks.search(body) and not knows.search(body) and not re.search(r"\bset\s+(?:local\s+)?role\b", body, re.IGNORECASE):
            yield ctx.finding(
                function,
                f"{function.id} is SECURITY DEFINER, so its current_user is always the owner, never the caller",
                hint="session_user is who logged in; an application user belongs into a setting",
            )
