"""A probe as text: holes first, each with the statement that shows it and the SQL that closes it; then who could do what."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from typing import Any

from pgcharter.names import ObjectId, quote
from pgcharter.policy.probed import Cell, Hole, Probed
from pgcharter.render.json import VERSION, object_data
from pgcharter.render.page import Page, Styled, columns
from pgcharter.render.phrases import plural, sql

LETTERS = {"SELECT": "r", "INSERT": "a", "UPDATE": "w", "DELETE": "d", "TRUNCATE": "D", "EXECUTE": "X"}
"""PostgreSQL's own letters (documentation, "Privileges")."""
ANYBODY = "anybody"


def write(page: Page, probed: Probed) -> None:
    """The whole result."""
    for strong in (True, False):
        _holes(page, [h for h in probed.holes if h.weak is not strong], strong=strong)
    _matrix(page, probed)
    _ending(page, probed)


def _holes(page: Page, holes: Iterable[Hole], *, strong: bool) -> None:
    def together(hole: Hole) -> tuple[ObjectId, str]:
        return hole.object, hole.remedy

    for (at, remedy), group in groupby(sorted(holes, key=lambda h: (*together(h), h.role, h.attack, h.context)), key=together):
        found = list(group)
        first = next((h for h in found if h.attack == "SELECT"), found[0])
        names = ", ".join(dict.fromkeys(h.attack for h in found))
        mark = Styled("✘ ", "bad") if strong else Styled("▲ ", "warning")
        roles = ", ".join(dict.fromkeys(quote(h.role) if h.role else ANYBODY for h in found))
        page.flow(mark, Styled(str(at), "strong"), f" by {roles}: {names}", hanging=2)
        page.flow(f"{first.attack}, {first.context}: expected {first.expected}; observed {first.observed}", indent=4, hanging=2)
        page.flow(Styled("shown by ", "dim"), *sql(first.statement), indent=4, hanging=2)
        if remedy:
            page.flow(Styled("closed by ", "dim"), *sql(remedy), indent=4, hanging=2)
        page.blank()


def _matrix(page: Page, probed: Probed) -> None:
    """Objects by roles: what was let through for own rows, and how many holes."""
    done = {(c.object, c.role): "".join(LETTERS[v] for v in c.verbs) for c in probed.cells}
    bad: dict[tuple[ObjectId, str], int] = {}
    for hole in probed.holes:
        bad[hole.object, hole.role] = bad.get((hole.object, hole.role), 0) + 1
    objects = sorted({at for at, _ in (*done, *bad)})
    roles = [r for r in probed.roles if any((at, r) in done or (at, r) in bad for at in objects)]
    if not objects:
        return
    cells = {
        (at, role): done.get((at, role), "-") + (f" ✘{bad[at, role]}" if (at, role) in bad else "") for at in objects for role in roles
    }
    first = max(columns(str(at)) for at in objects)
    widths = {r: max(columns(r or ANYBODY), *(columns(cells[at, r]) for at in objects)) for r in roles}
    for part in _parts(roles, widths, page.screen.width - first):
        page.line(" " * first, *(Styled("  " + _padded(r or ANYBODY, widths[r]), "dim") for r in part))
        for at in objects:
            page.line(_padded(str(at), first), *(Styled("  " + _padded(cells[at, r], widths[r]), _style(at, r, bad)) for r in part))
        page.blank()
    page.flow(Styled("r select, a insert, w update, d delete, D truncate, X execute: let through in the context of the own tenant", "dim"))


def _style(at: ObjectId, role: str, bad: dict[tuple[ObjectId, str], int]) -> str:
    return "bad" if (at, role) in bad else ""


def _padded(text: str, width: int) -> str:
    return text + " " * (width - columns(text))


def _parts(roles: list[str], widths: dict[str, int], room: int) -> list[list[str]]:
    """Roles that fit side by side."""
    parts: list[list[str]] = [[]]
    for role in roles:
        if parts[-1] and sum(widths[r] + 2 for r in (*parts[-1], role)) > room:
            parts.append([])
        parts[-1].append(role)
    return parts


def _ending(page: Page, probed: Probed) -> None:
    for role, why in sorted(probed.above.items()):
        page.flow(Styled(f"not attacked as {quote(role)}: {why}", "dim"), hanging=2)
    for gap in probed.gaps:
        page.flow(Styled("▲ ", "warning"), f"{gap.what}: {gap.why}", hanging=2)
    page.blank()
    strong, weak = len([h for h in probed.holes if not h.weak]), len([h for h in probed.holes if h.weak])
    tried = f"{plural(probed.attacks, 'attack')} by {plural(len(probed.roles), 'role')} on rows of {plural(len(probed.guarded), 'table')}"
    if not probed.guarded:
        page.flow("no row policy and no [tenancy] tells tenants apart here, so only rights of anybody were tried", hanging=2)
    mark = Styled("✘ ", "bad") if strong else Styled("✔ ", "good")
    told = plural(strong, "hole") if strong else "no hole"
    page.flow(mark, told, f", {plural(weak, 'weak place')}" if weak else "", Styled(f" · {tried}", "dim"), hanging=2)


def data(probed: Probed, database: str) -> dict[str, Any]:
    """The whole result for `--format json`."""
    return {
        "format": "pgcharter-probe",
        "version": VERSION,
        "database": database,
        "holes": [_hole(h) for h in probed.holes],
        "matrix": [_cell(c) for c in probed.cells],
        "roles": [r or None for r in probed.roles],
        "not_attacked_as": dict(sorted(probed.above.items())),
        "guarded": [object_data(at) for at in probed.guarded],
        "attacks": probed.attacks,
        "gaps": [{"what": g.what, "why": g.why} for g in probed.gaps],
    }


def _cell(cell: Cell) -> dict[str, Any]:
    return {"object": object_data(cell.object), "role": cell.role or None, "let_through": list(cell.verbs)}


def _hole(hole: Hole) -> dict[str, Any]:
    return {
        "object": object_data(hole.object), "role": hole.role or None, "attack": hole.attack, "context": hole.context,
        "expected": hole.expected, "observed": hole.observed, "weak": hole.weak, "statement": hole.statement, "remedy": hole.remedy or None,
    }  # fmt: skip
