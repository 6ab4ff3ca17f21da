"""What `pgcharter sync init|run|status|reconcile` do for copies both ways."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from pgcharter.errors import RefusedError

if TYPE_CHECKING:
    from pgcharter.stream.twoway_declared import Declared
    from pgcharter.stream.twoway_run import Compared, Stand
    from pgcharter.stream.worker import Worker


def two_ways(environment: str | None, target: str | None) -> tuple[list[Declared], bool]:
    """Copies both ways of the charter, and whether there are only such."""
    import os

    from pgcharter.cli import migrating
    from pgcharter.cli.project import charter_here
    from pgcharter.policy.sync_settings import SECTION
    from pgcharter.stream.twoway_declared import declared

    charter = charter_here()
    section = charter.section(SECTION)
    if not section.two_way:
        return [], False
    return declared(section, migrating.database(environment, target)[1], charter.folder, os.environ), not section.sink


def begin(some: Sequence[Declared], *, yes: bool, anew: bool, jobs: int, quiet: bool) -> list[str]:
    """Say what is to be done for those that were not begun (`anew`: all), and on a yes do it; gives back their names."""
    from pgcharter.cli.progress import progress
    from pgcharter.stream import source, twoway_begin, twoway_tables

    new = [one for one in some if anew or not twoway_begin.begun(one.two)]
    for one in new:
        table, two = one.table, one.two
        with source.open_source(two.here) as here, source.open_source(two.there) as there:
            missing = twoway_tables.statements(here, there, table.tables if table.create else ())
        if not quiet:
            filled = "have the same rows" if table.same else "are filled"
            click.echo(f"{', '.join(table.tables)} are copied both ways with {table.name}; the tables there {filled}")
            click.echo(f"  slots {two.out.slot} here and {two.back.slot} there, and publications of these names")
            for sql in missing:
                click.echo(f"  there: {sql}")
        if not yes and not click.confirm("do that?", err=True):
            raise RefusedError("nothing was changed", hint="--yes answers beforehand")
        with source.open_source(two.there) as there:
            for sql in missing:
                there.execute(sql.encode())
        if anew:
            twoway_begin.forget(two)
        with progress("copying") as advance:
            twoway_begin.begin(two, same=table.same, jobs=jobs, advance=advance)
    return [one.table.name for one in new]


def workers(some: Sequence[Declared]) -> list[Worker]:
    """The workers of all of them."""
    from pgcharter.stream.twoway_run import workers

    return [w for one in some for w in workers(one.two, lambda text: click.echo(text, err=True))]


def stands(some: Sequence[Declared], keep: int) -> list[Stand]:
    """How they stand."""
    from pgcharter.stream.twoway_run import look

    return [look(one.two, one.table.name, keep) for one in some]


def stand_data(one: Stand) -> dict[str, Any]:
    """The same for a program."""
    from pgcharter.stream.checkpoints import Kept

    ways = {}
    for name, way in (("out", one.out), ("back", one.back)):
        kept = way.sinks[0].kept if way.sinks else Kept(one.name)
        ways[name] = {
            "state": kept.state, "reason": kept.reason, "behind_seconds": kept.behind, "rows": kept.rows,
            "behind_bytes": sum(s.behind_bytes for s in way.sinks), "held_bytes": way.slot.held if way.slot else 0,
        }  # fmt: skip
    counts = {"conflicts": one.conflicts, "refused": one.refused, "parked": one.parked}
    return {"name": one.name, **ways, **counts, "problems": list(one.problems)}


def tell_stand(one: Stand) -> None:
    """Print how one stands."""
    data = stand_data(one)
    for way, arrow in (("out", "→"), ("back", "←")):
        said = data[way]
        click.echo(f"both ways {arrow} {one.name}: {said['state']}, {said['behind_seconds']:.1f} s behind, {said['rows']} rows written")
    click.echo(f"both ways {one.name}: {one.conflicts} conflicts, of them {one.refused} refused; {one.parked} rows parked there")
    for problem in one.problems:
        click.echo(f"✘ {problem}")


def compared(some: Sequence[Declared], sink: str | None, tables: tuple[str, ...], *, repair: bool) -> list[dict[str, Any]]:
    """Both sides of each compared."""
    from pgcharter.stream.twoway_run import compare

    found = []
    for one in some:
        if sink in (None, one.table.name):
            found += [_data(one, c) for c in compare(one.two, tables, repair=repair)]
    return found


def _data(one: Declared, compared: Compared) -> dict[str, Any]:
    keys = [list(k) for k in compared.keys]
    return {"name": one.table.name, "table": compared.table, "rows": compared.rows, "keys": keys, "repaired": compared.repaired}


def tell_compared(found: dict[str, Any]) -> None:
    """Print how both sides of a table compare."""
    differ, repaired = len(found["keys"]), found["repaired"]
    mark = "✘" if differ > repaired else "✓"
    done = f", the follower is told of {repaired}" if repaired else ""
    click.echo(f"{mark} {found['table']} ↔ {found['name']}: {found['rows']} rows, {differ or 'none'} differ{done}")
    for key in found["keys"][:20]:
        click.echo(f"    ({', '.join(key)})")
