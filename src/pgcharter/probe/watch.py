"""Who writes rows of whom: triggers in the copy that note, for each row written by whatever an attack set off, whose it was.

Row policies say nothing of what a definer function, a trigger or a rule writes with the rights of its owner, and the attacker cannot see
such rows. Triggers see all of them. They note into a setting of the transaction.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING

from pgcharter.catalog.model import Table
from pgcharter.names import ObjectId, literal
from pgcharter.probe.ground import MINE, THEIRS, Ground
from pgcharter.probe.session import NOTED, Wrote

if TYPE_CHECKING:
    from pgcharter.db import Connection

_EMPTIED = "TRUNCATE"
_FUNCTION = f"""
CREATE SCHEMA pgcharter_watch;
CREATE FUNCTION pgcharter_watch.note() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
DECLARE told text := '';
BEGIN
    IF TG_OP = 'TRUNCATE' THEN
        told := TG_ARGV[0] || ' TRUNCATE ' || E'\\n';
    ELSE
        IF TG_OP <> 'INSERT' THEN told := TG_ARGV[0] || ' ' || TG_OP || ' ' || coalesce(to_jsonb(OLD) ->> TG_ARGV[1], '') || E'\\n'; END IF;
        IF TG_OP <> 'DELETE' THEN
            told := told || TG_ARGV[0] || ' ' || TG_OP || ' ' || coalesce(to_jsonb(NEW) ->> TG_ARGV[1], '') || E'\\n';
        END IF;
    END IF;
    PERFORM set_config('{NOTED}', left(coalesce(current_setting('{NOTED}', true), '') || told, 100000), true);
    RETURN NULL;
END $$;
"""
_TRIGGERS = """
CREATE TRIGGER " pgcharter rows" AFTER INSERT OR UPDATE OR DELETE ON {table} FOR EACH ROW
    EXECUTE FUNCTION pgcharter_watch.note({number}, {column});
CREATE TRIGGER " pgcharter" BEFORE TRUNCATE ON {table} FOR EACH STATEMENT EXECUTE FUNCTION pgcharter_watch.note({number});
"""


def watched(ground: Ground) -> list[tuple[Table, str]]:
    """Guarded tables, each with the column that says whose a row is; what is cut into partitions counts once."""
    tables = (t for t in ground.catalog.own_tables if t.id in ground.guards.tables and t.kind != "foreign table" and not t.partition_of)
    return [(t, owned[0]) for t in tables if (owned := sorted(ground.tenant_columns(t)) or ground.owned(t))]


def install(admin: Connection, ground: Ground) -> None:
    """Make the triggers. Their names come before those of foreign keys, which act in the order of names as well."""
    made = [_FUNCTION]
    for number, (table, column) in enumerate(watched(ground)):
        made.append(_TRIGGERS.format(table=table.id.sql(), number=number, column=literal(column)))
    admin.execute("".join(made).encode())


def of_others(wrote: Iterable[Wrote], ground: Ground, tables: list[tuple[Table, str]], me: int) -> tuple[str, frozenset[Wrote]]:
    """What was written of the other tenant, in words (empty: nothing); and what is of neither. `me` is a row of whose context it was."""
    other, unknown = THEIRS if me == MINE else MINE, set[Wrote]()
    hit: list[ObjectId] = []
    for one in wrote:
        table, column = tables[one.table]
        if one.operation == _EMPTIED or one.whose in _values(ground, table, column, other):
            hit.append(table.id)
        elif one.whose and one.whose not in _values(ground, table, column, me) and column in ground.tenant_columns(table):
            unknown.add(one)
    return f"it wrote rows of another tenant in {', '.join(map(str, dict.fromkeys(hit)))}" if hit else "", frozenset(unknown)


def _values(ground: Ground, table: Table, column: str, number: int) -> Collection[str | None]:
    return {ground.rows.value(table.id, n, column) for n in (number, number + 1)}


def to_tenants(ground: Ground) -> dict[str, ObjectId]:
    """Foreign keys by which a tenant must be there, as error messages name them, with their tables. Only where tenants are."""
    return {
        f"{t.schema}.{t.name}.{k.name}": t.id
        for t in ground.catalog.own_tables
        for k in t.foreign_keys
        if len(k.columns) == 1 and {*k.columns} & ground.tenant_columns(t) and k.references in ground.rows.inserts
    }
