"""Names that a schema has already given away: tables, indexes, sequences, views and types share one list of them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from pgcharter.rules.bodies import Same
from pgcharter.rules.engine import Context


@lru_cache(maxsize=2)
def _relations(catalog: Same) -> Mapping[str, frozenset[str]]:
    names: dict[str, set[str]] = {}
    for table in catalog.it.tables:
        names.setdefault(table.schema, set()).update((table.name, *(i.name for i in table.indexes)))
    for view in catalog.it.views:
        names.setdefault(view.schema, set()).update((view.name, *(i.name for i in view.indexes)))
    for sequence in catalog.it.sequences:
        names.setdefault(sequence.schema, set()).add(sequence.name)
    for kind in catalog.it.types:
        names.setdefault(kind.schema, set()).add(kind.name)
    return {schema: frozenset(found) for schema, found in names.items()}


def taken(ctx: Context, schema: str) -> frozenset[str]:
    """Names in `schema` that no further table, index or sequence may have."""
    return _relations(Same(ctx.catalog)).get(schema, frozenset())
