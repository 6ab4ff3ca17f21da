"""What a statement does to everybody else, in words that a person understands at once."""

from __future__ import annotations

from collections.abc import Iterable

from pgcharter.catalog.effect import Effect, Mode
from pgcharter.catalog.model import Stats
from pgcharter.names import ObjectId
from pgcharter.render.page import Styled

LOCK_SECONDS = 2.0
"""How long the runner lets a statement wait for a lock, and others behind it, unless it is told otherwise."""


def waits(effect: Effect, stats: Stats | None = None, seconds: float = LOCK_SECONDS) -> Styled:
    """Who waits for how long while a statement runs under a lock_timeout of `seconds`: `reads go on, writes wait ≤ 2 s`."""
    mode = effect.strongest
    work = _work(effect, stats)
    if mode is None or mode < Mode.SHARE:
        views = [lock.relation for lock in effect.locks if lock.relation.kind == "view" and lock.mode.stops_reads]
        if views and not work:
            return Styled(f"who uses {views[0].sql()} waits ≤ {seconds:g} s", "warning")
        return Styled("nobody waits" + (f" · {work}" if work else ""), "good")
    who = "reads and writes wait" if mode.stops_reads else "reads go on, writes wait"
    sure = "" if effect.known else ", perhaps"
    if effect.rewrites or effect.scans:
        return Styled(f"{who}{sure} while {work}", "error")
    return Styled(f"{who} ≤ {seconds:g} s", "warning")


def _work(effect: Effect, stats: Stats | None) -> str:
    """`12 GB of app.orders are rewritten`; empty when nothing is read or written."""
    for verb, relations in (("rewritten", effect.rewrites), ("read", effect.scans)):
        if relations:
            return f"{_amount(relations, stats)} {verb}"
    return ""


def _amount(relations: Iterable[ObjectId], stats: Stats | None) -> str:
    tables = list(dict.fromkeys(r for r in relations if r.kind != "index")) or list(dict.fromkeys(relations))
    names = tables[0].sql() + (f" and {len(tables) - 1} more" if len(tables) > 1 else "")
    found = [stats.relations[r] for r in tables if r in stats.relations] if stats else []
    size = sum(f.bytes for f in found)
    are = "are" if size or len(tables) > 1 else "is"
    return f"{in_bytes(size)} of {names} {are}" if size else f"{names} {are}"


def in_bytes(size: float) -> str:
    """A size as people say it: `8 kB`, `1.2 GB` (units of 1,024)."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if size >= 10 or unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:,.1f} TB"
