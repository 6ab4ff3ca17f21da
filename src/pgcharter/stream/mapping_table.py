"""One mapping on one relation: which columns of a change become which fields of a row, and whether there is one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby, repeat
from operator import itemgetter
from typing import Any

from pgcharter.errors import CharterError
from pgcharter.names import quote
from pgcharter.policy.sync_settings import LookupTable, MappingTable
from pgcharter.stream.errors import SinkRefusedError
from pgcharter.stream.mapping_filter import Holds, parse
from pgcharter.stream.mapping_masks import mask
from pgcharter.stream.model import UNCHANGED, Change, Field, Relation, Row, Shape, Value
from pgcharter.stream.source import sql_of
from pgcharter.stream.values import load

Values = tuple[Value, ...]
Load = Callable[[Any], Any]


@dataclass(frozen=True)
class Catalog:
    """What a relation's description in the stream does not say."""

    primary: tuple[str, ...] = ()
    domains: Mapping[int, str] = field(default_factory=dict)
    """Oid of a type → the type that its values are stored as."""


@dataclass
class Mapped:
    """A mapping made for a relation."""

    mapping: MappingTable
    relation: Relation
    shape: Shape
    """Without a tenant in its name."""
    names: tuple[str, ...]
    """Fields that come of the relation's columns."""
    pick: Callable[[Sequence[Any]], Sequence[Any]] | None
    """Columns that are copied; None: all, in order."""
    makes: Mapping[str, Load]
    """Fields whose text becomes something else, and what."""
    texts: frozenset[str]
    """Of these the fields whose values stay text all the same; their keys do not."""
    conditions: tuple[tuple[int, Load | None, Holds], ...]
    tenant: int | None
    at: Mapping[str, int]
    """Column → its place."""
    shapes: dict[str | None, Shape] = field(default_factory=dict)
    """Tenant → shape."""

    def __post_init__(self) -> None:
        self.key = self.shape.key
        renamed = {self.mapping.rename.get(c, c): i for c, i in self.at.items()}
        self._places = {n: renamed[n] for n in self.names}
        self._loads = [(i, self.makes[n]) for i, n in enumerate(self.names) if n in self.makes and n not in self.texts]
        self._keys = [(self.names.index(k), self.makes.get(k) if k in self.texts else None) for k in self.key]
        places = range(len(self.names))
        items = ", ".join(f"{n!r}: v{i}" for i, n in enumerate(self.names))
        self._values = eval(f"lambda {', '.join(f'v{i}' for i in places)}: {{{items}}}")  # noqa: S307 - twice as quick as dict(zip(…))
        if self.tenant is None:
            self.shapes[None] = self.shape

    def rows(self, changes: Sequence[Change]) -> list[Row]:
        """What a store is to do for changes, in order; values of lookups are not among them."""
        found: list[Row] = []
        for simple, some in groupby(changes, self._simple):
            run = list(some)
            found += self._puts(run) if simple else [row for change in run for row in self._rows(change)]
        return found

    def _simple(self, change: Change) -> bool:
        """Whether it is one row, all of which it says."""
        new = change.new
        if new is None or change.old is not None or (change.op != "insert" and UNCHANGED in new):
            return False
        return (not self.conditions or self._wanted(new)) and (self.tenant is None or new[self.tenant] is not None)

    def _puts(self, changes: Sequence[Change]) -> list[Row]:
        """Rows of changes, column by column, which is quicker than one by one."""
        shapes = repeat(self.shape) if self.tenant is None else [self._shape(c[2] or ()) for c in changes]
        values = list(zip(*[c[2] or () for c in changes], strict=True))
        columns: list[Any] = list(values if self.pick is None else self.pick(values))
        for at, of in self._loads:
            columns[at] = _converted(columns[at], of)
        keys = zip(*(columns[at] if of is None else _converted(columns[at], of) for at, of in self._keys), strict=True)
        found, new = map(self._values, *columns), tuple.__new__
        return [
            new(Row, (shape, "put", key, made, change[4])) for shape, key, made, change in zip(shapes, keys, found, changes, strict=False)
        ]

    def _rows(self, change: Change) -> list[Row]:
        new, old = change.new, change.old
        if change.op == "truncate":
            return [Row(shape, "clear", (), {}, change.stamp) for shape in self.shapes.values()]
        if new is None:
            return self._gone(old or (), None, change)
        if UNCHANGED in new and old is not None and self.relation.identity == "full":
            new = tuple(o if n is UNCHANGED else n for n, o in zip(new, old, strict=True))
        made = self._put(new, old, change)
        if change.op == "insert" or (old is None and made is not None):
            return [] if made is None else [made]
        gone = self._gone(new if old is None else old, new, change)
        if made is None:
            return gone
        return [made] if gone and gone[0].key == made.key and gone[0].shape is made.shape else [*gone, made]

    def _wanted(self, new: Values) -> bool:
        """Whether the filter lets a row through."""
        for at, made, holds in self.conditions:
            value = new[at]
            if not holds(value if value is None or made is None or value is UNCHANGED else made(value)):
                return False
        return True

    def _put(self, new: Values, old: Values | None, change: Change) -> Row | None:
        """The row as it is now; None where it is not to be there."""
        if not self._wanted(new) or (self.tenant is not None and new[self.tenant] is None):
            return None
        unknown = {n: at for n, at in self._places.items() if new[at] is UNCHANGED}
        known = {at: old[at] for n, at in unknown.items() if old is not None and n in self.key and old[at] is not None}
        (row,) = self._puts([change._replace(new=tuple([known.get(i) if v is UNCHANGED else v for i, v in enumerate(new)]))])
        return row._replace(values={n: v for n, v in row.values.items() if n not in unknown or unknown[n] in known}) if unknown else row

    def _gone(self, old: Values, new: Values | None, change: Change) -> list[Row]:
        """The delete of what identified a row; of one that was no tenant's there is none."""
        key = []
        for name in self.key:
            value = old[self._places[name]]
            if value is None and new is not None:
                value = new[self._places[name]]
            key.append(self.makes[name](value) if name in self.makes and value is not None else value)
        shape = self.shape if self.tenant is None else self._shape(old)
        return [Row(shape, "delete", tuple(key), {}, change.stamp)] if shape is not None else []

    def _shape(self, values: Values) -> Shape | None:
        """The shape of a row's tenant; a row without one is nobody's and not copied."""
        assert self.tenant is not None  # noqa: S101
        tenant = values[self.tenant]
        return self.of_tenant(str(tenant)) if tenant is not None else None

    def of_tenant(self, tenant: str) -> Shape:
        """The shape of a tenant."""
        found = self.shapes.get(tenant)
        if found is None:
            found = self.shapes[tenant] = replace(self.shape, to=self.shape.to.replace("{tenant}", tenant))
        return found


def _converted(column: Sequence[Any], of: Load) -> list[Any]:
    return [None if v is None else of(v) for v in column] if None in column else list(map(of, column))


def made(
    mapping: MappingTable, relation: Relation, catalog: Catalog, lookups: Sequence[Relation], secret: bytes, *, texts: bool = False
) -> Mapped:
    """A mapping on a relation; with `texts` values stay as PostgreSQL wrote them, but for masks.

    Raises SinkRefusedError where a column is not there or rows cannot be told apart; CharterError for what is written wrongly.
    """
    at = {c.name: i for i, c in enumerate(relation.columns)}
    types = {c.name: catalog.domains.get(c.type_oid, c.type) for c in relation.columns}
    copied = mapping.columns or tuple(at)
    key = _key(mapping, relation, catalog)
    _there(mapping, at, (*copied, *key, *mapping.mask, *mapping.rename, *([mapping.tenant] if mapping.tenant else [])))
    copied = (*copied, *(k for k in key if k not in copied))
    makes, fields = {}, []
    for column in copied:
        name, (kind, of) = mapping.rename.get(column, column), _field(mapping, column, types[column], secret)
        fields.append(Field(name, kind, key=column in key))
        if of is not None:
            makes[name] = of
    fields += [f for lookup, other in zip(mapping.lookup, lookups, strict=True) for f in looked_up(mapping, lookup, other)]
    _distinct(mapping, fields)
    shape = Shape(mapping.to or relation.name, tuple(fields), sql_of(relation))
    places = [at[c] for c in copied]
    pick = None if places == list(range(len(at))) else itemgetter(*places) if len(places) > 1 else (lambda v, p=places[0]: (v[p],))
    names = tuple(mapping.rename.get(c, c) for c in copied)
    tenant = at[mapping.tenant] if mapping.tenant else None
    kept = frozenset(mapping.rename.get(c, c) for c in copied if c not in mapping.mask) if texts else frozenset()
    return Mapped(mapping, relation, shape, names, pick, makes, kept, _conditions(mapping, at, types), tenant, at)


def place_of(mapping: MappingTable) -> str:
    """Where a mapping stands, for messages."""
    return f"[[sync.mapping]] {mapping.table} → {mapping.sink}"


def _field(mapping: MappingTable, column: str, type: str, secret: bytes) -> tuple[str, Load | None]:  # noqa: A002
    """The type of a column's field, and what becomes of its text."""
    loaded = load(type)
    word = mapping.mask.get(column)
    if word is None:
        return type, loaded
    masked = mask(word, secret, place_of(mapping))
    return (type if word == "null" else "text"), (lambda v: masked(v if loaded is None else loaded(v)))


def looked_up(mapping: MappingTable, lookup: LookupTable, other: Relation) -> list[Field]:
    """The fields that a lookup gives."""
    types = {c.name: c.type for c in other.columns}
    _there(mapping, types, (*lookup.columns, *lookup.on.values()), lookup.table)
    return [Field(lookup.prefix + c, types[c]) for c in lookup.columns]


def _conditions(mapping: MappingTable, at: Mapping[str, int], types: Mapping[str, str]) -> tuple[tuple[int, Load | None, Holds], ...]:
    found = [parse(text, place_of(mapping)) for text in mapping.filter]
    _there(mapping, at, [c.column for c in found])
    return tuple((at[c.column], load(types[c.column]), c.of(types[c.column])) for c in found)


def _there(mapping: MappingTable, columns: Mapping[str, Any], wanted: Sequence[str], table: str = "") -> None:
    """Raise SinkRefusedError for a column that is not there."""
    for name in wanted:
        if name not in columns:
            there = ", ".join(map(quote, columns))
            where = table or mapping.table
            raise SinkRefusedError(
                f"column {quote(name)}, which the mapping names, is not (or no longer) in {where}",
                hint=f"it has {there}: name others in the charter; or add it again, then pgcharter sync reset {mapping.sink}",
                place=place_of(mapping),
            )


def _distinct(mapping: MappingTable, fields: Sequence[Field]) -> None:
    names = [f.name for f in fields]
    twice = sorted({n for n in names if names.count(n) > 1})
    if twice:
        raise CharterError(
            f"two columns become {quote(twice[0])}", hint="give one another name by rename or prefix", place=place_of(mapping)
        )


def _key(mapping: MappingTable, relation: Relation, catalog: Catalog) -> tuple[str, ...]:
    """The columns that tell rows apart. Raises SinkRefusedError where a delete would not say them."""
    identity = tuple(c.name for c in relation.columns if c.key)
    full = relation.identity == "full"
    key = mapping.key or (catalog.primary if full else identity)
    to = sql_of(relation)
    if not key:
        hint = f"ALTER TABLE {to} ADD PRIMARY KEY (…)" if relation.identity != "nothing" else f"ALTER TABLE {to} REPLICA IDENTITY DEFAULT"
        raise SinkRefusedError(
            f"{to} has no key, so updates and deletes would not say of which row they are", hint=hint, place=place_of(mapping)
        )
    for name in (*key, *([mapping.tenant] if mapping.tenant else [])):
        if not full and name not in identity and name in {c.name for c in relation.columns}:
            raise SinkRefusedError(
                f"column {quote(name)} is not in the replica identity of {to}, so a delete would not say which row of the copy goes",
                hint=f"ALTER TABLE {to} REPLICA IDENTITY FULL",
                place=place_of(mapping),
            )
    unmasked = [name for name in key if mapping.mask.get(name, "hash") != "hash"]
    if unmasked:
        raise CharterError(
            f"key column {quote(unmasked[0])} is masked so that keys would be the same", hint='mask it by "hash"', place=place_of(mapping)
        )
    return key
