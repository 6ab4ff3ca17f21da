"""Indexes without stopping writers: built and dropped concurrently, replaced without a gap, one partition after the other.

What PostgreSQL says of it: documentation, "CREATE INDEX" (Building Indexes Concurrently), "ALTER INDEX ... ATTACH PARTITION".
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from pgcharter.catalog.model import Index, Table
from pgcharter.names import ObjectId, quote
from pgcharter.plan.model import Operation, Phase, Step
from pgcharter.plan.safe_ground import Ground, Piece, Sequence, dressing

_CREATE = re.compile(r"CREATE (UNIQUE )?INDEX ")
_NAMED = re.compile(r'(CREATE (?:UNIQUE )?INDEX )(?:"(?:[^"]|"")*"|\S+)( ON )(?:ONLY )?')
_WHY_CONCURRENTLY = "a plain CREATE INDEX stops writers until it is built"
_WHY_DROPPED = "a plain DROP INDEX stops readers and writers of the table while it waits for its lock"


def created(operation: Operation, ground: Ground) -> Sequence | None:
    """A new index; None when the plain statement disturbs nobody."""
    index: Index = operation.new
    table = owner(index)
    if operation.object in ground.done:
        return Sequence()
    if not ground.large(table):
        return None
    plain = ground.plain(operation)
    if not plain or not _CREATE.match(plain[0]):
        return None
    rest = tuple((ground.step(sql, dressing(sql, operation.object), operation.object),) for sql in plain[1:])
    if index.partitioned:
        made = tuple(Partitioned(ground, index, plain[0]).built(index.name))
    else:
        made = (concurrently(ground, index, plain[0], index.name),)
    if operation.cause or "drop" in ground.changes.get(operation.object, ()):
        return Sequence(after=(*made, *rest))
    return Sequence(before=made, core=rest)


def dropped(operation: Operation, ground: Ground) -> Sequence | None:
    """An index that goes for good; None for those that PostgreSQL does not drop concurrently."""
    index: Index = operation.old
    if index.partitioned or index.parent is not None or not ground.exists(owner(index)) or operation.cause:
        return None
    return Sequence(contract=((_drop(ground, index, Phase.CONTRACT),),))


def replaced(old: Operation, new: Operation, ground: Ground) -> Sequence | None:
    """An index of the same name and another form: the new one is there before the old one goes."""
    index: Index = new.new
    plain = ground.plain(new)
    if not ground.large(owner(index)) or not plain or not _CREATE.match(plain[0]) or index.partitioned != old.old.partitioned:
        return None
    name = ground.names.relation(index.schema, index.name, "new")
    rest = tuple((ground.step(sql, dressing(sql, new.object), new.object),) for sql in plain[1:])
    if index.partitioned:
        work = Partitioned(ground, index, plain[0])
        return Sequence(before=tuple(work.built(name)), core=(work.exchanged(name), *rest))
    renamed = _rename(ground, ObjectId("index", index.schema, name), index.name)
    why = f"the old {new.object} serves until the new one is complete; names are exchanged afterwards"
    return Sequence(before=(concurrently(ground, index, plain[0], name, why),), core=((_drop(ground, old.old),), (renamed,), *rest))


def owner(index: Index) -> ObjectId:
    """The relation it is on, as kind `table`."""
    return ObjectId("table", index.schema, index.table)


def concurrently(ground: Ground, index: Index, plain: str, name: str, why: str = "", table: Table | None = None) -> Piece:
    """CREATE INDEX CONCURRENTLY under `name`; `table` when the plain statement is another's, of a parent or of an older column."""
    on = "" if table is None else f"{table.id.sql()} "
    sql = renamed(plain, name, on).replace("INDEX ", "INDEX CONCURRENTLY ", 1)
    object = ObjectId("index", index.schema, name)  # noqa: A001
    return (ground.step(sql, f"build {object} concurrently", object, why=why or _WHY_CONCURRENTLY),)


def renamed(plain: str, name: str, on: str = "") -> str:
    """CREATE INDEX with another name, and on another table when `on` says which."""
    found = _NAMED.match(plain)
    if found is None:
        raise LookupError(f"no CREATE INDEX: {plain}")
    rest = plain[found.end() :]
    if on:
        rest = on + rest[_relation(rest) :].lstrip()
    return f"{found[1]}{quote(name)}{found[2]}{rest}"


_RELATION = re.compile(r'(?:"(?:[^"]|"")*"|[^\s."(]+)(?:\.(?:"(?:[^"]|"")*"|[^\s."(]+))?')


def _relation(text: str) -> int:
    found = _RELATION.match(text)
    return found.end() if found else 0


def _drop(ground: Ground, index: Index, phase: Phase = Phase.EXPAND) -> Step:
    sql = f"DROP INDEX CONCURRENTLY {index.id.sql()}"
    return ground.step(sql, f"drop {index.id} concurrently", index.id, phase=phase, why=_WHY_DROPPED)


def _rename(ground: Ground, index: ObjectId, name: str) -> Step:
    return ground.step(f"ALTER INDEX {index.sql()} RENAME TO {quote(name)}", f"rename {index} to {quote(name)}", index)


@dataclass(frozen=True)
class Partitioned:
    """An index of a partitioned table: an empty one on the parent, one on each partition concurrently, each attached."""

    ground: Ground
    index: Index
    plain: str
    """CREATE INDEX of the parent's."""
    waiting: list[tuple[ObjectId, str]] = field(default_factory=list)
    """Indexes of partitions under temporary names, and the names they shall get."""

    def built(self, name: str) -> Iterator[Piece]:
        """Pieces that build it under `name`; those of the partitions get their names of the catalog after when that is `index.name`."""
        parent = self.ground.a.table[owner(self.index)]
        empty = ObjectId("index", self.index.schema, name)
        sql = renamed(self.plain, name, f"ONLY {parent.id.sql()} ")
        why = "on a partitioned table an index cannot be built concurrently: it is built partition by partition and put together"
        yield (self.ground.step(sql, f"announce {empty} on {parent.id.sql()}", empty, why=why),)
        yield from self._of_partitions(parent, empty, self.index.id, temporary=name != self.index.name)

    def _of_partitions(self, parent: Table, above: ObjectId, wanted: ObjectId, *, temporary: bool) -> Iterator[Piece]:
        for table in self.ground.a.partitions.get(parent.id, ()):
            after = self.child(table, wanted)
            stem = after.name if after else joined_name(self.index.name, table.name)
            final = after is not None and not temporary
            name = stem if final else self.ground.names.relation(table.schema, stem, "new")
            if after is not None:
                self.ground.done.add(after.id)
                if temporary:
                    self.waiting.append((ObjectId("index", table.schema, name), stem))
            child = replace(self.index, schema=table.schema, name=name, table=table.name)
            if table.kind == "partitioned table":
                sql = renamed(self.plain, name, f"ONLY {table.id.sql()} ")
                yield (self.ground.step(sql, f"announce {child.id} on {table.id.sql()}", child.id),)
                yield from self._of_partitions(table, child.id, after.id if after else child.id, temporary=temporary)
            else:
                yield concurrently(self.ground, child, self.plain, name, table=table)
            attach = f"ALTER INDEX {above.sql()} ATTACH PARTITION {child.id.sql()}"
            yield (self.ground.step(attach, f"attach {child.id} to {above.sql()}", above),)

    def child(self, table: Table, wanted: ObjectId) -> Index | None:
        """The index of a partition that belongs to `wanted` in the catalog after."""
        after = self.ground.b.table.get(table.id)
        return next((i for i in after.indexes if i.parent == wanted), None) if after else None

    def exchanged(self, name: str) -> Piece:
        """The old one goes, the new ones get its name and those of its partitions' indexes."""
        old = self.index.id
        why = "PostgreSQL does not drop the index of a partitioned table concurrently; the lock is short, nothing is read"
        steps = [self.ground.step(f"DROP INDEX {old.sql()}", f"drop {old}", old, why=why)]
        final = [(ObjectId("index", old.schema, name), old.name), *self.waiting]
        return (*steps, *(_rename(self.ground, index, wanted) for index, wanted in final))


def joined_name(index: str, table: str) -> str:
    """A name for a partition's index that the catalog after does not name."""
    return f"{table}_{index}"
