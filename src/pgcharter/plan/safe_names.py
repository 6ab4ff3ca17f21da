"""Names for what a plan makes in passing: free on both sides, recognisable, never longer than PostgreSQL keeps."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import chain, count

from pgcharter.catalog.model import Catalog, Table, View
from pgcharter.names import MAX_BYTES, ObjectId


@dataclass
class Names:
    """Hands out names that neither catalog has, each only once."""

    a: Catalog
    b: Catalog
    _taken: dict[tuple[str, ...], set[str]] = field(default_factory=dict)

    def relation(self, schema: str, stem: str, word: str) -> str:
        """For an index, table, view or sequence: they share the names of their schema."""
        if ("relation", schema) not in self._taken:
            self._taken["relation", schema] = {name for side in (self.a, self.b) for name in _relations(side, schema)}
        return self._free(("relation", schema), stem, word)

    def function(self, schema: str, stem: str, word: str) -> str:
        """For a function, whatever its arguments."""
        if ("function", schema) not in self._taken:
            sides = chain(self.a.functions, self.b.functions)
            self._taken["function", schema] = {f.name for f in sides if f.schema == schema}
        return self._free(("function", schema), stem, word)

    def type(self, schema: str, stem: str, word: str) -> str:
        """For a type: relations and arrays have names of types too."""
        if ("type", schema) not in self._taken:
            own = {t.name for side in (self.a, self.b) for t in side.types if t.schema == schema}
            own |= {name for side in (self.a, self.b) for name in _relations(side, schema)}
            self._taken["type", schema] = own
        return self._free(("type", schema), stem, word)

    def column(self, table: ObjectId, stem: str, word: str) -> str:
        """For a column."""
        return self._part("column", table, stem, word)

    def constraint(self, table: ObjectId, stem: str, word: str) -> str:
        """For a constraint that brings no index."""
        return self._part("constraint", table, stem, word)

    def trigger(self, table: ObjectId, stem: str, word: str) -> str:
        """For a trigger."""
        return self._part("trigger", table, stem, word)

    def _part(self, kind: str, table: ObjectId, stem: str, word: str) -> str:
        key = (kind, table.schema, table.name)
        if key not in self._taken:
            found = [side.table[table] for side in (self.a, self.b) if table in side.table]
            parts = {"column": "columns", "constraint": "constraints", "trigger": "triggers"}[kind]
            self._taken[key] = {part.name for t in found for part in getattr(t, parts)}
        return self._free(key, stem, word)

    def _free(self, key: tuple[str, ...], stem: str, word: str) -> str:
        taken = self._taken[key]
        for number in count(1):
            name = joined(stem, f"_{word}{number if number > 1 else ''}")
            if name not in taken:
                taken.add(name)
                return name
        raise AssertionError


def joined(stem: str, ending: str) -> str:
    """`stem` and `ending` in at most 63 bytes: the stem is cut, never through a character, the ending never."""
    return stem.encode()[: MAX_BYTES - len(ending.encode())].decode(errors="ignore") + ending


def _relations(catalog: Catalog, schema: str) -> set[str]:
    found = {s.name for s in catalog.sequences if s.schema == schema}
    relations: tuple[Table | View, ...] = (*catalog.tables, *catalog.views)
    for relation in relations:
        if relation.schema == schema:
            found.add(relation.name)
            found.update(index.name for index in relation.indexes)
    return found
