"""The mappings of one sink: changes of the source become rows of the store."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import groupby
from operator import itemgetter
from typing import Any, TypeVar

import psycopg
from psycopg.pq import TransactionStatus

from pgcharter.db import Connection, queries
from pgcharter.errors import CharterError, ConnectError
from pgcharter.names import quote
from pgcharter.policy.sync_settings import LookupTable, MappingTable, SyncSection
from pgcharter.stream import mapping_lookups as lookups
from pgcharter.stream.errors import SinkDownError
from pgcharter.stream.mapping_filter import parse
from pgcharter.stream.mapping_masks import mask
from pgcharter.stream.mapping_table import Catalog, Mapped, made, place_of
from pgcharter.stream.model import Change, Relation, Row, Shape
from pgcharter.stream.source import flush, sql_of

T = TypeVar("T")
SQL = queries.load("pgcharter.stream", "mapping.sql")
Incomplete = tuple[int, Mapped, Change]
"""Place of a row that looks something up, its mapping, and its change."""
_FIRST_OWN_OID = 16384
"""Oids of what is not built in begin here (FirstNormalObjectId in access/transam.h)."""


def check(section: SyncSection) -> None:
    """Raise CharterError for mappings that cannot be meant: of no sink, two to one place, a tenant not used, words that are none."""
    sinks = {sink.name for sink in section.sink}
    taken: dict[tuple[str, str], MappingTable] = {}
    for mapping in section.mapping:
        place = place_of(mapping)
        if mapping.sink not in sinks:
            known = ", ".join(sorted(sinks)) or "none"
            raise CharterError(
                f"there is no sink {mapping.sink}", hint=f'[[sync.sink]] name = "{mapping.sink}"; there are: {known}', place=place
            )
        to = (mapping.sink, mapping.to or mapping.table.rpartition(".")[2].strip('"'))
        if to in taken:
            raise CharterError(
                f"{mapping.table} and {taken[to].table} are both copied to {to[1]} of sink {mapping.sink}, so rows would mix",
                hint='give one of them another place: to = "…"',
                place=place,
            )
        taken[to] = mapping
        _check_one(mapping, place)


def _check_one(mapping: MappingTable, place: str) -> None:
    if ("{tenant}" in mapping.to) != bool(mapping.tenant):
        hint = 'to = "{tenant}_orders" goes with tenant = "tenant_id"'
        raise CharterError("a tenant is named and not used in `to`, or used and not named", hint=hint, place=place)
    for text in mapping.filter:
        parse(text, place)
    for word in mapping.mask.values():
        mask(word, b"checked later", place)


class Mappings:
    """Those of one sink (stream.mapper.Mapper). One thread at a time uses it.

    `source` connects to the source, for what its stream does not say: primary keys, domains, lookups, tenants. It is called at the
    first `relation`, and again after an error.
    """

    def __init__(
        self, mappings: Sequence[MappingTable], source: Callable[[], Connection], secret: bytes = b"", *, texts: bool = False
    ) -> None:
        looked = [lookup.table for m in mappings for lookup in m.lookup]
        self.tables: tuple[str, ...] = tuple(dict.fromkeys([*(m.table for m in mappings), *looked]))
        self._mappings, self._source, self._secret, self._texts = tuple(mappings), source, secret, texts
        self._conn: Connection | None = None
        self._relations: dict[str, Relation] = {}
        self._mapped: dict[int, list[Mapped]] = {}
        """Oid → mappings of it."""
        self._watched: dict[int, list[tuple[Mapped, LookupTable]]] = {}
        """Oid → lookups into it."""

    @property
    def shapes(self) -> tuple[Shape, ...]:
        """Of all relations seen so far, with those of tenants that are known."""
        return tuple(shape for mapped in self._all() for shape in mapped.shapes.values())

    def relation(self, relation: Relation) -> bool:
        """Note what a table looks like; give back whether shapes are others than before."""
        before, known = self.shapes, dict(self._relations)
        if not self._note(relation):
            return False
        try:
            self._remake(relation)
        except BaseException:
            self._relations = known  # rows of it must not be taken for what they were before
            raise
        return self.shapes != before

    def _remake(self, relation: Relation) -> None:
        for mapping in self._mappings:
            others = [self._relations.get(lookup.table) for lookup in mapping.lookup]
            of = self._relations.get(mapping.table)
            if of is not None and all(others) and relation in (of, *others):
                self._make(mapping, of, [o for o in others if o is not None])

    def whole(self, relation: Relation) -> bool:
        """Whether changes must come with all values."""
        return any(
            m.conditions or m.tenant is not None or m.mapping.lookup or (m.mapping.key and relation.identity != "full")
            for m in self._mapped.get(relation.oid, ())
        )

    def asks(self, relation: Relation) -> bool:
        """Whether it looks up others, or others look it up."""
        return relation.oid in self._watched or any(m.mapping.lookup for m in self._mapped.get(relation.oid, ()))

    def rows(self, changes: Sequence[Change]) -> list[Row]:
        """Rows of changes, in order. Raises SinkDownError where the source has to be asked and cannot be."""
        found: list[Row] = []
        incomplete: list[Incomplete] = []
        n = 0
        for relation, some in groupby(changes, itemgetter(0)):
            run = list(some)
            n += len(run)
            for mapped in self._mapped.get(relation.oid, ()):
                self._add(mapped, run, found, incomplete)
            if relation.oid in self._watched:
                self._refresh(changes, n, found, incomplete)
        return self._asked(lambda conn: self._completed(conn, found, incomplete)) if incomplete else found

    def close(self) -> None:
        """Let go of the source."""
        if self._conn is not None:
            self._conn.close()
            self._conn = None

    def _all(self) -> Iterator[Mapped]:
        for several in self._mapped.values():
            yield from several

    def _note(self, relation: Relation) -> bool:
        """Whether the relation is one of ours and not as it was."""
        new = False
        for name in (f"{relation.schema}.{relation.name}", sql_of(relation)):
            if name in self.tables and self._relations.get(name) != relation:
                self._relations[name] = relation
                new = True
        return new

    def _make(self, mapping: MappingTable, relation: Relation, others: Sequence[Relation]) -> None:
        catalog = self._asked(lambda conn: _catalog(conn, relation)) if _asks(relation) else Catalog()
        new = made(mapping, relation, catalog, others, self._secret, texts=self._texts)
        if mapping.tenant:
            for tenant in self._asked(lambda conn: _tenants(conn, relation, mapping.tenant)):
                new.of_tenant(tenant)
        kept = [m for m in self._mapped.get(relation.oid, []) if m.mapping is not mapping]
        self._mapped[relation.oid] = [*kept, new]
        self._watched = {}
        for mapped in self._all():
            for lookup in mapped.mapping.lookup:
                self._watched.setdefault(self._relations[lookup.table].oid, []).append((mapped, lookup))

    def _add(self, mapped: Mapped, changes: Sequence[Change], found: list[Row], incomplete: list[Incomplete]) -> None:
        """Add rows of changes; note those that look something up."""
        if not mapped.mapping.lookup:
            found += mapped.rows(changes)
            return
        for change in changes:
            made_of = mapped.rows([change])
            if change.new is not None:
                incomplete.extend((len(found) + i, mapped, change) for i, r in enumerate(made_of) if r.op == "put")
            found += made_of

    def _refresh(self, changes: Sequence[Change], n: int, found: list[Row], incomplete: list[Incomplete]) -> None:
        """Rows that look up what changed, once for each batch: behind the last change of a looked-up table, which is before `n`."""
        relation, stamp = changes[n - 1].relation, changes[n - 1].stamp
        if any(c.relation.oid == relation.oid for c in changes[n:]):
            return
        mine = [c for c in changes if c.relation.oid == relation.oid]
        for mapped, lookup in self._watched[relation.oid]:
            if keys := lookups.keys_of(mine, list(lookup.on.values())):
                self._add(mapped, list(self._asked(partial(lookups.dependents, mapped, lookup, relation, keys, stamp))), found, incomplete)

    def _completed(self, conn: Connection, found: list[Row], incomplete: Sequence[Incomplete]) -> list[Row]:
        """Rows with what they look up; NULL where it is not there."""
        values: dict[int, dict[str, Any]] = {n: dict(found[n].values) for n, _, _ in incomplete}
        for mapped in {id(m): m for _, m, _ in incomplete}.values():
            mine = [(n, c) for n, m, c in incomplete if m is mapped]
            for lookup in mapped.mapping.lookup:
                wanted = {n: _looked(mapped, lookup, c) for n, c in mine}
                keys = sorted({k for k in wanted.values() if k is not None})
                there = lookups.found(conn, lookup, self._relations[lookup.table], keys) if keys else {}
                nothing = dict.fromkeys(lookup.prefix + c for c in lookup.columns)
                for n, key in wanted.items():
                    values[n].update(there.get(key, nothing) if key is not None else nothing)
        return [row._replace(values=values[n]) if n in values else row for n, row in enumerate(found)]

    def _asked(self, ask: Callable[[Connection], T]) -> T:
        """What the source says. Raises SinkDownError when it cannot be asked."""
        try:
            if self._conn is None or self._conn.closed:
                self._conn = self._source()
            found = ask(self._conn)
            if self._conn.info.transaction_status == TransactionStatus.IDLE:  # else it is of a snapshot, and who took that sees to it
                flush(self._conn)
            return found
        except (ConnectError, psycopg.OperationalError) as error:
            self.close()
            raise SinkDownError(f"the source cannot be asked for what its stream does not say: {error}") from None


def _looked(mapped: Mapped, lookup: LookupTable, change: Change) -> lookups.Key | None:
    """The key that a row looks up; None where a part of it is NULL."""
    new = change.new or ()
    key = [new[mapped.at[c]] for c in lookup.on]
    return tuple(map(str, key)) if all(isinstance(v, str) for v in key) else None


def _asks(relation: Relation) -> bool:
    return relation.identity == "full" or any(c.type_oid >= _FIRST_OWN_OID for c in relation.columns)


def _catalog(conn: Connection, relation: Relation) -> Catalog:
    primary = tuple(name for (name,) in conn.execute(SQL["primary_key"].encode(), (relation.oid,)))
    own = [c.type_oid for c in relation.columns if c.type_oid >= _FIRST_OWN_OID]
    return Catalog(primary, dict(conn.execute(SQL["domains"].encode(), (own,)).fetchall()) if own else {})


def _tenants(conn: Connection, relation: Relation, column: str) -> list[str]:
    sql = SQL["tenants"].replace("{column}", quote(column)).replace("{table}", sql_of(relation))
    return [tenant for (tenant,) in conn.execute(sql.encode())]


def of_sink(
    section: SyncSection, sink: str, source: Callable[[], Connection], environ: Mapping[str, str], *, texts: bool = False
) -> Mappings:
    """The mappings of one sink of the charter. Raises CharterError as `check` does, and for a secret that is not set."""
    check(section)
    mine: Iterable[MappingTable] = [m for m in section.mapping if m.sink == sink]
    secret = environ.get(section.mask_key_env, "") if section.mask_key_env else ""
    if section.mask_key_env and not secret and any("hash" in m.mask.values() for m in mine):
        raise CharterError(f"environment variable {section.mask_key_env} is not set, so nothing can be masked by hash", place="[sync]")
    return Mappings(list(mine), source, secret.encode(), texts=texts)
