"""Where in Python source a SQLAlchemy table and its columns are defined."""

from __future__ import annotations

import ast
import os
import sys
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pgcharter.findings import Place

if TYPE_CHECKING:
    from sqlalchemy import MetaData

_NOWHERE = Place("<models>", 1)
Spot = tuple[int, int, int]
"""Line, column (both from 1) and last line."""


@dataclass
class _Module:
    """What one source file defines: classes with their assignments, and tables made by calls."""

    shown: str
    text: str
    classes: dict[str, tuple[Spot, dict[str, Spot]]] = field(default_factory=dict)
    tables: dict[str, tuple[Spot, dict[str, Spot]]] = field(default_factory=dict)


def read_module(path: str) -> _Module | None:
    """Index a source file; None when it cannot be read or parsed."""
    try:
        text = Path(path).read_text("utf-8")
        tree = ast.parse(text)
    except (OSError, ValueError, SyntaxError):
        return None
    found = _Module(shown(path), text)
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            found.classes[node.name] = (_spot(node), _assignments(node))
        elif isinstance(node, ast.Call) and _called(node) == "Table":
            name = _constant(node)
            if name:
                columns = {_constant(a): _spot(a) for a in node.args[1:] if isinstance(a, ast.Call) and _called(a) == "Column"}
                found.tables[name] = (_spot(node), {k: v for k, v in columns.items() if k})
    return found


def shown(path: str) -> str:
    """The path as a user would write it: relative when it lies below the current folder."""
    relative = os.path.relpath(path)
    return path if relative.startswith("..") else relative


def _spot(node: ast.stmt | ast.expr) -> Spot:
    return node.lineno, node.col_offset + 1, node.end_lineno or node.lineno


def _called(node: ast.Call) -> str:
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


def _constant(node: ast.Call) -> str:
    first = node.args[0] if node.args else None
    return first.value if isinstance(first, ast.Constant) and isinstance(first.value, str) else ""


def _assignments(node: ast.ClassDef) -> dict[str, Spot]:
    found: dict[str, Spot] = {}
    for item in node.body:
        if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name):
            found[item.target.id] = _spot(item)
        elif isinstance(item, ast.Assign):
            found.update({t.id: _spot(item) for t in item.targets if isinstance(t, ast.Name)})
        elif isinstance(item, ast.FunctionDef):
            found[item.name] = _spot(item)
    return found


class Definitions:
    """Places of the tables and columns of one MetaData."""

    def __init__(self, metadata: MetaData) -> None:
        self._metadata = metadata
        self._modules: dict[str, _Module | None] = {}

    def texts(self) -> dict[str, str]:
        """Text of every file that was looked at, by the name it is shown under."""
        return {m.shown: m.text for m in self._modules.values() if m}

    def place(self, item: Any) -> Place:
        """Place of a table, of a column, or of whatever has a table; the metadata's own name when it cannot be found."""
        from sqlalchemy import Column, Enum, Table

        if isinstance(item, Column) and isinstance(item.table, Table):
            return self._column(item) or self._table(item.table)
        if isinstance(item, Enum):
            users = (c for t in self._metadata.tables.values() for c in t.columns if getattr(c.type, "name", None) == item.name)
            return next((self.place(c) for c in users), _NOWHERE)
        table = item if isinstance(item, Table) else getattr(item, "table", None)
        return self._table(table) if isinstance(table, Table) else _NOWHERE

    @cached_property
    def _classes(self) -> dict[Any, type]:
        """Mapped class by table, among everything that is imported."""
        found: dict[Any, type] = {}
        for module in list(sys.modules.values()):
            for value in list(vars(module).values()) if hasattr(module, "__dict__") else ():
                if isinstance(value, type) and "__mapper__" in vars(value):
                    table = vars(value).get("__table__")
                    if table is not None and getattr(table, "metadata", None) is self._metadata:
                        found[table] = value
        return found

    @cached_property
    def _holders(self) -> dict[Any, str]:
        """File of the module that holds a table made by a call."""
        from sqlalchemy import Table

        found: dict[Any, str] = {}
        for module in list(sys.modules.values()):
            file = getattr(module, "__file__", None)
            for value in list(vars(module).values()) if file and hasattr(module, "__dict__") else ():
                if isinstance(value, Table) and value.metadata is self._metadata:
                    found.setdefault(value, str(file))
        return found

    def _module(self, path: str) -> _Module | None:
        if path not in self._modules:
            self._modules[path] = read_module(path)
        return self._modules[path]

    def _source(self, cls: type) -> tuple[_Module, Spot, dict[str, Spot]] | None:
        file = getattr(sys.modules.get(cls.__module__), "__file__", None)
        module = self._module(file) if file else None
        if module is None or cls.__name__ not in module.classes:
            return None
        return (module, *module.classes[cls.__name__])

    def _table(self, table: Any) -> Place:
        cls = self._classes.get(table)
        source = self._source(cls) if cls else None
        if source:
            return _at(source[0], source[1])
        module = self._module(self._holders[table]) if table in self._holders else None
        if module and table.name in module.tables:
            return _at(module, module.tables[table.name][0])
        return _NOWHERE

    def _column(self, column: Any) -> Place | None:
        cls = self._classes.get(column.table)
        if cls is not None:
            key = next((k for k, c in cls.__mapper__.columns.items() if c is column), column.key)  # type: ignore[attr-defined]
            for ancestor in cls.__mro__:
                source = self._source(ancestor)
                if source and key in source[2]:
                    return _at(source[0], source[2][key])
            return None
        module = self._module(self._holders[column.table]) if column.table in self._holders else None
        spots = module.tables.get(column.table.name, (None, {}))[1] if module else {}
        return _at(module, spots[column.name]) if module and column.name in spots else None


def _at(module: _Module, spot: Spot) -> Place:
    return Place(module.shown, *spot)
