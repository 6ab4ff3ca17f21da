"""`[sync]` of the charter: copies of tables in other stores, kept right by logical replication."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pgcharter.charter import Section
from pgcharter.errors import UsageError
from pgcharter.measures import seconds, size

Kind = Literal["postgresql", "redis", "clickhouse", "nats", "webhook", "jsonl", "parquet"]
Mask = Literal["hash", "null", "stars", "last4"]
_NAME = re.compile(r"[a-z_][a-z0-9_]{0,62}")


def _table(value: Any) -> None:
    if value.count(".") != 1 and '"' not in value:
        raise UsageError(f"{value!r} names no table", hint="write schema.table")


def _name(value: Any) -> None:
    if _NAME.fullmatch(value) is None:
        raise UsageError(f"{value!r} is no name", hint="write small letters, digits and _, 63 at most: shop_sync")


_TIMES: dict[str, Any] = {"check": seconds}
_SIZES: dict[str, Any] = {"check": size}


@dataclass(frozen=True)
class SinkTable:
    """`[[sync.sink]]`: a store that copies go to."""

    name: str = field(metadata={"check": _name})
    """What it is called in commands and mappings."""
    kind: Kind
    """Which store it is."""
    url_env: str = ""
    """Environment variable with its address: redis://…, http://…, nats://…, postgresql://…; secrets are never written here."""
    folder: str = ""
    """Folder of files that are written, for jsonl and parquet."""
    form: str = ""
    """How rows are stored where the store has several forms; Redis: hash, json or invalidate."""
    options: Mapping[str, str] = field(default_factory=dict)
    """What else this kind of store can be told."""
    spill: str = field(default="10GB", metadata=_SIZES)
    """Most bytes of changes that are kept in a file of its own while it is down; beyond that it is given up and must be seeded anew."""


@dataclass(frozen=True)
class LookupTable:
    """`[[sync.mapping.lookup]]`: columns of another table, found by a key."""

    table: str = field(metadata={"check": _table})
    """Table that is looked into, schema.table."""
    on: Mapping[str, str]
    """Column of the mapped table → column of this one, which must be unique here: { customer_id = "id" }."""
    columns: tuple[str, ...]
    """Columns that are taken from it."""
    prefix: str = ""
    """Put before their names: customer_."""


@dataclass(frozen=True)
class MappingTable:
    """`[[sync.mapping]]`: how rows of a table become rows, documents or keys of a store."""

    sink: str
    """Name of the sink."""
    table: str = field(metadata={"check": _table})
    """Table that is copied, schema.table; of a partitioned one the whole."""
    to: str = ""
    """What it is called there; empty: the table's name. May hold {tenant}."""
    columns: tuple[str, ...] = ()
    """Columns that are copied; empty: all, and those that come later."""
    key: tuple[str, ...] = ()
    """Columns that tell rows apart; empty: the primary key."""
    rename: Mapping[str, str] = field(default_factory=dict)
    """Column → its name there."""
    mask: Mapping[str, str] = field(default_factory=dict)
    """Column → hash (HMAC-SHA-256, the same for the same value), null, stars or last4."""
    filter: tuple[str, ...] = ()
    """Conditions that all must hold, else the row is not there: "status <> 'draft'", "deleted_at is null", "kind in ('a', 'b')"."""
    tenant: str = ""
    """Column that says whose the row is, for {tenant} in `to`."""
    lookup: tuple[LookupTable, ...] = ()
    delta: str = ""
    """For copies by batches instead of replication: a column that grows with every change, such as updated_at."""


@dataclass(frozen=True)
class TwoWayTable:
    """`[[sync.two_way]]`: tables that are written to at this database and at another one, and copied both ways. This one decides."""

    name: str = field(metadata={"check": _name})
    """What the other side is called; begins the names of slots and publications at both."""
    url_env: str
    """Environment variable with the address of the other database."""
    tables: tuple[str, ...]
    """Tables, schema.table, that both sides have with the same columns and a primary key."""
    rule: Literal["newest", "source"] = "newest"
    """What decides on a row that both sides have changed: the newer of the two, or always the same side."""
    side: Literal["here", "there"] = "here"
    """Which side wins by rule = "source"; `here` asks for REPLICA IDENTITY FULL at the other side."""
    column: str = ""
    """Column that says which row is newer, such as updated_at; empty: the time of its commit."""
    create: bool = False
    """Whether `sync init` makes tables at the other side that are not there."""
    same: bool = False
    """Whether the other side has the same rows already; else its tables must be empty, and are filled."""


@dataclass(frozen=True)
class SyncSection:
    """`[sync]`: one publication and one slot for all copies."""

    capture: Literal["stream", "triggers"] = "stream"
    """Where changes come from: the server's log through a replication slot, or triggers, which need no rights and no setting of the server,
    work through a pooler in transaction mode, and cost every write something."""
    publication: str = field(default="pgcharter_sync", metadata={"check": _name})
    slot: str = field(default="pgcharter_sync", metadata={"check": _name})
    folder: str = ".pgcharter/sync"
    """Folder of what is kept while a store is down."""
    keep: str = field(default="10GB", metadata=_SIZES)
    """Most log that the slot may hold back, as max_slot_wal_keep_size should say; `sync status` warns at half of it."""
    heartbeat: str = field(default="10s", metadata=_TIMES)
    """Time after which an idle database is written to, so that its slot moves on."""
    replay: str = field(default="1min", metadata=_TIMES)
    """Time for which the slot keeps what every store has: one that is set back by less (restarted from an older dump) gets it again."""
    mask_key_env: str = ""
    """Environment variable with the secret of masks `hash`: without it, whoever knows a value's form can find it by trying."""
    origin: Literal["any", "none"] = "any"
    """Which changes are copied: any, or none that came from another server by replication, so that copies both ways do not go round."""
    role: str = ""
    """Role that reads changes and writes heartbeats; empty: the owner."""
    sink: tuple[SinkTable, ...] = ()
    mapping: tuple[MappingTable, ...] = ()
    two_way: tuple[TwoWayTable, ...] = ()


SECTION = Section("sync", SyncSection)
