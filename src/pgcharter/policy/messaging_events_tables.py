"""The event store as tables: events by month, the head of each aggregate, snapshots."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import date

from pgcharter.catalog.model import Acl, Constraint, Index, IndexKey, Policy, Sequence, Table, Trigger
from pgcharter.names import ObjectId, quote
from pgcharter.policy.compose import SCHEMA
from pgcharter.policy.messaging_feeds import EVENTS_POSITION
from pgcharter.policy.own import check, columns, index, primary

EVENTS = ObjectId("table", SCHEMA, "events")
HEADS = ObjectId("table", SCHEMA, "event_heads")
SNAPSHOTS = ObjectId("table", SCHEMA, "event_snapshots")
UNPLACED = ObjectId("table", SCHEMA, "events_unplaced")
"""Partition of events for whose month there was none."""
_TIME = "timestamp with time zone"
_KEY = ("aggregate_id", "aggregate_type", "tenant")
_PRIMARY = ("aggregate_id", "event_version", "aggregate_type", "tenant", "month")
_LOOKUPS = {"by_position": ("position",), "by_category": ("aggregate_type", "position")}
_VERSION = check("events_version_positive", "event_version > 0", "event_version")


def _events(id_type: str) -> dict[str, tuple[str, str, str]]:
    return {
        "position": ("bigint", "", "place in the order of all events; what is settled never gets another one before it"),
        "month": ("date", "", "first day of the month of created_at, in UTC; 1000-01-01 where no partition was there for it"),
        "tenant": ("text", "", "tenant of the transaction; empty: it had none"),
        "aggregate_type": ("text", "", "what it happened to: order"),
        "aggregate_id": (id_type, "", "which one"),
        "event_version": ("integer", "", "1, 2, 3 … without a gap in each aggregate"),
        "event_id": ("uuid", "", ""),
        "event_type": ("text", "", "what happened: order-placed"),
        "schema_version": ("integer", "", "form of event_data"),
        "event_data": ("jsonb", "", ""),
        "metadata": ("jsonb?", "", ""),
        "actor": ("text?", "", "who did it: pgcharter.actor"),
        "correlation": ("text?", "", "what it belongs to: pgcharter.correlation"),
        "causation": ("text?", "", "event or command that it follows from"),
        "created_at": (_TIME, "", "when it was appended"),
    }


def first(day: date, months: int = 0) -> date:
    """The first day of a month, so many months on or back."""
    years, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(years, month + 1, 1)


def partition(month: date) -> ObjectId:
    """The partition of a month."""
    return ObjectId("table", SCHEMA, f"{EVENTS.name}_{month:%Y_%m}")


def month_of(name: str) -> date | None:
    """The month of a partition by its name; None for what is none."""
    year, _, month = name.removeprefix(f"{EVENTS.name}_").partition("_")
    return date(int(year), int(month), 1) if len(year) == 4 and (year + month).isdigit() and len(month) == 2 else None


def events(id_type: str, acl: Acl, policies: tuple[Policy, ...]) -> Table:
    """The table of events."""
    key = index(EVENTS, "events_pkey", _PRIMARY, unique=True)
    return Table(
        SCHEMA, EVENTS.name, "partitioned table", columns(_events(id_type)), (primary("events_pkey", _PRIMARY), _VERSION),
        tuple(sorted((replace(key, partitioned=True), *_lookups(EVENTS)), key=lambda i: i.name)), guards(EVENTS), policies,
        row_security=bool(policies), force_row_security=bool(policies),
        partition_strategy="range", partition_key="RANGE (month)", partition_columns=("month",), acl=acl,
        comment="Event store for event sourcing; nobody changes or deletes what is in here, and pgcharter.append_events alone adds to it",
    )  # fmt: skip


def parts(months: Iterable[date], id_type: str) -> tuple[Table, ...]:
    """The partitions of some months, and the one of events that have none."""
    bounds = {partition(m): f"FOR VALUES FROM ('{m}') TO ('{first(m, 1)}')" for m in months}
    bounds[UNPLACED] = "FOR VALUES FROM (MINVALUE) TO ('2000-01-01')"
    plain = columns({n: (t, default, "") for n, (t, default, _) in _events(id_type).items()})
    return tuple(
        Table(SCHEMA, at.name, columns=plain, constraints=(replace(_VERSION, inherited=True),), indexes=_lookups(at),
              triggers=guards(at, partition=True), partition_of=EVENTS, partition_bound=bound, acl=None)
        for at, bound in sorted(bounds.items())
    )  # fmt: skip


def _lookups(at: ObjectId) -> tuple[Index, ...]:
    """The indexes for reading in order, of the whole or of one partition; each partition's is told, or the whole's would stay invalid."""
    split = at == EVENTS
    return tuple(
        Index(
            SCHEMA, f"{at.name}_{name}", at.name, keys=tuple(map(IndexKey, keys)), partitioned=split,
            parent=None if split else ObjectId("index", SCHEMA, f"{EVENTS.name}_{name}"),
            definition=f"CREATE INDEX {quote(f'{at.name}_{name}')} ON {'ONLY ' * split}{at.sql()} USING btree"
            f" ({', '.join(map(quote, keys))})",
        )
        for name, keys in sorted(_LOOKUPS.items())
    )  # fmt: skip


def guards(at: ObjectId, *, partition: bool = False) -> tuple[Trigger, ...]:
    """The triggers that refuse changes of what has happened. Partitions have the one of rows from their parent."""
    function = ObjectId("function", SCHEMA, "events_guard()")

    def trigger(name: str, events: tuple[str, ...], level: str, *, parent: bool) -> Trigger:
        text = (
            f"CREATE TRIGGER {name} BEFORE {' OR '.join(events).upper()} ON {at.sql()} FOR EACH {level.upper()}"
            f" EXECUTE FUNCTION {function.sql()}"
        )
        return Trigger(name, function, "before", events, level, enabled="always", parent=parent, definition=text)

    return (
        trigger("events_guard_rows", ("update", "delete"), "row", parent=partition),
        trigger("events_guard_whole", ("truncate",), "statement", parent=False),
    )


def heads(id_type: str, acl: Acl, policies: tuple[Policy, ...]) -> Table:
    """The version of each aggregate: one row for each, which whoever appends locks."""
    of = {
        "tenant": ("text", "", ""),
        "aggregate_type": ("text", "", ""),
        "aggregate_id": (id_type, "", ""),
        "version": ("integer", "", "of its last event"),
        "archived": ("integer", "0", "versions up to this one are not all in events any more"),
    }
    lengths = _lengths("event_heads_key_check", id_type, "aggregate_type")
    return _keyed(HEADS, of, _KEY, lengths, acl, policies, "The version of each aggregate", ("fillfactor=70",))


def snapshots(id_type: str, acl: Acl, policies: tuple[Policy, ...]) -> Table:
    """The last snapshot of each aggregate."""
    of = {
        "tenant": ("text", "COALESCE(current_setting('pgcharter.tenant'::text, true), ''::text)", ""),
        "aggregate_type": ("text", "", ""),
        "aggregate_id": (id_type, "", ""),
        "version": ("integer", "", "what it stands for: all events up to this one"),
        "snapshot_type": ("text", "", ""),
        "schema_version": ("integer", "", "form of data"),
        "data": ("jsonb", "", ""),
        "created_at": (_TIME, "now()", ""),
    }
    lengths = _lengths("event_snapshots_key_check", id_type, "aggregate_type")
    return _keyed(SNAPSHOTS, of, _KEY, lengths, acl, policies, "The last snapshot of each aggregate, so that fewer events are read", ())


def _lengths(name: str, id_type: str, *texts: str) -> Constraint:
    """What an index can hold: with a tenant of 1,000 bytes it takes 2,704 (documentation, "B-Tree Indexes")."""
    said = [f"((octet_length({t}) >= 1) AND (octet_length({t}) <= 200))" for t in texts]
    said += ["((octet_length(aggregate_id) >= 1) AND (octet_length(aggregate_id) <= 1000))"] if id_type == "text" else []
    return check(name, " AND ".join(said), *texts, *(("aggregate_id",) if id_type == "text" else ()))


def _keyed(
    at: ObjectId, of: dict[str, tuple[str, str, str]], key: tuple[str, ...], lengths: Constraint, acl: Acl,
    policies: tuple[Policy, ...], comment: str, options: tuple[str, ...],
) -> Table:  # fmt: skip
    name = f"{at.name}_pkey"
    return Table(
        SCHEMA, at.name, columns=columns(of), constraints=(lengths, primary(name, key)), indexes=(index(at, name, key, unique=True),),
        policies=policies, row_security=bool(policies), force_row_security=bool(policies), acl=acl, comment=comment, options=options,
    )  # fmt: skip


def position(acl: Acl) -> Sequence:
    """The sequence of positions; without a cache, or sessions would draw them out of order."""
    return Sequence(SCHEMA, EVENTS_POSITION.name, acl=acl, comment="Positions of events")
