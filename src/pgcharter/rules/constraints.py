"""Constraints that do not hold, hold too much, or will hold something else tomorrow."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from pgcharter.catalog.model import Column, Constraint, Function, Table, UserType
from pgcharter.findings import Finding, Severity
from pgcharter.names import ObjectId, quote
from pgcharter.rules import nodes, shapes
from pgcharter.rules.engine import Context, rule


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


@rule("CON01", "constraint-not-validated", Severity.WARNING)
def constraint_not_validated(ctx: Context) -> Iterator[Finding]:
    """A constraint was added NOT VALID and never validated.

    Why: old rows may break it: the application trusts what the schema says, the planner does not use it, and the next UPDATE of such a
    row fails for a reason that has nothing to do with the update.

    Instead: `VALIDATE CONSTRAINT` in a transaction of its own; it lets reads and writes go on.
    """
    for table in ctx.catalog.root_tables:
        for constraint in table.constraints:
            if not constraint.validated and constraint.enforced and not constraint.inherited:
                address = table.part("constraint", constraint.name)
                yield ctx.finding(
                    address,
                    f"{constraint.kind} {quote(constraint.name)} of {table.id.sql()} was never validated, so older rows may break it",
                    fix=f"{shapes.alter(table)} VALIDATE CONSTRAINT {quote(constraint.name)}",
                    hint="if it fails, mend the rows that it names first",
                )


@rule("CON02", "constraint-not-enforced", Severity.WARNING)
def constraint_not_enforced(ctx: Context) -> Iterator[Finding]:
    """A constraint is NOT ENFORCED (PostgreSQL 18).

    Why: nothing is checked, now or ever: the schema promises what any row may break.

    Instead: enforce it, or drop it and write a comment.
    """
    for table in ctx.catalog.root_tables:
        for constraint in table.constraints:
            if constraint.enforced or constraint.inherited:
                continue
            name, alter = quote(constraint.name), shapes.alter(table)
            if constraint.kind == "foreign key":
                fix = [f"{alter} ALTER CONSTRAINT {name} ENFORCED"]
            else:
                fix = [f"{alter} DROP CONSTRAINT {name}, ADD CONSTRAINT {name} CHECK ({constraint.expression})"]
            yield ctx.finding(
                table.part("constraint", constraint.name),
                f"{constraint.kind} {name} of {table.id.sql()} is not enforced, so any row may break it",
                fix=fix,
                hint="this reads the whole table",
            )


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
            severity=Severity.ERROR if stale else None,
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
    for name, message in nodes.walk(expression):
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
            reads = _reads_tables(function)
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


def _reads_tables(function: Function) -> bool:
    """Whether a body has FROM with a relation in it (`extract(year from x)`, `substring(x from 2)` and `is distinct from` have not)."""
    body = re.sub(r"--[^\n]*|/\*.*?\*/|'(?:[^']|'')*'", " ", function.body, flags=re.DOTALL)
    body = re.sub(
        r"\bdistinct\s+from\b|\b(?:extract|substring|trim|overlay|position)\s*\([^()]*(?:\([^()]*\)[^()]*)*\)",
        " ",
        body,
        flags=re.IGNORECASE,
    )
    return any(
        not re.match(r"\s*(?:unnest|generate_series|jsonb?_\w+|regexp_\w+|string_to_table)\s*\(", body[m.end() :])
        for m in re.finditer(r"\b(?:from|join)\b", body, re.IGNORECASE)
    )


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


@rule("CON07", "email-unique-by-case", Severity.WARNING)
def email_unique_by_case(ctx: Context) -> Iterator[Finding]:
    """E-mail addresses are unique only as they are spelled.

    Why: Ada@example.org and ada@example.org are two accounts of one person: she signs up twice, resets the password of the wrong one, and
    whoever registers the other spelling may receive what is meant for her.

    Instead: a unique index on `lower(email)`, `citext`, or a collation that ignores case.

        CREATE UNIQUE INDEX CONCURRENTLY uq_users_email ON app.users (lower(email));

    Except: where a CHECK, a trigger or a generated column stores lower case only, nothing is flagged.
    """
    insensitive = {f"{quote(c.schema)}.{quote(c.name)}" for c in ctx.catalog.collations if not c.deterministic}
    for table in ctx.catalog.root_tables:
        seen: set[str] = set()
        for index in table.indexes:
            keys = [table.column[k.column] for k in index.keys if k.column] if index.unique else []
            if any(c.type.basic in ("timestamptz", "timestamp", "date") for c in keys):
                continue
            for column in keys:
                if column.name not in seen and _is_email(column) and not _folds_case(ctx, table, column, insensitive):
                    seen.add(column.name)
                    yield _case_sensitive(ctx, table, column)


def _case_sensitive(ctx: Context, table: Table, column: Column) -> Finding:
    address = table.part("column", column.name)
    holder = next(i for i in table.indexes if i.unique and any(k.column == column.name for k in i.keys))
    keys = ", ".join(f"lower({quote(k.column)})" if k.column == column.name else quote(k.column) for k in holder.keys if k.column)
    possible = table.kind == "table" and all(k.column for k in holder.keys)
    names = tuple(f"{c}_lower" if c == column.name else c for c in holder.columns)
    return ctx.finding(
        address,
        f"{address.sql()} is unique only as spelled, so Ada@example.org and ada@example.org are two rows",
        fix=shapes.create_index(ctx, table, names, unique=True, keys=keys, where=_bare(holder.predicate)) if possible else "",
        hint="look for rows that differ by case only first; look addresses up by lower(...) too",
        detail=holder.name,
    )


def _bare(predicate: str) -> str:
    return predicate[1:-1] if predicate.startswith("(") and predicate.endswith(")") and predicate.count("(") == 1 else predicate


def _is_email(column: Column) -> bool:
    words = shapes.words(column.name)
    named = "email" in words or ("e", "mail") in pairwise(words)
    return named and column.type.basic in ("text", "varchar") and not {"hash", "id", "token", "digest", "key", "domain"} & set(words)


def _folds_case(ctx: Context, table: Table, column: Column, insensitive: set[str]) -> bool:
    """Whether one spelling is kept by an index, a check, a domain, a collation, a generated column or a trigger."""
    folded = re.compile(rf"\b(?:lower|upper)\(\(*{re.escape(quote(column.name))}\b", re.IGNORECASE)
    expressions = [k.expression for i in table.indexes if i.unique for k in i.keys if k.expression]
    expressions += [c.expression for c in table.checks]
    expressions += [c.default for c in table.columns if c.generated]
    if column.generated and re.search(r"\b(?:lower|upper)\(", column.default):
        return True
    if column.collation in insensitive or any(folded.search(e) for e in expressions):
        return True
    domain = ctx.catalog.type.get((column.type.schema, column.type.name)) if column.type.kind == "domain" else None
    if domain and any("lower(" in c.expression or "upper(" in c.expression for c in domain.constraints):
        return True
    bodies = [f.body for t in table.triggers if t.timing == "before" and (f := ctx.catalog.function.get(t.function))]
    in_body = re.compile(rf"\b(?:lower|upper)\s*\(\s*(?:\w+\s*\(\s*)?new\.\"?{re.escape(column.name)}\b", re.IGNORECASE)
    return any(in_body.search(b) for b in bodies)


@email_unique_by_case.text
def email_unique_by_case_text(ctx: Context) -> Iterator[Finding]:
    """An e-mail column with UNIQUE, and no lower() of such a column anywhere."""
    folded: set[str] | None = None
    for table in nodes.parts(ctx):
        for key in table.keys("unique"):
            for name in key.columns:
                column = table.column.get(name)
                words = set(shapes.words(name))
                if column is None or column.has("generated") or column.type not in ("text", "varchar"):
                    continue
                if "email" not in words or {"hash", "id", "token"} & words:
                    continue
                folded = _folded(ctx) if folded is None else folded
                if name.lower() not in folded:
                    yield ctx.finding(
                        column.id,
                        f"{column.id.sql()} is unique only as spelled, so Ada@example.org and ada@example.org are two rows",
                        place=column.place,
                        hint="a unique index on lower(email)",
                    )


_FOLD = re.compile(r"\b(?:lower|upper)\s*\(\s*(?:\w+\s*\(\s*)?(?:new\.)?\"?(\w+)", re.IGNORECASE)


def _folded(ctx: Context) -> set[str]:
    """Names inside lower() or upper() in any statement."""
    return {name.lower() for s in ctx.reading.statements for name in _FOLD.findall(s.text)}


_SETTING = re.compile(r"current_setting\('(?P<name>[^']+)'(?:::text)?(?P<missing_ok>, true)?\)")


@rule("CON08", "unset-setting-in-required-column", Severity.ERROR)
def unset_setting_in_required_column(ctx: Context) -> Iterator[Finding]:
    """A NOT NULL column that says who did it is filled from a setting that may be unset.

    Why: in psql, in a migration, in a job that forgot to set it, the setting does not exist: every write of the table fails, or of every
    table that it audits.

    Instead: fall back to the role: `coalesce(nullif(current_setting('app.user', true), ''), session_user)`.

    Except: a tenant column that refuses writes without a tenant does what it should, and is not flagged.
    """
    for table in ctx.catalog.root_tables:
        for column in table.columns:
            found = _SETTING.search(column.default) if "current_setting(" in column.default and not column.generated else None
            required = found and (column.not_null or not found["missing_ok"])
            if found and required and column.name != ctx.options.tenant_column and "COALESCE" not in column.default:
                yield _fragile_default(ctx, table, column, found["name"])
    yield from _fragile_triggers(ctx)


def _fragile_default(ctx: Context, table: Table, column: Column, setting: str) -> Finding:
    address = table.part("column", column.name)
    better = f"coalesce(nullif(current_setting('{setting}', true), ''), session_user)"
    return ctx.finding(
        address,
        f"{address.sql()} takes its default from the setting {setting}, so every insert fails where that is not set",
        fix=f"{shapes.alter(table)} ALTER COLUMN {quote(column.name)} SET DEFAULT {better}" if shapes.is_text(column.type) else "",
        hint="" if shapes.is_text(column.type) else "give it a value for work that no user does",
        setting=setting,
    )


_INSERT = re.compile(r"insert\s+into\s+(?P<table>[\w.\"]+)\s*\((?P<columns>[^()]*)\)\s*(?:values\s*\(|select\s)", re.IGNORECASE)


def _fragile_triggers(ctx: Context) -> Iterator[Finding]:
    """Functions that write an unset setting into a NOT NULL column: the audit trigger that stops all writes."""
    by_name = {t.name: t for t in ctx.catalog.root_tables}
    for function in ctx.catalog.own_functions:
        if "current_setting" not in function.body:
            continue
        body = re.sub(r"--[^\n]*", "", function.body)
        for table_name, written in (*_inserted(body), *_rows_built(body)):
            table = by_name.get(table_name.rpartition(".")[2].strip('"'))
            pairs = zip(written[0] or [c.name for c in table.columns], written[1], strict=False) if table else ()
            for name, value in pairs:
                column = table.column.get(name) if table else None
                if table and column and column.not_null and name != ctx.options.tenant_column and _unset(value):
                    yield ctx.finding(
                        function,
                        f"{function.id.sql()} writes the setting {_unset(value)} into {table.id.sql()}.{quote(name)}, which is NOT "
                        "NULL, so every write that it watches fails where that is not set",
                        hint=f"coalesce(nullif({value.strip()}, ''), session_user)",
                        detail=name,
                    )


def _inserted(body: str) -> Iterator[tuple[str, tuple[list[str], list[str]]]]:
    """Table, columns and values of each INSERT."""
    for match in _INSERT.finditer(body):
        yield match["table"], ([n.strip().strip('"') for n in match["columns"].split(",")], _values(body[match.end() :]))


def _rows_built(body: str) -> Iterator[tuple[str, tuple[list[str], list[str]]]]:
    """Table and values in column order of each `variable := ROW(...)`, where the variable is declared as a row of the table."""
    for match in re.finditer(r"\b(\w+)\s*:?=\s*row\s*\(", body, re.IGNORECASE):
        declared = re.search(rf"\b{match[1]}\s+([\w.\"]+?)(?:%rowtype)?\s*;", body, re.IGNORECASE)
        if declared:
            yield declared[1], ([], _values(body[match.end() :]))


def _values(rest: str) -> list[str]:
    """Expressions separated by commas at the top level, up to the closing parenthesis or the end of the statement."""
    values: list[str] = []
    depth, start = 0, 0
    for position, character in enumerate(rest):
        if character == "(":
            depth += 1
        elif character == ")":
            depth -= 1
        if depth < 0 or (depth == 0 and character in ",;"):
            values.append(rest[start:position])
            start = position + 1
        if depth < 0 or character == ";":
            break
    return values


def _unset(value: str) -> str:
    """The setting's name when the whole value is nothing but that setting."""
    found = re.fullmatch(
        r"\s*(?:nullif\s*\(\s*)?current_setting\s*\(\s*'([^']+)'\s*(?:,\s*true\s*)?\)\s*(?:,\s*''\s*\))?(?:::\w+)?\s*", value, re.IGNORECASE
    )
    return found[1] if found else ""


@rule("CON09", "not-null-as-check", Severity.INFO)
def not_null_as_check(ctx: Context) -> Iterator[Finding]:
    """CHECK (x IS NOT NULL) where NOT NULL says it, or would.

    Why: the check is run for every row beside, or instead of, the column's own NOT NULL, which is cheaper and which the planner and tools
    know. It is usually left over from a migration that added NOT NULL without a long lock.

    Instead: NOT NULL; once it is there, drop the check.
    """
    for table in ctx.catalog.root_tables:
        for check in table.checks:
            name = check.columns[0] if len(check.columns) == 1 else ""
            if not name or check.inherited or check.expression.strip("() ") != f"{quote(name)} IS NOT NULL" or not check.validated:
                continue
            set_it = [] if table.column[name].not_null else [f"{shapes.alter(table)} ALTER COLUMN {quote(name)} SET NOT NULL"]
            yield ctx.finding(
                table.part("constraint", check.name),
                f"check {quote(check.name)} of {table.id.sql()} says what NOT NULL on {quote(name)} "
                + ("would say cheaper" if set_it else "says already"),
                fix=[*set_it, f"{shapes.alter(table)} DROP CONSTRAINT {quote(check.name)}"],
            )


@rule("CON10", "unique-among-roots", Severity.WARNING)
def unique_among_roots(ctx: Context) -> Iterator[Finding]:
    """A unique key of a tree does not hold at its top.

    Why: UNIQUE (parent_id, name) never compares rows whose parent is NULL: two top-level categories may have the same name, which is what
    the key was to prevent.

    Instead: NULLS NOT DISTINCT, or a partial unique index on the name WHERE parent_id IS NULL.
    """
    for table in ctx.catalog.root_tables:
        parents = {fk.columns[-1] for fk in table.foreign_keys if fk.references == table.id}
        for key in table.constraints if parents else ():
            if key.kind != "unique" or key.nulls_not_distinct or len(key.columns) < 2 or key.inherited:
                continue
            open_ = [c for c in key.columns if c in parents and not table.column[c].not_null]
            rest = [c for c in key.columns if c not in open_]
            if not open_ or not rest or _covered_at_root(table, open_[0], rest):
                continue
            name, alter = quote(key.name), shapes.alter(table)
            yield ctx.finding(
                table.part("constraint", key.name),
                f"unique key {name} of {table.id.sql()} does not hold where {quote(open_[0])} is NULL, so rows at the top may repeat "
                + shapes.columns_sql(rest),
                fix=f"{alter} DROP CONSTRAINT {name}, ADD CONSTRAINT {name} UNIQUE NULLS NOT DISTINCT ({shapes.columns_sql(key.columns)})",
            )


def _covered_at_root(table: Table, parent: str, rest: list[str]) -> bool:
    for index in table.indexes:
        whole = not index.predicate or index.predicate.strip("() ") == f"{quote(parent)} IS NULL"
        plain = index.unique and whole and set(index.columns) <= set(rest) and index.columns
        folded = index.unique and any("COALESCE" in k.expression and shapes.mentions(k.expression, parent) for k in index.keys)
        if plain or folded:
            return True
    return False
