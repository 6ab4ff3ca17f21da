"""Effective privileges as text: a matrix of objects by roles, or one role's (one object's) rights with the reasons for them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any, NamedTuple

from pgcharter.catalog.effective import Effective, Right, Way
from pgcharter.catalog.model import Role
from pgcharter.catalog.unused import Usage, unused_rights, unused_roles
from pgcharter.names import ObjectId, quote
from pgcharter.render.json import VERSION, object_data
from pgcharter.render.page import Page, Piece, Styled, columns
from pgcharter.render.phrases import plural

LETTERS = {
    "SELECT": "r", "INSERT": "a", "UPDATE": "w", "DELETE": "d", "TRUNCATE": "D", "REFERENCES": "x", "TRIGGER": "t", "MAINTAIN": "m",
    "USAGE": "U", "CREATE": "C", "EXECUTE": "X", "CONNECT": "c", "TEMPORARY": "T",
}  # fmt: skip
"""PostgreSQL's own letters (documentation, "Privileges")."""
_SAME = 3
"""From how many objects on that share all their cells they are told in one line."""


class _Row(NamedTuple):
    schema: str
    kind: str
    cells: tuple[str, ...]
    name: str


def matrix(page: Page, effective: Effective) -> None:
    """All objects by all roles that may do more than everybody may. PostgreSQL's predefined roles are left out: their members tell."""
    everybody = {(r.object, r.privilege) for r in _of_public(effective)}
    rights = list(effective.rights())
    more = {r.role for r in rights if (r.object, r.privilege) not in everybody and not r.role.startswith("pg_")}
    roles = ["", *sorted(more)]
    cells: dict[ObjectId, dict[str, str]] = {o.object: {} for o in effective.objects}
    for r in [*_of_public(effective), *(r for r in rights if r.role in more)]:
        cells[r.object][r.role] = cells[r.object].get(r.role, "") + LETTERS.get(r.privilege, r.privilege)
    lost = {(r.object, r.role) for r in rights if r.worthless}
    shown = {(at, role): f"({text})" if (at, role) in lost else text for at, held in cells.items() for role, text in held.items()}
    superusers = [r.name for r in effective.cluster.roles if r.superuser]
    page.flow(f"superusers, who may do everything: {', '.join(map(quote, superusers)) or 'none'}", hanging=2)
    for part in _parts(page.screen.width, roles):
        page.blank()
        _table(page, part, [_Row(at.schema, at.kind, tuple(shown.get((at, role), "") for role in part), _named(at)) for at in cells])
    page.blank()
    alone = [at for at, held in cells.items() if not held and at.kind != "column"]
    if alone:
        names = ", ".join(map(str, alone[:_SAME])) + (f" and {len(alone) - _SAME:,} more" if len(alone) > _SAME else "")
        page.flow(Styled(f"nobody but superusers and predefined roles: {names}", "dim"), hanging=2)
    used = {letter for text in shown.values() for letter in text}
    words = "  ".join(f"{letter} {word.lower()}" for word, letter in LETTERS.items() if letter in used)
    page.flow(Styled(f"{words}  (…) worth nothing: no USAGE on the schema, or no CONNECT" if lost else words, "dim"))


def _of_public(effective: Effective) -> Iterator[Right]:
    for o in effective.objects:
        for privilege, ways in effective.ways("", o).items():
            yield Right("", o.object, privilege, ways)


def _named(at: ObjectId) -> str:
    plain = ObjectId(at.kind, "", at.name, at.part)
    return plain.sql()


def _parts(width: int, roles: Sequence[str]) -> Iterator[list[str]]:
    """Roles in parts that fit beside each other, with room for the names of objects."""
    part: list[str] = []
    room = width - 34
    for role in roles:
        size = _width(role) + 2
        if part and sum(_width(r) + 2 for r in part) + size > room:
            yield part
            part = []
        part.append(role)
    yield part


def _width(role: str) -> int:
    return max(columns(_titled(role)), 10)


def _titled(role: str) -> str:
    return quote(role) if role else "PUBLIC"


def _table(page: Page, roles: Sequence[str], rows: list[_Row]) -> None:
    lines = [line for line in _lines(rows) if any(line.cells)]
    if not lines:
        return
    first = max(columns(f"{line.kind} {line.name}") for line in lines) + 2
    first = min(first, max(20, page.screen.width - sum(_width(r) + 2 for r in roles)))
    page.line(Styled(" " * first + "  ".join(_titled(r).ljust(_width(r)) for r in roles), "strong"))
    for schema, held in groupby(lines, key=lambda line: line.schema):
        if schema:
            page.line(Styled(f"schema {quote(schema)}", "heading"))
        for line in held:
            label = f"{line.kind} {line.name}"
            cells = "  ".join(cell.ljust(_width(role)) for cell, role in zip(line.cells, roles, strict=True))
            if columns(label) > first - 2:
                page.line(label)
                label = ""
            page.line(label + " " * (first - columns(label)) + cells)


def _lines(rows: list[_Row]) -> Iterator[_Row]:
    """Rows in order; many objects of one kind with the same cells become one."""
    ordered = sorted(rows, key=lambda r: (r.schema, r.kind == "column", r.kind, r.cells, r.name))
    for (schema, kind, cells), same in groupby(ordered, key=lambda r: (r.schema, r.kind, r.cells)):
        names = [r.name for r in same]
        if len(names) > _SAME:
            yield _Row(schema, f"{len(names):,}", cells, f"{plural(len(names), kind).partition(' ')[2]}: {names[0]} … {names[-1]}")
        else:
            yield from (_Row(schema, kind, cells, name) for name in names)


def reasons(page: Page, rights: Iterable[Right], *, by_role: bool) -> None:
    """Every right with its reasons, by object (of one role) or by role (on one object)."""

    def head(r: Right) -> str:
        return str(r.object) if by_role else f"role {quote(r.role)}"

    for title, held in groupby(sorted(rights, key=lambda r: (head(r), r.object)), key=head):
        page.line(Styled(title, "strong"))
        for (ways, worthless, at), same in groupby(held, key=lambda r: (r.ways, r.worthless, r.object)):
            found = list(same)
            of = f" ({quote(at.part)})" if at.part and not by_role else ""
            words = ", ".join(r.privilege for r in found) + of
            pieces: list[Piece] = [words, Styled(f"  {'; '.join(_told(ways, found[0].role))}", "dim")]
            page.flow(*pieces, *([Styled(f"  worth nothing: {worthless}", "warning")] if worthless else []), indent=2, hanging=4)


def _told(ways: Sequence[Way], role: str) -> list[str]:
    return list(dict.fromkeys(w.told(role) for w in ways))


def unused(page: Page, effective: Effective, usage: Usage) -> None:
    """Roles and privileges that nobody uses, and what cannot be seen."""
    since = f"since {usage.since[:16]}" if usage.since else "since the counters began"
    found: list[tuple[Role, str]] = list(unused_roles(effective, usage))
    page.line(Styled(plural(len(found), "role") + " without a use", "strong"))
    for role, why in found:
        page.flow(quote(role.name), Styled(f"  {why}", "dim"), indent=2, hanging=4)
    rights = list(unused_rights(effective, usage))
    page.line(Styled(f"{plural(len(rights), 'privilege')} on tables that nobody has used {since}", "strong"))
    for (role_name, privilege), same in groupby(sorted(rights), key=lambda r: (r.role, r.privilege)):
        names = [r.object.sql() for r in same]
        more = f" and {plural(len(names) - _SAME, 'more table')}" if len(names) > _SAME else ""
        page.flow(f"{quote(role_name)}: {privilege} on {', '.join(names[:_SAME])}{more}", indent=2, hanging=4)
    for gap in usage.gaps:
        page.flow(Styled(f"cannot be seen from here: {gap.what}: {gap.why}", "dim"), hanging=2)


def data(effective: Effective, rights: Iterable[Right], database: str) -> dict[str, Any]:
    """Document `pgcharter-privileges`."""
    return {
        "format": "pgcharter-privileges",
        "version": VERSION,
        "database": database,
        "superusers": [r.name for r in effective.cluster.roles if r.superuser],
        "becomes": {r.name: sorted(effective.becomes(r.name)) for r in effective.cluster.roles if effective.becomes(r.name)},
        "rights": [
            {
                "role": r.role,
                "object": object_data(r.object),
                "privilege": r.privilege,
                "grantable": r.grantable,
                "why": [{"how": w.how, "holder": w.holder or None, "through": list(w.through)} for w in r.ways],
                "worthless": r.worthless or None,
            }
            for r in rights
        ],
    }


def unused_data(effective: Effective, usage: Usage) -> dict[str, Any]:
    """What nobody uses, for the document `pgcharter-privileges`."""
    return {
        "since": usage.since or None,
        "roles": [{"role": role.name, "why": why} for role, why in unused_roles(effective, usage)],
        "rights": [{"role": r.role, "object": object_data(r.object), "privilege": r.privilege} for r in unused_rights(effective, usage)],
        "not_seen": [{"what": g.what, "why": g.why} for g in usage.gaps],
    }
