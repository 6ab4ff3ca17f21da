"""`pgcharter migrate drift`: declared, recorded and live, object by object."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from pgcharter.cli.migrating import open_place, place_options
from pgcharter.cli.output import Command, format_option, screen, show, show_json
from pgcharter.errors import Exit

if TYPE_CHECKING:
    from pgcharter.catalog.model import Catalog
    from pgcharter.cli.migrating import Place
    from pgcharter.migrate.drift import Drift
    from pgcharter.names import ObjectId
    from pgcharter.servers.scratch import Scratch

EXAMPLES = (
    ("pgcharter migrate drift --env production", "has anybody changed the database by hand?"),
    ("pgcharter migrate drift --env staging --format json", "for a nightly job"),
)
WORDS = {
    "by hand": "changed by hand: neither declared nor recorded",
    "not recorded": "as declared, but no migration says so",
    "not yet": "declared, and no migration has done it yet",
    "overtaken": "declared, recorded and live all differ",
}


@click.command("drift", cls=Command, examples=EXAMPLES)
@click.option("--scratch-url", metavar="DSN", help="Build what is declared and recorded on this server instead of a throwaway one.")
@place_options
@format_option
def drift(environment: str | None, target: str | None, folder: str | None, scratch_url: str | None, form: str) -> int:
    """Compare what is declared ([plan] wanted), what the ledger recorded, and what is there, object by object.

    What was recorded is built from the texts that the ledger kept. Ends in 1 when something drifted, 0 when nothing did.
    """
    place = open_place(environment, target, folder)
    found = _found(place, scratch_url)
    if form == "json":
        show_json(_data(place, found))
    else:
        _print(place, found)
    return Exit.FINDINGS if found else Exit.FINE


def _found(place: Place, scratch_url: str | None) -> tuple[Drift, ...]:
    from pgcharter.cli.progress import progress
    from pgcharter.db import connect
    from pgcharter.migrate import drift as drifting
    from pgcharter.servers.scratch import kept, open_scratch
    from pgcharter.sources import live

    with kept(), connect(place.dsn) as conn, progress("comparing"):
        there = live.read_catalog(conn)
        with open_scratch(there.major, url=scratch_url) as scratch:
            recorded = drifting.recorded(conn, place.files, scratch, place.section.placeholders)
            declared, recorded, policies = _declared(place, there, recorded, scratch, scratch_url)
        return drifting.drift(there, recorded, declared, policies)


def _declared(
    place: Place, there: Catalog, recorded: Catalog, scratch: Scratch, scratch_url: str | None
) -> tuple[Catalog | None, Catalog, dict[ObjectId, str]]:
    """What the charter says the database shall be (None when it does not say), what is recorded, with the schemas of tenants, of which the
    ledger knows nothing, and what policies answer for."""
    from pgcharter.catalog.reading import Reading
    from pgcharter.cli.plan import charters_wish
    from pgcharter.migrate import left_out, planning, policies

    held = policies.held(place.dsn)
    whose = {m.object: m.policy for m in held}
    wish = replace(charters_wish(place.charter, place.dsn, place.environment), scratch_url=scratch_url, checked=False)
    keeps = wish.chosen.keeps if wish.chosen else lambda _: False
    if not wish.wanted and not any(keeps(s.name) for s in there.schemas):
        return None, recorded, whose
    found = planning.declared(scratch, wish, Reading(place.database, "live", there), held).governed
    recorded = left_out.recorded(recorded, found.catalog, keeps)
    return found.catalog if wish.wanted else None, recorded, whose | {m.object: m.policy for m in found.new}


def _data(place: Place, found: tuple[Drift, ...]) -> dict[str, Any]:
    from pgcharter.catalog.compare import describe
    from pgcharter.render.json import VERSION, object_data

    return {
        "format": "pgcharter-drift",
        "version": VERSION,
        "database": place.database,
        "drift": [
            {
                "cause": d.cause,
                "object": object_data(d.difference.object),
                "change": d.difference.change,
                "field": d.difference.field or None,
                "text": describe(d.difference),
                "policy": d.policy or None,
            }
            for d in found
        ],
    }


def _print(place: Place, found: tuple[Drift, ...]) -> None:
    from pgcharter.catalog.compare import describe
    from pgcharter.render.page import Page, Styled
    from pgcharter.render.phrases import plural

    page = Page(screen())
    if not found:
        page.flow(Styled("✔ ", "good"), f"{place.database}: nothing drifted", hanging=2)
    for cause, words in WORDS.items():
        of_cause = [d for d in found if d.cause == cause]
        if of_cause:
            page.blank()
            page.flow(Styled(words, "strong"), Styled(f" · {plural(len(of_cause), 'difference')}", "dim"))
            for d in of_cause:
                page.flow(describe(d.difference), Styled(f" · policy {d.policy}" if d.policy else "", "dim"), indent=2, hanging=2)
    show(page)
