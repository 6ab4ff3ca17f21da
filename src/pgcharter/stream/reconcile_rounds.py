"""Comparing for ever, at a low rate: one mapping after another, the one that was looked at longest ago first."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace

from pgcharter.db import Connection
from pgcharter.errors import PgcharterError
from pgcharter.stream.reconcile import Side, reconcile
from pgcharter.stream.reconcile_model import Options, Report
from pgcharter.stream.reconcile_moment import query, streamed
from pgcharter.stream.source import open_source

Tell = Callable[[Report | PgcharterError], None]


def name_of(side: Side) -> str:
    """What a mapping is called where its standing is kept."""
    return f"{side.mapping.table} → {side.mapping.to}" if side.mapping.to else side.mapping.table


def compare(side: Side, options: Options, *, behind: bool = False) -> Report:
    """One comparison, beside the stream where there is one; how it ended is kept in pgcharter.sync_snapshots.

    `behind`: the copy is not waited for, so what it has not got yet is a difference too. To repair that is harmless.
    """
    with open_source(side.source) as conn:
        if side.slot and not behind and not side.mapping.delta and _known(conn, side):
            side = replace(side, reached=streamed(conn, side.slot, side.name))
        report = reconcile(side, options)
        _keep(conn, side, report)
    return report


def rounds(make: Callable[[], Sequence[Side]], options: Options, pause: float, stop: threading.Event, tell: Tell) -> None:
    """Compare round after round until `stop`; `pause` seconds between two mappings. What goes wrong is told and tried again.

    `make` gives the copies, with sinks that were not opened yet, once for each round.
    """
    while not stop.is_set():
        for side in _ordered(make()):
            if stop.is_set():
                return
            try:
                tell(compare(side, options))
            except PgcharterError as error:
                tell(error)
            stop.wait(pause)


def _ordered(sides: Sequence[Side]) -> list[Side]:
    """Those first that were looked at longest ago, or never."""
    try:
        with open_source(sides[0].source) as conn:
            rows = conn.execute(query(conn, "standing")).fetchall()
    except PgcharterError:
        return list(sides)
    at = {(sink, of): when for sink, of, when in rows}
    return sorted(sides, key=lambda s: at.get((s.name, name_of(s)), 0.0))


def _known(conn: Connection, side: Side) -> bool:
    """Whether changes are streamed to this sink."""
    return conn.execute(query(conn, "sink"), [side.slot, side.name]).fetchone() is not None


def _keep(conn: Connection, side: Side, report: Report) -> None:
    if not side.logged:
        return
    told = {"found": report.found, "repaired": report.repaired, "remaining": report.remaining, "unsettled": report.unsettled}
    said = json.dumps({**told, "seconds": round(report.seconds, 3)})
    conn.execute(query(conn, "stand"), [side.name, name_of(side), said, report.rows, report.stored])
