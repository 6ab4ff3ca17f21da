"""A probe as text: holes first, each with the statement that shows it and the SQL that closes it; then who could do what."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from typing import Any, NamedTuple

from pgcharter.names import ObjectId, quote
from pgcharter.policy.probed import Cell, Hole, Probed
from pgcharter.render.json import VERSION, object_data
from pgcharter.render.page import Page, Styled, columns
from pgcharter.render.phrases import plural, sql

LETTERS = {"SELECT": "r", "INSERT": "a", "UPDATE": "w", "DELETE": "d", "TRUNCATE": "D", "EXECUTE": "X"}
"""PostgreSQL's own letters (documentation, "Privileges")."""
ANYBODY = "anybody"
_SAME = 3
"""From how many objects on that share all their cells they are told in one line."""


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


class _Row(NamedTuple):
    schema: str
    label: str
    cells: tuple[str, ...]
    bad: bool


def _matrix(page: Page, probed: Probed) -> None:
    """Objects by roles: what was let through for own rows, and how many attacks succeeded; objects that are alike share a line."""
    done = {(c.object, c.role): "".join(LETTERS[v] for v in c.verbs) for c in probed.cells}
    bad = Counter((h.object, h.role) for h in probed.holes)
    objects = sorted({at for at, _ in (*done, *bad)})
    roles = [r for r in probed.roles if any((at, r) in done or (at, r) in bad for at in objects)]
    if not objects:
        return

    def cell(at: ObjectId, role: str) -> str:
        holes = f"✘{bad[at, role]}" if (at, role) in bad else ""
        return " ".join(filter(None, (done.get((at, role), "" if holes else "-"), holes)))

    rows = _Rows({at: tuple(cell(at, r) for r in roles) for at in objects}, {at for at, _ in bad})
    titles = [quote(r) if r else ANYBODY for r in roles]
    if _first(rows.lines) + sum(_widths(titles, rows.lines)) > page.screen.width:
        rows, titles = _numbered(page, rows, titles)
    _table(page, rows.lines, titles)
    merged = any(" more" in row.label for row in rows.lines)
    told = "r select, a insert, w update, d delete, D truncate, X execute: let through in the context of the own tenant"
    told += "; ✘ attacks that succeeded" if bad else ""
    page.flow(Styled(told + ("; every object by itself: --format json" if merged else ""), "dim"))


@dataclass(frozen=True)
class _Rows:
    """The cells of every object, in the order of columns."""

    cells: Mapping[ObjectId, tuple[str, ...]]
    bad: Collection[ObjectId]

    @cached_property
    def lines(self) -> list[_Row]:
        """Objects with a hole, one in a line; then those without, of a kind and schema and with the same cells together."""
        found = [_Row(at.schema, _called([at]), cells, bad=True) for at, cells in self.cells.items() if at in self.bad]
        alike: dict[tuple[str, str, tuple[str, ...]], list[ObjectId]] = {}
        for at, cells in self.cells.items():
            if at not in self.bad:
                alike.setdefault((at.schema, at.kind, cells), []).append(at)
        for (schema, _, cells), group in alike.items():
            parts = [group] if len(group) >= _SAME else [[at] for at in group]
            found += [_Row(schema, _called(part), cells, bad=False) for part in parts]
        return sorted(found, key=lambda row: row.schema)


def _called(group: list[ObjectId]) -> str:
    kind = "" if group[0].kind == "table" else f"{group[0].kind} "
    names = [ObjectId(at.kind, "", at.name, at.part).sql() for at in group]
    return f"{kind}{names[0]}" if len(names) == 1 else f"{kind}{names[0]}, {names[1]} and {len(names) - 2:,} more"


def _numbered(page: Page, rows: _Rows, titles: list[str]) -> tuple[_Rows, list[str]]:
    """Columns that are alike in one, under a number that is told beforehand."""
    columns_alike: dict[tuple[str, ...], list[int]] = {}
    for n in range(len(titles)):
        columns_alike.setdefault(tuple(cells[n] for cells in rows.cells.values()), []).append(n)
    for number, same in enumerate(columns_alike.values(), 1):
        page.flow(Styled(f"{number}  ", "dim"), ", ".join(titles[n] for n in same), hanging=3)
    kept = [same[0] for same in columns_alike.values()]
    cells = {at: tuple(held[n] for n in kept) for at, held in rows.cells.items()}
    return _Rows(cells, rows.bad), [str(n) for n in range(1, len(kept) + 1)]


def _first(lines: list[_Row]) -> int:
    return max(columns(row.label) for row in lines)


def _widths(titles: list[str], lines: list[_Row]) -> list[int]:
    """Width of every column, with the gap before it."""
    return [2 + max(columns(title), *(columns(row.cells[n]) for row in lines)) for n, title in enumerate(titles)]


def _table(page: Page, lines: list[_Row], titles: list[str]) -> None:
    widths = _widths(titles, lines)
    first = max(min(_first(lines), page.screen.width - sum(widths)), 12)
    page.line(" " * first, *(Styled("  " + _padded(t, w - 2), "dim") for t, w in zip(titles, widths, strict=True)))
    for schema, held in groupby(lines, key=lambda row: row.schema):
        if schema:
            page.line(Styled(f"schema {quote(schema)}", "heading"))
        for row in held:
            label = row.label
            if columns(label) > first:
                page.line(label)
                label = ""
            cells = (Styled("  " + _padded(c, w - 2), "bad" * ("✘" in c)) for c, w in zip(row.cells, widths, strict=True))
            page.line(_padded(label, first), *cells)
    page.blank()


def _padded(text: str, width: int) -> str:
    return text + " " * (width - columns(text))


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
    places = len({(h.object, h.remedy) for h in probed.holes if not h.weak})
    told = f"{plural(places, 'hole')}, through which {plural(strong, 'attack')} got" if strong else "no hole"
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
