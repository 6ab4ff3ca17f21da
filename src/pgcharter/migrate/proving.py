"""A plan tried on a scratch server: there and back, with nothing left over. What is built there is the catalog itself, not its files."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pgcharter.catalog.compare import Difference, describe
from pgcharter.catalog.model import Catalog, OtherObject
from pgcharter.errors import PgcharterError, RefusedError
from pgcharter.names import ObjectId, quote
from pgcharter.plan import ddl, diff
from pgcharter.plan.model import Grade, Plan, Step
from pgcharter.plan.normal import normalised
from pgcharter.sources import Progress

if TYPE_CHECKING:
    from pgcharter.servers.scratch import Scratch, ScratchDatabase


@dataclass(frozen=True)
class Proof:
    """What became of a plan on a scratch server."""

    seconds: tuple[float, ...] = ()
    """How long each step took there, on empty tables."""
    left: tuple[Difference, ...] = ()
    """What still differs from the wanted catalog afterwards."""
    left_back: tuple[Difference, ...] | None = ()
    """What differs from the first catalog after the way back; None when there is no way back."""
    untried: tuple[ObjectId, ...] = ()
    """What the plan changes and a scratch server cannot make, so that nobody knows whether it works."""

    @property
    def holds(self) -> bool:
        """Whether the plan leads where it should, and back."""
        return not self.left and not self.left_back

    @property
    def sentence(self) -> str:
        """The proof in a sentence, for a plan that holds."""
        back = "there is no way back" if self.left_back is None else "back again it is as before"
        untried = (
            f"; not tried, because only a superuser or a real peer makes it work: {', '.join(map(str, self.untried))}"
            if self.untried
            else ""
        )
        return f"tried on a scratch server in {sum(self.seconds):.1f} s: it leads to what is wanted, and {back}{untried}"


def prove(scratch: Scratch, a: Catalog, plan: Plan, b: Catalog, progress: Progress | None = None) -> Proof:
    """Build `a` on a database of `scratch`, run the plan there and its reverse, and compare after each.

    Raises PgcharterError when a step is refused, with the step and PostgreSQL's words.
    """
    tried = {d.object for d in diff.differences(buildable(a), buildable(b))}
    untried = tuple(sorted({d.object for d in diff.differences(a, b)} - tried))
    with scratch.database() as database:
        build(database, a)
        seconds = run(database, plan.steps, progress)
        left = remaining(read(database), b)
        if left or any(s.grade is Grade.IMPOSSIBLE for s in plan.steps):
            return Proof(seconds, left, None, untried)
        run(database, plan.reverse, progress)
        return Proof(seconds, left, remaining(read(database), a), untried)


def must_hold(proof: Proof) -> Proof:
    """The proof of a plan that leads where it should. Raises RefusedError with what is left over when it does not."""
    if not proof.holds:
        raise RefusedError(
            f"the plan was tried on a scratch server and does not lead where it should: {told(proof.left or proof.left_back or ())}",
            hint="this is a fault of pgcharter: please report both schemas; `pgcharter plan --no-proof` shows the plan all the same",
        )
    return proof


def remaining(found: Catalog, wanted: Catalog) -> tuple[Difference, ...]:
    """What differs between a catalog that was built and the one that it should be, but for what cannot be built here."""
    wanted = replace(wanted, database=replace(found.database, owner=wanted.database.owner))
    return tuple(d for d in diff.differences(*normalised(found, buildable(wanted))) if d.object.kind != "database")


def read(database: ScratchDatabase, built: Catalog | None = None) -> Catalog:
    """The catalog that a scratch database holds now; with what could not be built of `built`, where it comes from."""
    from pgcharter.sources import live
    from pgcharter.sources.files import anonymous

    found = anonymous(live.read_catalog(database.admin))
    if built is None:
        return found
    users = {server.id: server.users for server in built.foreign_servers}
    return replace(
        found,
        event_triggers=built.event_triggers,
        subscriptions=built.subscriptions,
        security_labels=built.security_labels,
        foreign_servers=tuple(replace(server, users=users.get(server.id, ())) for server in found.foreign_servers),
        others=tuple(sorted((*found.others, *(o for o in built.others if _of_superuser(o))), key=lambda o: o.id)),
    )


_SUPERUSERS = frozenset(("foreign-data wrapper", "language", "access method", "transform"))


def buildable(catalog: Catalog) -> Catalog:
    """The catalog without what the unprivileged owner of a scratch database cannot make (`sources.policy`), and nothing else needs."""
    return replace(
        catalog,
        event_triggers=(),
        subscriptions=(),
        security_labels=(),
        foreign_servers=tuple(replace(server, users=()) for server in catalog.foreign_servers),
        others=tuple(o for o in catalog.others if not _of_superuser(o)),
    )


def _of_superuser(item: OtherObject) -> bool:
    return item.kind in _SUPERUSERS and not item.extension


def build(database: ScratchDatabase, catalog: Catalog) -> None:
    """Make everything that `catalog` holds in an empty database, stand-ins for its roles included.

    Raises PgcharterError when something cannot be made here, such as an extension that this machine lacks.
    """
    empty = read(database)
    catalog = replace(buildable(catalog), database=empty.database)
    changes = diff.operations(empty, catalog)
    sides = ddl.Sides(empty, catalog)
    try:
        if changes.questions:
            raise ValueError(changes.questions[0])
        execute(database, (sql for operation in changes.operations for sql in ddl.statements(operation, sides)))
    except (ValueError, PgcharterError) as error:
        hint = "`pgcharter plan --no-proof` plans without a trial" + (
            f"; refused: {error.hint}" if isinstance(error, PgcharterError) else ""
        )
        raise PgcharterError(f"the schema that is there now cannot be built on a scratch server: {error}", hint=hint) from None


def run(database: ScratchDatabase, steps: Sequence[Step], progress: Progress | None = None) -> tuple[float, ...]:
    """Run the steps one by one, as a runner would with nobody else there; return the seconds each took."""
    seconds = []
    for number, step in enumerate(steps):
        if progress:
            progress("trying the plan", number, len(steps))
        start = time.perf_counter()
        if step.sql:
            try:
                execute(database, [step.sql])
            except PgcharterError as error:
                raise PgcharterError(f"step {number + 1} of the plan ({step.title}) is refused: {error.message}", hint=step.sql) from None
        seconds.append(time.perf_counter() - start)
    return tuple(seconds)


def execute(database: ScratchDatabase, statements: Iterable[str]) -> None:
    """Run statements as the unprivileged owner; roles and extensions that they name are made as the scratch server allows.

    Servers of ours share the private name of their superuser, which owns everything on a project's server: here the owner stands for it.

    Raises PgcharterError with PostgreSQL's words at the first that is refused.
    """
    from pgcharter.sources.build import Builder
    from pgcharter.sources.policy import decide
    from pgcharter.sqltext import parse

    builder = Builder(database)
    database.conn.execute("SET check_function_bodies = off")
    private = database.admin.info.user if database.scratch.server else ""
    for sql in statements:
        text = sql.replace(private, quote(database.scratch.owner)) if private else sql
        for statement in parse(text, "plan").statements:
            refusal = builder.run(statement) if decide(statement)[0] != "note" else None
            if refusal is not None:
                raise PgcharterError(refusal.message, hint=sql)


def told(differences: Iterable[Difference], most: int = 5) -> str:
    """The first few differences in words."""
    lines = [describe(d) for d in differences]
    more = f"; and {len(lines) - most} more" if len(lines) > most else ""
    return "; ".join(lines[:most]) + more
