"""Schemas of tenants held against one of them, with names mapped: the same tables, columns, indexes, functions and privileges."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pgcharter.catalog import codec
from pgcharter.catalog.compare import compare, describe
from pgcharter.names import quote

if TYPE_CHECKING:
    from pgcharter.catalog.compare import Difference
    from pgcharter.catalog.model import Catalog

_GROUPS = ("tables", "views", "sequences", "functions", "types", "statistics", "collations", "others", "default_privileges")


@dataclass(frozen=True)
class Structure:
    """What a schema holds, with its name, which is also that of its role, taken out of every text."""

    text: str

    @property
    def catalog(self) -> Catalog:
        """The same as a catalog whose one schema is called `NAME`."""
        return codec.from_data(json.loads(self.text))


NAME = "\ue000"
"""Stands for the name of a tenant's place: no name of a tenant has this character."""


def structures(catalog: Catalog) -> dict[str, Structure]:
    """The structure of every schema, from a catalog of all of them."""
    parts: dict[str, dict[str, list[Any]]] = {}
    for group in _GROUPS:
        for item in getattr(catalog, group):
            parts.setdefault(item.schema, {}).setdefault(group, []).append(codec.plain(item))
    schemas = {s.name: codec.plain(s) for s in catalog.schemas}
    version = {"server_version": catalog.server_version}
    return {n: Structure(_nameless(json.dumps({**version, "schemas": [s], **parts.get(n, {})}), n)) for n, s in schemas.items()}


def whole(catalog: Catalog, name: str) -> Structure:
    """The structure of a whole database."""
    kept = replace(catalog, database=replace(catalog.database, name="", acl=None), dependencies=(), gaps=())
    return Structure(_nameless(json.dumps(codec.to_data(kept)), name))


def _nameless(text: str, name: str) -> str:
    """JSON without the name, in SQL quoted or not; it never stands inside a longer name of letters, digits, `_`, `-` or `$`."""
    quoted = json.dumps(quote(name))[1:-1]
    token = json.dumps(NAME)[1:-1]
    if quoted != name:
        text = text.replace(quoted, token)
    return re.sub(rf"(?<![\w$-]){re.escape(name)}(?![\w$-])", lambda _: token, text)


def differing(one: Structure, other: Structure, reference: str, name: str) -> Iterator[str]:
    """What the schema or database `name` (`other`) has, lacks or has differently, in sentences."""
    if one.text == other.text:
        return
    for d in compare(one.catalog, other.catalog):
        place = reference if d.change == "removed" else name
        yield _described(d).replace(quote(NAME), quote(place)).replace(NAME, place)


def _described(d: Difference) -> str:
    """The difference in words; of privileges only those that one side has and the other has not, but for the owner's own."""
    if d.field != "acl":
        return describe(d)
    old, new = ({f"{g.privilege} to {g.grantee or 'PUBLIC'}" for g in acl or () if g.grantee != g.grantor} for acl in (d.old, d.new))
    lacks, has = ", ".join(sorted(old - new)), ", ".join(sorted(new - old))
    return f"~ {d.object} privileges:" + f" lacks {lacks}" * bool(lacks) + " and" * bool(lacks and has) + f" has {has}" * bool(has)
