"""What `[[sync.two_way]]` of a charter means."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pgcharter.errors import CharterError
from pgcharter.measures import seconds
from pgcharter.policy.sync_settings import SyncSection, TwoWayTable
from pgcharter.stream import twoway
from pgcharter.stream.twoway_begin import TwoWay


@dataclass(frozen=True)
class Declared:
    """A table of the charter, and what it means."""

    table: TwoWayTable
    two: TwoWay


def declared(section: SyncSection, dsn: str, folder: Path, environ: Mapping[str, str]) -> list[Declared]:
    """All of them. `folder` is the charter's. Raises CharterError for what cannot be meant, and for an address that is not set."""
    return [Declared(table, _two(table, section, dsn, folder, environ)) for table in section.two_way]


def _two(table: TwoWayTable, section: SyncSection, dsn: str, folder: Path, environ: Mapping[str, str]) -> TwoWay:
    place = f"[[sync.two_way]] {table.name}"
    name = f"{section.slot}_{table.name}"
    if not table.tables or len(name) > 50:
        why = "names no tables" if not table.tables else f"would have slots of more than 55 characters ({name}_back)"
        raise CharterError(f"{table.name} {why}", hint='tables = ["shop.orders"]' if not table.tables else "a shorter name", place=place)
    if table.column and table.rule == "source":
        raise CharterError("a column says what is newer, and the rule does not ask", hint='rule = "newest"', place=place)
    there = environ.get(table.url_env, "")
    if not there:
        said = f"environment variable {table.url_env} is not set, so the other side has no address"
        raise CharterError(said, hint=f"export {table.url_env}=…", place=place)
    rule = twoway.source(table.side) if table.rule == "source" else twoway.newest(table.column) if table.column else twoway.latest
    strict = table.rule == "source" and table.side == "here"
    return TwoWay(name, dsn, there, table.tables, rule, folder / section.folder, strict, seconds(section.heartbeat))
