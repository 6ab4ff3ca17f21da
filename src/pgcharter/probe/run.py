"""The probe of a scratch copy: every attack by every role, with and without the rows of others; what differs is a hole."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

from pgcharter.catalog.model import Catalog, Cluster, Table
from pgcharter.findings import Gap
from pgcharter.names import ObjectId, literal, quote
from pgcharter.policy import guards as guarding
from pgcharter.policy.probed import Cell, Hole, Probed
from pgcharter.probe import attacks, attributes, copy, leakproof, membership, others, places, privileges, stirred, telling, watch
from pgcharter.probe.attacks import Attack
from pgcharter.probe.expected import Declared, Sides, sides
from pgcharter.probe.ground import MINE, THEIRS, Ground, May, may
from pgcharter.probe.remedies import remedy
from pgcharter.probe.session import Seen, observe

if TYPE_CHECKING:
    from pgcharter.db import Connection
    from pgcharter.servers.scratch import Scratch
    from pgcharter.sources import Progress

_SILENT = ("", "42501", "57014", "55P03", "55000")
"""States that leave nothing open: let through, refused, given up, and a materialized view that was never filled."""
_STATISTICS = re.compile(r"\bpg_stat(s|istic)\b")
"""Where values of rows are published."""


def probe(
    scratch: Scratch, catalog: Catalog, cluster: Cluster | None = None, declared: Declared | None = None, progress: Progress | None = None
) -> Probed:
    """Build a copy of `catalog`, attack it as every role, and say what was reached that should not be.

    Raises PgcharterError when the schema cannot be built on the scratch server.
    """
    said = declared or Declared()
    guards = guarding.found(catalog, said.tenancy)
    there = places.found(catalog, said.tenancy)
    with copy.build(scratch, catalog, cluster, guards, there.apart) as made:
        ground = Ground(catalog, guards, made.rows, said.reviewed(catalog))
        parts = sides(catalog, cluster, said, {*made.whole.roles})
        probing = _Probing(ground, parts, made, said, cluster, there)
        probing.holes += [*attributes.holes(parts.attackers, parts, cluster), *stirred.told(made.notices, ground), *places.tied(there)]
        for number, role in enumerate(parts.attackers):
            if progress:
                progress(f"attacking as {role or 'anybody'}", number, len(parts.attackers))
            with made.sessions(role or copy.STRANGER) as (whole, part):
                probing.role(role, whole, part)
    gaps = tuple(Gap(f"table {t.sql()}", f"not filled: {why}") for t, why in sorted(made.rows.unfilled.items()) if t in guards.tables)
    gaps += tuple(Gap(str(at), "not called: no value is known for one of its arguments") for at in others.uncalled(ground))
    gaps += tuple(Gap(str(at), f"{quote(role)} is refused its own rows: {why}") for (at, role), why in sorted(probing.blind.items()))
    gaps += tuple(Gap(str(at), "not tried any more after one attack took more than 5 s") for at in sorted(probing.slow))
    holes = tuple(sorted(set(probing.holes)))
    gaps += there.gaps
    tables = tuple(sorted(guards.tables | {t.id for t in catalog.own_tables if t.schema in there.names}))
    return Probed(holes, tuple(sorted(probing.cells)), parts.attackers, parts.above, tables, probing.attacks, gaps)


@dataclass
class _Probing:
    ground: Ground
    sides: Sides
    copy: copy.Copy
    declared: Declared
    cluster: Cluster | None
    places: places.Places
    holes: list[Hole] = field(default_factory=list)
    cells: list[Cell] = field(default_factory=list)
    attacks: int = 0
    slow: set[ObjectId] = field(default_factory=set)
    """What took too long once, and is let alone from then on."""
    blind: dict[tuple[ObjectId, str], str] = field(default_factory=dict)
    """Where a role's own rows are refused by an error, by table and role: then nothing is known of those of others."""

    @cached_property
    def _watched(self) -> list[tuple[Table, str]]:
        return watch.watched(self.ground)

    @cached_property
    def _deferred(self) -> bool:
        tables = self.ground.catalog.own_tables
        return any(k.deferrable for t in tables for k in t.constraints) or any(g.deferrable for t in tables for g in t.triggers)

    def role(self, role: str, whole: Connection, part: Connection) -> None:
        """Try everything as one role."""
        allowed = may(whole)
        if self.declared.roles:
            self.holes += privileges.differing(whole, role, privileges.concerned(self.ground.catalog, self.declared.roles), self._rights)
        verbs: dict[ObjectId, list[str]] = {}
        for conn in (whole, part):
            conn.pgconn.exec_(b"ROLLBACK")
            conn.pgconn.exec_(attacks.TOLD.encode())
        for attack in self._attacks(role, allowed):
            if attack.object in self.slow:
                continue
            self.attacks += 1
            seen = self._observed(whole, attack)
            if seen.state == "57014":
                self.slow.add(attack.object)
            if attack.name == "SELECT" and attack.context == attacks.CONTEXT and seen.state not in _SILENT:
                self.blind[attack.object, role] = f"SQLSTATE {seen.state}"
            if attack.verb and not seen.state and (seen.rows or attack.verb in ("TRUNCATE", "EXECUTE", "SELECT")):
                verbs.setdefault(attack.object, []).append(attack.verb)
            told = self._judged(attack, seen, whole, part)
            if told:
                self.holes.append(self._hole(attack, role, told))
        self.cells += [Cell(at, role, tuple(dict.fromkeys(names))) for at, names in verbs.items()]

    @cached_property
    def _rights(self) -> privileges.Rights:
        section, cluster = self.declared.roles, self.cluster or Cluster()
        return privileges.declared(self.ground.catalog, cluster, section, self.declared.environment) if section else {}

    def _attacks(self, role: str, allowed: May) -> Iterator[Attack]:
        ground = self.ground
        tables = [t for t in ground.catalog.own_tables if t.kind != "foreign table"]
        views = ground.catalog.own_views
        for table in tables if not role else ():
            yield from attacks.by_stranger(table.id, table, ground)
        for view in views if not role else ():
            yield from attacks.by_stranger(view.id, view, ground)
        for table in tables if role else ():
            if table.id in ground.guards.tables:
                admin = self.declared.truncates(role, self.cluster)
                yield from (a for a in attacks.on_table(table, ground, allowed) if not (admin and a.name == "TRUNCATE"))
                yield from telling.on_table(table, ground, allowed)
                yield from membership.on_table(table, ground, allowed)
            elif table.id in self.copy.derived and not self.declared.shares(table.id):
                yield from attacks.on_derived(table, ground, allowed)
        for table in ground.catalog.own_tables if role else ():
            if table.kind == "foreign table" and table.id in ground.guards.tables:
                yield from attacks.on_foreign(table)
        if role:
            yield from membership.of_role(role, ground.guards.settings)
            yield from leakproof.on_functions(ground, allowed)
        for view in views:
            if (
                view.id not in ground.reviewed
                and self.places.compares(role, view.id)
                and (ground.over[view.id] or _STATISTICS.search(view.definition))
            ):
                yield from attacks.on_view(view, ground, allowed)
        for function in others.callables(ground):
            if function.id not in ground.reviewed and self.places.compares(role, function.id):
                yield from others.on_function(function, ground)
        yield from (a for a in places.attacks(role, self.places, ground) if a.object not in ground.reviewed)
        yield from others.on_roles(n for n in self.sides.powers)
        yield from others.on_schemas(ground, stranger=not role)
        if ground.guards.tables:
            yield from others.on_catalog(ground)
        if not role:
            yield from (a for a in others.by_stranger(ground, self.copy.future) if a.object not in ground.reviewed)

    def _observed(self, conn: Connection, attack: Attack) -> Seen:
        context = self.ground.contexts.get(attack.context, {})
        written = attack.judge == "unwritten" or bool(attack.mirror) or attack.object.kind in ("function", "procedure")
        deferred = self._deferred and attack.judge != "refused" and attack.verb != "SELECT"
        first = "" if attack.first == attacks.TOLD else attack.first
        taken = attack.judge == "untaken"
        return observe(
            conn,
            attack.statement,
            context,
            first=first,
            data=attack.data,
            written=written,
            taken=taken,
            deferred=deferred,
            find=attack.find,
        )

    def _judged(self, attack: Attack, seen: Seen, whole: Connection, part: Connection) -> str:
        """What is wrong with an answer, in words; empty when it is as expected."""
        if seen.state in ("42501", "57014", "55P03"):
            return ""
        if attack.judge == "refused":
            idle = not seen.state and not seen.rows and attack.statement.startswith(("UPDATE", "MERGE"))
            return _through(seen) if seen.passed and not idle else ""
        if attack.judge == "untaken":
            return f"it used {seen.taken} temporary table{'s' * (seen.taken != 1)} of the caller" if seen.taken else ""
        if attack.judge == "nothing":
            return "there is one" if seen.rows and not seen.state else ""
        if attack.judge == "no more":
            return self._more(attack, seen, whole)
        astray = self._astray(attack, seen, whole)
        if astray:
            return astray
        other = self._observed(part, attack)
        if attack.judge == "unwritten":
            more = seen.written and other.written and [a - b for a, b in zip(seen.written[1:], other.written[1:], strict=True)]
            return f"{max(more)} more row{'s' * (max(more) != 1)} changed where others have rows" if more and max(more) > 0 else ""
        led = attack.name == telling.ECHO and "23503" in (seen.state, other.state)
        if led or seen == other or seen != self._observed(whole, attack):
            return ""
        return _difference(seen, other)

    def _more(self, attack: Attack, seen: Seen, conn: Connection) -> str:
        before = observe(conn, attack.plain, self.ground.contexts.get(attack.context, {}))
        more = 0 if seen.state or before.state else seen.rows - before.rows
        return f"{more} more row{'s' * (more != 1)} than before" if more > 0 else ""

    def _astray(self, attack: Attack, seen: Seen, conn: Connection) -> str:
        """What was written of others, in words. What is of neither tenant counts when both write the same: then it is somebody's."""
        if not attack.mirror or not (seen.wrote or seen.key):
            return ""
        told, unknown = watch.of_others(seen.wrote, self.ground, self._watched, MINE)
        if told:
            return told
        other = observe(conn, attack.mirror, self.ground.theirs, written=True, deferred=self._deferred)
        told, also = watch.of_others(other.wrote, self.ground, self._watched, THEIRS)
        fixed = {self._watched[w.table][0].id for w in unknown & also}
        if seen.key in watch.to_tenants(self.ground) and (seen.key, seen.print) == (other.key, other.print):
            fixed.add(watch.to_tenants(self.ground)[seen.key])
        listed = ", ".join(map(str, sorted(fixed)))
        return told or (f"it wrote a row of one fixed tenant, whoever asked, in {listed}" if fixed else "")

    def _hole(self, attack: Attack, role: str, told: str) -> Hole:
        hole = Hole(attack.object, role, attack.name, attack.context, attack.expected, told, self._shown(attack, role), weak=attack.weak)
        return replace(
            hole, remedy=(self._freed(role) if attack.object.kind in ("table", "view") else "") or remedy(hole, attack.part, self.ground)
        )

    def _freed(self, role: str) -> str:
        """What holds a role to row policies that heeds none at all."""
        who = self.cluster.role.get(role) if self.cluster else None
        return f"ALTER ROLE {quote(role)} NOBYPASSRLS" if who and who.bypass_row_security else ""

    def _shown(self, attack: Attack, role: str) -> str:
        context = self.ground.contexts.get(attack.context, {})
        who = f"SET ROLE {quote(role)}; " if role else ""
        told = "".join(f"SELECT set_config({literal(n)}, {literal(v)}, true); " for n, v in sorted(context.items()))
        return f"BEGIN; {who}{attack.first}{told}{attack.statement}; ROLLBACK"


def _through(seen: Seen) -> str:
    """What was let through, in words."""
    return "let through, stopped by a constraint only" if seen.state else f"let through: {seen.rows} row{'s' * (seen.rows != 1)}"


def _difference(seen: Seen, other: Seen) -> str:
    """How the answer depends on the rows of others, in words."""
    if seen.state != other.state:
        words = [f"error {s.state}" if s.state else f"{s.rows} row{'s' * (s.rows != 1)}" for s in (seen, other)]
        return f"{words[0]} where others have rows, else {words[1]}"
    if seen.rows != other.rows:
        return f"{seen.rows} row{'s' * (seen.rows != 1)} where others have rows, else {other.rows}"
    if seen.written != other.written:
        return f"{sum(seen.written)} rows written where others have rows, else {sum(other.written)}"
    return "another message where others have rows" if seen.state else "other values where others have rows"
