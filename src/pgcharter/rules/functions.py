"""Functions and views: promises their bodies do not keep, errors swallowed, SQL glued together, results that were never looked up."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from pgcharter.catalog.model import Function
from pgcharter.findings import Finding, Severity
from pgcharter.names import quote
from pgcharter.rules import bodies
from pgcharter.rules.engine import Context, rule
from pgcharter.sqltext import Statement


def _bodies(ctx: Context) -> Iterator[tuple[Function, str]]:
    """Own functions in SQL or PL/pgSQL with their masked bodies."""
    for function in ctx.catalog.own_functions:
        if bodies.readable(function):
            yield function, bodies.mask(function.body)


def written_bodies(ctx: Context) -> Iterator[tuple[Statement, str, str]]:
    """CREATE FUNCTION statements with the function's name and its body between dollar quotes."""
    for statement in ctx.of_kind("create_function_stmt"):
        found = re.search(r"\$(\w*)\$(.*)\$\1\$", statement.text, re.DOTALL)
        if found:
            yield statement, ".".join(quote(part.string.sval) for part in statement.node.funcname), found[2]


_EVERY_CALL = re.compile(r"\b(?:random|gen_random_uuid|uuidv7|uuidv4|clock_timestamp|nextval|setval|timeofday)\s*\(", re.IGNORECASE)
_EVERY_QUERY = re.compile(
    r"\b(?:now|transaction_timestamp|statement_timestamp|current_setting|txid_current|pg_current_xact_id)\s*\(|"
    r"(?<![\w.])(?:current_timestamp|current_date|current_time|localtimestamp|localtime|current_user|session_user)\b(?!\s*:?=)",
    re.IGNORECASE,
)
_WRITES = re.compile(
    r"(?:\A|;|\b(?:begin|then|else|loop|as)\b|\()\s*(?:insert\s+into|update\s+(?:only\s+)?[\w.\"]+\s+(?:as\s+)?\w*\s*set|delete\s+from|merge\s+into)\b",
    re.IGNORECASE,
)


@rule("FUN01", "immutable-that-changes", Severity.ERROR)
def immutable_that_changes(ctx: Context) -> Iterator[Finding]:
    """A function declared IMMUTABLE whose result depends on more than its arguments.

    Why: PostgreSQL computes it once, keeps the result in plans, indexes and generated columns, and never looks again. Time, settings and
    tables change; an index on the function then finds wrong rows.
    Instead: `STABLE` when it reads tables, settings or the time of the transaction; `VOLATILE` when every call differs.
    Except: a wrapper that pins what may vary, such as the time zone or the text search configuration: those are not reported.
    """
    for function, body in _bodies(ctx):
        if function.volatility != "immutable":
            continue
        every_call, every_query = _EVERY_CALL.search(body), _EVERY_QUERY.search(body)
        reads = next((m for m in bodies.known_relations(ctx.catalog, function.body) if m.how in ("from", "join")), None)
        if every_call or every_query or reads:
            found = every_call or every_query
            what = f"calls {found.group().rstrip(' (')}" if found else f"reads {quote(reads.schema)}.{quote(reads.name)}" if reads else ""
            yield ctx.finding(
                function,
                f"{function.id} is IMMUTABLE but {what}: plans and indexes keep an old result",
                fix=f"ALTER FUNCTION {function.id.sql()} {'VOLATILE' if every_call else 'STABLE'}",
            )


@rule("FUN02", "reader-that-writes", Severity.ERROR)
def reader_that_writes(ctx: Context) -> Iterator[Finding]:
    """A function declared STABLE or IMMUTABLE that changes tables.

    Why: PostgreSQL refuses the write when the function runs: "INSERT is not allowed in a non-volatile function".
    Instead: `ALTER FUNCTION app.count_visit() VOLATILE`.
    Except: none; a function that only calls another one that writes is not looked into.
    """
    for function, body in _bodies(ctx):
        if function.volatility != "volatile" and _WRITES.search(body):
            yield ctx.finding(
                function,
                f"{function.id} is {function.volatility.upper()} but changes a table: PostgreSQL refuses that when it runs",
                fix=f"ALTER FUNCTION {function.id.sql()} VOLATILE",
            )


_SWALLOWED = re.compile(r"\bwhen\s+others\s+then\s*(?:null\s*;\s*)?(?=end\b)", re.IGNORECASE)


@rule("FUN04", "errors-swallowed", Severity.WARNING)
def errors_swallowed(ctx: Context) -> Iterator[Finding]:
    """An exception handler that ignores every error.

    Why: `WHEN OTHERS THEN NULL` hides full disks, missing tables and deadlocks as well as the error it was written for. The caller goes
    on as if the work were done.
    Instead: name the condition (`WHEN unique_violation THEN`), or at least `RAISE WARNING '%', sqlerrm`.
    Except: best-effort work whose failure is seen elsewhere.
    """
    for function, body in _bodies(ctx):
        if function.language == "plpgsql" and _SWALLOWED.search(body):
            yield ctx.finding(
                function,
                f"{function.id} ignores every error (WHEN OTHERS): failed work passes for done",
                hint="name the condition, or RAISE WARNING '%', sqlerrm",
            )


_EXECUTE = re.compile(
    r"\bexecute\s+(?!(?:function|procedure|on)\b)(?P<what>[^;]*?)(?=;|\binto\b|\busing\b|\bloop\b|\Z)", re.IGNORECASE | re.DOTALL
)
_LISTED = r"(?<![\w.]){0}\s*(?:(?:not\s+)?in\s*\(\s*'|(?:=|<>|!=)\s*(?:any|all)\s*\(|!?~\*?\s*')"
"""A comparison of an argument with a list or pattern: whoever writes that has thought of what it may hold."""
_TEXTUAL = frozenset({"text", "varchar", "bpchar", "citext", "name"})


@rule("FUN05", "sql-glued-from-arguments", Severity.WARNING)
def sql_glued_from_arguments(ctx: Context) -> Iterator[Finding]:
    """Dynamic SQL that takes a text argument as it comes.

    Why: `EXECUTE 'SELECT ... ' || name` runs whatever the argument holds. With SECURITY DEFINER it runs with the owner's rights.
    Instead: `EXECUTE format('SELECT ... FROM %I WHERE name = $1', table_name) USING name`.
    Except: arguments of type regclass, numbers and the like, text that went through quote_ident, quote_literal, %I or %L, and text that the
    function compares with a list or a pattern: not reported.
    """
    for function, body in _bodies(ctx):
        if function.language != "plpgsql" or "execute" not in body.lower():
            continue
        arguments = {a.name.lower() for a in function.arguments if a.name and a.type.basic in _TEXTUAL and not a.type.array}
        arguments -= {a for a in arguments if re.search(_LISTED.format(re.escape(a)), body, re.IGNORECASE)}
        raw = next((name for text in _executed(function.body, body) for name in _raw(text, arguments)), None)
        if raw is not None:
            rights = "with the owner's rights" if function.security_definer else "as SQL"
            found = ctx.finding(
                function,
                f"{function.id} puts its argument {quote(raw)} unquoted into dynamic SQL: whatever it holds is run {rights}",
                hint="format() with %I for names and %L for values, or USING",
                detail=raw,
            )
            yield replace(found, severity=Severity.ERROR) if function.security_definer else found


def _executed(body: str, masked: str) -> Iterator[str]:
    """Expressions that are executed; a variable is followed to what was assigned to it."""
    for found in _EXECUTE.finditer(masked):
        start, end = found.span("what")
        text = body[start:end].strip()
        if re.fullmatch(r"\w+", text):
            assigned = re.compile(rf"(?<![\w.]){text}\s*:?=\s*(?P<what>[^;]*);", re.IGNORECASE)
            for a in assigned.finditer(masked):
                yield body[a.start("what") : a.end("what")]
        else:
            yield text


def _raw(text: str, arguments: set[str]) -> Iterator[str]:
    """Arguments that stand bare beside `||`, or in a `%s` of format()."""
    masked = bodies.mask(text)
    for call in bodies.calls(text, "format"):
        if call.arguments and "%s" in call.arguments[0] and not re.search(r"%[IL]|%\d", call.arguments[0]):
            yield from (a.lower() for a in call.arguments[1:] if a.lower() in arguments)
        masked = masked[: call.start] + " " * (call.end - call.start) + masked[call.end :]
    if "||" in masked:
        for part in re.split(r"\|\|", masked):
            if part.strip("() \n\t").lower() in arguments and part.count("(") - part.count(")") >= -1:
                yield part.strip("() \n\t").lower()


_HEALTHY = re.compile(r"\A(?:ok|okay|pass(?:ed)?|healthy|green|good|up)\Z", re.IGNORECASE)
_DISK = re.compile(r"disk|storage|tablespace|file_?system|free_?space", re.IGNORECASE)


@rule("FUN06", "check-that-never-looks", Severity.WARNING)
def check_that_never_looks(ctx: Context) -> Iterator[Finding]:
    """A health check that reports disk space as fine without looking.

    Why: a constant 'OK' is believed until the disk is full. SQL alone cannot see free space; a check that pretends to is worse than none.
    Instead: leave it to the operating system's monitoring, or compare pg_database_size() with a known limit.
    Except: none; a connectivity check may answer 'OK' without a test, because answering is the test.
    """
    for function, body in _bodies(ctx):
        if _DISK.search(function.body) and _pretends(function.body, body):
            yield ctx.finding(
                function,
                f"{function.id} reports disk space as fine without looking at anything",
                hint="leave the row out, or compare pg_database_size() with a limit",
            )


@check_that_never_looks.text
def _check_in_text(ctx: Context) -> Iterator[Finding]:
    for statement, name, body in written_bodies(ctx):
        if _DISK.search(body) and _pretends(body, bodies.mask(body)):
            yield ctx.finding(
                statement,
                f"function {name} reports disk space as fine without looking at anything",
                hint="leave the row out, or compare pg_database_size() with a limit",
                detail=name,
            )


def _pretends(body: str, masked: str) -> bool:
    """A SELECT of nothing but literals, one about the disk and one saying that all is well, outside every IF."""
    for found in re.finditer(r"\bselect\b(?P<list>[^;]*?)(?=;|\bunion\b|\Z)", masked, re.IGNORECASE | re.DOTALL):
        text = body[found.start("list") : found.end("list")]
        literals = re.findall(r"'((?:[^']|'')*)'", text)
        rest = re.sub(r"'(?:[^']|'')*'|::\s*[\w ]+|\bas\s+\w+|--[^\n]*|[\s,]", "", text, flags=re.IGNORECASE)
        if rest or not any(_HEALTHY.match(v) for v in literals) or not any(_DISK.search(v) for v in literals):
            continue
        before = masked[: found.start()]
        opened = len(re.findall(r"(?<!end )\bif\b", before, re.IGNORECASE)) - len(re.findall(r"\bend\s+if\b", before, re.IGNORECASE))
        if opened <= 0:
            return True
    return False


_OLD_COLUMNS = re.compile(r"(?<!\bas )\b(?:total_time|mean_time|min_time|max_time|stddev_time)\b", re.IGNORECASE)


@rule("FUN07", "statement-times-renamed", Severity.ERROR)
def statement_times_renamed(ctx: Context) -> Iterator[Finding]:
    """A query on pg_stat_statements with column names that went away in PostgreSQL 13.

    Why: total_time, mean_time and their kin are total_exec_time, mean_exec_time, ... since 13. A view on the old names cannot be made; a
    function fails when it is first called, usually during an incident.
    Instead: `SELECT query, calls, total_exec_time, mean_exec_time FROM pg_stat_statements`.
    Except: names given with AS are not reported.
    """
    for function, body in _bodies(ctx):
        old = _old_columns(body)
        if old:
            yield ctx.finding(
                function,
                f"{function.id} reads {old} of pg_stat_statements, which PostgreSQL 13 renamed: it fails when it is called",
                hint=f"{old.replace('_time', '_exec_time')}",
            )


@statement_times_renamed.text
def _times_in_text(ctx: Context) -> Iterator[Finding]:
    for statement in ctx.of_kind("view_stmt", "create_table_as_stmt", "select_stmt", "create_function_stmt"):
        if "pg_stat_statements" not in statement.text:
            continue
        text = statement.text
        if statement.kind == "create_function_stmt":
            found = re.search(r"\$(\w*)\$(.*)\$\1\$", text, re.DOTALL)
            text = found[2] if found else text
        old = _old_columns(bodies.mask(text))
        if old:
            yield ctx.finding(
                statement,
                f"the statement reads {old} of pg_stat_statements, which PostgreSQL 13 renamed: it fails",
                hint=f"{old.replace('_time', '_exec_time')}",
            )


def _old_columns(masked: str) -> str:
    if "pg_stat_statements" not in masked:
        return ""
    named = {m.lower() for m in re.findall(r"\bas\s+(\w+)", masked, re.IGNORECASE)}
    return ", ".join(dict.fromkeys(m.lower() for m in _OLD_COLUMNS.findall(masked) if m.lower() not in named))


_COPY = re.compile(
    r"\binsert\s+into\s+(?P<target>[\w.\"]+)[^;]*?\bfrom\s+(?P<source>[\w.\"]+)\s+(?:as\s+)?(?:\w+\s+)?where\s+(?P<where>[^;]*?);",
    re.IGNORECASE | re.DOTALL,
)
_REMOVE = re.compile(r"\bdelete\s+from\s+(?P<source>[\w.\"]+)\s+(?:as\s+)?(?:\w+\s+)?where\s+(?P<where>[^;]*?);", re.IGNORECASE | re.DOTALL)


@rule("FUN08", "archive-that-loses-rows", Severity.ERROR)
def archive_that_loses_rows(ctx: Context) -> Iterator[Finding]:
    """Archiving by INSERT ... SELECT and then DELETE with the same condition.

    Why: each statement sees the table as it is then. A row that is committed between the two is deleted without having been copied, and a
    change made between them is lost, even inside one transaction.
    Instead: one statement: `WITH gone AS (DELETE FROM orders WHERE ... RETURNING *) INSERT INTO orders_archive SELECT * FROM gone`; or
    detach a partition.
    Except: under LOCK TABLE, or REPEATABLE READ with a retry, which are not reported.
    """
    for function, body in _bodies(ctx):
        for source in _copied_then_deleted(function.body, body):
            yield ctx.finding(
                function,
                f"{function.id} copies rows of {source} and deletes them in a second statement: {_LOST}",
                hint="WITH gone AS (DELETE ... RETURNING *) INSERT INTO ... SELECT * FROM gone",
                detail=source,
            )


@archive_that_loses_rows.text
def _archive_in_text(ctx: Context) -> Iterator[Finding]:
    for statement, name, body in written_bodies(ctx):
        for source in _copied_then_deleted(body, bodies.mask(body)):
            yield ctx.finding(
                statement,
                f"function {name} copies rows of {source} and deletes them in a second statement: {_LOST}",
                hint="WITH gone AS (DELETE ... RETURNING *) INSERT INTO ... SELECT * FROM gone",
                detail=f"{name}:{source}",
            )


_LOST = "rows and changes that come between are lost"


def _copied_then_deleted(body: str, masked: str) -> Iterator[str]:
    """Tables whose rows are copied and later deleted under the same condition."""
    if "delete" not in masked.lower() or re.search(
        r"\block\s+table\b|\brepeatable\s+read\b|\bserializable\b|\bfor\s+update\b", masked, re.IGNORECASE
    ):
        return
    copied = {(c["source"].lower(), _squeezed(body[c.start("where") : c.end("where")])): c.end() for c in _COPY.finditer(masked)}
    for removal in _REMOVE.finditer(masked):
        key = (removal["source"].lower(), _squeezed(body[removal.start("where") : removal.end("where")]))
        if key in copied and copied[key] <= removal.start():
            yield removal["source"]


def _squeezed(text: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"--[^\n]*", "", text)).strip().lower()


@rule("FUN09", "untrusted-language", Severity.WARNING)
def untrusted_language(ctx: Context) -> Iterator[Finding]:
    """A function in C or another language without a sandbox.

    Why: it runs inside the server with the server's own rights over files and network, and a mistake in it ends every session.
    Instead: SQL, PL/pgSQL or a trusted language; work outside the database for the rest.
    Except: functions that belong to an extension; those are not reported.
    """
    for function in ctx.catalog.own_functions:
        if function.kind == "aggregate":
            continue
        if function.language in ("c", "internal") or re.fullmatch(r"pl\w+u", function.language):
            yield ctx.finding(
                function,
                f"{function.id} is written in {function.language}: it runs with the rights of the server itself",
                hint="a trusted language, or an extension",
            )
