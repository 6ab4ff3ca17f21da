"""Copies that are kept on purpose, and columns that could be copies without meaning to: what the rules on normal forms ask."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pgcharter.catalog.model import Catalog, Column, Table
from pgcharter.rules import shapes


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


_KEEPERS = _set(
    """
    history histories historical audit audits log logs logged event events journal journals archive archives archived snapshot snapshots
    version versions revision revisions outbox inbox message messages notification notifications report reports summary summaries
    aggregate aggregates rollup rollups daily weekly monthly hourly stats statistics metrics cache caches cached projection projections
    view mv mview denormalized denormalised flat search index dim dims dimension fact facts mart warehouse backup backups copy copies old
    deleted tombstone tombstones calendar calendars raw feed feeds export exports
    """
)
_PAPERS = _set(
    """
    line lines invoice invoices receipt receipts quote quotes quotation quotations bill bills contract contracts statement statements
    shipment shipments waybill waybills payslip payslips certificate certificates
    """
)
_DECLARED = re.compile(
    r"denormali[sz]|copy of|cop(?:y|ied) from|snapshot|duplicate of|redundant|as of the time|at the time of|at time of|when (?:it )?was "
    r"(?:ordered|bought|sold|placed|issued)",
    re.IGNORECASE,
)
MONEY = _set(
    """
    price prices cost costs amount amounts fee fees rate rates total subtotal tax taxes vat discount balance currency salary wage charge
    commission margin value credit debit exchange
    """
)
ADDRESS = _set("address street city town postal postcode zip country state region province county line recipient building apartment")
_KEPT_WITH_EVERY_ROW = _set(
    """
    created updated modified deleted changed inserted version revision etag checksum hash tenant org organization organisation workspace
    locale language lang timezone tz position sort ordinal rank sequence partition shard
    """
)
_NAMES_A_KEY = _set("id code no nr number key zip postcode postal isbn ean gtin sku iban bic ref reference")
_WHOLE = frozenset({"int2", "int4", "int8"})


def keeps_copies(table: Table) -> bool:
    """Whether its name says that rows stay as they were at some moment, or that it was made to be read quickly."""
    words = set(shapes.words(table.name)) | set(shapes.words(table.schema))
    return bool(words & _KEEPERS) or shapes.is_staging(table) or {"valid_from", "valid_to"} <= table.column.keys()


def is_paper(table: Table) -> bool:
    """Whether its rows are parts of documents, whose wording and sums must not change after they were issued."""
    words = shapes.words(table.name)
    return not _PAPERS.isdisjoint(words) or (len(words) > 1 and words[-1] in ("item", "items"))


def is_declared(table: Table, column: Column) -> bool:
    """Whether the comment on the column, or on its table, says that the copy is meant."""
    return _DECLARED.search(column.comment) is not None or _DECLARED.search(table.comment) is not None


def is_kept_with_every_row(column: Column) -> bool:
    """Whether it says something about the row itself: when it was made, by whom, which version, whose tenant."""
    return not _KEPT_WITH_EVERY_ROW.isdisjoint(shapes.words(column.name))


def is_money(column: Column) -> bool:
    """Whether it is an amount, or the currency of one: what was agreed then, whatever it costs now."""
    return not MONEY.isdisjoint(shapes.words(column.name))


def foreign_key_columns(table: Table) -> frozenset[str]:
    """Columns of its foreign keys."""
    return frozenset(c for fk in table.foreign_keys for c in fk.columns)


def is_held_together(catalog: Catalog, table: Table, column: str, *others: str) -> bool:
    """Whether the database itself keeps `column` in step with `others`: generated, a key or CHECK over both, a trigger that sets it."""
    if table.column[column].generated or table.column[column].type.kind == "pseudo":
        return True
    together = {column, *others}
    if any(together <= set(c.columns) for c in table.constraints if c.kind in ("foreign key", "check")):
        return True
    return any(column in assigned for assigned in _assigned(catalog, table))


def is_equated(table: Table, column: str) -> bool:
    """Whether a CHECK says what the column is equal to, in terms of other columns."""
    return any(column in c.columns and len(c.columns) > 1 and _EQUALS.search(c.definition) for c in table.checks)


_EQUALS = re.compile(r"(?<![<>!=])=(?![>=])")


def _assigned(catalog: Catalog, table: Table) -> Iterator[frozenset[str]]:
    """Columns that each trigger function of the table sets in the new row."""
    for trigger in table.triggers:
        function = catalog.function.get(trigger.function)
        if function is not None and trigger.timing == "before":
            yield frozenset(m.replace('""', '"') for pair in _ASSIGNED.findall(function.body) for m in pair if m)


_ASSIGNED = re.compile(r'\bnew\.(?:(\w+)|"((?:[^"]|"")+)")\s*:?=(?!=)', re.IGNORECASE)


def determinants(table: Table) -> Iterator[Column]:
    """Columns that others could follow from: codes, names, references; part of a key at most, never all of one."""
    foreign = foreign_key_columns(table)
    for column in table.columns:
        if (column.name,) in table.unique_keys or column.generated or is_kept_with_every_row(column) or is_money(column):
            continue
        if _is_named(column) or column.type.basic == "uuid" or _is_whole_key(column, foreign):
            yield column


def dependents(table: Table) -> Iterator[Column]:
    """Columns that could follow from another one and are no part of any key, nor meant to be copies."""
    keyed = {c for key in table.unique_keys for c in key} | set(table.partition_columns)
    foreign = foreign_key_columns(table)
    shared = {c for fk in table.foreign_keys if len(fk.columns) > 1 for c in fk.columns}
    for column in table.columns:
        if column.name in keyed | shared or column.generated or is_kept_with_every_row(column) or is_money(column):
            continue
        if is_declared(table, column) or any(shapes.mentions(p.using + " " + p.check, column.name) for p in table.policies):
            continue
        if _is_named(column) or column.type.basic in ("uuid", "date") or _is_whole_key(column, foreign):
            yield column


def _is_named(column: Column) -> bool:
    return not column.type.array and (shapes.is_text(column.type) or column.type.kind == "enum")


def _is_whole_key(column: Column, foreign: frozenset[str]) -> bool:
    """Whether an integer column refers to something rather than counts or measures."""
    if column.type.array or column.type.basic not in _WHOLE:
        return False
    return column.name in foreign or shapes.words(column.name)[-1:] in {(word,) for word in _NAMES_A_KEY}


def figures(table: Table) -> Iterator[Column]:
    """Columns that are counted with: exact numbers that are no keys."""
    foreign = foreign_key_columns(table) | {c for key in table.unique_keys for c in key}
    for column in table.columns:
        exact = column.type.basic in _WHOLE or column.type.basic == "numeric"
        if exact and not column.type.array and column.name not in foreign and not _is_whole_key(column, foreign):
            yield column
