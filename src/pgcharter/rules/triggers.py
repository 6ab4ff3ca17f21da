"""Triggers and rewrite rules: what is switched off, what silently discards rows, what an audit trail misses."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pgcharter.catalog.model import Column, Function, Table, Trigger, View
from pgcharter.findings import Finding, Severity
from pgcharter.names import quote
from pgcharter.rules import bodies, shapes
from pgcharter.rules.engine import Context, rule
from pgcharter.rules.privileges import is_audit


def _triggers(ctx: Context) -> Iterator[tuple[Table, Trigger, Function | None]]:
    """Triggers of own tables with their functions; those a partition has from its parent are left to the parent."""
    for table in ctx.catalog.own_tables:
        for trigger in table.triggers:
            if not trigger.parent:
                yield table, trigger, ctx.catalog.function.get(trigger.function)


@rule("FUN10", "trigger-disabled", Severity.WARNING)
def trigger_disabled(ctx: Context) -> Iterator[Finding]:
    """A trigger that is switched off.

    Why: it looks as if it worked. Usually a bulk load switched it off and nobody switched it on again; what it kept up or recorded
    has a gap.
    Instead: `ALTER TABLE orders ENABLE TRIGGER orders_audit`, and look at what it missed; or drop it.
    Except: a trigger kept for a switch-over; drop it instead, its definition is in the migrations.
    """
    for table, trigger, _ in _triggers(ctx):
        if trigger.enabled == "disabled":
            yield ctx.finding(
                table.part("trigger", trigger.name),
                f"trigger {quote(trigger.name)} of {table.id.sql()} is disabled: what it keeps up or records has a gap",
                fix=f"{shapes.alter(table)} ENABLE TRIGGER {quote(trigger.name)}",
            )


@rule("FUN11", "rewrite-rule", Severity.WARNING)
def rewrite_rule(ctx: Context) -> Iterator[Finding]:
    """A rule of the rewrite system (CREATE RULE).

    Why: rules rewrite the query before it runs. Volatile expressions run twice, COPY ignores them, row counts and RETURNING are wrong, and
    DO INSTEAD NOTHING drops writes without a word.
    Instead: a trigger (INSTEAD OF on views), or revoke the privilege.
    Except: none in new code.
    """
    relations: tuple[Table | View, ...] = (*ctx.catalog.own_tables, *ctx.catalog.own_views)
    for relation in relations:
        for item in relation.rules:
            silent = item.instead and re.search(r"\bDO INSTEAD\s+NOTHING\b", item.definition, re.IGNORECASE)
            effect = f"{item.event.upper()} is dropped without a word" if silent else "queries are rewritten, and COPY ignores it"
            yield ctx.finding(
                relation.part("rule", item.name),
                f"rule {quote(item.name)} on {relation.id.sql()}: {effect}",
                hint="a trigger" + (", or REVOKE the privilege" if silent else ""),
            )


_RETURN = re.compile(r"\breturn\s+(?P<what>[^;]*?)\s*;", re.IGNORECASE)


def _returned(function: Function) -> set[str]:
    """What a trigger function returns, in lower case."""
    return {" ".join(m["what"].lower().split()) for m in _RETURN.finditer(bodies.mask(function.body))}


@rule("FUN12", "trigger-discards-rows", Severity.ERROR)
def trigger_discards_rows(ctx: Context) -> Iterator[Finding]:
    """A BEFORE row trigger that drops the row it is called for.

    Why: a BEFORE trigger that returns NULL cancels the row without an error. In DELETE, NEW is NULL, so RETURN NEW cancels every delete.
    Instead: `RETURN OLD` for DELETE (`RETURN coalesce(NEW, OLD)` for both), `RETURN NEW` for the others; RAISE EXCEPTION to refuse.
    Except: a trigger that moves the row elsewhere itself; one with an INSERT or RAISE in its body is not reported.
    """
    for table, trigger, function in _triggers(ctx):
        if function is None or function.language != "plpgsql" or trigger.timing != "before" or trigger.level != "row":
            continue
        returned, body = _returned(function), bodies.mask(function.body)
        name = f"trigger {quote(trigger.name)} of {table.id.sql()}"
        refuses = re.search(r"\braise\b(?!\s+(?:debug|log|info|notice|warning)\b)", body, re.IGNORECASE)
        if "delete" in trigger.events and returned == {"new"} and not refuses:
            yield ctx.finding(
                table.part("trigger", trigger.name),
                f"{name} returns NEW, which is NULL in DELETE: every DELETE is cancelled without an error",
                hint=f"RETURN OLD in {function.id.sql()} when TG_OP = 'DELETE'",
            )
        elif returned == {"null"} and not re.search(r"\b(?:insert|raise|update|perform|execute|delete)\b", body, re.IGNORECASE):
            events = " and ".join(e.upper() for e in trigger.events)
            yield ctx.finding(
                table.part("trigger", trigger.name),
                f"{name} always returns NULL: every {events} is cancelled without an error",
                hint=f"RETURN NEW in {function.id.sql()}, or RAISE EXCEPTION to refuse",
            )


def _recorded_in(ctx: Context, function: Function) -> Table | None:
    """The audit table that a trigger function writes to."""
    if not bodies.readable(function):
        return None
    for m in bodies.known_relations(ctx.catalog, function.body):
        if m.how == "insert into" and is_audit(m.schema, m.name):
            return next((t for t in ctx.catalog.tables if (t.schema, t.name) == (m.schema, m.name)), None)
    return None


@rule("FUN13", "audit-misses-truncate", Severity.WARNING)
def audit_misses_truncate(ctx: Context) -> Iterator[Finding]:
    """A table whose audit trail does not see TRUNCATE.

    Why: TRUNCATE fires no row trigger. The whole table can be emptied without an entry.
    Instead: `CREATE TRIGGER ... BEFORE TRUNCATE ON accounts FOR EACH STATEMENT EXECUTE FUNCTION ...`, which records it or refuses it.
    Except: staging tables that are truncated all the time; do not audit them.
    """
    known: dict[str, Table | None] = {}
    for table, trigger, function in _triggers(ctx):
        if function is None or trigger.level != "row" or "delete" not in trigger.events:
            continue
        if function.id.sql() not in known:
            known[function.id.sql()] = _recorded_in(ctx, function)
        trail = known[function.id.sql()]
        if trail is not None and not any("truncate" in t.events for t in table.triggers):
            yield ctx.finding(
                table,
                f"changes of {table.id.sql()} are recorded in {trail.id.sql()}, but a TRUNCATE leaves no trace",
                hint=f"CREATE TRIGGER ... BEFORE TRUNCATE ON {table.id.sql()} FOR EACH STATEMENT EXECUTE FUNCTION ...",
            )


_KEY_COLUMN = re.compile(r"\A(?:record|row|entity|object|target|item)_(?:id|key|pk)\Z")
_TABLE_COLUMN = re.compile(r"\A(?:table|relation|entity|object|target|schema)(?:_name|_type|_table)?\Z|\Atable_schema\Z")
_WIDTH = {"int2": 2, "int4": 4, "int8": 8}


@rule("FUN14", "audit-key-overflows", Severity.WARNING)
def audit_key_overflows(ctx: Context) -> Iterator[Finding]:
    """An audit trail whose key column is smaller than the keys it records.

    Why: `record_id integer` cannot hold a bigint key past 2,147,483,647, nor a key of two columns. The trigger fails there, and with it the
    write it should record.
    Instead: `record_key jsonb` with all key columns; or bigint where every key is one number.
    Except: trails of tables whose keys fit. Keys that are no numbers are told by the rule on the type of such columns.
    """
    for table in ctx.catalog.root_tables:
        if not is_audit(table.schema, table.name) or not any(_TABLE_COLUMN.match(c.name) for c in table.columns):
            continue
        column = next((c for c in table.columns if _KEY_COLUMN.match(c.name) and c.type.basic in _WIDTH and not c.type.array), None)
        misfit = _misfit(ctx, table, column) if column else None
        if column and misfit:
            yield ctx.finding(
                table.part("column", column.name),
                f"{table.part('column', column.name)} is {column.type.sql}, too small for the key of {misfit}",
                hint="record_key jsonb with all key columns",
            )


def _misfit(ctx: Context, trail: Table, column: Column) -> str:
    """A table whose numeric key does not fit into the trail's key column: one it records, or when none is known one with a bigint key."""
    recorded = [t for t, _, f in _triggers(ctx) if f is not None and _recorded_in(ctx, f) is trail]
    for table in recorded or ctx.catalog.root_tables:
        key = table.primary_key
        if key is None or table is trail or is_audit(table.schema, table.name):
            continue
        widths = [_WIDTH.get(table.column[c].type.basic, 0) for c in key.columns]
        if 0 not in widths and (widths[0] > _WIDTH[column.type.basic] or (recorded and len(widths) > 1)) and (recorded or len(widths) == 1):
            return f"{table.id.sql()} ({shapes.columns_sql(key.columns)})"
    return ""


_ACTOR = re.compile(r"(?:\A|_)(?:by|actor|user|user_id|user_name|username|who)\Z")
_MAYBE_NULL = re.compile(r"current_setting\s*\(\s*'[^']*\.[^']*'\s*(?:::\s*text\s*)?,\s*true\s*\)", re.IGNORECASE)


@rule("FUN15", "required-actor-from-unset-setting", Severity.WARNING)
def required_actor_from_unset_setting(ctx: Context) -> Iterator[Finding]:
    """A required column that is filled from a setting which may be missing.

    Why: `current_setting('app.user', true)` is NULL until the application makes the setting. The NOT NULL column then refuses the audit
    entry, and with it every write of psql sessions, jobs and migrations.
    Instead: `coalesce(nullif(current_setting('app.user', true), ''), session_user)`.
    Except: databases where a write without a named user shall fail; read the setting without `true` then, for a clear message. A tenant
    column that refuses writes without a tenant does what it should.
    """
    for table in ctx.catalog.root_tables:
        for column in table.columns:
            if column.not_null and _bare(column.default) and not column.generated and column.name != ctx.options.tenant_column:
                plain = shapes.is_text(column.type) and "::" not in column.default.replace("::text", "")
                filled = f"ALTER COLUMN {quote(column.name)} SET DEFAULT coalesce(nullif({column.default}, ''), session_user)"
                yield ctx.finding(
                    table.part("column", column.name),
                    f"{table.part('column', column.name)} is NOT NULL, but its default is NULL while the setting is not made",
                    fix=f"{shapes.alter(table)} {filled}" if plain else (),
                )
    for function in ctx.catalog.own_functions:
        if function.returns != "trigger" or not bodies.readable(function) or not _bare(function.body):
            continue
        trail = _recorded_in(ctx, function)
        columns = trail.columns if trail else ()
        actor = next((c for c in columns if _ACTOR.search(c.name) and c.not_null), None)
        if trail and actor:
            yield ctx.finding(
                function,
                f"{function.id} fills {trail.id.sql()}.{quote(actor.name)}, which is NOT NULL, from a setting that may be missing: "
                "every write fails then",
                hint="coalesce(nullif(current_setting('...', true), ''), session_user)",
            )


def _bare(text: str) -> bool:
    """Whether a setting that may be missing is read outside coalesce()."""
    for found in _MAYBE_NULL.finditer(text):
        if not any(call.start < found.start() < call.end for call in bodies.calls(text, "coalesce")):
            return True
    return False
