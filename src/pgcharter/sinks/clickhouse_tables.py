"""Tables of copies in ClickHouse: made, looked at, widened, each with a view of its current rows."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from pgcharter.sinks.clickhouse_http import Http, literal, quoted
from pgcharter.sinks.clickhouse_types import Kind, Version, bare, fits, kind, wanted
from pgcharter.stream.errors import SinkRefusedError
from pgcharter.stream.model import Field, Shape, Stamp

OWN = {"_version": "UInt64", "_ordinal": "UInt64", "_deleted": "UInt8", "_exact": "String"}
"""Columns beside those of the fields. `_version`: twice the position of the commit, and one more for a change (not of a snapshot), so that
ReplacingMergeTree keeps the latest; `_ordinal` orders changes of one transaction."""
CONTROL = "pgcharter_sync"
"""Table of how far each sink is, and of the stamps that tables were cleared with."""
_ENGINE = "ReplacingMergeTree(_version)"


@dataclass
class Table:
    """A table of a copy, as it is there."""

    shape: Shape
    kinds: tuple[Kind, ...]
    """Of the shape's fields, in their order."""
    high: tuple[int, int] = (0, 0)
    """Greatest version and ordinal that may be there."""
    floor: Stamp | None = None
    """Rows with an older stamp were cleared."""
    name: str = field(init=False)

    def __post_init__(self) -> None:
        self.name = quoted(self.shape.to)

    @property
    def columns(self) -> str:
        """Columns of a row, in the order in which it is written."""
        return ", ".join(quoted(name) for name in (*(f.name for f in self.shape.fields), *OWN))

    @property
    def key(self) -> str:
        """The key, in the order of ClickHouse's index."""
        return ", ".join(map(quoted, self.shape.key))


def server_version(http: Http) -> Version:
    """First two numbers of the server's version."""
    numbers = re.findall(r"\d+", http.table("SELECT version()")[0][0])
    return int(numbers[0]), int(numbers[1])


def control(http: Http, engine: str) -> None:
    """Make the table of what is kept about sinks."""
    engine = (engine or _ENGINE).replace("_version", "seq").replace("{table}", CONTROL)
    columns = "name String, what String, seq UInt64, lsn UInt64, ordinal UInt64, at DateTime DEFAULT now()"
    http.run(f"CREATE TABLE IF NOT EXISTS {CONTROL} ({columns}) ENGINE = {engine} ORDER BY (name, what)")


def there(http: Http, name: str) -> dict[str, str]:
    """Columns of a table and their types; none where there is no table."""
    rows = http.table(f"SELECT name, type FROM system.columns WHERE database = currentDatabase() AND table = {literal(name)}")
    return {row[0]: row[1] for row in rows}


def prepared(http: Http, shape: Shape, server: Version, engine: str = "") -> tuple[Table, bool]:
    """The table of a shape, made or widened where it must be, and whether it was made now. Raises SinkRefusedError."""
    if clash := next((f.name for f in shape.fields if f.name in OWN), None):
        raise SinkRefusedError(
            f"field {clash} of {shape.to} has a name that the copy in ClickHouse needs itself", hint=f'rename = {{ "{clash}" = "…" }}'
        )
    if not shape.key:
        raise SinkRefusedError(f"{shape.to} has no key, so its rows cannot be told apart in ClickHouse")
    has = there(http, shape.to)
    made = not has
    if made:
        http.run(_create(shape, server, engine))
    else:
        _check(http, shape, has)
        if changes := _changes(shape, has, server):
            _alter(http, shape, changes)
    if made or changes or not there(http, f"{shape.to}_current"):
        _view(http, shape, server)
    has = there(http, shape.to)
    return Table(shape, tuple(_kind(shape, f, has[f.name]) for f in shape.fields), high=(0, 0) if made else _high(http, shape)), made


def present(http: Http, shape: Shape) -> Table:
    """The table of a shape as it is. Raises SinkRefusedError where there is none, or a column is not there or of another type."""
    has = there(http, shape.to)
    missing = [name for name in (*(f.name for f in shape.fields), *OWN) if name not in has]
    if missing:
        what = f"column {missing[0]} is" if has else "it is"
        raise SinkRefusedError(f"table {shape.to} of ClickHouse cannot be read: {what} not there (yet)", hint="pgcharter sync run")
    return Table(shape, tuple(_kind(shape, f, has[f.name]) for f in shape.fields))


def _create(shape: Shape, server: Version, engine: str) -> str:
    columns = [f"{quoted(f.name)} {_declared(f, server)}" for f in shape.fields] + [f"{name} {type_}" for name, type_ in OWN.items()]
    key = ", ".join(map(quoted, shape.key))
    engine = (engine or _ENGINE).replace("{table}", shape.to)
    return f"CREATE TABLE IF NOT EXISTS {quoted(shape.to)} ({', '.join(columns)}) ENGINE = {engine} ORDER BY ({key})"


def _declared(field: Field, server: Version) -> str:
    type_ = wanted(field, server)
    return type_ if field.key else f"Nullable({type_})"


def _check(http: Http, shape: Shape, has: dict[str, str]) -> None:
    if wrong := [f"{name} {type_}" for name, type_ in OWN.items() if has.get(name) != type_]:
        raise SinkRefusedError(
            f"table {shape.to} of ClickHouse is no copy that we keep: it has no {', '.join(wrong)}",
            hint=f"RENAME TABLE {quoted(shape.to)} TO {quoted(shape.to + '_before')}",
        )
    ((engine, key),) = http.table(
        f"SELECT engine_full, sorting_key FROM system.tables WHERE database = currentDatabase() AND name = {literal(shape.to)}"
    )
    if "Replacing" not in engine or "_version)" not in engine:
        raise SinkRefusedError(f"table {shape.to} of ClickHouse has the engine {engine[:60]}, and a copy needs {_ENGINE}")
    wanted_key = ", ".join(shape.key), ", ".join(map(quoted, shape.key))
    if key.replace("`", "") not in (wanted_key[0], wanted_key[0].replace("`", "")) and key not in wanted_key and "\\" not in wanted_key[1]:
        raise SinkRefusedError(
            f"table {shape.to} of ClickHouse is ordered by ({key}), and the key of the copy is ({wanted_key[0]}), so rows of one key would "
            "stay beside each other",
            hint=f"RENAME TABLE {quoted(shape.to)} TO {quoted(shape.to + '_before')}, then: pgcharter sync reset",
        )


def _changes(shape: Shape, has: dict[str, str], server: Version) -> list[str]:
    """What to do to the columns that are there."""
    changes = []
    for f in shape.fields:
        want = wanted(f, server)
        if f.name not in has:
            changes.append(f"ADD COLUMN {quoted(f.name)} Nullable({want})")
        elif not fits(bare(has[f.name])[0], want):
            if f.key:
                raise SinkRefusedError(
                    f"key column {f.name} of table {shape.to} in ClickHouse is {has[f.name]}, cannot hold {f.type}, and cannot change",
                    hint=f"DROP TABLE {quoted(shape.to)}, then: pgcharter sync reset",
                )
            changes.append(f"MODIFY COLUMN {quoted(f.name)} Nullable({_common(bare(has[f.name])[0], want)})")
        elif not f.key and not bare(has[f.name])[1]:
            changes.append(f"MODIFY COLUMN {quoted(f.name)} Nullable({bare(has[f.name])[0]})")
    return changes


def _common(has: str, want: str) -> str:
    """A type that holds both: what is there stays readable."""
    return want if fits(want, has) else "String"


def _alter(http: Http, shape: Shape, changes: Sequence[str]) -> None:
    try:
        http.run(f"ALTER TABLE {quoted(shape.to)} {', '.join(changes)}")
    except SinkRefusedError as error:
        raise SinkRefusedError(
            f"table {shape.to} of ClickHouse does not fit and cannot be changed ({changes[0]}): {error.message}"
        ) from error


def _view(http: Http, shape: Shape, server: Version) -> None:
    """Rows as they are now, under the names of the fields."""
    name = quoted(f"{shape.to}_current")
    columns = ", ".join(quoted(f.name) for f in shape.fields)
    replaces = server >= (21, 1)
    if not replaces:
        http.run(f"DROP TABLE IF EXISTS {name}")
    http.run(f"CREATE {'OR REPLACE ' if replaces else ''}VIEW {name} AS SELECT {columns} FROM {quoted(shape.to)} FINAL WHERE _deleted = 0")


def _kind(shape: Shape, f: Field, type_: str) -> Kind:
    plain, nullable = bare(type_)
    found = kind(f, plain, nullable)
    if found is None:
        raise SinkRefusedError(f"column {f.name} of table {shape.to} in ClickHouse is {type_}, and {f.type} cannot be written into it")
    return found


def _high(http: Http, shape: Shape) -> tuple[int, int]:
    """Greatest version, and greatest ordinal with it."""
    ((version,),) = http.table(f"SELECT max(_version) FROM {quoted(shape.to)}")
    ((ordinal,),) = http.table(f"SELECT max(_ordinal) FROM {quoted(shape.to)} WHERE _version = {int(version)}")
    return int(version), int(ordinal)
