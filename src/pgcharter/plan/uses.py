"""Who needs whom inside one catalog: what PostgreSQL recorded as dependencies, and what it keeps elsewhere."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from pgcharter.catalog.compare import default_privilege, security_label
from pgcharter.catalog.model import Catalog, Column, Constraint, DataType, Function, Index, Table, UserType, View
from pgcharter.names import ObjectId
from pgcharter.plan.within import NAME, bare, within, words

Whole = Table | View | UserType
"""What has parts."""

_QUALIFIED = re.compile(rf"({NAME})\.({NAME})")
_OPERATOR = re.compile(rf"OPERATOR\(({NAME})\.([^)]+)\)")
_PARTS = {"constraint": "constraints", "trigger": "triggers", "policy": "policies", "rule": "rules"}


def columns(whole: Whole) -> tuple[Column, ...]:
    """Columns of a relation, attributes of a composite type."""
    return whole.attributes if isinstance(whole, UserType) else whole.columns


@dataclass(frozen=True)
class Edges:
    """Who needs whom, seen from one end. What a relation's parts need of each other is worked out when it is first asked about."""

    uses: Uses
    across: Mapping[ObjectId, set[ObjectId]]
    """Between objects, and parts of different relations."""
    end: int
    """Which of a pair is asked with: 0 the one who needs, 1 what is needed."""
    _within: dict[tuple[str, str], dict[ObjectId, set[ObjectId]]] = field(default_factory=dict)

    def get(self, address: ObjectId, default: Iterable[ObjectId] = ()) -> set[ObjectId]:
        """The other ends; those of `default` where there are none."""
        found = self.across.get(address, set())
        relation = self.uses.relation(address)
        if relation is None:
            return found or set(default)
        key = relation.schema, relation.name
        if key not in self._within:
            inside: dict[ObjectId, set[ObjectId]] = {}
            for pair in within(relation):
                inside.setdefault(pair[self.end], set()).add(pair[1 - self.end])
            self._within[key] = inside
        return found | self._within[key].get(address, set()) or set(default)


@dataclass(frozen=True)
class Uses:
    """The needs of everything in one catalog. Made in one pass, in a time that grows with the catalog."""

    catalog: Catalog

    @cached_property
    def wholes(self) -> Mapping[tuple[str, str], Whole]:
        """Relations and types by schema and name; a relation hides the type of its rows."""
        items: tuple[Whole, ...] = (*self.catalog.types, *self.catalog.views, *self.catalog.tables)
        return {(w.schema, w.name): w for w in items}

    def container(self, address: ObjectId) -> Whole | None:
        """The relation or type that a part lives in; None for what is no part."""
        return self.wholes.get((address.schema, address.name)) if address.part else None

    @cached_property
    def _objects(self) -> Mapping[ObjectId, Any]:
        c = self.catalog
        groups: tuple[tuple[Any, ...], ...] = (
            (c.database,), c.schemas, c.tables, c.views, c.sequences, c.functions, c.types, c.extensions, c.event_triggers, c.publications,
            c.subscriptions, c.statistics, c.foreign_servers, c.collations, c.others,
        )  # fmt: skip
        found = {item.id: item for group in groups for item in group}
        found[ObjectId("database", "", "")] = c.database
        found.update({default_privilege(p): p for p in c.default_privileges})
        found.update({security_label(label): label for label in c.security_labels})
        return found

    def find(self, address: ObjectId) -> Any:
        """The object or part at an address; None where there is none."""
        if not address.part:
            return self.index[address][1] if address in self.index else self._objects.get(address)
        whole = self.wholes.get((address.schema, address.name))
        if whole is None:
            return None
        if address.kind == "column":
            return next((c for c in columns(whole) if c.name == address.part), None)
        parts = getattr(whole, _PARTS[address.kind], ())
        return next((p for p in parts if p.name == address.part), None)

    @cached_property
    def index(self) -> Mapping[ObjectId, tuple[Table | View, Index]]:
        """Indexes with their relation, by address."""
        relations: tuple[Table | View, ...] = (*self.catalog.tables, *self.catalog.views)
        return {i.id: (r, i) for r in relations for i in r.indexes}

    @cached_property
    def attached(self) -> Mapping[ObjectId, list[ObjectId]]:
        """Indexes of partitions by the partitioned index that they are attached to."""
        found: dict[ObjectId, list[ObjectId]] = {}
        for address, (_, index) in self.index.items():
            if index.parent is not None:
                found.setdefault(index.parent, []).append(address)
        return found

    @cached_property
    def member(self) -> Mapping[ObjectId, ObjectId]:
        """Objects that belong to an extension → that extension."""
        c = self.catalog
        groups = (c.schemas, c.tables, c.views, c.sequences, c.functions, c.types, c.event_triggers, c.collations, c.others)
        return {x.id: ObjectId("extension", "", x.extension) for group in groups for x in group if x.extension}

    def relation(self, address: ObjectId) -> Table | View | None:
        """The relation of a part or of an index."""
        if address.part:
            return self.catalog.relation.get((address.schema, address.name))
        return self.index[address][0] if address.kind == "index" and address in self.index else None

    @cached_property
    def of(self) -> Edges:
        """What each object or part needs; parts do not name the relation they live in, nor objects their schema."""
        found: dict[ObjectId, set[ObjectId]] = {}
        for d in self.catalog.dependencies:
            found.setdefault(d.dependent, set()).add(d.referenced)
        for source in (self._relations, self._types, self._functions, self._rest, self._texts):
            for user, needed in source():
                if user != needed:
                    found.setdefault(user, set()).add(needed)
        for address in [x for x in found if x.kind == "index" and x in self.index]:
            relation, index = self.index[address]
            if index.constraint:
                found.setdefault(relation.part("constraint", index.constraint), set()).update(found[address])
        return Edges(self, found, 0)

    @cached_property
    def by(self) -> Edges:
        """Who needs each object or part."""
        found: dict[ObjectId, set[ObjectId]] = {}
        for user, needs in self.of.across.items():
            for needed in needs:
                found.setdefault(needed, set()).add(user)
        return Edges(self, found, 1)

    def _relations(self) -> Iterator[tuple[ObjectId, ObjectId]]:
        methods = {o.name: o.id for o in self.catalog.others if o.kind == "access method"}
        for table in self.catalog.tables:
            for parent in (*table.inherits, *((table.partition_of,) if table.partition_of else ())):
                yield table.id, parent
            if table.server:
                yield table.id, ObjectId("server", "", table.server)
            if table.access_method in methods:
                yield table.id, methods[table.access_method]
            if table.of_type:
                yield from ((table.id, n) for n in self.named(table.of_type))
            for key in table.foreign_keys:
                yield from self._foreign_key(table, key)
            yield from self._handed_down(table)
        relations: tuple[Table | View, ...] = (*self.catalog.tables, *self.catalog.views)
        for relation in relations:
            for index in relation.indexes if methods else ():
                if index.method in methods:
                    yield index.id, methods[index.method]
            for column in relation.columns:
                if column.type.schema != "pg_catalog":
                    yield from self._column(relation, column)
            for index in relation.indexes:
                if index.parent is not None and index.parent in self.index:
                    above, parent = self.index[index.parent]
                    yield index.id, above.part("constraint", parent.constraint) if parent.constraint else parent.id
            for trigger in relation.triggers:
                yield relation.part("trigger", trigger.name), trigger.function

    def _handed_down(self, table: Table) -> Iterator[tuple[ObjectId, ObjectId]]:
        """A part that a parent hands down needs the parent's; a partition's foreign key may have a name of its own."""
        for parent in (self.catalog.table[p] for p in table.parents if p in self.catalog.table):
            theirs = {c.name for c in parent.constraints}
            for constraint in table.constraints:
                address = table.part("constraint", constraint.name)
                if constraint.name in theirs:
                    yield address, parent.part("constraint", constraint.name)
                elif constraint.kind == "foreign key" and constraint.inherited:
                    yield from (
                        (address, parent.part("constraint", k.name)) for k in parent.foreign_keys if k.columns == constraint.columns
                    )
            above = {c.name for c in parent.columns}
            yield from (
                (table.part("column", c.name), parent.part("column", c.name)) for c in table.columns if c.inherited and c.name in above
            )
            triggers = {t.name for t in parent.triggers}
            yield from ((table.part("trigger", t.name), parent.part("trigger", t.name)) for t in table.triggers if t.name in triggers)

    def _column(self, whole: Whole, column: Column) -> Iterator[tuple[ObjectId, ObjectId]]:
        if column.type.schema != "pg_catalog":
            address = ObjectId("column", whole.schema, whole.name, column.name)
            yield from ((address, t) for t in self.held(column.type))

    def held(self, type_: DataType) -> Iterator[ObjectId]:
        """The user's type behind a type as used: of an array that of its elements, of a multirange the range."""
        whole = self.wholes.get((type_.schema, type_.name)) or self._multiranges.get((type_.schema, type_.name))
        if whole is not None:
            yield whole.id

    @cached_property
    def _multiranges(self) -> Mapping[tuple[str, str], Whole]:
        found: dict[tuple[str, str], Whole] = {}
        for t in self.catalog.types:
            match = _QUALIFIED.fullmatch(t.multirange)
            if match:
                found[bare(match[1]), bare(match[2])] = t
        return found

    def _foreign_key(self, table: Table, constraint: Constraint) -> Iterator[tuple[ObjectId, ObjectId]]:
        address = table.part("constraint", constraint.name)
        target = self.catalog.table.get(constraint.references) if constraint.references else None
        if target is None:
            return
        yield address, target.id
        yield from ((address, target.part("column", c)) for c in constraint.referenced_columns)
        for index in target.indexes:
            if index.name == constraint.index:
                yield address, target.part("constraint", index.constraint) if index.constraint else index.id

    def _types(self) -> Iterator[tuple[ObjectId, ObjectId]]:
        for type_ in self.catalog.types:
            for attribute in type_.attributes:
                yield from self._column(type_, attribute)
            if type_.base is not None and type_.base.schema != "pg_catalog":
                yield from ((type_.id, t) for t in self.held(type_.base))
            for constraint in type_.constraints:
                address = ObjectId("constraint", type_.schema, type_.name, constraint.name)
                yield from ((address, n) for n in self.named(constraint.expression or constraint.definition))
            for option in type_.options:
                yield from ((type_.id, n) for n in self.named(option))

    def _functions(self) -> Iterator[tuple[ObjectId, ObjectId]]:
        for function in self.catalog.functions:
            yield from ((function.id, needed) for needed in self.signature(function))

    @cached_property
    def _languages(self) -> Mapping[str, ObjectId]:
        return {o.name: o.id for o in self.catalog.others if o.kind == "language"}

    def signature(self, function: Function) -> set[ObjectId]:
        """What a function needs whatever its body says."""
        found = {t for a in function.arguments if a.type.schema != "pg_catalog" for t in self.held(a.type)}
        texts = [function.support, *(a.default for a in function.arguments if a.default)]
        texts += [function.definition] if function.kind == "aggregate" else [function.returns]
        found.update(n for text in texts if "." in text for n in self.named(text))
        found.update({self._languages[function.language]} if function.language in self._languages else ())
        return found - {function.id}

    def body(self, function: Function) -> set[ObjectId]:
        """What only the body of a function needs."""
        return self.of.get(function.id) - self.signature(function)

    def _rest(self) -> Iterator[tuple[ObjectId, ObjectId]]:
        c = self.catalog
        for view in c.views:
            method = next((o.partition("=")[2] for o in view.options if o.startswith("access_method=")), "")
            yield from ((view.id, o.id) for o in c.others if method and o.kind == "access method" and o.name == method)
        wrappers = {o.name: o.id for o in c.others if o.kind == "foreign-data wrapper"}
        yield from ((e.id, e.function) for e in c.event_triggers)
        yield from ((s.id, s.owned_by) for s in c.sequences if s.identity and s.owned_by)
        yield from ((s.id, wrappers[s.wrapper]) for s in c.foreign_servers if s.wrapper in wrappers)
        yield from ((e.id, ObjectId("schema", "", e.schema)) for e in c.extensions if e.schema)
        for statistics in c.statistics:
            yield statistics.id, statistics.table
            columns = {*statistics.columns, *(w for text in statistics.expressions for w in words(text))}
            table = c.table.get(statistics.table)
            known = {x.name for x in table.columns} if table else set()
            yield from ((statistics.id, ObjectId("column", statistics.table.schema, statistics.table.name, x)) for x in columns & known)
            yield from ((statistics.id, n) for text in statistics.expressions for n in self.named(text))
        for publication in c.publications:
            yield from ((publication.id, ObjectId("schema", "", s)) for s in publication.schemas)
            for text in publication.tables:
                yield from ((publication.id, n) for n in self._published(text))
        for other in c.others:
            yield from ((other.id, n) for n in self.named(f"{other.name} {other.definition}") if n != other.id)

    def _published(self, text: str) -> Iterator[ObjectId]:
        match = _QUALIFIED.match(text)
        table = self.catalog.table.get(ObjectId("table", bare(match[1]), bare(match[2]))) if match else None
        if table is None or match is None:
            return
        yield table.id
        rest = text[match.end() :]
        mentioned = words(rest)
        yield from (table.part("column", c.name) for c in table.columns if c.name in mentioned)
        yield from self.named(rest)

    def _texts(self) -> Iterator[tuple[ObjectId, ObjectId]]:
        """Collations, operators and text search objects, which PostgreSQL records but the catalog's dependencies leave out."""
        own = {"operator", "operator class", "text search configuration", "text search dictionary"}
        if not self.catalog.collations and not any(o.kind in own and not o.extension for o in self.catalog.others):
            return
        wanted = {o.id for o in self.catalog.others if o.kind in own} | {c.id for c in self.catalog.collations}
        for address, text in self._definitions():
            yield from ((address, n) for n in self.named(text) if n in wanted)

    def _definitions(self) -> Iterator[tuple[ObjectId, str]]:
        for table in self.catalog.tables:
            for column in table.columns:
                yield table.part("column", column.name), f"{column.default} {column.collation}"
            for constraint in table.constraints:
                yield table.part("constraint", constraint.name), constraint.definition
            for policy in table.policies:
                yield table.part("policy", policy.name), f"{policy.using} {policy.check}"
        relations: tuple[Table | View, ...] = (*self.catalog.tables, *self.catalog.views)
        for relation in relations:
            for index in relation.indexes:
                yield index.id, index.definition
            for trigger in relation.triggers:
                yield relation.part("trigger", trigger.name), trigger.condition
        yield from ((view.id, view.definition) for view in self.catalog.views)
        for type_ in self.catalog.types:
            yield type_.id, f"{type_.collation} {type_.default} {' '.join(type_.options)}"
            for attribute in type_.attributes:
                yield ObjectId("column", type_.schema, type_.name, attribute.name), attribute.collation

    def named(self, text: str) -> set[ObjectId]:
        """The objects whose qualified names stand in a piece of PostgreSQL's own deparsed text; functions with all their namesakes."""
        if "." not in text:
            return set()
        found = {address for match in _QUALIFIED.finditer(text) for address in self._namesakes.get((bare(match[1]), bare(match[2])), ())}
        found.update(a for match in _OPERATOR.finditer(text) for a in self._namesakes.get((bare(match[1]), match[2]), ()))
        return found

    @cached_property
    def _namesakes(self) -> Mapping[tuple[str, str], list[ObjectId]]:
        c = self.catalog
        found: dict[tuple[str, str], list[ObjectId]] = {}
        items: Iterable[tuple[str, str, ObjectId]] = (
            *((w.schema, w.name, w.id) for w in self.wholes.values()),
            *((*name, w.id) for name, w in self._multiranges.items()),
            *((f.schema, f.name, f.id) for f in c.functions),
            *((s.schema, s.name, s.id) for s in c.sequences),
            *((x.schema, x.name, x.id) for x in c.collations),
            *((o.schema, re.split(r" USING | \(", o.name)[0], o.id) for o in c.others if o.schema),
        )
        for schema, name, address in items:
            found.setdefault((schema, name), []).append(address)
        return found
