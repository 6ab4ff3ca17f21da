"""Columns that hold whole documents and files: their shape, their size, and what is left when the row goes."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pgcharter.catalog.model import Column, Table
from pgcharter.findings import Finding, Severity
from pgcharter.names import quote
from pgcharter.rules import bodies, shapes
from pgcharter.rules.engine import Context, rule

_KEPT_AS_IT_CAME = {"raw", "original", "verbatim", "source", "received"}
_SAYS_NOTHING = re.compile(r"\(*[\w\"]+ IS NOT NULL\)*\Z")


@rule("CON30", "document-without-check", Severity.INFO, options=("jsonb_check_required",))
def document_without_check(ctx: Context) -> Iterator[Finding]:
    """A document column has no CHECK on its shape, although the house asks for one.

    Why: jsonb takes everything: a number, a list, a document without the key that every query reads. The first wrong one is found by
    whoever reads it, long after it was written.

    Instead: at least the kind, better the keys that readers rely on.

        ALTER TABLE app.orders ADD CHECK (jsonb_typeof(details) = 'object' AND details ? 'currency');

    Except: staging tables, generated columns, what is kept as it came (raw, original), domains with a CHECK of their own, and columns that
    a trigger looks into before they are written.
    """
    for table, column in ctx.catalog.own_columns if ctx.options.jsonb_check_required else ():
        if column.type.basic not in ("jsonb", "json") or column.type.array or column.generated:
            continue
        if _KEPT_AS_IT_CAME & set(shapes.words(column.name)) or shapes.is_staging(table) or _is_checked(ctx, table, column):
            continue
        address = table.part("column", column.name)
        yield ctx.finding(
            address,
            f"{address.sql()} is {column.type.sql} without a CHECK on its shape, so any document, list or number may stand in it",
            fix=_check(ctx, table, column),
            hint="and name the keys that readers rely on" if column.default else f"CHECK (jsonb_typeof({quote(column.name)}) = 'object')",
        )


def _is_checked(ctx: Context, table: Table, column: Column) -> bool:
    if any(column.name in c.columns and not _SAYS_NOTHING.match(c.expression) for c in table.checks):
        return True
    domain = ctx.catalog.type.get((column.type.schema, column.type.name)) if column.type.kind == "domain" else None
    return bool(domain and any(c.kind == "check" for c in domain.constraints)) or _is_looked_into(ctx, table, column)


def _is_looked_into(ctx: Context, table: Table, column: Column) -> bool:
    """Whether a trigger takes the document apart before it is written, and may refuse it."""
    for trigger in table.triggers:
        function = ctx.catalog.function.get(trigger.function) if trigger.timing == "before" and trigger.enabled != "disabled" else None
        if function is None or not bodies.readable(function) or "raise" not in function.body.lower():
            continue
        if re.search(rf"\bnew\s*\.\s*\"?{re.escape(column.name)}\b", function.body, re.IGNORECASE):
            return True
    return False


def _check(ctx: Context, table: Table, column: Column) -> str:
    """The CHECK that the column's default implies; nothing without one."""
    kind = "object" if column.default.startswith("'{") else "array" if column.default.startswith("'[") else ""
    if not kind:
        return ""
    name = (ctx.options.check_name or "{table}_{columns}_check").replace("{table}", table.name)
    name = name.replace("{columns}", column.name).replace("{description}", f"{column.name}_is_{kind}")
    name = shapes.fresh_name(name, (c.name for c in table.constraints))
    return (
        f"{shapes.alter(table)} ADD CONSTRAINT {quote(name)} "
        f"CHECK ({'jsonb' if column.type.basic == 'jsonb' else 'json'}_typeof({quote(column.name)}) = '{kind}')"
    )


_FILES = set(
    """
    file files content contents image images img photo photos picture pictures attachment attachments document documents doc pdf blob video
    audio scan upload binary icon logo avatar
    """.split()  # noqa: SIM905
)
_NO_FILE = re.compile(
    r"hash|digest|sha|md5|checksum|crypt|cipher|key|secret|nonce|salt|sign|token|hmac|etag|vector|embedding|id\Z", re.IGNORECASE
)


@rule("DES15", "file-in-table", Severity.INFO)
def file_in_table(ctx: Context) -> Iterator[Finding]:
    """Files are kept in a bytea column without a limit of their size.

    Why: one value may be a gigabyte. It is copied whole into memory by each reader, into the log, every replica and every backup, and
    a dump of it needs several times its size.

    Instead: the file in an object store and its key here; or a limit: `CHECK (octet_length(photo) <= 1048576)`.

    Except: hashes, keys, signatures and ciphertext are no files; a CHECK on the length says that the size was thought of.
    """
    for table, column in ctx.catalog.own_columns:
        if column.type.basic != "bytea" or column.type.array or column.generated or shapes.is_staging(table):
            continue
        named = set(shapes.words(column.name))
        if not named & _FILES or _NO_FILE.search(column.name) or any(_limits(c.expression, column) for c in table.checks):
            continue
        address = table.part("column", column.name)
        yield ctx.finding(
            address,
            f"{address.sql()} keeps files of any size: each reader, replica and backup carries them whole",
            hint=f"CHECK (octet_length({quote(column.name)}) <= ...), or the key of a file in an object store",
        )


def _limits(check: str, column: Column) -> bool:
    return "length(" in check and shapes.mentions(check, column.name)


_LARGE_OBJECTS = _FILES | {"data", "body", "payload", "lob", "text", "value", "raster", "description", "html", "xml"}
_REMOVES = re.compile(r"\blo_unlink\s*\(", re.IGNORECASE)


@rule("DES16", "large-object-left-behind", Severity.WARNING)
def large_object_left_behind(ctx: Context) -> Iterator[Finding]:
    """A column refers to large objects, and nothing removes them.

    Why: the row holds only the number of the object (an ORM's @Lob makes such columns). DELETE and UPDATE leave the object behind for
    ever; the column's privileges and row security do not hold for it.

    Instead: `bytea` or `text`; or the extension lo and its trigger.

        CREATE TRIGGER t_photo BEFORE UPDATE OR DELETE ON app.people FOR EACH ROW EXECUTE FUNCTION lo_manage(photo);

    Except: a trigger that calls lo_unlink; columns that hold the oid of a table, type or role.
    """
    for table, column in ctx.catalog.own_columns:
        lob = column.type.name == "lo" or (column.type.basic == "oid" and _is_named_large(column))
        if not lob or column.type.array or _is_removed(ctx, table, column):
            continue
        address = table.part("column", column.name)
        yield ctx.finding(
            address,
            f"{address.sql()} refers to large objects, which stay behind when the row is deleted or its {quote(column.name)} is replaced",
            hint="bytea or text; or the extension lo with its trigger lo_manage, and vacuumlo for those left behind already",
        )


def _is_named_large(column: Column) -> bool:
    """Whether its name ends in what large objects hold: `photo`, `photo_oid`; `content_type` and `file_owner` are oids of other things."""
    said = [w for w in shapes.words(column.name) if w not in ("oid", "id", "lob", "lo", "object", "ref")]
    return bool(said) and said[-1] in _LARGE_OBJECTS


def _is_removed(ctx: Context, table: Table, column: Column) -> bool:
    for trigger in table.triggers:
        function = ctx.catalog.function.get(trigger.function)
        if trigger.enabled == "disabled" or "delete" not in trigger.events:
            continue
        if column.name in trigger.arguments or trigger.function.name.startswith("lo_manage("):
            return True
        if function is not None and _REMOVES.search(function.body):
            return True
    return False
