"""`migrate up`, `down`, `to`, `status` and `verify` over many targets."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import click

from pgcharter.cli import migrating, running, verifying
from pgcharter.cli.output import screen, show, show_json
from pgcharter.cli.signals import endable
from pgcharter.cli.watching import Voice, outcome_data
from pgcharter.errors import Exit, PgcharterError, RefusedError, UsageError
from pgcharter.migrate import fan_out, home, reach, runner, targets
from pgcharter.migrate.state import standing
from pgcharter.migrate.watch import RunnerWaits
from pgcharter.render import migrations
from pgcharter.render import targets as render
from pgcharter.render.page import Page
from pgcharter.render.targets import TargetRow

if TYPE_CHECKING:
    from pgcharter.cli.migrating import Place
    from pgcharter.cli.running import Chosen
    from pgcharter.cli.targeting import Many
    from pgcharter.db import Connection
    from pgcharter.migrate.endings import Outcome
    from pgcharter.migrate.fan_out import Ended, Job, Tally
    from pgcharter.migrate.model import Migration
    from pgcharter.migrate.targets import Group, Target
    from pgcharter.migrate.watch import Event

Choose = Callable[["Connection", "Place"], "Chosen"]
"""What a command does in a target, by its ledger. Raises PgcharterError where nothing may be done."""


def run(many: Many, wishes: Mapping[str, Any], form: str, choose: Choose) -> int:
    """Do in every target what `choose` says, and tell how it ended."""
    _guard(many, wishes)
    jobs, before = _jobs(many, choose, told=form == "text")
    jobs = _parsed(many.place, jobs, wishes)
    running.warn(many.place, ())
    if wishes["dry_run"]:
        return _rehearsed(many, jobs, before, wishes, form)
    board, began = _Board(quiet=form == "json"), time.monotonic()
    with endable() as asked, running.told_of_many(many.place, jobs, Voice()) as tell:
        ended = _fan_out(many, wishes, board).run(jobs, _canaries(many, jobs, wishes), before)
        tell(ended)
    board.close()
    rows = [_row(many, one, jobs) for one in sorted(ended, key=lambda e: many.targets.index(e.target))]
    seconds = time.monotonic() - began
    if form == "json":
        show_json(render.data(rows, "pgcharter-migrate-targets-run", duration_ms=round(seconds * 1000)))
    else:
        page = Page(screen())
        render.ended(page, rows, seconds)
        show(page)
    return _code(rows, asked.code)


def _guard(many: Many, wishes: Mapping[str, Any]) -> None:
    """Raise RefusedError when one of the databases is production and not named: before anything is run anywhere."""
    for database in {t.database: None for t in many.targets}:
        migrating.guard(replace(many.place, production=database.production), wishes["confirm"])


def _jobs(many: Many, choose: Choose, *, told: bool) -> tuple[list[Job], list[Ended]]:
    """What is to be done where something is left, and how those ended in which nothing is, or may be, done."""
    jobs: list[Job] = []
    before: list[Ended] = []
    said: set[str] = set()
    for group in targets.groups(many.targets):
        try:
            chosen = _at(many, group, choose)
        except UsageError:
            raise
        except PgcharterError as error:
            before += [fan_out.refused(target, error) for target in group.targets]
            continue
        for sentence in chosen.warnings if told else ():
            if sentence not in said:
                said.add(sentence)
                click.echo(f"warning: {group.targets[0].name}: {sentence}", err=True)
        if chosen.migrations:
            jobs += [fan_out.Job(target, tuple(chosen.migrations), chosen.direction) for target in group.targets]
        else:
            before += [fan_out.Ended(target, "up to date", message=chosen.nothing) for target in group.targets]
    order = {target: number for number, target in enumerate(many.targets)}
    return sorted(jobs, key=lambda job: order[job.target]), before


def _at(many: Many, group: Group, choose: Choose) -> Chosen:
    place = many.at(group.targets[0])
    with migrating.ledger_of(place) as conn:
        home.refuse_elsewhere(conn)
        return choose(conn, place)


def _parsed(place: Place, jobs: Sequence[Job], wishes: Mapping[str, Any]) -> list[Job]:
    """The jobs with the units of their migrations: every file is parsed once, before anything is run."""
    every = list(dict.fromkeys(m for job in jobs for m in job.migrations))
    ready = dict(zip(every, migrating.with_units(place, every, shown=wishes["dry_run"]), strict=True))
    backward = {m for job in jobs if job.direction == "down" for m in job.migrations}
    running.refuse_one_way([ready[m] for m in every if m in backward])
    for migration in ready.values():
        running.warn_notes(migration)
    for migration, sentence in reach.told(ready.values()) if any(job.target.schema for job in jobs) else ():
        click.echo(f"note: {migration.file}: {sentence}", err=True)
    made: dict[tuple[Migration, ...], tuple[Migration, ...]] = {}
    for job in jobs:
        made.setdefault(job.migrations, tuple(ready[m] for m in job.migrations))
    return [replace(job, migrations=made[job.migrations]) for job in jobs]


def _canaries(many: Many, jobs: Sequence[Job], wishes: Mapping[str, Any]) -> frozenset[str]:
    """Names of the targets that must be done before the others begin."""
    word = wishes["canary"] or many.section.canary
    if word.isdigit():
        return frozenset(job.target.name for job in jobs[: int(word)])
    return frozenset({targets.named(many.targets, word).name} if word else ())


def _fan_out(many: Many, wishes: Mapping[str, Any], board: _Board) -> fan_out.FanOut:
    stop = threading.Event()

    def work(job: Job) -> Outcome:
        terms = replace(running.terms_of(many.at(job.target), dict(wishes)), interrupted=stop.is_set)
        voice = _TargetVoice(board, job.target)

        def watch(event: Event) -> None:
            if stop.is_set() and isinstance(event, RunnerWaits):
                raise KeyboardInterrupt
            voice(event)

        return runner.apply(job.target.dsn, job.migrations, direction=job.direction, terms=terms, watch=watch)

    parallel = wishes["parallel"] or many.section.parallel
    least = many.section.stop_after if wishes["stop_after"] is None else wishes["stop_after"]
    return fan_out.FanOut(work, lambda tally: board.tell(many, tally), parallel, least, stop)


class _Board(Voice):
    """What is said of all targets: a line for each that has ended, and on a terminal how many are left."""

    def __init__(self, *, quiet: bool) -> None:
        super().__init__(quiet=quiet)
        self.lock = threading.Lock()
        self._said: set[str] = set()

    def tell(self, many: Many, tally: Tally) -> None:
        """Tell how far all of them are."""
        with self.lock:
            last = tally.last
            if last and not self.quiet and last.word != "up to date" and not (self.live and last.word == "done"):
                self._close()
                page = Page(screen())
                page.line(*render.line(_row(many, last)))
                click.echo(page.text(), nl=False)
            if self.live and not self.quiet:
                words = [f"{number:,} {word}" for word, number in tally.counts.items()]
                words += [f"{len(tally.running)} at work ({', '.join(tally.running[:4])})"] * bool(tally.running)
                self._progress(", ".join((*words, f"{tally.left:,} left")))

    def say(self, name: str, text: str, style: str) -> None:
        """Tell something of one target; what was said of another already is not said again."""
        with self.lock:
            if text in self._said:
                return
            self._said.add(text)
            self._line(f"  {name}: {text.strip()}", style=style)

    def close(self) -> None:
        """Leave the terminal as it was."""
        self._close()


class _TargetVoice(Voice):
    """What is said of one target while others are at work too: only what a person must know."""

    def __init__(self, board: _Board, target: Target) -> None:
        super().__init__(quiet=True)
        self.board, self.target = board, target

    def _line(self, text: str, *, style: str = "") -> None:
        self.board.say(self.target.name, text, style)

    def _progress(self, text: str) -> None:
        """Nobody could read that of several at once."""


def _row(many: Many, one: Ended, jobs: Sequence[Job] = ()) -> TargetRow:
    o = one.outcome
    direction = next((job.direction for job in jobs if job.target == one.target), "up")
    return TargetRow(
        one.target.name, one.word, one.target.database.name, one.target.schema, tuple(m.title for m in one.applied),
        duration_ms=round(one.seconds * 1000) if o else None, at=o.migration.title if o and o.migration else "",
        unit=o.number + 1 if o and o.migration else 0, reason=o.reason if o else "", message=one.message,
        hint=many.meant(one.target, one.hint), place=one.place, sqlstate=o.sqlstate if o else "",
        again=many.alone(one.target, direction) if one.word in ("failed", "refused", "stopped") else "",
    )  # fmt: skip


def _code(rows: Sequence[TargetRow], interrupted: int) -> int:
    states = {row.state for row in rows}
    if "interrupted" in states:
        return interrupted
    return Exit.FAILED if "failed" in states else Exit.REFUSED if states - {"done", "up to date"} else Exit.FINE


def _rehearsed(many: Many, jobs: Sequence[Job], before: Sequence[Ended], wishes: Mapping[str, Any], form: str) -> int:
    """What would run, once for those in which the same would."""
    alike: dict[tuple[object, ...], list[Job]] = {}
    for job in jobs:
        alike.setdefault((job.direction, job.migrations), []).append(job)
    found = []
    for group in alike.values():
        names = render.names([TargetRow(job.target.name, "") for job in group])
        if form == "text":
            click.echo(f"-- {len(group):,} {'target' if len(group) == 1 else 'targets'}: {names}\n")
        terms = running.terms_of(many.at(group[0].target), dict(wishes))
        outcome = runner.apply(
            group[0].target.dsn, group[0].migrations, direction=group[0].direction, terms=terms, watch=Voice(quiet=form == "json")
        )
        found.append({"targets": [job.target.name for job in group], **outcome_data(outcome, group[0].direction)})
    rows = [_row(many, one) for one in before]
    if form == "json":
        show_json(render.data(rows, "pgcharter-migrate-targets-run", planned=found))
    elif before:
        page = Page(screen())
        render.standing(page, rows, "would be left as they are")
        show(page)
    return Exit.REFUSED if any(one.bad for one in before) else Exit.FINE


# where they stand


@dataclass(frozen=True)
class _Stand:
    """Where the targets of a group stand."""

    group: Group
    row: TargetRow
    """Of the first."""

    def rows(self, many: Many) -> Iterator[TargetRow]:
        for t in self.group.targets:
            again = many.alone(t, self.row.again) if self.row.again else ""
            yield replace(self.row, name=t.name, database=t.database.name, schema=t.schema, again=again, hint=many.meant(t, self.row.hint))


def status(many: Many, form: str, *, check: bool) -> int:
    """Say where every target stands."""
    rows = _standing(many)
    _show(many, rows, form, "pgcharter-migrate-targets-status")
    return Exit.FINDINGS if check and any(row.state != "up to date" for row in rows) else Exit.FINE


def verify(many: Many, form: str) -> int:
    """Hold the files against every target's ledger, and read every file."""
    rows = _standing(many)
    _, found = verifying.readable(many.place, standing(many.place.files, ()))
    if form == "text":
        page = Page(screen())
        migrations.tell(page, found)
        show(page)
    _show(many, rows, form, "pgcharter-migrate-targets-status")
    wrong = any(row.state not in ("up to date", "behind") for row in rows)
    return Exit.FINDINGS if wrong or found else Exit.FINE


def _show(many: Many, rows: Sequence[TargetRow], form: str, name: str) -> None:
    if form == "json":
        show_json(render.data(rows, name, folder=many.place.files.target, notes=list(many.place.files.notes)))
        return
    page = Page(screen())
    render.standing(page, rows, f"of {many.place.files.target}")
    show(page)
    running.warn(many.place, ())


def _standing(many: Many) -> list[TargetRow]:
    order = {target.name: number for number, target in enumerate(many.targets)}
    rows = [row for group in targets.groups(many.targets) for row in _Stand(group, _stand(many, group)).rows(many)]
    return sorted(rows, key=lambda row: order[row.name])


def _stand(many: Many, group: Group) -> TargetRow:
    """Where the first target of a group stands."""
    place = many.at(group.targets[0])
    try:
        with migrating.ledger_of(place) as conn:
            home.refuse_elsewhere(conn)
            found, problems = migrating.standing_of(conn, place)
    except PgcharterError as error:
        return TargetRow("", "refused" if isinstance(error, RefusedError) else "failed", message=error.message, hint=error.hint,
                         place=error.place)  # fmt: skip
    pending = tuple(e.title for e in found.pending)
    told = next((p for p in problems if p.refuses), None) or next((p for p in problems if p.kind == "unfinished"), None)
    if told is None:
        return TargetRow("", "behind" if pending else "up to date", pending=pending)
    run = told.entry.unfinished if told.entry else None
    state = "refused" if run is None else "failed" if run.outcome == "failed" else "stopped" if run.error else "running"
    at = told.entry.title if told.entry else ""
    return TargetRow(
        "", state, pending=pending, at=at, message=told.message, hint=told.hint, place=told.place, again=run.direction if run else "up"
    )
