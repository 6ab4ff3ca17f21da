"""A plan written as revisions of an Alembic project, that `alembic upgrade` and `downgrade` alone can run.

Each statement becomes the operation of Alembic's that says the same; what that is, Alembic is asked itself: the operation is kept when the
SQL that Alembic renders for it is the statement, else `op.execute` of the statement stands there. Transactions of the plan stay apart: a
statement outside of them stands in an `autocommit_block`, and an empty one ends a transaction. Where the plan waits for a release (a gate)
a new revision begins, so that each can be applied in its time.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pgcharter.errors import PgcharterError, RefusedError, UsageError
from pgcharter.migrate import alembic_batches, proving
from pgcharter.names import ObjectId
from pgcharter.plan import planner
from pgcharter.plan.extent import extent
from pgcharter.plan.model import Grade, Plan, Step
from pgcharter.plan.normal import normalised, unowned
from pgcharter.render import alembic as text
from pgcharter.render.alembic_words import literal
from pgcharter.render.effects import waits
from pgcharter.rules.library_tables import is_named
from pgcharter.sources.models import described, foreign_code
from pgcharter.sqltext import parse
from pgcharter.sqltext.trees import same

if TYPE_CHECKING:
    from pgcharter.migrate.alembic import Revisions
    from pgcharter.migrate.alembic_env import Standpoint
    from pgcharter.migrate.planning import Planned
    from pgcharter.plan.safe_ground import Style
    from pgcharter.render.plan import Story

_BODIES = re.compile(r"\s*CREATE (?:OR REPLACE )?(?:FUNCTION|PROCEDURE)\b", re.IGNORECASE)
_BLOCK = "with op.get_context().autocommit_block():"
_IMPORT = "from sqlalchemy.dialects import postgresql"


@dataclass(frozen=True, slots=True)
class Part:
    """What one revision does."""

    steps: tuple[Step, ...]
    reverse: tuple[Step, ...] = ()
    gate: str = ""
    """What must be true before it is applied."""

    @property
    def one_way(self) -> str:
        """What is gone for good; empty when there is a way back."""
        return "; ".join(dict.fromkeys(s.loses or s.title for s in self.steps if s.grade is Grade.IMPOSSIBLE))


def parts(plan: Plan) -> list[Part]:
    """The plan cut where it waits for a release; a plan in one piece has its way back."""
    found: list[Part] = []
    gate, steps = "", list[Step]()
    for step in plan.steps:
        if step.gate:
            if steps:
                found.append(Part(tuple(steps), gate=gate))
            gate, steps = step.gate, []
        else:
            steps.append(step)
    if steps:
        found.append(Part(tuple(steps), gate=gate))
    return [replace(found[0], reverse=plan.reverse)] if len(found) == 1 else found


def with_ways_back(found: Sequence[Part], planned: Planned, *, scratch_url: str | None, style: Style) -> list[Part]:
    """Each part with its own way back: they are run one after another on a scratch server, and the way back from each is planned."""
    from pgcharter.servers.scratch import open_scratch

    actual, made = planned.actual.catalog, list[Part]()
    assert actual is not None  # noqa: S101  (it was planned with)
    before = unowned(extent(actual, planned.wanted.catalog or actual, library=is_named).a)
    with open_scratch(before.major, url=scratch_url) as scratch, scratch.database() as database:
        proving.build(database, before)
        at = before
        for part in found:
            proving.run(database, part.steps)
            there = unowned(normalised(at, proving.read(database, at))[1])
            back = planner.plan(there, unowned(at), style=style, apart={address for address, _ in there.objects()})
            made.append(replace(part, reverse=back.steps))
            at = there
    return made


def write(revisions: Revisions, story: Story, found: Sequence[Part], message: str) -> list[Path]:
    """Write one revision a part, each after the other, the first after the head; their paths.

    Raises RefusedError when the project has several heads, PgcharterError when its template cannot be filled in.
    """
    from alembic.util import rev_id

    project = revisions.alembic
    if len(project.heads) > 1:
        names = ", ".join(project.heads)
        raise RefusedError(f"the revisions end in {len(project.heads)} heads ({names}), so nothing says which one the new revision follows",
                           hint="alembic merge heads -m 'merge', then again")  # fmt: skip
    project.script.messaging_opts = {"quiet": True}
    paths: list[Path] = []
    head: Any = "head"
    for number, part in enumerate(found):
        words = message if len(found) == 1 else f"{message} {number + 1} {part.steps[0].phase}"
        up, down = body(part.steps, story, part.gate), _back(part)
        imports = _IMPORT if "postgresql." in up + down else ""
        revision = rev_id()
        try:
            with project.inside(), foreign_code():
                script = project.script.generate_revision(
                    revision, words, head=head, refresh=True, upgrades=_indented(up), downgrades=_indented(down), imports=imports,
                    config=project.config,
                )  # fmt: skip
        except Exception as error:
            raise PgcharterError(f"the revision cannot be written: {described(error)}") from None
        if script is None:
            raise PgcharterError("Alembic wrote no revision")
        paths.append(Path(script.path))
        head = revision
    return paths


def refuse_elsewhere(revisions: Revisions, point: Standpoint, story: Story) -> None:
    """Raise RefusedError when the database that was planned from is not where the new revision begins, or Alembic's table would go."""
    hint = "leave --on out, and the plan begins where the revisions end"
    if set(point.heads) != set(revisions.alembic.heads):
        at, head = ", ".join(point.heads) or "no revision", ", ".join(revisions.alembic.heads)
        raise RefusedError(
            f"{story.actual} is at {at} and the revisions end in {head}, so the plan is not what comes after them",
            hint=f"bring it there first: pgcharter migrate up; or {hint}",
        )
    table = ObjectId("table", point.schema or "public", point.table)
    if any(o.change == "drop" and o.object == table for o in story.plan.operations):
        raise RefusedError(f"the plan would drop {table}, in which Alembic keeps what is applied", hint=hint)


def refuse_nothing(story: Story) -> None:
    """Raise RefusedError while the plan has questions, UsageError when there is nothing to do."""
    if story.plan.questions:
        raise RefusedError("the plan has open questions, so it was not written", hint="answer them first: see above")
    if story.plan.empty:
        raise UsageError("there is nothing to do, so no revision was written")


def _back(part: Part) -> str:
    if part.one_way:
        return f"raise NotImplementedError({literal('there is no way back: ' + part.one_way)})"
    return body(part.reverse) or "pass"


def body(steps: Sequence[Step], story: Story | None = None, gate: str = "") -> str:
    """Steps as the lines of a function, without indentation."""
    lines = [f"# pgcharter: gate {_one_line(gate)}"] if gate else []
    bodies = any(_BODIES.match(step.sql) for step in steps)
    lines += ['op.execute("SET check_function_bodies = off")'] if bodies else []
    before = ""
    for block in Plan(steps=tuple(steps)).blocks():
        kind = "together" if block[0].block else "alone" if block[0].sql else "gate"
        inner = [line for step in block for line in _step(step, story)]
        if kind == "together" and before == "together":
            lines += [_BLOCK, "    pass  # ends the transaction: what follows has one of its own"]
        if kind == "alone":
            inner = ([_BLOCK] if before != "alone" else []) + list(_deeper(inner))
        lines += inner
        before = kind if kind != "gate" else before
    lines += ['op.execute("RESET check_function_bodies")'] if bodies else []
    return "\n".join(lines)


def _step(step: Step, story: Story | None) -> Iterator[str]:
    if step.gate:
        yield f"# only when: {_one_line(step.gate)}"
        return
    if story:
        yield f"# {_one_line(step.title)}: {_one_line(waits(step.effect, story.stats, story.lock_seconds).text)}"
    for note in (f"{step.grade}: {step.loses}" if step.loses else "", step.why if story else ""):
        if note:
            yield f"# {_one_line(note)}"
    yield from operation(alembic_batches.block(step.backfill) if step.backfill else step.sql).split("\n")


def operation(sql: str) -> str:
    """The call for a statement: the shortest of those that Alembic renders as the statement itself."""
    statements = parse(sql, "").statements
    proposed = [text.operation(statements[0])] if len(statements) == 1 else []
    for code in (*filter(None, proposed), text.execute(sql), text.execute(sql, bound=True)):
        if _says(code, sql):
            return code
    return f"op.execute(sa.DDL({literal(sql.replace('%', '%%'))}))"


def _says(code: str, sql: str) -> bool:
    """Whether Alembic renders `code`, which is our own, as `sql`: as for a driver, where a bound value would show."""
    import sqlalchemy
    from alembic.operations import Operations
    from alembic.runtime.migration import MigrationContext
    from sqlalchemy.dialects import postgresql

    said: list[str] = []
    options = {"as_sql": True, "output_buffer": io.StringIO()}
    context = MigrationContext.configure(dialect_name="postgresql", dialect_opts={"paramstyle": "pyformat"}, opts=options)
    context.impl.static_output = said.append  # type: ignore[method-assign, assignment]
    try:
        exec(code, {"op": Operations(context), "sa": sqlalchemy, "postgresql": postgresql})  # noqa: S102
    except Exception:
        return False
    return same("\n".join(said).replace("%%", "%"), sql)


def _indented(lines: str) -> str:
    """As Alembic hands its own to the template: all but the first line indented."""
    first, *rest = _deeper(lines.split("\n"))
    return "\n".join((first.strip(), *rest))


def _deeper(lines: Sequence[str]) -> Iterator[str]:
    """Lines one step further in; those inside of a text stay."""
    inside = False
    for line in lines:
        yield line if inside or not line else "    " + line
        inside ^= line.count('"""') % 2 == 1


def _one_line(value: str) -> str:
    return " ".join(value.split())
