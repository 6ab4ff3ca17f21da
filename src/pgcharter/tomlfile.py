"""TOML files that know the line of each key, and typed values read from them with errors that help.

The standard library's reader gives values without positions; `TomlFile.place` finds the line again, only when an error needs it.
"""

from __future__ import annotations

import dataclasses
import difflib
import json
import re
import tomllib
import types
import typing
from collections.abc import Iterable, Iterator, Mapping
from datetime import date, datetime
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Literal, TypeVar

from pgcharter.errors import CharterError, PgcharterError

T = TypeVar("T")
Key = str | int
ANY = "any"
"""Written in a file where a guide set something and the project does not care: the value becomes None."""

_BARE = r"(?:[A-Za-z0-9_-]+|\"[^\"]*\"|'[^']*')"
_DOTTED = rf"{_BARE}(?:\s*\.\s*{_BARE})*"
_HEADER = re.compile(rf"\s*(\[\[?)\s*({_DOTTED})\s*\]\]?\s*(?:#.*)?$")
_ASSIGNED = re.compile(rf"\s*({_DOTTED})\s*=")
_POSITION = re.compile(r"\s*\(at line (\d+), column (\d+)\)$")


@dataclasses.dataclass(frozen=True)
class TomlFile:
    """A parsed TOML file, with its text for finding lines."""

    name: str
    """As the user named it, for messages."""
    text: str = dataclasses.field(repr=False)
    data: Mapping[str, Any] = dataclasses.field(repr=False)

    @classmethod
    def read(cls, path: Path, name: str = "") -> TomlFile:
        """Read and parse `path`.

        Raises CharterError with file:line:column when there is no such file, it is not UTF-8 or not TOML.
        """
        name = name or str(path)
        try:
            raw = path.read_bytes()
        except OSError as error:
            raise CharterError(f"{name} cannot be read: {(error.strerror or 'unknown error').lower()}", place=name) from error
        except ValueError:
            raise CharterError(f"{name} cannot be read: no file is called that", place=name) from None
        return cls.parse(raw, name)

    @classmethod
    def parse(cls, raw: bytes, name: str) -> TomlFile:
        """Parse the bytes of a file called `name`; same errors as `read`."""
        try:
            text = raw.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line = raw.count(b"\n", 0, error.start) + 1
            raise CharterError("the file is not UTF-8 text, which TOML demands", place=f"{name}:{line}") from error
        try:
            return cls(name, text, tomllib.loads(text))
        except tomllib.TOMLDecodeError as error:
            raise _not_toml(str(error), name, text) from error
        except ValueError:
            raise CharterError("the file holds a number that is too long to be one", place=name) from None
        except RecursionError:
            raise CharterError("the file is nested too deeply to be read", place=name) from None

    @cached_property
    def _lines(self) -> Mapping[tuple[Key, ...], int]:
        return dict(reversed(list(_positions(self.text))))

    def line(self, *path: Key) -> int:
        """Line of the key at `path` (names, and numbers from 0 for arrays of tables); the nearest thing around it when not found."""
        for length in range(len(path), 0, -1):
            if path[:length] in self._lines:
                return self._lines[path[:length]]
        return 1

    def place(self, *path: Key) -> str:
        """`file:line` of the key at `path`."""
        return f"{self.name}:{self.line(*path)}"


def _not_toml(reason: str, name: str, text: str) -> CharterError:
    found = _POSITION.search(reason)
    if found:
        place = f"{name}:{found[1]}:{found[2]}"
    else:
        last = text.count("\n") + 1
        place = f"{name}:{last}:{len(text) - text.rfind(chr(10))}"
    reason = _POSITION.sub("", reason).removesuffix(" (at end of document)")
    return CharterError(f"the file is not valid TOML: {reason[:1].lower()}{reason[1:]}", place=place)


def _positions(text: str) -> Iterator[tuple[tuple[Key, ...], int]]:
    """Every key and table header with its line, in order; the insides of multi-line strings are passed over."""
    table: tuple[Key, ...] = ()
    counts: dict[tuple[Key, ...], int] = {}
    closing = ""
    for number, line in enumerate(text.split("\n"), start=1):
        if closing:
            closing = "" if closing in line else closing
            continue
        if header := _HEADER.match(line):
            table = _resolve(_split(header[2]), counts)
            if header[1] == "[[":
                counts[table] = counts.get(table, -1) + 1
                table = (*table, counts[table])
            yield table, number
        elif key := _ASSIGNED.match(line):
            yield (*table, *_split(key[1])), number
            closing = next((q for q in ('"""', "'''") if line.count(q) % 2), "")


def _split(dotted: str) -> tuple[str, ...]:
    return tuple(piece.strip("\"'") for piece in re.findall(_BARE, dotted))


def _resolve(names: tuple[str, ...], counts: Mapping[tuple[Key, ...], int]) -> tuple[Key, ...]:
    """The path a header means: under an array of tables it belongs to the last element so far."""
    path: tuple[Key, ...] = ()
    for index, name in enumerate(names):
        path = (*path, name)
        if index < len(names) - 1 and path in counts:
            path = (*path, counts[path])
    return path


def nearest(word: str, known: Iterable[str], shown: str = '"{}"') -> str:
    """`did you mean "x"?` for the known word nearest to `word` in any case; empty when none is near."""
    names = {name.lower(): name for name in known}
    near = difflib.get_close_matches(word.lower(), names, n=1, cutoff=0.6)
    return f"did you mean {shown.format(names[near[0]])}?" if near else ""


def listed(words: Iterable[str], last: str = "or") -> str:
    """`a, b or c`."""
    all_words = list(words)
    return f" {last} ".join(filter(None, [", ".join(all_words[:-1]), *all_words[-1:]]))


def reject_unknown(
    file: TomlFile, data: Mapping[str, Any], known: Iterable[str], path: tuple[Key, ...], *, noun: str = "key", where: str = ""
) -> None:
    """Raise CharterError for the first key of `data` that is not `known`, suggesting the nearest one that is."""
    names = list(known)
    for key in data:
        if key not in names:
            hint = nearest(key, names) or f"known here: {', '.join(sorted(names))}"
            raise CharterError(f'there is no {noun} "{key}"{f" in {where}" if where else ""}', hint=hint, place=file.place(*path, key))


class _MismatchError(Exception):
    """A value is not what the annotation wants."""

    def __init__(self, wanted: str, value: object) -> None:
        super().__init__(wanted)
        self.wanted = wanted
        self.value = value
        """What is wrong: the value itself, or the element of the list."""


def build(
    file: TomlFile, data: object, model: type[T], path: tuple[Key, ...], *, noun: str = "key", where: str = "", base: T | None = None
) -> T:
    """Make a `model` (a dataclass) from the table `data` at `path`; keys left out come from `base` or the model's defaults.

    A field that is a dataclass takes a table, a tuple of them an array of tables. A field's metadata may have a `check` of its value,
    which raises PgcharterError. A model that refuses its values together raises ValueError.
    Raises CharterError with file:line for an unknown key, a missing one, a value of the wrong type or outside the allowed words.
    """
    if not isinstance(data, Mapping):
        raise CharterError(f"{where or path[-1]} must be a table, not {shown(data)}", place=file.place(*path))
    values = typed(file, data, model, path, noun=noun, where=where)
    if base is not None:
        return dataclasses.replace(base, **values)  # type: ignore[type-var]
    for item in dataclasses.fields(model):  # type: ignore[arg-type]
        needed = item.default is dataclasses.MISSING and item.default_factory is dataclasses.MISSING
        if needed and item.init and item.name not in values:
            raise CharterError(f'{where} has no "{item.name}", which it needs', place=file.place(*path))
    try:
        return model(**values)
    except ValueError as wrong:
        raise CharterError(str(wrong), place=file.place(*path)) from None


def typed(
    file: TomlFile, data: Mapping[str, Any], model: type, path: tuple[Key, ...], *, noun: str = "key", where: str = ""
) -> dict[str, Any]:
    """The values of `data` converted to the types that the fields of `model` want; same errors as `build`."""
    hints = _hints(model)
    reject_unknown(file, data, hints, path, noun=noun, where=where)
    values: dict[str, Any] = {}
    for key, value in data.items():
        if inner := _element_model(hints[key]):
            values[key] = _tables(file, value, inner, (*path, key))
            continue
        if dataclasses.is_dataclass(hints[key]):
            values[key] = build(file, value, hints[key], (*path, key), where=f"[{'.'.join(map(str, (*path, key)))}]")
            continue
        try:
            values[key] = _convert(value, hints[key])
            _check(file, values[key], model, (*path, key))
        except _MismatchError as wrong:
            hint = nearest(wrong.value, allowed_words(hints[key])) if isinstance(wrong.value, str) else ""
            sentence = f'{noun} "{key}" must be {wrong.wanted}, not {shown(wrong.value)}'
            raise CharterError(sentence, hint=hint, place=file.place(*path, key)) from None
    return values


def _check(file: TomlFile, value: object, model: type, path: tuple[Key, ...]) -> None:
    """Let the field's own `check` (in its metadata) look at a value; raises CharterError with the place for what it refuses."""
    check = next((f.metadata.get("check") for f in dataclasses.fields(model) if f.name == path[-1]), None)
    try:
        if check:
            check(value)
    except PgcharterError as wrong:
        raise CharterError(f'key "{path[-1]}": {wrong.message}', hint=wrong.hint, place=file.place(*path)) from None


def _element_model(annotation: Any) -> type | None:
    """The dataclass that an annotation wants a tuple of."""
    arguments = typing.get_args(annotation)
    wanted = typing.get_origin(annotation) is tuple and dataclasses.is_dataclass(arguments[0])
    return typing.cast("type", arguments[0]) if wanted else None


def _tables(file: TomlFile, value: object, model: type[T], path: tuple[Key, ...]) -> tuple[T, ...]:
    """An array of tables, each made into a `model`."""
    name = ".".join(str(p) for p in path)
    if not isinstance(value, list):
        raise CharterError(f"{path[-1]} are written [[{name}]], with two brackets", place=file.place(*path))
    return tuple(build(file, table, model, (*path, index), where=f"number {index + 1} of {path[-1]}") for index, table in enumerate(value))


@cache
def _hints(model: type) -> Mapping[str, Any]:
    """Types of the fields that a file may set: all but those with `in_file` false in their metadata."""
    hints = typing.get_type_hints(model)
    return {f.name: hints[f.name] for f in dataclasses.fields(model) if f.metadata.get("in_file", True)}


def quoted(text: str) -> str:
    """`text` as a TOML string, whatever characters it holds; what no UTF-8 file can hold becomes `?`."""
    text = text.encode("utf-8", errors="replace").decode("utf-8")
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def remark(text: str) -> str:
    """`text` as it may stand in a comment: one line, no control characters."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def shown(value: object) -> str:
    """A value as one would write it in TOML, for messages."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, Mapping):
        return "a table"
    if isinstance(value, list):
        return "a list"
    return str(value)


def allowed_words(annotation: Any) -> tuple[str, ...]:
    """The words an annotation allows, however deep they stand."""
    if typing.get_origin(annotation) is Literal:
        return tuple(str(a) for a in typing.get_args(annotation))
    return tuple(w for a in typing.get_args(annotation) for w in allowed_words(a))


def _convert(value: object, annotation: Any) -> Any:
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (typing.Union, types.UnionType):
        return _convert_optional(value, next(a for a in arguments if a is not type(None)))
    if origin is tuple:
        return _convert_list(value, arguments[0])
    if origin is Mapping:
        if not isinstance(value, Mapping) or not all(isinstance(item, str) for item in value.values()):
            raise _MismatchError("a table of texts in quotes", value)
        return dict(value)
    if origin is Literal:
        if value not in arguments:
            raise _MismatchError(listed(f'"{a}"' for a in arguments), value)
        return value
    return _convert_plain(value, annotation)


def _convert_list(value: object, annotation: Any) -> tuple[Any, ...]:
    if not isinstance(value, list):
        raise _MismatchError("a list", value)
    try:
        return tuple(_convert(item, annotation) for item in value)
    except _MismatchError as wrong:
        raise _MismatchError(f"a list of {wrong.wanted}", wrong.value) from None


def _convert_optional(value: object, annotation: Any) -> Any:
    takes_words = annotation is str or typing.get_origin(annotation) is Literal
    if takes_words and value == ANY:
        return None
    try:
        return _convert(value, annotation)
    except _MismatchError as wrong:
        raise _MismatchError(f'{wrong.wanted} (or "{ANY}")' if takes_words else wrong.wanted, wrong.value) from None


_PLAIN: dict[type, str] = {
    str: "text in quotes",
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    date: "a date without quotes such as 2027-03-31",
}


def _convert_plain(value: object, annotation: type) -> object:
    right = isinstance(value, (int, float) if annotation is float else annotation)
    if annotation in (int, float) and isinstance(value, bool):
        right = False
    if annotation is date and isinstance(value, datetime):
        right = False
    if not right:
        raise _MismatchError(_PLAIN[annotation], value)
    return value
