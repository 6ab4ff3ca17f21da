"""Constraints that do not hold, hold too much, or will hold something else tomorrow."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pgcharter.catalog.model import Column, Table
from pgcharter.findings import Finding, Severity
from pgcharter.names import quote
from pgcharter.rules import nodes, shapes
from pgcharter.rules.engine import Context, rule


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


_FOLDED_COPY = {"normalized", "normalised", "canonical", "lower", "lowercase", "folded", "hash", "hashed", "encrypted"}


def _names_email(name: str) -> bool:
    """Whether a column holds an address, and as it was typed: `work_email`, not `email_template` or `normalized_email`."""
    words = shapes.words(name)
    if words[-1:] in (("address",), ("addr",)):
        words = words[:-1]
    return (words[-1:] in (("email",), ("emailaddress",)) or words[-2:] == ("e", "mail")) and not _FOLDED_COPY & set(words)


def _is_email(column: Column) -> bool:
    return column.type.basic in ("text", "varchar") and _names_email(column.name)


def _folds_case(ctx: Context, table: Table, column: Column, insensitive: set[str]) -> bool:
    """Whether one spelling is kept by an index, a check, a domain, a collation, a generated column or a trigger."""
    name = re.escape(quote(column.name))
    folded = re.compile(rf"""\b(?:lower|upper)\(\(*{name}(?![\w"])|(?<![\w"]){name}\)?(?:::text)?\)* !~ '[^']*A-Z""", re.IGNORECASE)
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
                if column is None or column.has("generated") or column.type not in ("text", "varchar"):
                    continue
                if not _names_email(name):
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
