"""Row policies: whether they keep rows apart, whether they work on a pooled connection, what they cost."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pgcharter.catalog.model import Function, Policy, Table
from pgcharter.findings import Finding, Severity
from pgcharter.names import quote
from pgcharter.rules import bodies
from pgcharter.rules.engine import Context, rule

_UNSET = re.compile(r"current_setting\(('[^']*\.[^']*'::text)\)")
_EMPTY = re.compile(r"\(current_setting\(('[^']*\.[^']*'::text), true\)\)::(?!text\b|character\b|name\b|citext\b)")
_EMPTY_IN_BODY = re.compile(
    r"(?:\bcast\s*\(\s*)?current_setting\s*\(\s*'[^']*\.[^']*'\s*(?:,\s*true\s*)?\)\s*(?:\)\s*)?(?:::|\bas\b)\s*"
    r"(?:uuid|int\w*|bigint|smallint|numeric|bool\w*|date|timestamp\w*|jsonb?)\b",
    re.IGNORECASE,
)
_HANDLED = re.compile(r"\bexception\s+when\b", re.IGNORECASE)
_IDENTITY = re.compile(r"current_setting\(|\b(?:CURRENT_USER|SESSION_USER|CURRENT_ROLE)\b")
_OPAQUE = re.compile(r"\bSELECT\b")


def _alter(table: Table, policy: Policy, *, using: str = "", check: str = "") -> str:
    parts = [f"ALTER POLICY {quote(policy.name)} ON {table.id.sql()}"]
    parts += [f"USING ({using})"] if using else []
    parts += [f"WITH CHECK ({check})"] if check else []
    return " ".join(parts)


def _policies(ctx: Context) -> Iterator[tuple[Table, Policy]]:
    for table in ctx.catalog.own_tables:
        for policy in table.policies:
            yield table, policy


def _called(ctx: Context, expression: str) -> Iterator[tuple[Function, bodies.Call]]:
    """User functions that an expression calls, with the call."""
    if "(" not in expression:
        return
    known = bodies.functions_by_name(ctx.catalog)
    for schema, name, call in bodies.qualified_calls(expression):
        if (schema, name) in known:
            yield known[schema, name], call


@rule("SEC05", "fragile-setting-in-policy", Severity.WARNING)
def fragile_setting_in_policy(ctx: Context) -> Iterator[Finding]:
    """A policy that raises when the session's setting is missing or empty.

    Why: `current_setting('app.tenant_id')` is an error until the setting was made once. After a transaction that set it locally it is not
    NULL but the empty string, and `''::uuid` is an error too, so the first query on a reused connection fails instead of seeing no rows.
    Instead: `tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid`, which is NULL and matches no row.
    Except: a database where a missing tenant must be a loud error everywhere, monitoring and maintenance included.
    """
    helpers: dict[str, Finding] = {}
    for table, policy in _policies(ctx):
        using, check = _sturdy(policy.using), _sturdy(policy.check)
        if (using, check) != (policy.using, policy.check):
            yield ctx.finding(
                table.part("policy", policy.name),
                f"policy {quote(policy.name)} on {table.id.sql()} {_trouble(policy.using + ' ' + policy.check)}",
                fix=_alter(table, policy, using=using, check=check),
            )
        for function, _ in _called(ctx, f"{policy.using} {policy.check}"):
            if bodies.readable(function) and _EMPTY_IN_BODY.search(function.body) and not _HANDLED.search(bodies.mask(function.body)):
                helpers[function.id.sql()] = ctx.finding(
                    function,
                    f"function {function.id.sql()}, which policies call, casts a setting that is '' on a reused connection: it raises",
                    hint="nullif(current_setting('...', true), '') before the cast",
                )
    yield from helpers.values()


def _sturdy(expression: str) -> str:
    if "current_setting(" not in expression:
        return expression
    return _EMPTY.sub(r"(NULLIF(current_setting(\1, true), ''::text))::", _UNSET.sub(r"current_setting(\1, true)", expression))


def _trouble(expression: str) -> str:
    unset = _UNSET.search(expression)
    empty = _EMPTY.search(_UNSET.sub(r"current_setting(\1, true)", expression))
    parts = ["raises an error while the setting is not made"] if unset else []
    parts += ["casts a setting that is '' on a reused connection, which raises an error"] if empty else []
    return " and ".join(parts)


@fragile_setting_in_policy.text
def _fragile_in_text(ctx: Context) -> Iterator[Finding]:
    for statement in ctx.of_kind("create_policy_stmt", "alter_policy_stmt"):
        unset = re.search(r"current_setting\s*\(\s*'[^']*\.[^']*'\s*\)", statement.text, re.IGNORECASE)
        empty = _EMPTY_IN_BODY.search(statement.text)
        if unset or empty:
            parts = ["raises an error while the setting is not made"] if unset else []
            parts += ["casts a setting that is '' on a reused connection, which raises an error"] if empty else []
            yield ctx.finding(
                statement,
                f"policy {quote(statement.node.policy_name)} on {_relation(statement.node.table)} {' and '.join(parts)}",
                hint="nullif(current_setting('...', true), '') before the cast",
            )


def _relation(node: object) -> str:
    schema, name = getattr(node, "schemaname", ""), getattr(node, "relname", "")
    return ".".join(quote(p) for p in (schema, name) if p)


def _restricts(expression: str, tenant: str) -> bool:
    """Whether the expression picks rows by who is asking."""
    return bodies.uses(expression, tenant) or bool(_IDENTITY.search(bodies.mask(expression))) or any(bodies.qualified_calls(expression))


def _plain(expression: str) -> bool:
    """Whether the expression has no function of the user's and no sub-select: all it does is in plain sight."""
    return not _OPAQUE.search(bodies.mask(expression)) and not any(bodies.qualified_calls(expression))


def _guarded(table: Table, policy: Policy, command: str, tenant: str) -> bool:
    """Whether a restrictive policy on the tenant holds for everybody that `policy` is for."""
    return any(
        not p.permissive
        and p.command in ("all", command)
        and ("public" in p.roles or set(policy.roles) <= set(p.roles))
        and _restricts(p.check if command in ("insert", "update") and p.check else p.using, tenant)
        for p in table.policies
    )


@rule("SEC06", "policy-lets-rows-move", Severity.ERROR, options=("tenant_column",))
def policy_lets_rows_move(ctx: Context) -> Iterator[Finding]:
    """A policy whose WITH CHECK is laxer than its USING.

    Why: USING says which rows may be touched, WITH CHECK what they may become. `WITH CHECK (true)`, or a check that leaves the tenant out,
    lets a row be moved to, or made for, another tenant.
    Instead: leave WITH CHECK out (USING then serves for both), or repeat the condition in it.
    Except: a hand-over between tenants by design; put it into a SECURITY DEFINER function instead.
    """
    tenant = ctx.options.tenant_column
    for table, policy in _policies(ctx):
        if not policy.permissive or not policy.check or policy.command not in ("all", "update", "insert"):
            continue
        if policy.command == "insert":
            model = next((p.using for p in table.policies if p.permissive and bodies.uses(p.using, tenant)), "")
            loose = policy.check == "true" and bool(model) and tenant in table.column
        else:
            model = policy.using
            loose = policy.check == "true" and _restricts(model, tenant)
            loose = loose or (bodies.uses(model, tenant) and not bodies.uses(policy.check, tenant) and _plain(policy.check))
        if loose and not _guarded(table, policy, "insert" if policy.command == "insert" else "update", tenant):
            does = "made for" if policy.command == "insert" else "moved to"
            yield ctx.finding(
                table.part("policy", policy.name),
                f"policy {quote(policy.name)} on {table.id.sql()} checks written rows less than it checks read ones: "
                f"rows can be {does} others",
                fix=_alter(table, policy, check=model),
            )


@rule("SEC07", "policy-always-true", Severity.WARNING)
def policy_always_true(ctx: Context) -> Iterator[Finding]:
    """A write policy for everybody that is always true.

    Why: `USING (true)` for PUBLIC lets every role with the privilege change or delete every row. The table looks protected and is not.
    Instead: name the role (`TO maintenance`), or write the condition.
    Except: row security that only limits reading; or restrictive policies beside it, which are taken into account.
    """
    for table, policy in _policies(ctx):
        if not policy.permissive or "public" not in policy.roles or policy.using != "true":
            continue
        if policy.command not in ("all", "update", "delete"):
            continue
        commands = ("update", "delete") if policy.command == "all" else (policy.command,)
        if all(any(not p.permissive and p.command in ("all", c) and "public" in p.roles for p in table.policies) for c in commands):
            continue
        yield ctx.finding(
            table.part("policy", policy.name),
            f"policy {quote(policy.name)} on {table.id.sql()} lets everybody {' and '.join(commands)} every row",
            hint=f"ALTER POLICY {quote(policy.name)} ON {table.id.sql()} TO role, or write the condition",
        )


@rule("SEC08", "policy-opens-other-tenants", Severity.WARNING, options=("tenant_column",))
def policy_opens_other_tenants(ctx: Context) -> Iterator[Finding]:
    """A second permissive policy that leaves the tenant out.

    Why: permissive policies are joined with OR. Beside a policy on the tenant, one on anything else opens the rows of all tenants to
    the same role.
    Instead: make it `AS RESTRICTIVE`, which is joined with AND, or add the tenant to its condition.
    Except: rows that are public across tenants by design.
    """
    tenant = ctx.options.tenant_column
    for table in ctx.catalog.own_tables:
        if len(table.policies) < 2:
            continue
        main = [p for p in table.policies if p.permissive and bodies.uses(p.using or p.check, tenant)]
        for policy in table.policies:
            rows = policy.using or policy.check
            if not policy.permissive or policy in main or rows == "false" or not _plain(rows) or _always(policy):
                continue
            for other in main:
                both = _command(policy, other)
                if both and _same_roles(policy, other) and not _guarded(table, policy, both, tenant):
                    yield ctx.finding(
                        table.part("policy", policy.name),
                        f"policy {quote(policy.name)} on {table.id.sql()} does not look at {quote(tenant)}: joined by OR with "
                        f"{quote(other.name)}, it opens the rows of other tenants",
                        hint=f"create it AS RESTRICTIVE, or add {quote(tenant)} to its condition",
                    )
                    break


def _always(policy: Policy) -> bool:
    """What SEC06 and SEC07 already tell."""
    return (policy.using == "true" and policy.command != "select" and "public" in policy.roles) or policy.command == "insert"


def _command(one: Policy, two: Policy) -> str:
    """A command both policies are about; empty when there is none."""
    if one.command == two.command or two.command == "all":
        return "select" if one.command == "all" else one.command
    return two.command if one.command == "all" else ""


def _same_roles(policy: Policy, other: Policy) -> bool:
    """Whether a role bound to the tenant by `other` is freed by `policy`; one named for a further role is taken as meant."""
    return "public" in policy.roles or bool(set(policy.roles) & set(other.roles))


@rule("SEC14", "volatile-function-in-policy", Severity.WARNING)
def volatile_function_in_policy(ctx: Context) -> Iterator[Finding]:
    """A policy that calls a VOLATILE function.

    Why: a volatile function is called again for every row and can never be used with an index, so every query on the table reads it whole.
    VOLATILE is what a function gets when nothing is declared.
    Instead: declare functions that only read `STABLE`: `ALTER FUNCTION app.tenant() STABLE`.
    Except: a function of the row's own columns on a small table.
    """
    for table, policy in _policies(ctx):
        for function, call, _ in _costly(ctx, table, policy, "volatile"):
            writes = re.search(
                r"\b(?:insert|update|delete|nextval|setval|random|clock_timestamp|set_config|execute)\b",
                bodies.mask(function.body),
                re.IGNORECASE,
            )
            yield ctx.finding(
                table.part("policy", policy.name),
                f"policy {quote(policy.name)} on {table.id.sql()} calls {function.id.sql()}, which is VOLATILE: "
                "it runs for every row and no index can serve the policy",
                fix=f"ALTER FUNCTION {function.id.sql()} STABLE" if bodies.readable(function) and not writes else (),
                hint="declare it STABLE once it only reads" if writes else "",
                function=function.id.sql(),
                detail=function.id.sql(),
                arguments=list(call.arguments),
            )


def _costly(ctx: Context, table: Table, policy: Policy, volatility: str) -> Iterator[tuple[Function, bodies.Call, str]]:
    """Calls in a policy, with their text, that do not depend on the row and do not stand in a sub-select; each function once."""
    seen: set[str] = set()
    for expression in (policy.using, policy.check):
        for function, call in _called(ctx, expression):
            if function.volatility != volatility or function.id.sql() in seen or function.extension:
                continue
            if re.search(r"\bSELECT\s+\Z", expression[: call.start]) or any(
                bodies.names_in(a) & {quote(c) for c in table.column} for a in call.arguments
            ):
                continue
            seen.add(function.id.sql())
            yield function, call, expression[call.start : call.end]


@rule("SEC15", "policy-function-per-row", Severity.INFO)
def policy_function_per_row(ctx: Context) -> Iterator[Finding]:
    """A policy that calls a function for every row it reads where once would do.

    Why: in a sequential scan a STABLE function that cannot be inlined is called for every row. In a scalar sub-select the planner
    calls it once for the query: 103 ms and 12 ms for 300,000 rows on PostgreSQL 18.
    Instead: `USING (tenant_id = (SELECT app.tenant()))`.
    Except: plain SQL functions, which are inlined, and built-in ones such as current_setting: they are not reported.
    """
    for table, policy in _policies(ctx):
        using, check, names = policy.using, policy.check, []
        for function, _, text in _costly(ctx, table, policy, "stable"):
            if function.language == "sql" and not function.security_definer and not function.settings:
                continue
            using, check = using.replace(text, f"(SELECT {text})"), check.replace(text, f"(SELECT {text})")
            names.append(function.id.sql())
        if names:
            yield ctx.finding(
                table.part("policy", policy.name),
                f"policy {quote(policy.name)} on {table.id.sql()} calls {' and '.join(names)} for every row of a scan: once would do",
                fix=_alter(table, policy, using=using, check=check),
            )
