"""What stands around a relation in a catalog, sorted into roles: a statement about the relation may lock any of it.

Roles are purely a matter of structure. Which of them a statement does lock, servers have told (`locks.json`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property, lru_cache

from pgcharter.catalog.model import Catalog, Index, Sequence, Table, UserType, View
from pgcharter.names import ObjectId
from pgcharter.plan import touched as touched_by
from pgcharter.plan.touched import NOTHING, Touched

Relation = Table | View | Sequence | Index
Roles = Mapping[str, tuple[ObjectId, ...]]


class Surroundings:
    """A catalog with the ways back: from a table to its partitions, indexes, keys, sequences, views."""

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog

    @cached_property
    def relations(self) -> Mapping[tuple[str, str], Relation]:
        """Whatever a name in FROM or after ON could mean, by schema and name."""
        found: dict[tuple[str, str], Relation] = {}
        groups: tuple[Iterable[Relation], ...] = (self.catalog.sequences, self.catalog.views, self.catalog.tables)
        for group in groups:
            for item in group:
                found[item.schema, item.name] = item
                if isinstance(item, Table | View):
                    found.update({(i.schema, i.name): i for i in item.indexes})
        return found

    @cached_property
    def children(self) -> Mapping[ObjectId, tuple[Table, ...]]:
        """Direct partitions and inheriting tables, by parent."""
        found: dict[ObjectId, list[Table]] = {}
        for table in self.catalog.tables:
            for parent in parents(table):
                found.setdefault(parent, []).append(table)
        return {parent: tuple(tables) for parent, tables in found.items()}

    @cached_property
    def sequences(self) -> Mapping[ObjectId, tuple[Sequence, ...]]:
        """Sequences by the table of the column that owns them."""
        found: dict[ObjectId, list[Sequence]] = {}
        for sequence in self.catalog.sequences:
            if sequence.owned_by is not None:
                found.setdefault(sequence.owned_by.owner, []).append(sequence)
        return {table: tuple(items) for table, items in found.items()}

    @cached_property
    def sequence_users(self) -> Mapping[ObjectId, tuple[ObjectId, ...]]:
        """Tables with a default that draws from a sequence, by sequence."""
        found: dict[ObjectId, dict[ObjectId, None]] = {}
        for dependency in self.catalog.dependencies:
            if dependency.referenced.kind == "sequence":
                found.setdefault(dependency.referenced, {})[dependency.dependent.owner] = None
        return {sequence: tuple(users) for sequence, users in found.items()}

    @cached_property
    def drawn(self) -> Mapping[ObjectId, tuple[ObjectId, ...]]:
        """Sequences that a table's defaults draw from, by table."""
        found: dict[ObjectId, list[ObjectId]] = {}
        for sequence, users in self.sequence_users.items():
            for user in users:
                found.setdefault(user, []).append(sequence)
        return {table: tuple(sequences) for table, sequences in found.items()}

    @cached_property
    def readers(self) -> Mapping[tuple[str, str], tuple[ObjectId, ...]]:
        """Views by what they read, as schema and name."""
        return self._views(lambda view, other: (other, view))

    @cached_property
    def column_readers(self) -> Mapping[ObjectId, tuple[ObjectId, ...]]:
        """Views that read a column, by column."""
        found: dict[ObjectId, list[ObjectId]] = {}
        for dependency in self.catalog.dependencies:
            view = self.find(dependency.dependent.schema, dependency.dependent.name)
            if dependency.referenced.kind == "column" and isinstance(view, View):
                found.setdefault(dependency.referenced, []).append(view.id)
        return {column: tuple(views) for column, views in found.items()}

    @cached_property
    def sources(self) -> Mapping[tuple[str, str], tuple[ObjectId, ...]]:
        """Relations that a view reads, by the view's schema and name."""
        return self._views(lambda view, other: (view, other))

    def _views(self, sides: object) -> Mapping[tuple[str, str], tuple[ObjectId, ...]]:
        found: dict[tuple[str, str], dict[ObjectId, None]] = {}
        for dependency in self.catalog.dependencies:
            view = self.find(dependency.dependent.schema, dependency.dependent.name)
            other = self.find(dependency.referenced.schema, dependency.referenced.name)
            if isinstance(view, View) and isinstance(other, Table | View) and view is not other:
                key, value = sides(view, other)  # type: ignore[operator]
                found.setdefault((key.schema, key.name), {})[value.id] = None
        return {key: tuple(values) for key, values in found.items()}

    @cached_property
    def type_users(self) -> Mapping[tuple[str, str], tuple[ObjectId, ...]]:
        """Tables and materialized views with a column of a user's type, by its schema and name; domains are looked through."""
        found: dict[tuple[str, str], dict[ObjectId, None]] = {}
        holders: tuple[Table | View, ...] = (*self.catalog.tables, *(v for v in self.catalog.views if v.kind == "materialized view"))
        for holder in holders:
            for column in holder.columns:
                for name in self._under((column.type.schema, column.type.name)):
                    found.setdefault(name, {})[holder.id] = None
        return {name: tuple(users) for name, users in found.items()}

    def _under(self, name: tuple[str, str]) -> Iterator[tuple[str, str]]:
        """A user's type and, while it is a domain, the one under it."""
        kind = self.catalog.type.get(name)
        while kind is not None:
            yield kind.schema, kind.name
            kind = self.catalog.type.get((kind.base.schema, kind.base.name)) if kind.kind == "domain" and kind.base else None

    def find(self, schema: str, name: str, path: tuple[str, ...] = ("public",)) -> Relation | None:
        """The relation that a name means; an unqualified one is looked for along `path`."""
        for place in (schema,) if schema else path:
            if found := self.relations.get((place, name)):
                return found
        return None

    def user_type(self, schema: str, name: str, path: tuple[str, ...] = ("public",)) -> UserType | None:
        """The user's type that a name means."""
        for place in (schema,) if schema else path:
            if found := self.catalog.type.get((place, name)):
                return found
        return None

    def constrained(self, domain: UserType) -> bool:
        """Whether a domain, or one under it, checks its values."""
        names = self._under((domain.schema, domain.name))
        return any(d.not_null or d.constraints for d in (self.catalog.type[n] for n in names) if d.kind == "domain")

    def descendants(self, table: Table) -> tuple[Table, ...]:
        """Partitions or inheriting tables, at every depth."""
        found: dict[ObjectId, Table] = {}
        waiting = list(self.children.get(table.id, ()))
        while waiting:
            child = waiting.pop()
            if child.id not in found:
                found[child.id] = child
                waiting += self.children.get(child.id, ())
        return tuple(found.values())

    def ancestors(self, table: Table) -> tuple[Table, ...]:
        """Parents, theirs, and so on."""
        found: dict[ObjectId, Table] = {}
        waiting = list(parents(table))
        while waiting:
            parent = self.catalog.table.get(waiting.pop())
            if parent is not None and parent.id not in found:
                found[parent.id] = parent
                waiting += parents(parent)
        return tuple(found.values())

    def roles(self, target: Relation, touched: Touched = NOTHING) -> Roles:
        """Everything around `target`, each relation in one role only."""
        found: dict[ObjectId, str] = {target.id: "target"}
        for role, item in self._around(target, touched):
            found.setdefault(item, role)
        sorted_out: dict[str, list[ObjectId]] = {}
        for item, role in found.items():
            sorted_out.setdefault(role, []).append(item)
        return {role: tuple(items) for role, items in sorted_out.items()}

    def _around(self, target: Relation, touched: Touched) -> Iterator[tuple[str, ObjectId]]:
        if isinstance(target, Index):
            yield from self._around_index(target)
        elif isinstance(target, Sequence):
            if target.owned_by is not None:
                yield "owning table", target.owned_by.owner
            yield from (("user", user) for user in self.sequence_users.get(target.id, ()))
        else:
            if isinstance(target, Table):
                yield from self._around_table(target, touched)
            else:
                yield from touched_by.indexes(target, touched, "index")
            yield from self._dependent_views(target, touched)
            if isinstance(target, View):
                yield from self.read(target)

    def _dependent_views(self, relation: Table | View, touched: Touched) -> Iterator[tuple[str, ObjectId]]:
        read = {v for c in touched.columns for v in self.column_readers.get(relation.part("column", c), ())}
        direct = self.readers.get((relation.schema, relation.name), ())
        waiting = [*((v, "") for v in direct if v in read), *((v, "other ") for v in direct if v not in read)]
        seen: set[ObjectId] = set()
        while waiting:
            view, other = waiting.pop(0)
            if view not in seen:
                seen.add(view)
                yield f"{other}view", view
                found = self.relations.get((view.schema, view.name))
                yield from ((f"index of {other}view", i.id) for i in found.indexes) if isinstance(found, View) else ()
                waiting += [(v, other) for v in self.readers.get((view.schema, view.name), ())]

    def _around_index(self, index: Index) -> Iterator[tuple[str, ObjectId]]:
        table = self.relations.get((index.schema, index.table))
        if isinstance(table, Table | View):
            yield "table of index", table.id
            yield from (("other index", i.id) for i in table.indexes)
        if index.parent is not None:
            yield "parent index", index.parent
            parent = self.relations.get((index.parent.schema, index.parent.name))
            if isinstance(parent, Index):
                yield "table of parent index", ObjectId("table", parent.schema, parent.table)
        if isinstance(table, Table):
            for descendant in self.descendants(table):
                yield "partition", descendant.id
                yield from (
                    ("index of partition" if i.parent is not None else "other index of partition", i.id) for i in descendant.indexes
                )

    def _around_table(self, table: Table, touched: Touched) -> Iterator[tuple[str, ObjectId]]:
        yield from touched_by.indexes(table, touched, "index")
        yield from self._keys(table, touched)
        for sequence in self.sequences.get(table.id, ()):
            owned = sequence.owned_by
            yield ("" if owned and owned.part in touched.columns else "other ") + "owned sequence", sequence.id
        below = "partition" if table.kind == "partitioned table" else "child"
        for descendant in self.descendants(table):
            default = descendant.partition_of == table.id and descendant.partition_bound == "DEFAULT"
            yield "default partition" if default else below, descendant.id
            yield from touched_by.indexes(descendant, touched_by.inherited(table, touched), f"index of {below}")
        for descendant in self.descendants(table):
            for other, _ in self.catalog.referencing.get(descendant.id, ()):
                yield from self._with_partitions(f"referencing {below}", other.id)
        yield from self._above(table)
        yield from self._sharers(table, touched)

    def _sharers(self, table: Table, touched: Touched) -> Iterator[tuple[str, ObjectId]]:
        """Other tables that draw from its sequences, and other sequences that it draws from."""
        for sequence in self.sequences.get(table.id, ()):
            other = "" if sequence.owned_by and sequence.owned_by.part in touched.columns else "other "
            yield from ((f"user of {other}sequence", user) for user in self.sequence_users.get(sequence.id, ()))
        yield from (("drawn sequence", sequence) for sequence in self.drawn.get(table.id, ()))

    def _keys(self, table: Table, touched: Touched) -> Iterator[tuple[str, ObjectId]]:
        """Foreign keys out and in: of the table, and of its partitions where they differ."""
        for key in sorted(table.foreign_keys, key=lambda k: not touched_by.meant(k, touched)):
            if key.references is not None:
                role = "referenced" if touched_by.meant(key, touched) else "other referenced"
                yield from self._with_partitions(role + " through parent" * key.inherited, key.references)
        incoming = [(touched_by.backed(table, key, touched), other.id) for other, key in self.catalog.referencing.get(table.id, ())]
        for meant, other in sorted(incoming, key=lambda pair: not pair[0]):
            yield from self._with_partitions("referencing" if meant else "other referencing", other)

    def _with_partitions(self, role: str, table: ObjectId) -> Iterator[tuple[str, ObjectId]]:
        yield role, table
        found = self.catalog.table.get(table)
        if found is None:
            return
        for index in found.indexes:
            yield f"{'partitioned ' * (index.partitioned and role == 'source')}index of {role}", index.id
        below = "partition" if found.kind == "partitioned table" else "child"
        for descendant in self.descendants(found):
            yield f"{below} of {role}", descendant.id
            for index in descendant.indexes:
                yield f"{'partitioned ' * (index.partitioned and role == 'source')}index of {below} of {role}", index.id
        yield from ((f"parent of {role}", a.id) for a in self.ancestors(found))

    def read(self, view: View, under: str = "") -> Iterator[tuple[str, ObjectId]]:
        """What a view reads, and what views among that read: the latter `under view`."""
        waiting, seen = [(view.id, under)], {view.id}
        while waiting:
            here, suffix = waiting.pop()
            for source in self.sources.get((here.schema, here.name), ()):
                if source not in seen:
                    seen.add(source)
                    yield from ((role + suffix, item) for role, item in self.reading(source))
                    waiting += [(source, " under view")] if source.kind == "view" else []

    def reading(self, relation: ObjectId) -> Iterator[tuple[str, ObjectId]]:
        """The roles around a relation that a query names."""
        if relation.kind == "view":
            yield "source view", relation
        else:
            yield from self._with_partitions("source", relation)
            found = self.relations.get((relation.schema, relation.name))
            yield from (("index of source", i.id) for i in found.indexes) if isinstance(found, View) else ()

    def _above(self, table: Table) -> Iterator[tuple[str, ObjectId]]:
        direct = set(parents(table))
        for ancestor in self.ancestors(table):
            yield "parent" if ancestor.id in direct else "ancestor", ancestor.id
            for other, _ in self.catalog.referencing.get(ancestor.id, ()):
                yield from self._with_partitions("referencing parent", other.id)
            yield from (("index of parent", i.id) for i in ancestor.indexes)
            for sibling in self.descendants(ancestor):
                default = sibling.partition_of in direct and sibling.partition_bound == "DEFAULT"
                yield "default sibling" if default else "sibling", sibling.id
                yield from (("index of sibling", i.id) for i in sibling.indexes)


def parents(table: Table) -> tuple[ObjectId, ...]:
    """The tables that a table is a partition of or inherits from."""
    return ((table.partition_of,) if table.partition_of is not None else ()) + table.inherits


class _Same:
    """A catalog as a key by identity: comparing two catalogs takes as long as reading them."""

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog

    def __hash__(self) -> int:
        return id(self.catalog)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and other.catalog is self.catalog


def around(catalog: Catalog) -> Surroundings:
    """The surroundings in `catalog`, worked out once for each catalog."""
    return _around(_Same(catalog))


@lru_cache(maxsize=8)
def _around(key: _Same) -> Surroundings:
    return Surroundings(key.catalog)
