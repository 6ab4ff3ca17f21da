"""The rule engine: what a rule is, how it registers, and how rules are held against a Reading under a guide."""

from __future__ import annotations

import gc
import importlib
import pkgutil
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from typing import Any, Literal, Protocol

from pgcharter.catalog.model import Catalog, Cluster, Stats, Table
from pgcharter.catalog.reading import Reading
from pgcharter.errors import UsageError
from pgcharter.findings import Finding, Gap, Place, Severity
from pgcharter.guides.options import Options
from pgcharter.names import ObjectId
from pgcharter.sqltext import Statement

Needs = Literal["text", "catalog", "cluster", "stats", "samples"]
"""The weakest evidence a rule can work with. A `text` rule sees statements, a `catalog` rule a Catalog, a `samples` rule what a look at
the rows of a live database has shown, and so on."""


class Identified(Protocol):
    """Anything of the catalog that knows its address."""

    @property
    def id(self) -> ObjectId:
        """Its address."""
        ...


@dataclass(frozen=True)
class Context:
    """What a rule looks at. `catalog` is the empty Catalog for text rules of a text-only check."""

    reading: Reading
    options: Options
    rule: Rule
    statements: tuple[Statement, ...] = ()
    """For a text rule: all statements. For a twin: those that never reached a catalog."""
    guide: GuideLike | None = None
    """What the findings are dressed for: its severities and clauses."""

    @cached_property
    def _dress(self) -> tuple[Severity | None, tuple[str, ...]]:
        """The severity that the guide gives to every finding of the rule, if it does, and the clauses."""
        if self.guide is None:
            return None, ()
        given = {self.guide.severity(self.rule.code, s) for s in Severity}
        return (given.pop() if len(given) == 1 else None), self.guide.clauses_of(self.rule.code)

    @property
    def catalog(self) -> Catalog:
        """The catalog, empty when there is none."""
        return self.reading.catalog or _EMPTY

    @property
    def cluster(self) -> Cluster:
        """The server's own facts; only rules with `needs="cluster"` may ask."""
        assert self.reading.cluster is not None, "rule must declare needs='cluster'"  # noqa: S101
        return self.reading.cluster

    @property
    def stats(self) -> Stats:
        """Measured sizes and counters; only rules with `needs="stats"` may ask."""
        assert self.reading.stats is not None, "rule must declare needs='stats'"  # noqa: S101
        return self.reading.stats

    def rows(self, table: Table) -> float | None:
        """Estimated rows of `table` when statistics are at hand: lets a verdict sharpen without demanding them."""
        known = self.reading.stats.relations.get(table.id) if self.reading.stats else None
        return known.rows if known and known.rows >= 0 else None

    def of_kind(self, *kinds: str) -> Iterator[Statement]:
        """Statements of the given parser kinds."""
        return (s for s in self.statements if s.kind in kinds)

    def finding(
        self,
        subject: Identified | ObjectId | Statement | Place,
        message: str,
        *,
        fix: str | Iterable[str] = (),
        hint: str = "",
        place: Place | None = None,
        severity: Severity | None = None,
        **facts: Any,
    ) -> Finding:
        """Build a finding of this rule about `subject`. Pass `detail=` in the facts when one object can have several, and `severity=`
        when what is at hand makes this one graver or milder than the rule's own."""
        target: ObjectId | None = None
        if isinstance(subject, ObjectId):
            target = subject
        elif isinstance(subject, Statement):
            place = place or subject.place
        elif isinstance(subject, Place):
            place = subject
        else:
            target = subject.id
        given, clauses = self._dress
        return Finding(
            code=self.rule.code,
            message=message,
            object=target,
            place=place,
            severity=given or severity or self.rule.severity,
            hint=hint,
            fix=((fix,) if fix else ()) if isinstance(fix, str) else tuple(filter(None, fix)),
            facts=facts,
            clauses=clauses,
        )


def _past(found: Finding, applied: Collection[str]) -> bool:
    """Whether a finding is about how a migration runs that the database it is meant for has behind it."""
    return found.place is not None and found.place.file in applied and load()[found.code].family.startswith("hazard")


def _dedented(part: str) -> str:
    """A part of a docstring: as it is when it begins beside its word, so that indented SQL stays so; dedented when it begins below."""
    import textwrap

    return (part if part.partition("\n")[0].strip() else textwrap.dedent(part)).strip()


Check = Callable[[Context], Iterator[Finding]]
_EMPTY = Catalog()
_ADDED_TO_STAND_INS = frozenset({"row_security"})
"""Families whose findings on a table rest on what the document itself wrote about it: nobody invents a table with row security."""


@dataclass(frozen=True)
class Rule:
    """A registered rule. Its documentation is its function's docstring: a title line, then `Why:`, `Instead:` and `Except:` parts."""

    code: str
    slug: str
    severity: Severity
    needs: Needs
    check: Check = field(repr=False, compare=False)
    family: str = ""
    twin: Check | None = field(default=None, repr=False, compare=False)
    """Text-level form for statements that never reach a catalog."""
    options: tuple[str, ...] = ()
    """Names of the house options it reads; the first one unset means that the rule has nothing to ask for."""
    opposed: tuple[str, str] | None = None
    """A house option and the value by which a house asks for the opposite: then the rule does not look, and says so."""

    @cached_property
    def _parts(self) -> dict[str, str]:
        import inspect

        text = inspect.getdoc(self.check) or ""
        pieces = re.split(r"^(Why|Instead|Except):[ \n]", text, flags=re.MULTILINE)
        parts = {"title": pieces[0].strip()}
        parts.update({k.lower(): _dedented(v) for k, v in zip(pieces[1::2], pieces[2::2], strict=True)})
        return parts

    @property
    def title(self) -> str:
        """What it flags, in one line."""
        return self._parts["title"]

    @property
    def why(self) -> str:
        """What goes wrong otherwise."""
        return self._parts.get("why", "")

    @property
    def instead(self) -> str:
        """The good form, with SQL."""
        return self._parts.get("instead", "")

    @property
    def unless(self) -> str:
        """When the pattern is right after all."""
        return self._parts.get("except", "")


_registry: dict[str, Rule] = {}


class Registered:
    """What a rule's name is bound to: offers `.text` to attach the text-level twin."""

    def __init__(self, code: str) -> None:
        self.code = code

    def text(self, check: Check) -> Check:
        """Register `check` as the twin for statements that never reach a catalog."""
        _registry[self.code] = replace(_registry[self.code], twin=check)
        return check


def rule(
    code: str,
    slug: str,
    severity: Severity,
    *,
    needs: Needs = "catalog",
    options: tuple[str, ...] = (),
    opposed: tuple[str, str] | None = None,
) -> Callable[[Check], Registered]:
    """Register the decorated function as a rule.

    `code` is family letters and two digits (`KEY01`), `slug` the pattern it flags so that "allow <slug>" reads right.
    """

    def register(check: Check) -> Registered:
        if code in _registry:
            raise AssertionError(f"rule code {code} is used twice")
        _registry[code] = Rule(
            code=code, slug=slug, severity=severity, needs=needs, check=check, options=options,
            opposed=opposed, family=check.__module__.rpartition(".")[2],
        )  # fmt: skip
        return Registered(code)

    return register


@cache
def load() -> Mapping[str, Rule]:
    """Import every rule family and return the rules by code, sorted."""
    package = importlib.import_module("pgcharter.rules")
    for module in pkgutil.iter_modules(package.__path__):
        if module.name != "engine":
            importlib.import_module(f"pgcharter.rules.{module.name}")
    return dict(sorted(_registry.items()))


def find(word: str) -> Rule:
    """Return the rule with this code or slug, in any case.

    Raises UsageError with the nearest name when there is none.
    """
    rules = load()
    wanted = word.strip()
    for known in rules.values():
        if wanted.upper() == known.code or wanted.lower() == known.slug:
            return known
    import difflib

    padded = re.sub(r"\d+$", lambda digits: digits[0].zfill(2), wanted.upper())
    near = [padded] if padded in rules else difflib.get_close_matches(wanted, [*rules, *(r.slug for r in rules.values())], n=1, cutoff=0.4)
    near = near or difflib.get_close_matches(wanted.upper(), rules, n=1)
    hint = f"did you mean {near[0]}? `pgcharter rules list` shows all" if near else "`pgcharter rules list` shows all"
    raise UsageError(f"there is no rule {word!r}", hint=hint)


class GuideLike(Protocol):
    """What the engine asks of a guide (see `pgcharter.guides.model.Guide`)."""

    @property
    def options(self) -> Options:
        """House style."""
        ...

    @property
    def rules(self) -> Collection[str]:
        """Codes of the rules its clauses use."""
        ...

    def severity(self, code: str, default: Severity) -> Severity:
        """Severity of a rule under this guide."""
        ...

    def clauses_of(self, code: str) -> tuple[str, ...]:
        """Ids of the clauses a rule proves."""
        ...


@dataclass(frozen=True)
class Result:
    """The outcome of holding a Reading against a guide."""

    findings: tuple[Finding, ...]
    ran: tuple[str, ...]
    """Codes of the rules that could look."""
    not_run: Mapping[str, str] = field(default_factory=dict)
    """Code → why the rule could not look."""
    suppressed: tuple[tuple[Finding, str], ...] = ()
    """Findings allowed by a comment in the SQL, with the reason."""
    gaps: tuple[Gap, ...] = ()


@contextmanager
def _without_collection() -> Iterator[None]:
    """Findings make no cycles: looking for them after every few hundred costs a fifth of the time over a large catalog."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


@_without_collection()
def run(reading: Reading, guide: GuideLike, *, only: Collection[str] = (), skip: Collection[str] = ()) -> Result:
    """Hold `reading` against every rule that `guide` uses (or those in `only`, which need not be in the guide).

    Statements of a migration's way back are not looked at: what they make is not the design.
    """
    reading = _forward(reading)
    chosen = [r for code, r in load().items() if (code in only if only else code in guide.rules) and code not in skip]
    ran: list[str] = []
    not_run: dict[str, str] = {}
    found: list[Finding] = []
    for item in chosen:
        if item.options and not getattr(guide.options, item.options[0]):
            not_run[item.code] = f"the guide leaves the house option {item.options[0]} open"
            continue
        if item.opposed and getattr(guide.options, item.opposed[0]) == item.opposed[1]:
            not_run[item.code] = f'the house asks for the opposite: {item.opposed[0]} = "{item.opposed[1]}"'
            continue
        why = _cannot(item, reading)
        if why:
            not_run[item.code] = f"only its text form looked: {why}" if item.twin and reading.statements else why
        else:
            ran.append(item.code)
        for part in (reading, *reading.alternatives):
            found += _look(item, part, guide, blind=bool(why))
    ran += [code for code, why in reading.own.items() if not why]
    not_run.update({code: why for code, why in reading.own.items() if why})
    extra = [_dressed(f, guide) for part in (reading, *reading.alternatives) for f in part.findings if f.code not in skip]
    if reading.destination and reading.destination.applied:
        found = [f for f in found if not _past(f, reading.destination.applied)]
    unique: dict[Any, Finding] = {}
    for f in (*extra, *found):
        unique.setdefault((f.key, f.place) if f.object is None else f.key, f)
    suppressed = _suppressed(unique.values(), reading)
    hidden = {id(f) for f, _ in suppressed}
    kept = [f for _, f in sorted(unique.items(), key=_order) if id(f) not in hidden]
    return Result(tuple(kept), tuple(ran), not_run, tuple(suppressed), _gaps(reading))


def _forward(reading: Reading) -> Reading:
    if all(s.direction == "up" for s in reading.statements):
        return reading
    up, unbuilt = ([s for s in part if s.direction == "up"] for part in (reading.statements, reading.unbuilt))
    back = tuple(s for s in reading.statements if s.direction != "up")
    return replace(reading, statements=tuple(up), unbuilt=tuple(unbuilt), back=back)


def _gaps(reading: Reading) -> tuple[Gap, ...]:
    from pgcharter.rules import library_tables

    parts = [reading.gaps, reading.catalog.gaps if reading.catalog else (), reading.cluster.gaps if reading.cluster else ()]
    parts.append(library_tables.gaps(reading.catalog))
    return tuple(dict.fromkeys(g for part in parts for g in part))


def _cannot(item: Rule, reading: Reading) -> str:
    """Why the rule itself (not its twin) cannot look at this reading; empty when it can."""
    if item.needs == "text":
        return "" if reading.statements or reading.source != "live" else "needs SQL text, and a live database has none"
    if reading.catalog is None:
        return "needs a catalog, and only text was read"
    if item.needs == "cluster" and reading.cluster is None:
        return "needs a live server: roles and settings are not in files"
    if item.needs == "stats" and reading.stats is None:
        return "needs a live server: sizes and counters are not in files"
    if item.needs == "samples" and (reading.stats is None or reading.stats.samples is None):
        return "needs a look at the rows of a live database: --sample SECONDS"
    return ""


def _look(item: Rule, reading: Reading, guide: GuideLike, *, blind: bool) -> Iterator[Finding]:
    """What a rule says about a reading, but for tables that belong to a library."""
    from pgcharter.rules import library_tables

    found = _seen(item, reading, guide, blind=blind)
    if library_tables.is_told(item.code):
        return found
    if item.needs == "text" or reading.catalog is None or reading.unbuilt:
        found = (f for f in found if f.object is None or not library_tables.is_named(f.object))
    owned = library_tables.owners(reading.catalog)
    return (f for f in found if f.object is None or f.object.owner not in owned) if owned else found


def _seen(item: Rule, reading: Reading, guide: GuideLike, *, blind: bool) -> Iterator[Finding]:
    if not blind and item.needs == "text":
        yield from item.check(Context(reading, guide.options, item, reading.statements, guide))
        return
    if not blind:
        for found in item.check(Context(reading, guide.options, item, guide=guide)):
            if found.object is None or not (reading.places or reading.stand_ins):
                yield found
            elif found.object not in reading.stand_ins or item.family in _ADDED_TO_STAND_INS:
                place = None if found.place else _place(found.object, reading)
                yield found if place is None else found.at(place)
    if item.twin is not None and item.needs != "text":
        unseen = reading.statements if reading.catalog is None else reading.unbuilt
        if unseen:
            yield from item.twin(Context(reading, guide.options, item, unseen, guide))


def _place(target: ObjectId, reading: Reading) -> Place | None:
    """Its own place, its relation's, or for an invented relation the first thing the document added to it."""
    known = reading.places.get(target) or reading.places.get(target.owner)
    if known is None and target in reading.stand_ins:
        known = min((place for part, place in reading.places.items() if part.owner == target), default=None)
    return known


def _dressed(f: Finding, guide: GuideLike) -> Finding:
    """A source's own finding with the severity and the clauses that it has under `guide`."""
    return replace(f, severity=guide.severity(f.code, f.severity), clauses=guide.clauses_of(f.code) or f.clauses)


def _suppressed(found: Iterable[Finding], reading: Reading) -> list[tuple[Finding, str]]:
    """The findings that a comment in the SQL allows, each with its reason."""
    rules = load()
    allows: dict[tuple[str, int], list[tuple[set[str], str]]] = {}
    for statement in reading.statements:
        for allow in statement.allows:
            words = {w.lower() for w in allow.codes}
            last = statement.place.end_line or statement.place.line
            for line in range(statement.place.line, last + 1):
                allows.setdefault((statement.place.file, line), []).append((words, allow.reason))
    suppressed: list[tuple[Finding, str]] = []
    for item in found if allows else ():
        reasons = allows.get((item.place.file, item.place.line), ()) if item.place else ()
        names = {item.code.lower(), rules[item.code].slug if item.code in rules else ""}
        reason = next((why for words, why in reasons if words & names), None)
        if reason is not None:
            suppressed.append((item, reason))
    return suppressed


def _order(entry: tuple[Any, Finding]) -> tuple[Any, ...]:
    """Gravest first, then by object and place; findings without an object have their place beside the key."""
    key, f = entry
    where = (f.place.file, f.place.line, f.place.column) if f.place else ("", 0, 0)
    schema, name = (f.object.schema, f.object.name) if f.object else ("", "")
    return (-f.severity, schema, name, where, f.code, key if f.object else key[0])
