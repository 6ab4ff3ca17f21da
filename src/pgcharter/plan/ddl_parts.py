"""What the writers of relations share: where a part lives, and options."""

from __future__ import annotations

import re
from collections.abc import Iterable

from pgcharter.catalog.model import Catalog, Index, Table, View
from pgcharter.names import ObjectId, literal, quote

_PLAIN = re.compile(r"-?\d+(\.\d+)?\Z|(true|false|on|off|auto|local|cascaded)\Z")
"""Values of options that need no quotes."""


def relation(catalog: Catalog, part: ObjectId) -> Table | View | None:
    """The table or view that `part` lives in; None when there is none (a composite type, a domain)."""
    return catalog.relation.get((part.schema, part.name))


def table(catalog: Catalog, part: ObjectId) -> Table | None:
    """The table that `part` lives in."""
    found = relation(catalog, part)
    return found if isinstance(found, Table) else None


def relation_of(catalog: Catalog, index: Index) -> Table | View | None:
    """The table or materialized view an index is on."""
    return catalog.relation.get((index.schema, index.table))


def alter(whole: Table | View, *, only: bool = False) -> str:
    """`ALTER TABLE app.t`; with `only` its heirs stay as they are."""
    word = whole.kind.upper() if isinstance(whole, View) else "TABLE"
    return f"ALTER {word} {'ONLY ' * only}{whole.id.sql()}"


def heirs(catalog: Catalog, whole: Table | View) -> bool:
    """Whether something inherits from it, so that what is said of it would be said of them."""
    return whole.id in catalog.children


def names(items: Iterable[str]) -> str:
    """A list of names, quoted."""
    return ", ".join(quote(item) for item in items)


def settings(options: Iterable[str]) -> str:
    """Storage parameters as they stand in parentheses: `(fillfactor=80, toast.autovacuum_enabled=false)`."""
    return f"({', '.join(_setting(option) for option in options)})"


def _setting(option: str) -> str:
    name, _, value = option.partition("=")
    return f"{_setting_name(name)}={value if _PLAIN.match(value) else literal(value)}"


def _setting_name(name: str) -> str:
    return ".".join(quote(word) for word in name.split(".", 1))


def settings_changed(old: tuple[str, ...], new: tuple[str, ...]) -> list[str]:
    """`SET (...)` and `RESET (...)` from one set of storage parameters to the other."""
    gone = [_setting_name(name) for name in _pairs(old) if name not in _pairs(new)]
    come = [option for option in new if option not in old]
    return ([f"RESET ({', '.join(gone)})"] if gone else []) + ([f"SET {settings(come)}"] if come else [])


def foreign_options(options: Iterable[str]) -> str:
    """Options of a foreign table or of its column: `OPTIONS (table_name 'Remote')`; empty without any."""
    written = ", ".join(f"{quote(name)} {literal(value)}" for name, value in _pairs(options).items())
    return f"OPTIONS ({written})" if written else ""


def foreign_options_changed(old: tuple[str, ...], new: tuple[str, ...]) -> list[str]:
    """`OPTIONS (ADD ..., SET ..., DROP ...)` from one set of options to the other."""
    before, after = _pairs(old), _pairs(new)
    words = [f"DROP {quote(name)}" for name in before if name not in after]
    words += [f"SET {quote(name)} {literal(value)}" for name, value in after.items() if name in before and before[name] != value]
    words += [f"ADD {quote(name)} {literal(value)}" for name, value in after.items() if name not in before]
    return [f"OPTIONS ({', '.join(words)})"] if words else []


def _pairs(options: Iterable[str]) -> dict[str, str]:
    return {name: value for name, _, value in (option.partition("=") for option in options)}
