"""The one registry of facts: collectors, metrics and checks, from `checks/*.toml` with their SQL in `collect/*.sql`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from string import Formatter

from pgcharter.db import queries
from pgcharter.errors import CharterError, UsageError
from pgcharter.measures import seconds
from pgcharter.tomlfile import TomlFile, build, nearest
from pgcharter.watch.model import Check, Collector, Metric

PACKAGE = "pgcharter.watch"
FORMATS = ("", "time", "bytes", "count")
"""What may stand behind the colon of a {column}."""
_NAME = re.compile(r"[a-z][a-z0-9_]*")


@dataclass(frozen=True)
class _File:
    """What stands in one file of `checks/`."""

    title: str
    collector: tuple[Collector, ...] = ()
    check: tuple[Check, ...] = ()


@dataclass(frozen=True)
class Family:
    """Checks of one subject."""

    name: str
    title: str
    collectors: tuple[Collector, ...]
    checks: tuple[Check, ...]


@dataclass(frozen=True)
class Registry:
    """Everything that is known how to ask."""

    families: tuple[Family, ...]

    @property
    def collectors(self) -> Mapping[str, Collector]:
        """All collectors by name."""
        return {c.name: c for f in self.families for c in f.collectors}

    @property
    def checks(self) -> Mapping[str, Check]:
        """All checks by id."""
        return {c.id: c for f in self.families for c in f.checks}

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """All metrics, by collector."""
        return tuple(m for f in self.families for c in f.collectors for m in _metrics(c))

    def metric(self, check: Check, column: str = "") -> Metric:
        """The metric that carries the value of a check, or another column of its collector. Raises KeyError."""
        wanted = column or check.value
        return {m.column: m for m in _metrics(self.collectors[check.collector])}[wanted]

    def chosen(self, only: tuple[str, ...] = (), skip: tuple[str, ...] = ()) -> tuple[Check, ...]:
        """Checks of the families or with the ids `only`, without those of `skip`. Raises UsageError for what is neither."""
        for word in (*only, *skip):
            known(word)
        return tuple(c for c in self.checks.values() if (not only or _is(c, only)) and not _is(c, skip))


def _is(check: Check, words: tuple[str, ...]) -> bool:
    return check.id in words or check.family in words


def _metrics(collector: Collector) -> Iterator[Metric]:
    for column, text in collector.gauges.items():
        yield Metric(f"{collector.name}_{column}", collector.name, column, text)
    for column, text in collector.counters.items():
        yield Metric(f"{collector.name}_{column}_total", collector.name, column, text, "counter")


@cache
def load() -> Registry:
    """The registry that ships. Raises CharterError with file and line for what is wrong in it."""
    folder = resources.files(PACKAGE).joinpath("checks")
    files = sorted((f for f in folder.iterdir() if f.name.endswith(".toml")), key=lambda f: f.name)
    registry = Registry(tuple(read(TomlFile.parse(f.read_bytes(), f.name), f.name.removesuffix(".toml")) for f in files))
    _unique(registry)
    return registry


def known(word: str) -> None:
    """Raise UsageError for what is neither the id of a check nor a family."""
    registry = load()
    names = [*registry.checks, *(f.name for f in registry.families)]
    if word not in names:
        near = (
            nearest(word, names) or f"families are {', '.join(f.name for f in registry.families)}; `pgcharter health list` shows all checks"
        )
        raise UsageError(f"there is no check or family {word!r}", hint=near)


def check(id_: str) -> Check:
    """The check with that id. Raises UsageError."""
    checks = load().checks
    if id_ not in checks:
        raise UsageError(f"there is no check {id_!r}", hint=nearest(id_, checks) or "`pgcharter health list` shows all")
    return checks[id_]


def sql(collector: Collector, major: int) -> str:
    """What a collector asks a server of that version; empty for what is no SQL."""
    if collector.by == "function":
        return ""
    return queries.query(PACKAGE, f"collect/{collector.family}.sql", collector.name, major)


def read(file: TomlFile, name: str) -> Family:
    """One family. Raises CharterError with file and line."""
    made = build(file, file.data, _File, (), where="the family")
    collectors = {c.name: replace(c, family=name) for c in made.collector}
    for index, collector in enumerate(collectors.values()):
        _right_collector(file, collector, index)
    for index, one in enumerate(made.check):
        _right_check(file, name, one, collectors.get(one.collector), index)
    return Family(name, made.title, tuple(collectors.values()), made.check)


def _right_collector(file: TomlFile, collector: Collector, index: int) -> None:
    def wrong(key: str, sentence: str) -> CharterError:
        return CharterError(f"collector {collector.name}: {sentence}", place=file.place("collector", index, key))

    for column in (*collector.gauges, *collector.counters, *collector.labels, collector.name):
        if _NAME.fullmatch(column) is None:
            raise wrong("name", f"{column!r} is no name of a column or metric")
    if collector.by == "sql" and collector.name not in _queries(collector.family):
        raise wrong("name", f"collect/{collector.family}.sql has no query of that name")
    if set(collector.labels) & {*collector.gauges, *collector.counters}:
        raise wrong("labels", "a label is measured as well")


def _queries(family: str) -> Mapping[str, str]:
    try:
        return queries.load(PACKAGE, f"collect/{family}.sql")
    except FileNotFoundError:
        return {}


def _right_check(file: TomlFile, family: str, one: Check, of: Collector | None, index: int) -> None:
    def wrong(key: str, sentence: str) -> CharterError:
        return CharterError(f"check {one.id}: {sentence}", place=file.place("check", index, key))

    if one.family != family or not all(_NAME.fullmatch(part) for part in one.id.split(".")) or one.id.count(".") != 1:
        raise wrong("id", f"its id must be {family}.name")
    if of is None:
        raise wrong("collector", f"this family has no collector {one.collector}")
    grows = bool(one.over) and not one.left
    for key, column in (("value", one.value), ("of", one.of), ("left", one.left)):
        if column and column not in (of.counters if grows else {**of.gauges, **of.counters}):
            raise wrong(key, f"{column} is no {'counter' if grows else 'column that is measured'} of {of.name}")
    if one.warn is None and one.critical is None:
        raise wrong("id", "it has no threshold")
    for key in ("over", "lasting"):
        if getattr(one, key):
            seconds(getattr(one, key), file.place("check", index, key))
    for key in ("says", "remedy"):
        _right_text(file, getattr(one, key), ("check", index, key))


def _right_text(file: TomlFile, text: str, path: tuple[str | int, ...]) -> None:
    try:
        odd = [f"{name}:{form}" for _, name, form, _ in Formatter().parse(text) if name is not None and (form or "") not in FORMATS]
    except ValueError as error:
        raise CharterError(f"the braces do not fit: {error}", place=file.place(*path)) from None
    if odd:
        raise CharterError(f"there is no way to write {{{odd[0]}}}", place=file.place(*path))


def _unique(registry: Registry) -> None:
    for kind, names in (
        ("collectors", [c.name for f in registry.families for c in f.collectors]),
        ("checks", [c.id for f in registry.families for c in f.checks]),
        ("metrics", [m.name for m in registry.metrics]),
    ):
        twice = next((n for n in names if names.count(n) > 1), "")
        if twice:
            raise CharterError(f"two {kind} are called {twice}")
