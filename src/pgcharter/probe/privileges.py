"""What each role may do with each table by `[roles]`, held against what PostgreSQL lets it do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from pgcharter.catalog.effective import Effective
from pgcharter.catalog.model import Catalog, Cluster, Table
from pgcharter.names import ObjectId, quote
from pgcharter.policy import roles
from pgcharter.policy.compose import SCHEMA
from pgcharter.policy.model import State
from pgcharter.policy.probed import Hole
from pgcharter.policy.roles_settings import RolesSection
from pgcharter.probe.session import observe

if TYPE_CHECKING:
    from pgcharter.db import Connection

VERBS = ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE")
Rights = Mapping[tuple[str, ObjectId], frozenset[str]]
"""Verbs by role (empty: anybody) and table."""


def declared(catalog: Catalog, cluster: Cluster, section: RolesSection, environment: str = "") -> Rights:
    """What roles may do with tables once `[roles]` is applied; a privilege on one column counts."""
    wanted = roles.policy(section).apply(State(catalog, cluster, environment))
    found: dict[tuple[str, ObjectId], set[str]] = {}
    effective = Effective(wanted.catalog, wanted.cluster)
    for right in effective.rights(frozenset((*(r.name for r in wanted.cluster.roles if not r.superuser), ""))):
        if right.privilege in VERBS and right.object.kind in ("table", "column"):
            found.setdefault((right.role, right.object.owner), set()).add(right.privilege)
    return {key: frozenset(verbs) for key, verbs in found.items()}


def concerned(catalog: Catalog, section: RolesSection) -> tuple[Table, ...]:
    """Tables that `[roles]` speaks of."""
    schemas = section.schemas or tuple(s.name for s in catalog.schemas if s.name != SCHEMA)
    return tuple(t for t in catalog.own_tables if t.schema in schemas)


def differing(conn: Connection, role: str, tables: Iterable[Table], rights: Rights) -> list[Hole]:
    """Try every verb on every table without touching a row; what differs from what is declared."""
    found: list[Hole] = []
    for table in tables:
        tried = {verb: _statement(verb, table) for verb in VERBS}
        may = {verb for verb, text in tried.items() if observe(conn, text, {}).state != "42501"}
        should = rights.get((role, table.id), frozenset())
        if may != should:
            first = next(v for v in VERBS if (v in may) is not (v in should))
            found.append(
                Hole(table.id, role, "privilege", "no tenant", f"{_listed(should)} by [roles]", _listed(may),
                     f"BEGIN; {f'SET ROLE {quote(role)}; ' * bool(role)}{tried[first]}; ROLLBACK", "pgcharter policy apply")
            )  # fmt: skip
    return found


def _listed(verbs: Iterable[str]) -> str:
    held = set(verbs)
    return ", ".join(v for v in VERBS if v in held) or "nothing"


def _statement(verb: str, table: Table) -> str:
    """The verb on no row: privileges are looked at before rows are."""
    at, column = table.id.sql(), next((c.name for c in table.columns if not c.generated and c.identity != "always"), "")
    return {
        "SELECT": f"SELECT FROM {at} LIMIT 0",
        "INSERT": f"INSERT INTO {at} ({quote(column)}) SELECT NULL WHERE false" if column else f"INSERT INTO {at} SELECT WHERE false",
        "UPDATE": f"UPDATE {at} SET {quote(column)} = NULL WHERE false" if column else f"UPDATE {at} SET tableoid = 0",
        "DELETE": f"DELETE FROM {at} WHERE false",
        "TRUNCATE": f"TRUNCATE {at}",
    }[verb]
