"""Changes written down by triggers, for servers whose log cannot be read: a ring of parts like the outbox's, and what its readers keep."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from importlib import resources

from pgcharter.catalog.model import Catalog, Function, Index, IndexKey, Sequence, Table, Trigger
from pgcharter.measures import size
from pgcharter.names import ObjectId, quote
from pgcharter.policy.compose import SCHEMA
from pgcharter.policy.own import columns, index, joined, primary
from pgcharter.policy.rights import closed
from pgcharter.policy.sync_settings import SyncSection

LOG = ObjectId("table", SCHEMA, "sync_log")
SHAPES = ObjectId("table", SCHEMA, "sync_shapes")
CAPTURES = ObjectId("table", SCHEMA, "sync_captures")
POSITION = ObjectId("sequence", SCHEMA, "sync_position")
TURN = ObjectId("sequence", SCHEMA, "sync_turn")
"""Its last value is the part that is filled now; negative or without one: nothing is written down."""
ROWS, TRUNCATION = "0_pgcharter_sync", "0_pgcharter_sync_truncate"
"""Names of the triggers: PostgreSQL runs triggers by name, and ours must be first, or what others do to a row would be written down before
what made them do it."""
PARTS = 4
_KEY = ("position", "part")
_TIME = "timestamp with time zone"
_LOG = {
    "position": ("bigint", "", "order of changes of one row; with gaps where transactions were rolled back"),
    "part": ("smallint", "", "part of the ring it is in"),
    "at": (_TIME, "", "when it was written; its transaction was committed later"),
    "relation": ("oid", "", "the table, or the partition that held the row"),
    "op": ("text", "", "INSERT, UPDATE, DELETE or TRUNCATE"),
    "mark": ("bigint", "", "what its columns were then: see sync_shapes"),
    "row": ("text?", "", "the row afterwards, as its type writes it"),
    "old": ("text?", "", "the row before; NULL where it is large and its keys are the same"),
}
_SHAPES = {
    "relation": ("oid", "", ""),
    "mark": ("bigint", "", "tells what columns were from what they were at other times"),
    "ancestors": ("oid[]", "", "the table itself, and tables it is a partition of"),
    "columns": ("text[]", "", "in their order"),
    "oids": ("oid[]", "", "types"),
    "modifiers": ("integer[]", "", ""),
    "types": ("text[]", "", "types with modifiers, as SQL"),
    "generated": ("boolean[]", "", "computed from others, and so not copied"),
}
_CAPTURES = {
    "slot": ("text", "", "who reads, as [sync] slot calls it"),
    "position": ("bigint", "", "all changes up to this one are in every store, or in its file"),
    "lost": ("boolean", "false", "changes were not written down meanwhile"),
    "owner": ("text?", "", "worker that reads"),
    "pid": ("integer?", "", "its process, where it runs"),
    "token": ("bigint", "0", "grows with every worker; whoever has another one moves nothing"),
    "lease_until": (f"{_TIME}?", "", "until then the worker is taken for alive"),
}
_FUNCTIONS = {
    "sync_capture": ("", "trigger", "Writes a change down for copies", False),
    "sync_shape": ("oid, bigint, record", "bigint", "Writes down what the columns of a table are; their mark", False),
    "sync_same_key": ("oid, record, record", "boolean", "Whether what may tell rows apart is the same in both", False),
    "sync_settled": ("", "bigint", "Position up to which no change can come any more; read that in a statement of its own", True),
    "sync_turn": ("boolean", "boolean", "Has changes written down, or no longer; whether that could be done now", True),
    "sync_rotate": ("bigint", "integer", "Empties parts that everybody has read, and turns to the next where this one is full", True),
}


def objects(catalog: Catalog, section: SyncSection) -> Catalog:
    """With what changes are written to, and the functions."""
    owner, major, role = catalog.database.owner, catalog.major, section.role
    read = [(role, "SELECT")] if role else []
    change = [(role, p) for p in ("SELECT", "INSERT", "UPDATE", "DELETE") if role]
    acl = closed("table", owner, read, major)
    log = Table(
        SCHEMA, LOG.name, "partitioned table", columns(_LOG), (primary("sync_log_pkey", _KEY),), (_log_index(),),
        partition_strategy="list", partition_key="LIST (part)", partition_columns=("part",), owner=owner, acl=acl,
        comment="Changes for copies; emptied part by part",
    )  # fmt: skip
    shapes = Table(
        SCHEMA, SHAPES.name, columns=columns(_SHAPES), indexes=(index(SHAPES, "sync_shapes_mark", ("relation", "mark")),), acl=acl,
        comment="What the columns of tables were when changes were written",
    )  # fmt: skip
    captures = Table(
        SCHEMA, CAPTURES.name, columns=columns(_CAPTURES), constraints=(primary("sync_captures_pkey", ("slot",)),),
        indexes=(index(CAPTURES, "sync_captures_pkey", ("slot",), unique=True),), options=("fillfactor=50",),
        acl=closed("table", owner, change, major), comment="Who reads changes, and how far",
    )  # fmt: skip
    counted = closed("sequence", owner, read, major)
    sequences = (
        Sequence(SCHEMA, POSITION.name, owner=owner, acl=counted, comment="Positions of sync_log"),
        Sequence(
            SCHEMA,
            TURN.name,
            start=0,
            minimum=-1,
            maximum=PARTS - 1,
            owner=owner,
            acl=counted,
            comment="Part of sync_log that is filled now",
        ),
    )
    return replace(
        catalog,
        tables=joined(catalog.tables, log, *map(_part, range(PARTS)), shapes, captures),
        sequences=joined(catalog.sequences, *sequences),
        functions=joined(catalog.functions, *(_function(name, catalog, section) for name in _FUNCTIONS)),
    )


def captured(tables: Iterable[Table], roots: Iterable[Table], section: SyncSection) -> tuple[Table, ...]:
    """Tables with triggers: those that are copied, and what belongs to them as partitions."""
    tables = tuple(tables)
    by_id = {t.id: t for t in tables}
    wanted = {t.id for t in roots}

    def root(table: Table) -> Table | None:
        at: Table | None = table
        while at is not None and at.id not in wanted:
            at = by_id.get(at.partition_of) if at.partition_of else None
        return at

    return tuple(_with_triggers(t, head.id, section) if (head := root(t)) and t.kind != "foreign table" else t for t in tables)


def _with_triggers(table: Table, root: ObjectId, section: SyncSection) -> Table:
    """With the trigger of rows, which partitions have from their root, and the one of TRUNCATE."""

    def trigger(name: str, events: tuple[str, ...], level: str) -> Trigger:
        text = (
            f"CREATE TRIGGER {quote(name)} AFTER {' OR '.join(events).upper()} ON {table.id.sql()} FOR EACH {level.upper()}"
            f" EXECUTE FUNCTION {SCHEMA}.sync_capture()"
        )
        enabled = "always" if section.origin == "any" else "origin"
        return Trigger(
            name, ObjectId("function", SCHEMA, "sync_capture()"), "after", events, level, enabled=enabled,
            parent=level == "row" and table.id != root, definition=text,
        )  # fmt: skip

    rows = trigger(ROWS, ("insert", "update", "delete"), "row")
    ours = (rows, trigger(TRUNCATION, ("truncate",), "statement")) if table.id == root else (rows,)
    return replace(table, triggers=tuple(sorted({t.name: t for t in (*table.triggers, *ours)}.values(), key=lambda t: t.name)))


def _part(number: int) -> Table:
    plain = columns({n: (t, d, "") for n, (t, d, _) in _LOG.items()})
    return Table(SCHEMA, f"{LOG.name}_{number}", columns=plain, partition_of=LOG, partition_bound=f"FOR VALUES IN ('{number}')", acl=None)


def _log_index() -> Index:
    return Index(
        SCHEMA, "sync_log_pkey", LOG.name, keys=tuple(map(IndexKey, _KEY)), unique=True, primary=True, constraint="sync_log_pkey",
        partitioned=True, definition=f'CREATE UNIQUE INDEX sync_log_pkey ON ONLY {LOG.sql()} USING btree ("position", part)',
    )  # fmt: skip


def _function(name: str, catalog: Catalog, section: SyncSection) -> Function:
    identity, returns, comment, ours = _FUNCTIONS[name]
    text = resources.files("pgcharter.policy").joinpath(f"{name}.sql").read_text(encoding="utf-8")
    rights = [(section.role, "EXECUTE")] if ours and section.role else []
    return Function(
        SCHEMA, name, identity, returns=returns, language="plpgsql", definition=text.replace("KEEP_BYTES", str(size(section.keep))),
        owner=catalog.database.owner, acl=closed("function", catalog.database.owner, rights, catalog.major), comment=comment,
    )  # fmt: skip
