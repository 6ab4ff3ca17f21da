"""What a statement does to everybody else: its forms (`plan.forms`) looked up in what servers have shown (`plan.oracle`)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache

from pgcharter.catalog.effect import Effect, Lock, Mode
from pgcharter.catalog.model import Catalog
from pgcharter.names import ObjectId
from pgcharter.plan import oracle
from pgcharter.plan.forms import PATH, classify
from pgcharter.plan.oracle import Outcome
from pgcharter.plan.scope import UNKNOWN, Form
from pgcharter.sqltext import Statement, parse

_WORST = frozenset(("target",))
_INDEXED = {"target": "index", **dict.fromkeys(("partition", "default partition"), "index of partition"), "child": "index of child"}
"""Roles of tables, with those of their indexes that have to do with what a statement is about."""
_BRIEF = re.compile(r"reindex (?:table|index) concurrently on partitioned ")
"""Forms that lock in one transaction and work in others: REINDEX CONCURRENTLY locks partitions in SHARE mode only while it lists them."""


def effects(sql: str, catalog: Catalog | None, major: int, *, timezone: str = "", path: tuple[str, ...] = PATH) -> Effect:
    """The effect of a text of one statement; one that is not known when the text is anything else."""
    parsed = parse(sql, "")
    if len(parsed.statements) != 1 or parsed.errors:
        return Effect(known=False)
    return effect(parsed.statements[0], catalog, major, timezone=timezone, path=path)


def effect(statement: Statement, catalog: Catalog | None, major: int, *, timezone: str = "", path: tuple[str, ...] = PATH) -> Effect:
    """What `statement` does on a server of `major` whose database is `catalog` when it begins.

    Without a catalog, and for what the catalog does not have, only relations that the statement names can be told; `known` is then True
    when that much is the same whatever sort of table it is (a foreign table, which holds nothing, is not thought of). `timezone` is the
    session's TimeZone (a change between timestamp and timestamptz asks for it); names without a schema are looked up along `path`.
    """
    return judged(classify(statement, catalog, timezone=timezone, path=path), major)


def judged(forms: Iterable[Form], major: int) -> Effect:
    """What the forms of one statement do on a server of `major`."""
    return together([_effect(form, major) for form in forms])


def together(several: Iterable[Effect]) -> Effect:
    """Several effects as one: the strongest lock on each relation, everything that is rewritten or read."""
    locks: dict[ObjectId, Mode] = {}
    whole = Effect()
    for one in several:
        for lock in one.locks:
            locks[lock.relation] = max(lock.mode, locks.get(lock.relation, lock.mode))
        whole = replace(
            whole,
            rewrites=tuple(sorted({*whole.rewrites, *one.rewrites})),
            scans=tuple(sorted({*whole.scans, *one.scans})),
            transactional=whole.transactional and one.transactional,
            known=whole.known and one.known,
            forms=tuple(dict.fromkeys((*whole.forms, *one.forms))),
        )
    return replace(whole, locks=tuple(Lock(relation, mode) for relation, mode in sorted(locks.items())))


@dataclass(frozen=True, slots=True)
class _Verdict:
    """An outcome as far as it concerns the roles of one form."""

    locks: tuple[tuple[str, int], ...]
    rewrites: frozenset[str]
    scans: frozenset[str]
    transactional: bool
    sure: bool


def _effect(form: Form, major: int) -> Effect:
    verdicts, certain = _verdicts(form.key, frozenset(role for role, ids in form.roles.items() if ids), major)
    locks: dict[str, Mode] = {}
    for verdict in verdicts:
        for role, mode in verdict.locks:
            if mode:
                locks[role] = max(Mode(mode), locks.get(role, Mode(mode)))
    rewrites: frozenset[str] = frozenset().union(*(v.rewrites for v in verdicts))
    scans: frozenset[str] = frozenset().union(*(v.scans for v in verdicts))
    if not verdicts:
        locks, rewrites, scans = dict.fromkeys(_WORST, Mode.ACCESS_EXCLUSIVE), _WORST, _WORST
    if _BRIEF.match(form.key):
        rewrites = scans = frozenset()
    return Effect(
        locks=tuple(Lock(item, mode) for role, mode in locks.items() for item in form.roles.get(role, ())),
        rewrites=tuple(sorted(item for role in rewrites for item in form.roles.get(role, ()))),
        scans=tuple(sorted(item for role in scans for item in form.roles.get(role, ()))),
        transactional=all(v.transactional for v in verdicts),
        known=certain and len(verdicts) == 1 and all(v.sure for v in verdicts) and not _hidden(form, major),
        forms=(form.key,),
    )


def _hidden(form: Form, major: int) -> bool:
    """Whether something happens to relations of which it is not known here which they are."""
    unnamed = {role for role, ids in form.roles.items() if not ids}
    return any(unnamed & (o.rewrites | o.scans | {role for role, mode in o.locks.items() if mode}) for o in _outcomes(form.key, major)[0])


@lru_cache(maxsize=16384)
def _verdicts(key: str, roles: frozenset[str], major: int) -> tuple[frozenset[_Verdict], bool]:
    """What the outcomes of a form say of these roles, and whether they are of the form itself."""
    outcomes, certain = _outcomes(key, major)
    if UNKNOWN in key:
        outcomes = tuple(o for o in outcomes if roles <= o.locks.keys()) or outcomes
    return frozenset(_verdict(key, roles, outcome, major) for outcome in outcomes), certain


def _verdict(key: str, roles: frozenset[str], outcome: Outcome, major: int) -> _Verdict:
    rewrites, scans = outcome.rewrites, outcome.scans
    if key.startswith(_CHANGE):  # what is not rewritten was read for the index that was tried with it
        scans -= {role for role, index in _INDEXED.items() if role not in rewrites and not {index, f"computed {index}"} & roles}
    lots = {role: _lots(key, role, outcome, major) for role in roles if role not in outcome.locks}
    rewrites |= {role for role, (found, _) in lots.items() if any(rewritten for _, rewritten, _ in found)}
    scans |= {role for role, (found, _) in lots.items() if any(read for _, _, read in found)}
    modes = {**outcome.locks, **{role: max(mode for mode, _, _ in found) for role, (found, _) in lots.items()}}
    if key.endswith(f" on {UNKNOWN}"):
        rewrites, scans = _folded(rewrites), _folded(scans)
    locks = tuple((role, int(modes[role] or 0)) for role in sorted(roles))
    return _Verdict(locks, rewrites & roles, scans & roles, outcome.transactional, all(sure for _, sure in lots.values()))


def _folded(roles: Iterable[str]) -> frozenset[str]:
    """Partitions and children as their parent: what is not known to have any may be one of them."""
    below = {"partition": "target", "default partition": "target", "child": "target"}
    return frozenset(below.get(role, role.removeprefix("partition of ").removeprefix("child of ")) for role in roles)


def _lots(key: str, role: str, outcome: Outcome, major: int) -> tuple[frozenset[tuple[int, bool, bool]], bool]:
    """What may befall a role that was not there when the form was tried (lock, rewrite, scan), and whether that is sure.

    It is judged by what the form, or a change of type that does the same work, did where the role was. If it never was, tables beside
    the target share its lot, and others are left alone.
    """
    for others in (_all(_anywhere(key), major), _likes(key, major), _likes(re.sub(" on .*", " on table", key), major)):
        if found := frozenset(_lot(role, other) for other in others if role in other.locks):
            return found, len(found) == 1 or all(mode <= Mode.ACCESS_SHARE and not (rewritten or read) for mode, rewritten, read in found)
    return frozenset((_lot("target" if role in _BESIDE else role, outcome),)), False


def _lot(role: str, outcome: Outcome) -> tuple[int, bool, bool]:
    return int(outcome.locks.get(role) or 0), role in outcome.rewrites, role in outcome.scans


_BESIDE = {"partition", "default partition", "child", "parent", "default sibling", "referenced", "referencing"}


@lru_cache(maxsize=16384)
def _outcomes(key: str, major: int) -> tuple[tuple[Outcome, ...], bool]:
    """What was seen of a form, or of its likes (on other sorts of tables, then with other particulars); and whether it was itself."""
    if found := _all(key, major):
        return found, True
    if likes := _likes(key, major):
        return likes, True
    for wider in (_anywhere(key), re.sub(r"\(.*\)", UNKNOWN, _anywhere(key)), re.sub(r"\(.*|,.*", UNKNOWN, key)):
        if wider.strip("* ") and (found := _all(wider, major)):
            return found, False
    return (), False


_CHANGE = "alter table alter column type ("


def _likes(key: str, major: int) -> tuple[Outcome, ...]:
    """Changes of type have all been tried on ordinary tables, a few on other sorts: what those did goes for all that do the same work."""
    head, _, sort = key.rpartition(" on ")
    plain = oracle.outcome(f"{head} on table", major) if key.startswith(_CHANGE) else None
    if plain is None:
        return ()
    tried = [other.rpartition(" on ")[0] for other in oracle.matching(f"{_CHANGE}{UNKNOWN}) on {sort}")]
    there = ((oracle.outcome(f"{h} on table", major), oracle.outcome(f"{h} on {sort}", major)) for h in tried)
    return tuple(o for p, o in there if p is not None and o is not None and _work(p) == _work(plain))


def _work(outcome: Outcome) -> tuple[bool, bool, bool]:
    return "target" in outcome.rewrites, "index" in outcome.rewrites, "target" in outcome.scans


def _anywhere(key: str) -> str:
    head, on, _ = key.rpartition(" on ")
    return f"{head} on {UNKNOWN}" if on else key


def _all(pattern: str, major: int) -> tuple[Outcome, ...]:
    return tuple(o for o in (oracle.outcome(key, major) for key in oracle.matching(pattern)) if o is not None)
