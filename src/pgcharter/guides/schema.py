"""JSON Schema of guides and charters, so that editors complete and check them: made from the same dataclasses that read the files."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import itertools
import textwrap
import types
import typing
from collections.abc import Iterable, Mapping
from datetime import date, datetime
from functools import cache
from typing import Any, Literal

from pgcharter.findings import Severity
from pgcharter.guides.files import OFF
from pgcharter.guides.model import Clause
from pgcharter.guides.options import Options
from pgcharter.tomlfile import ANY

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_PLAIN: dict[type, dict[str, Any]] = {
    str: {"type": "string"},
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    float: {"type": "number"},
    date: {"type": "string", "format": "date"},
    datetime: {"type": "string", "format": "date-time"},
}


@cache
def explained(model: type) -> Mapping[str, str]:
    """What the docstring under each field of a dataclass says, as one line."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(model)))
    body = next(node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)).body
    found = {}
    for item, after in itertools.pairwise(body):
        if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name) and isinstance(after, ast.Expr):
            text = ast.literal_eval(after.value) if isinstance(after.value, ast.Constant) else ""
            found[item.target.id] = " ".join(str(text).split())
    return found


def guide_schema(codes: Iterable[str], guides: Iterable[str]) -> dict[str, Any]:
    """JSON Schema of a guide's file; `codes` are the rules that exist, `guides` those that can be extended."""
    clause = _table(Clause, rules={"type": "array", "items": {"anyOf": [{"enum": sorted(codes)}, {"type": "string"}]}})
    return {
        "$schema": DIALECT,
        "title": "pgcharter guide",
        "type": "object",
        "additionalProperties": False,
        "required": ["id", "title"],
        "properties": {
            "id": {"type": "string", "description": "Short name that commands and the scorecard use."},
            "title": {"type": "string", "description": "Name of the document."},
            "version": {"type": "string", "description": "Version of its text."},
            "source": {"type": "string", "description": "The document it was taken from."},
            "extends": _word(guides, "The guide whose clauses, options and severities hold too: a built-in one, or the path of a file."),
            "options": _table(Options),
            "severity": severities(codes),
            "clause": {"type": "array", "items": clause},
        },
    }


def charter_schema(
    codes: Iterable[str], guides: Iterable[str], tables: Mapping[str, type], lists: Mapping[str, type], named: Mapping[str, type]
) -> dict[str, Any]:
    """JSON Schema of `pgcharter.toml`: its `tables` by key, its arrays of tables (`lists`), and its tables of named tables (`named`)."""
    return {
        "$schema": DIALECT,
        "title": "pgcharter charter",
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "guide": _word(guides, "The guide that holds here: a built-in one, or the path of a file."),
            "options": _table(Options),
            "severity": severities(codes),
            **{key: _table(model) for key, model in tables.items()},
            **{key: {"type": "array", "items": _table(model)} for key, model in lists.items()},
            **{key: {"type": "object", "additionalProperties": _table(model)} for key, model in named.items()},
        },
    }


def severities(codes: Iterable[str]) -> dict[str, Any]:
    """The table that says how much each rule matters."""
    word = {"enum": [*(s.word for s in reversed(Severity)), OFF]}
    return {
        "type": "object",
        "description": "How much a rule matters here.",
        "properties": dict.fromkeys(sorted(codes), word),
        "additionalProperties": word,
    }


def _word(known: Iterable[str], description: str) -> dict[str, Any]:
    return {"description": description, "anyOf": [{"enum": list(known)}, {"type": "string", "pattern": r"\.toml$"}]}


def _table(model: type, **instead: dict[str, Any]) -> dict[str, Any]:
    """The schema of a table that is read into the dataclass `model`; `instead` replaces that of single keys."""
    hints = typing.get_type_hints(model)
    words = explained(model)
    properties, needed = {}, []
    for item in dataclasses.fields(model):
        if not item.metadata.get("in_file", True):
            continue
        made = instead.get(item.name) or _value(hints[item.name])
        if item.default is dataclasses.MISSING and item.default_factory is dataclasses.MISSING:
            needed.append(item.name)
        elif item.default not in (None, "", (), dataclasses.MISSING):
            made = {**made, "default": item.default}
        properties[item.name] = {**made, **({"description": words[item.name]} if item.name in words else {})}
    described = {"description": " ".join((inspect.getdoc(model) or "").partition("\n\n")[0].split())}
    return {
        "type": "object",
        **described,
        "additionalProperties": False,
        "properties": properties,
        **({"required": needed} if needed else {}),
    }


def _value(annotation: Any) -> dict[str, Any]:
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (typing.Union, types.UnionType):
        inner = _value(next(a for a in arguments if a is not type(None)))
        takes_words = inner.get("type") == "string" or "enum" in inner
        return {**inner, "enum": [*inner["enum"], ANY]} if takes_words and "enum" in inner else inner
    if origin is Literal:
        return {"enum": list(arguments)}
    if origin is tuple:
        return {"type": "array", "items": _value(arguments[0])}
    if origin is not None:
        return {"type": "object"}
    return dict(_PLAIN[annotation]) if annotation in _PLAIN else _table(annotation)
