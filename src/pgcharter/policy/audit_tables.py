"""The trail as tables: what is recorded, by month, and the chain of seals over it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date

from pgcharter.catalog.model import Acl, Column, Constraint, DataType, Index, IndexKey, Sequence, Table, Trigger
from pgcharter.names import ObjectId, quote
from pgcharter.policy.compose import SCHEMA

LOG = ObjectId("table", SCHEMA, "audit_log")
SEALS = ObjectId("table", SCHEMA, "audit_seals")
NUMBER = ObjectId("sequence", SCHEMA, "audit_log_number")
UNPLACED = ObjectId("table", SCHEMA, "audit_log_unplaced")
"""Partition of rows for whose month there was none."""
_TYPES = {"bigint": "int8", "timestamp with time zone": "timestamptz", "smallint": "int2", "bigint[]": "int8", "integer": "int4"}
_COLUMNS: Mapping[str, tuple[str, bool, str]] = {
    "number": ("bigint", True, "order of writing: a later one was never written before an earlier one was drawn"),
    "month": ("date", True, "first day of the month of changed_at, in UTC; 1000-01-01 where no partition was there for it"),
    "changed_at": ("timestamp with time zone", True, "when the row was written"),
    "transaction_at": ("timestamp with time zone", True, "when its transaction began"),
    "transaction_id": ("xid8", True, ""),
    "table_schema": ("text", True, ""),
    "table_name": ("text", True, "the table as declared, of partitions their partitioned table; for schema changes the object"),
    "relation": ("oid", True, "the table itself, or the partition that held the row"),
    "operation": ("text", True, "INSERT, UPDATE, DELETE, TRUNCATE (one for each row, and one without key for the statement), SCHEMA"),
    "key": ("jsonb", False, "primary key of the row before, or of the new one; the whole row where there is no primary key"),
    "key_hash": ("bigint", False, "hashtextextended(key::text, 0), to look it up by"),
    "new_key": ("jsonb", False, "primary key afterwards, where an UPDATE changed it"),
    "old": ("jsonb", False, "row before; of an UPDATE only what differs where the charter says so"),
    "new": ("jsonb", False, "row afterwards; likewise"),
    "session_role": ("text", True, "role that logged in"),
    "actor": ("text", False, "who used the application, by its own word: pgcharter.actor"),
    "reason": ("text", False, "pgcharter.reason"),
    "correlation": ("text", False, "pgcharter.correlation"),
    "client_address": ("inet", False, ""),
    "statement": ("text", False, "first word of what the client sent"),
    "depth": ("smallint", True, "1: by the statement itself; more: by a trigger"),
}  # fmt: skip
COLUMNS = tuple(_COLUMNS)
_SEAL_COLUMNS: Mapping[str, tuple[str, bool, str]] = {
    "seal": ("bigint", True, ""),
    "sealed_at": ("timestamp with time zone", True, ""),
    "kind": ("text", True, "rows, or retired: that a month was dropped by retention"),
    "month": ("date", True, "partition that the rows are in"),
    "upto": ("bigint", True, "all rows with a number up to this one are sealed, by this seal or others"),
    "numbers": ("bigint[]", True, "rows sealed, in order"),
    "prints": ("bytea", True, "the first eight bytes of each row's hash, to tell which one differs"),
    "digest": ("bytea", True, "SHA-256 of the numbers and the rows' hashes"),
    "previous": ("bytea", True, "hash of the seal before"),
    "hash": ("bytea", True, "SHA-256 of all of this but the prints"),
    "note": ("text", True, "who dropped a month, and why"),
}


def first(day: date, months: int = 0) -> date:
    """The first day of a month, so many months on or back."""
    years, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(years, month + 1, 1)


def partition(month: date) -> ObjectId:
    """The partition of a month."""
    return ObjectId("table", SCHEMA, f"{LOG.name}_{month:%Y_%m}")


def log(owner: str, acl: Acl) -> Table:
    """The table of what is recorded."""
    indexes = (_index(LOG, "audit_log_pkey", ("number", "month"), primary=True), *_lookups(LOG))
    comment = "History of rows as [audit] of the charter declares it; nobody changes or deletes what is in here"
    return Table(
        SCHEMA, LOG.name, "partitioned table", _columns(_COLUMNS), (_primary("audit_log_pkey", ("number", "month")),),
        tuple(sorted(indexes, key=lambda i: i.name)), guards(LOG), partition_strategy="range", partition_key="RANGE (month)",
        partition_columns=("month",), owner=owner, acl=acl, comment=comment,
    )  # fmt: skip


def parts(months: Iterable[date], owner: str) -> tuple[Table, ...]:
    """The partitions of some months, and the one of rows that have none."""
    bounds = {partition(m): f"FOR VALUES FROM ('{m}') TO ('{first(m, 1)}')" for m in months}
    bounds[UNPLACED] = "FOR VALUES FROM (MINVALUE) TO ('2000-01-01')"
    plain = _columns({n: (t, needed, "") for n, (t, needed, _) in _COLUMNS.items()})
    return tuple(
        Table(SCHEMA, at.name, columns=plain, indexes=_lookups(at), triggers=guards(at, partition=True), partition_of=LOG,
              partition_bound=bound, owner=owner, acl=None)
        for at, bound in sorted(bounds.items())
    )  # fmt: skip


def _lookups(at: ObjectId) -> tuple[Index, ...]:
    """The indexes by a row's key, of the trail or of one of its partitions; each partition's is told, or the trail's would stay invalid."""
    split = at == LOG
    made = []
    for column, key in (("key", IndexKey("key_hash")), ("new_key", IndexKey(expression="hashtextextended((new_key)::text, 0)"))):
        where = "new_key IS NOT NULL" if column == "new_key" else ""
        name = f"{at.name}_{column}"
        made.append(
            Index(
                SCHEMA, name, at.name, keys=(key,), predicate=where, partitioned=split,
                parent=None if split else ObjectId("index", SCHEMA, f"{LOG.name}_{column}"),
                definition=f"CREATE INDEX {name} ON {'ONLY ' * split}{at.sql()} USING btree ({key.column or key.expression})"
                + (f" WHERE ({where})" if where else ""),
            )
        )  # fmt: skip
    return tuple(made)


def seals(owner: str, acl: Acl) -> Table:
    """The table of seals."""
    comment = "Chain of hashes over audit_log, made by pgcharter audit seal and proven by pgcharter audit verify"
    return Table(
        SCHEMA, SEALS.name, columns=_columns(_SEAL_COLUMNS), constraints=(_primary("audit_seals_pkey", ("seal",)),),
        indexes=(_index(SEALS, "audit_seals_pkey", ("seal",), primary=True),), triggers=guards(SEALS),
        owner=owner, acl=acl, comment=comment,
    )  # fmt: skip


def number(owner: str) -> Sequence:
    """The sequence that says in which order rows were written; without a cache, or sessions would draw them out of order."""
    return Sequence(SCHEMA, NUMBER.name, owner=owner, comment="Numbers of audit_log")


def guards(at: ObjectId, *, partition: bool = False) -> tuple[Trigger, ...]:
    """The triggers that refuse changes of what is recorded. Partitions have the one of rows from their parent."""
    function = ObjectId("function", SCHEMA, "audit_guard()")
    rows = Trigger(
        "audit_guard_rows", function, "before", ("update", "delete"), enabled="always", parent=partition,
        definition=f"CREATE TRIGGER audit_guard_rows BEFORE UPDATE OR DELETE ON {at.sql()} FOR EACH ROW EXECUTE FUNCTION {function.sql()}",
    )  # fmt: skip
    whole = Trigger(
        "audit_guard_whole", function, "before", ("truncate",), level="statement", enabled="always",
        definition=f"CREATE TRIGGER audit_guard_whole BEFORE TRUNCATE ON {at.sql()} FOR EACH STATEMENT EXECUTE FUNCTION {function.sql()}",
    )  # fmt: skip
    return rows, whole


def _columns(of: Mapping[str, tuple[str, bool, str]]) -> tuple[Column, ...]:
    return tuple(
        Column(name, i, DataType(sql, name=_TYPES.get(sql, sql), array=sql.endswith("[]")), not_null=needed, comment=comment)
        for i, (name, (sql, needed, comment)) in enumerate(of.items(), 1)
    )


def _primary(name: str, columns: tuple[str, ...]) -> Constraint:
    return Constraint(name, "primary key", columns, f"PRIMARY KEY ({', '.join(columns)})", index=name)


def _index(at: ObjectId, name: str, columns: tuple[str, ...], *, primary: bool = False) -> Index:
    return Index(
        at.schema, name, at.name, keys=tuple(map(IndexKey, columns)), unique=True, primary=primary, constraint=name,
        partitioned=at == LOG, definition=f"CREATE UNIQUE INDEX {quote(name)} ON {at.sql()} USING btree ({', '.join(columns)})",
    )  # fmt: skip
