"""Plans with policies: what they made is read from the database, what they want joins the wanted side, the record goes with the plan."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pgcharter.catalog.model import Acl, Catalog, Cluster, Database
from pgcharter.catalog.privileges import given
from pgcharter.catalog.reading import Reading
from pgcharter.db import connect, queries
from pgcharter.errors import RefusedError
from pgcharter.names import ObjectId
from pgcharter.plan import roles
from pgcharter.plan.blocks import renumbered
from pgcharter.plan.model import Grade, Phase, Plan, Step
from pgcharter.plan.normal import OWNED
from pgcharter.policy.compose import RECORD, compose, recording
from pgcharter.policy.marks import server_without
from pgcharter.policy.marks import without as without_policies
from pgcharter.policy.model import Mark, Policy, State
from pgcharter.policy.registry import KEEP, kept

if TYPE_CHECKING:
    from pgcharter.migrate.proving import Proof
    from pgcharter.servers.scratch import Scratch


@dataclass(frozen=True)
class Chosen:
    """The policies of a charter, and the environment that they are for."""

    policies: tuple[Policy, ...] = ()
    environment: str = ""
    production: bool = False

    def keeps(self, schema: str) -> bool:
        """Whether a schema is data to one of them, and stays although no declaration mentions it."""
        return any(p.keeps(schema) for p in self.policies)


@dataclass(frozen=True)
class Governed:
    """A wanted schema with all that policies add to it."""

    catalog: Catalog
    before: Cluster
    """The server as it is."""
    cluster: Cluster
    """The server as policies want it."""
    here: Database
    """The database as it is."""
    there: Database
    """The database as policies want it."""
    old: tuple[Mark, ...]
    """What policies had made before."""
    new: tuple[Mark, ...]
    """What they make now."""
    questions: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def ours(self) -> frozenset[ObjectId]:
        """What policies answer for, before and now."""
        return frozenset(at for m in (*self.old, *self.new) for at in (m.object, m.object.owner))


def held(dsn: str) -> tuple[Mark, ...]:
    """What policies have made in a database, by its own record; nothing when there is none.

    Raises RefusedError when the record may not be read: without it, what policies made could not be told from the rest.
    """
    sql = queries.load("pgcharter.migrate", "policies.sql")
    with connect(dsn) as conn:
        there = conn.execute(sql["readable"]).fetchone()
        if there is None:
            return ()
        if not there[0]:
            raise RefusedError(
                f"{RECORD.sql()} may not be read, so what policies made in this database is not known",
                hint=f"as its owner: GRANT SELECT ON {RECORD.sql()} TO {conn.info.user}",
            )
        return tuple(sorted(Mark(ObjectId(*row[:4]), *row[4:]) for row in conn.execute(sql["marks"])))


def govern(scratch: Scratch, base: Catalog, actual: Reading, old: tuple[Mark, ...], chosen: Chosen) -> Governed:
    """`base`, a schema without anything of policies, with all that `chosen` wants, as PostgreSQL writes it back.

    `actual` is the database as it is now, on which the plan will run.
    """
    from pgcharter.migrate import proving

    before = actual.cluster or Cluster(server_version=base.server_version)
    without = server_without(before, old)
    here = (actual.catalog or base).database
    there = without_policies(actual.catalog, old).database if actual.catalog else here
    asked = tuple(KEEP[name] for name in sorted({m.policy for m in old} - {p.name for p in chosen.policies}) if name in KEEP)
    present = actual.catalog or base
    if not chosen.policies:
        asked += kept(old, present, base)
    if asked or not chosen.policies:
        return Governed(base, before, without, here, there, old, (), asked)
    start = State(base, without, chosen.environment, chosen.production, present=actual.catalog, stats=actual.stats, database=there)
    composed = compose(start, chosen.policies)
    state = composed.state
    if not state.questions:
        state = replace(state, questions=kept(old, present, state.catalog))
    if not state.questions:
        with scratch.database() as database:
            proving.build(database, state.catalog)
            state = replace(state, catalog=proving.read(database, state.catalog))
    return Governed(state.catalog, before, state.cluster, here, state.database, old, composed.marks, state.questions, state.notes)


def given_back(catalog: Catalog, governed: Governed) -> Catalog:
    """The wanted side with what no policy owns any more in the hands it came from: an owner that a scratch server knows nothing of.

    Roles that go have nothing any more, also of what they were given by default since; what they made since is the database owner's.
    """
    still = {(m.object, m.field) for m in governed.new}
    owners = {m.object: json.loads(m.before) for m in governed.old if m.field == "owner" and (m.object, m.field) not in still}
    lost = governed.before.role.keys() - governed.cluster.role.keys()
    if not owners and not lost:
        return catalog

    def handed(item: Any) -> Any:
        before = owners.get(item.id) or (governed.here.owner if item.owner in lost else "")
        return given(item, before) if before else item

    groups: dict[str, Any] = {group: tuple(_left(handed(item), lost) for item in getattr(catalog, group)) for group in OWNED}
    defaults = (replace(d, grants=_kept(d.grants, lost) or ()) for d in catalog.default_privileges if d.role not in lost)
    return replace(catalog, **groups, default_privileges=tuple(d for d in defaults if d.grants))


def _left(item: Any, lost: Collection[str]) -> Any:
    """An object without privileges of roles that go."""
    if not lost or not hasattr(item, "acl"):
        return item
    columns = getattr(item, "columns", ())
    if any(c.acl for c in columns):
        item = replace(item, columns=tuple(replace(c, acl=_kept(c.acl, lost) or None) for c in columns))
    return replace(item, acl=_kept(item.acl, lost))


def _kept(acl: Acl, lost: Collection[str]) -> Acl:
    return None if acl is None else tuple(g for g in acl if g.grantee not in lost)


def recorded(plan: Plan, governed: Governed) -> Plan:
    """The plan with the roles that policies want, and the statements that keep the record.

    What comes is written down before it is made and what goes is struck out after it is gone, so that a run that is cut off anywhere leaves
    nothing that belongs to nobody.
    """
    owners = {d.role for d in governed.catalog.default_privileges}
    here, there = (governed.old, governed.before, governed.here), (governed.new, governed.cluster, governed.there)
    return replace(plan, steps=_recorded(plan.steps, here, there, owners), reverse=_recorded(plan.reverse, there, here, owners))


_Side = tuple[tuple[Mark, ...], Cluster, Database]


def _recorded(steps: Sequence[Step], a: _Side, b: _Side, owners: Collection[str]) -> tuple[Step, ...]:
    both = tuple({*a[0], *b[0]})
    come = [_step(sql, "write down what policies make") for sql in recording(a[0], both)]
    gone = [_step(sql, "strike out what policies no longer make") for sql in recording(both, b[0])]
    major = b[1].server_version // 10000
    first = [come, roles.come(a[1], b[1], owners), roles.let_in(a[2], b[2], major)]
    return renumbered([*first, steps, roles.shut_out(a[2], b[2], major), roles.gone(a[1], b[1]), gone])


def _step(sql: str, title: str) -> Step:
    return Step(sql, title, RECORD, phase=Phase.EXPAND, grade=Grade.LOSSLESS)


def untried(proof: Proof, plan: Plan) -> Proof:
    """The proof of a plan with roles: on a scratch server they are stand-ins that can do nothing."""
    found = sorted({s.object for s in plan.steps if s.object.kind == "role"})
    return replace(proof, untried=(*proof.untried, *found))
