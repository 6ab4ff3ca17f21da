"""What commands prove on the way is kept as evidence, where the charter says `[evidence]`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pgcharter.charter import Charter
    from pgcharter.db import Connection
    from pgcharter.findings import Evidence
    from pgcharter.watch.model import Health

COUNTS = timedelta(days=1)
"""How long a look at a live server counts."""


def seen(name: str, holds: bool, what: str, facts: Mapping[str, Any]) -> Evidence:
    """What a look at a live server has shown just now."""
    from pgcharter.findings import Evidence

    now = datetime.now(UTC)
    return Evidence(name, holds, what, now, now + COUNTS, facts)


def of_policies(declared: Iterable[str], differing: Iterable[str]) -> list[Evidence]:
    """Whether each policy of the charter is in place; `differing` names one for each step that would make it so."""
    found, made = list(differing), []
    for name in declared:
        steps = found.count(name)
        what = f"{steps} {'step' if steps == 1 else 'steps'} from what is declared" if steps else "everything is as declared"
        made.append(seen(f"policy.{name}", not steps, what, {"steps": steps}))
    return made


def of_health(found: Health) -> list[Evidence]:
    """What each check that could look has seen: its worst reading."""
    from pgcharter.watch.model import Level

    worst = {r.check.id: r for r in sorted(found.readings, key=lambda r: r.level)}
    return [
        seen(f"health.{id_}", r.level < Level.WARNING, r.says or r.check.title, {"level": r.level.name.lower()}) for id_, r in worst.items()
    ]


def keep(dsn: str, evidence: Iterable[Evidence]) -> bool:
    """Record evidence where the charter says [evidence]; returns whether it was."""
    from pgcharter.cli.project import charter_here
    from pgcharter.watch import evidence as table

    return kept(dsn, charter_here(), lambda conn: table.record(conn, evidence))


def kept(dsn: str, charter: Charter, write: Callable[[Connection], object]) -> bool:
    """Write where the charter says [evidence]; what hinders that is said on the error stream. Returns whether it was written."""
    import click
    import psycopg

    from pgcharter.db import connect
    from pgcharter.errors import ConnectError
    from pgcharter.policy.evidence_settings import SECTION

    if SECTION.name not in charter.sections:
        return False
    try:
        with connect(dsn, application_name="pgcharter evidence") as conn:
            write(conn)
    except (ConnectError, psycopg.Error) as error:
        click.echo(f"not kept as evidence: {' '.join(str(error).split())}", err=True)
        return False
    return True
