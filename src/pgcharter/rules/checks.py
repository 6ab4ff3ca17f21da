"""CHECK constraints whose answer changes, or is not the one that was meant."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from pgcharter.catalog.model import Constraint, Function, Table, UserType
from pgcharter.findings import Finding, Severity
from pgcharter.names import ObjectId, quote
from pgcharter.rules import bodies, nodes, shapes
from pgcharter.rules.engine import Context, rule
from pgcharter.sqltext import walk


def _checks(ctx: Context) -> Iterator[tuple[Table | UserType, Constraint, ObjectId]]:
    """CHECK constraints of tables and domains, as they were declared, with their address."""
    for table in ctx.catalog.root_tables:
        for check in table.checks:
            if not check.inherited:
                yield table, check, table.part("constraint", check.name)
    for domain in ctx.catalog.types:
        for check in domain.constraints if not domain.extension else ():
            if check.kind == "check":
                yield domain, check, domain.id


_CLOCK = re.compile(
    r"\b(?:CURRENT_DATE|CURRENT_TIMESTAMP|CURRENT_TIME|LOCALTIMESTAMP|LOCALTIME|(?:now|clock_timestamp|statement_timestamp|"
    r"transaction_timestamp|timeofday)\(\)|age\([^,()]+(?:\([^()]*\))?\))"
)
_LATER = re.compile(rf">=?\s*\(*(?:{_CLOCK.pattern})|(?:{_CLOCK.pattern})[^<>=]*<=?\s")


@rule("CON03", "check-depends-on-time", Severity.WARNING)
def check_depends_on_time(ctx: Context) -> Iterator[Finding]:
    """A CHECK compares with the current time.

    Why: PostgreSQL checks a row when it is written and never again, and takes the answer for eternal. A row that was right stops being
    right: then any UPDATE of it fails, and a dump of the database cannot be restored. Even where time only makes it truer, the answer
    depends on the clock and time zone of the server that checks.

    Instead: compare columns with each other (`ends_at > starts_at`), or test on writing, in a BEFORE trigger or in the application.

    Except: what time only makes truer (`born_on <= CURRENT_DATE`) is merely mentioned.
    """
    for owner, check, address in _checks(ctx):
        found = _CLOCK.search(shapes.without_strings(check.expression))
        if not found:
            continue
        stale = _LATER.search(shapes.without_strings(check.expression)) is not None
        what = (
            "rows that were right stop being right, their updates fail and a dump cannot be restored"
            if stale
            else ("its answer changes with the clock and time zone of the server that checks")
        )
        yield ctx.finding(
            address,
            f"check {quote(check.name)} of {owner.id.sql()} depends on {found.group()}: {what}",
            severity=Severity.ERROR if stale else Severity.INFO,
            hint="test it on writing in a BEFORE trigger, or compare columns with each other",
            detail=check.name if address.kind == "domain" else "",
        )


_CLOCK_FUNCTIONS = {"now", "clock_timestamp", "statement_timestamp", "transaction_timestamp", "timeofday"}


@check_depends_on_time.text
def check_depends_on_time_text(ctx: Context) -> Iterator[Finding]:
    """CHECK with CURRENT_DATE, now() and the like."""
    for table in nodes.parts(ctx):
        for check in table.keys("check"):
            if _reads_clock(check.node.raw_expr):
                yield ctx.finding(
                    check.id,
                    f"a check of {table.id.sql()} depends on the current time, so its answer changes and a dump may not be restored",
                    place=check.place,
                    hint="test it on writing in a BEFORE trigger, or compare columns with each other",
                    detail=str(check.place.line),
                )


def _reads_clock(expression: Any) -> bool:
    for name, message in walk(expression):
        if name == "SQLValueFunction":
            if "CURRENT_ROLE" not in (op := _operation(message)) and ("DATE" in op or "TIME" in op):
                return True
        elif name == "FuncCall":
            called = message.funcname[-1].string.sval.lower()
            if called in _CLOCK_FUNCTIONS or (called == "age" and len(message.args) == 1):
                return True
    return False


def _operation(message: Any) -> str:
    field = message.DESCRIPTOR.fields_by_name["op"]
    return str(field.enum_type.values_by_number[message.op].name)


_CALL = re.compile(r'(?<![\w."])((?:"[^"]+"|\w+)\.(?:"[^"]+"|\w+))\(')


@rule("CON04", "check-calls-changing-function", Severity.WARNING)
def check_calls_changing_function(ctx: Context) -> Iterator[Finding]:
    """A CHECK calls a function whose answer can change.

    Why: the row is checked when it is written, not when the answer changes: a function that reads other tables lets their rows change
    without a check. pg_dump loads this table when the other is still empty, so the restore fails.

    Instead: a foreign key, an exclusion constraint or a trigger for what other rows decide; IMMUTABLE functions of their arguments in
    CHECK.
    """
    called: dict[str, Function] = {f"{quote(f.schema)}.{quote(f.name)}": f for f in ctx.catalog.own_functions}
    for owner, check, address in _checks(ctx) if called else ():
        for name in dict.fromkeys(_CALL.findall(check.expression)):
            function = called.get(name)
            if function is None or function.language in ("c", "internal"):
                continue
            reads = _reads_tables(ctx, function)
            if not reads and function.volatility == "immutable":
                continue
            why = (
                "which reads tables: their later changes are not checked, and a restore checks against empty ones"
                if reads
                else f"which is declared {function.volatility.upper()}: its answer may change after the row was checked"
            )
            yield ctx.finding(
                address,
                f"check {quote(check.name)} of {owner.id.sql()} calls {function.id.sql()}, {why}",
                severity=Severity.ERROR if reads else Severity.INFO,
                fix="" if reads else f"ALTER FUNCTION {function.id.sql()} IMMUTABLE",
                hint="use a foreign key, an exclusion constraint or a trigger"
                if reads
                else "when the answer depends on the arguments alone",
                detail=name,
            )


def _reads_tables(ctx: Context, function: Function) -> bool:
    return any(m.how in ("from", "join") for m in bodies.known_relations(ctx.catalog, function.body))


_NULL_IN_LIST = re.compile(r"= ANY \(+ARRAY\[[^\]]*\bNULL\b(?:::[\w .]+)?[^\]]*\]|(?:=|<>) NULL::")


@rule("CON05", "check-with-null", Severity.ERROR)
def check_with_null(ctx: Context) -> Iterator[Finding]:
    """A CHECK compares with NULL, so it lets everything in.

    Why: a comparison with NULL is NULL, and a CHECK only refuses false: `status IN ('open', 'closed', NULL)` accepts every status there is.

    Instead: `status IN ('open', 'closed')` lets NULL in already; write `IS NULL` and NOT NULL for what is meant.
    """
    for owner, check, address in _checks(ctx):
        if "NULL" in check.expression and _NULL_IN_LIST.search(shapes.without_strings(check.expression)):
            yield ctx.finding(
                address,
                f"check {quote(check.name)} of {owner.id.sql()} compares with NULL, which is never false, so every value is let in",
                hint="leave NULL out of the list: a CHECK lets NULL in anyway",
                detail=check.name if address.kind == "domain" else "",
            )


_ITEM = re.compile(r"'((?:[^']|'')*)'::")
_IN_LIST = re.compile(r"^\(+(?P<column>\"[^\"]+\"|\w+)\)?(?:::text)?\)? = ANY \(+ARRAY\[(?P<items>[^\]]+)\]")


@rule("CON06", "default-breaks-check", Severity.ERROR)
def default_breaks_check(ctx: Context) -> Iterator[Finding]:
    """A column's default is not among the values that its CHECK allows.

    Why: every INSERT that relies on the default fails.

    Instead: a default from the list, or the value added to the list.
    """
    for table in ctx.catalog.root_tables:
        for check in table.checks:
            listed = _IN_LIST.match(check.expression) if len(check.columns) == 1 and check.enforced else None
            column = table.column[check.columns[0]] if listed else None
            default = re.match(r"^'((?:[^']|'')*)'::[\w .]+$", column.default) if column and not column.generated else None
            if listed is None or column is None or default is None:
                continue
            allowed = _ITEM.findall(listed["items"])
            if allowed and _closed(check.expression, listed) and default[1] not in allowed:
                address = table.part("column", column.name)
                yield ctx.finding(
                    address,
                    f"{address.sql()} has the default '{default[1]}', which {quote(check.name)} refuses, so inserts that rely on it fail",
                    hint="allowed: " + ", ".join(f"'{a}'" for a in allowed),
                    check=check.name,
                )


def _closed(expression: str, listed: re.Match[str]) -> bool:
    """Whether the list is all there is to the check."""
    return re.fullmatch(r"(?:::[\w .]+\[\])?[)\s]*(?:::[\w .]+\[\])?[)\s]*", expression[listed.end() :]) is not None
