"""Tenants on a terminal and as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol

from pgcharter.render.page import Page, Styled, columns

if TYPE_CHECKING:
    from collections.abc import Iterable

MARKS = {"active": ("✔", "good"), "adding": ("•", "info"), "suspended": ("▲", "warning"), "leaving": ("▲", "warning")}


class Known(Protocol):
    """A tenant as the table has it."""

    @property
    def id(self) -> str: ...  # noqa: D102
    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def state(self) -> str: ...  # noqa: D102
    @property
    def since(self) -> datetime: ...  # noqa: D102
    @property
    def created(self) -> datetime: ...  # noqa: D102
    @property
    def settings(self) -> Mapping[str, Any]: ...  # noqa: D102
    @property
    def place(self) -> str: ...  # noqa: D102
    @property
    def leaves_at(self) -> datetime | None: ...  # noqa: D102


def row(tenant: Known) -> dict[str, Any]:
    """One tenant as documents have it."""
    times = {"state_since": _time(tenant.since), "created_at": _time(tenant.created), "leaves_at": _time(tenant.leaves_at)}
    return {
        "id": tenant.id, "name": tenant.name, "state": tenant.state,
        "place": tenant.place or None, **times, "settings": dict(tenant.settings)
    }  # fmt: skip


def listed(page: Page, rows: Sequence[Mapping[str, Any]]) -> None:
    """All of them, aligned."""
    if not rows:
        page.flow("there is no tenant: pgcharter tenant add NAME")
        return
    table = [(r["name"], r["state"], r["place"] or r["id"], *_when(r)) for r in rows]
    widths = [max(columns(str(line[n])) for line in table) for n in range(3)]
    for name, state, where, since, why in table:
        mark, style = MARKS[state]
        cells = "  ".join(text + " " * (width - columns(text)) for text, width in zip((name, state, where), widths, strict=True))
        page.line(Styled(f"{mark} ", style), cells, Styled(f"  {since}", "dim"), f"  {why}" if why else "")
    counts = {state: sum(r["state"] == state for r in rows) for state in MARKS}
    page.blank()
    page.flow(Styled(f"{len(rows):,} {'tenant' if len(rows) == 1 else 'tenants'}: ", "strong"),
              ", ".join(f"{n:,} {state}" for state, n in counts.items() if n))  # fmt: skip


def _when(r: Mapping[str, Any]) -> tuple[str, str]:
    since = f"since {r['state_since'][:10]}"
    if r["state"] == "leaving":
        return since, f"to be deleted from {day(r['leaves_at'])} on" if r["leaves_at"] else ""
    return since, str(r["settings"].get("suspended_because", "")) if r["state"] == "suspended" else ""


def said(page: Page, sentence: str, *more: str) -> None:
    """What was done, and what to know of it."""
    page.flow(Styled("✔ ", "good"), sentence, hanging=2)
    for text in more:
        page.flow(Styled(text, "dim"), indent=2, hanging=2)


def enforced(page: Page, statements: Mapping[str, int]) -> None:
    """Tenants by how many statements their policies took."""
    for name, many in statements.items():
        said(page, f"{name}: " + (f"{many:,} {'statement' if many == 1 else 'statements'}" if many else "in place"))
    if not statements:
        page.flow("there is no tenant: pgcharter tenant add NAME")


def amounts(page: Page, name: str, where: str, rows: Iterable[tuple[str, int]]) -> None:
    """What a tenant still has, table by table."""
    found = list(rows)
    total = sum(n for _, n in found)
    page.flow(Styled(f"tenant {name} has {total:,} {'row' if total == 1 else 'rows'} in {where}", "strong"))
    width = max((columns(t) for t, _ in found), default=0)
    for table, number in found:
        page.line(f"{table}{' ' * (width - columns(table))}  {number:>12,}", indent=2)


def findings(page: Page, found: Sequence[Mapping[str, str]], looked_at: int, where: str) -> None:
    """What is not as it should be, tenant by tenant."""
    if not found:
        page.flow(
            Styled("✔ ", "good"), f"{looked_at:,} {'tenant' if looked_at == 1 else 'tenants'} of {where} as they should be", hanging=2
        )
        return
    by_tenant: dict[str, list[Mapping[str, str]]] = {}
    for one in found:
        by_tenant.setdefault(one["tenant"], []).append(one)
    for name, group in by_tenant.items():
        page.flow(Styled("✘ ", "bad"), Styled(name or "no tenant's", "strong"), hanging=2)
        for one in group[:20]:
            page.flow(one["message"], indent=4, hanging=2)
            if one["hint"]:
                page.flow(Styled(one["hint"], "dim"), indent=6)
        if len(group) > 20:
            page.flow(Styled(f"and {len(group) - 20:,} more: --format json has all of them", "dim"), indent=4)
    page.blank()
    good = looked_at - len([n for n in by_tenant if n])
    page.flow(
        Styled(f"{len(found):,} {'finding' if len(found) == 1 else 'findings'}", "strong"), f", {good:,} of {looked_at:,} tenants fine"
    )


def day(when: datetime | str | None) -> str:
    """A moment as people read it: `2026-12-21 14:00 UTC`."""
    if when is None:
        return ""
    at = datetime.fromisoformat(when) if isinstance(when, str) else when
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def _time(when: datetime | None) -> str | None:
    return when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if when else None
