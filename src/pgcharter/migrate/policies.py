"""Plans with policies: what they made is read from the database, what they want joins the wanted side, the record goes with the plan."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pgcharter.catalog.model import Catalog, Cluster
from pgcharter.db import connect, queries
from pgcharter.errors import RefusedError
from pgcharter.names import ObjectId
from pgcharter.plan.blocks import renumbered
from pgcharter.plan.model import Grade, Phase, Plan, Step
from pgcharter.policy.compose import RECORD, SCHEMA, compose, recording
from pgcharter.policy.marks import without
from pgcharter.policy.model import Mark, Policy, State

if TYPE_CHECKING:
    from pgcharter.servers.scratch import Scratch


@dataclass(frozen=True)
class Chosen:
    """The policies of a charter, and the environment that they are for."""

    policies: tuple[Policy, ...] = ()
    environment: str = ""
    production: bool = False


@dataclass(frozen=True)
class Governed:
    """A wanted schema with all that policies add to it."""

    catalog: Catalog
    cluster: Cluster
    old: tuple[Mark, ...]
    """What policies had made before."""
    new: tuple[Mark, ...]
    """What they make now."""
    questions: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def ours(self) -> frozenset[ObjectId]:
        """What policies answer for, before and now, and the record itself."""
        if not self.old and not self.new:
            return frozenset()
        return frozenset({RECORD, *(at for m in (*self.old, *self.new) for at in (m.object, m.object.owner))})


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


def govern(scratch: Scratch, base: Catalog, cluster: Cluster | None, old: tuple[Mark, ...], chosen: Chosen) -> Governed:
    """`base`, a schema without anything of policies, with all that `chosen` wants, as PostgreSQL writes it back."""
    from pgcharter.migrate import proving

    if not chosen.policies:
        return Governed(base, cluster or Cluster(), old, ())
    start = State(base, cluster or Cluster(), chosen.environment, chosen.production)
    composed = compose(start, chosen.policies)
    state = composed.state
    if not state.questions:
        with scratch.database() as database:
            proving.build(database, state.catalog)
            state = replace(state, catalog=proving.read(database, state.catalog))
    return Governed(state.catalog, state.cluster, old, composed.marks, state.questions, state.notes)


def base(actual: Catalog, old: Iterable[Mark]) -> Catalog:
    """What is there, without what policies made."""
    return without(actual, (*old, Mark(RECORD)))


def recorded(plan: Plan, a: Catalog, governed: Governed) -> Plan:
    """The plan with the statements that keep the record.

    What comes is written down before it is made and what goes is struck out after it is gone, so that a run that is cut off anywhere leaves
    nothing that belongs to nobody.
    """
    if plan.empty and set(governed.old) == set(governed.new):
        return plan
    there, wanted = RECORD in a.table, RECORD in governed.catalog.table
    return replace(
        plan,
        steps=_recorded(plan.steps, governed.old, governed.new, there=there, wanted=wanted),
        reverse=_recorded(plan.reverse, governed.new, governed.old, there=wanted, wanted=there),
    )


def _recorded(steps: Sequence[Step], old: Collection[Mark], new: Collection[Mark], *, there: bool, wanted: bool) -> tuple[Step, ...]:
    home = [s for s in steps if s.object.owner == RECORD or s.object == ObjectId("schema", "", SCHEMA)]
    rest = [s for s in steps if s not in home]
    both = tuple({*old, *new})
    come = [_step(sql, "write down what policies make") for sql in recording(old, both)] if wanted else []
    gone = [_step(sql, "strike out what policies no longer make") for sql in recording(both, new)] if wanted and there else []
    first, last = (home, []) if wanted else ([], home)
    return renumbered([[*first, *come], rest, [*gone, *last]])


def _step(sql: str, title: str) -> Step:
    return Step(sql, title, RECORD, phase=Phase.EXPAND, grade=Grade.LOSSLESS)
