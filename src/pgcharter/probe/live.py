"""The part of a probe that a live database can take: reading, in read-only transactions, as roles that the login may become.

The context is that of a tenant who does not exist, so every row of a tenant that can be seen is somebody else's. At most one row of each
table is looked for, and nothing of it is fetched.
"""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Iterator
from typing import TYPE_CHECKING

from pgcharter.catalog.effective import Effective
from pgcharter.catalog.model import Catalog, Cluster, DataType
from pgcharter.findings import Gap
from pgcharter.names import ObjectId, literal, quote
from pgcharter.policy import guards as guarding
from pgcharter.policy.guards import Guards
from pgcharter.policy.probed import Hole, Probed
from pgcharter.probe.expected import Declared, sides
from pgcharter.probe.ground import Ground
from pgcharter.probe.remedies import remedy
from pgcharter.probe.rows import Rows
from pgcharter.probe.session import observe

if TYPE_CHECKING:
    from pgcharter.db import Connection
    from pgcharter.sources import Progress

_GENTLE = "SET TRANSACTION READ ONLY; SET LOCAL statement_timeout = '5s'; SET LOCAL lock_timeout = '1s'; "
NOBODY = "tenant of nobody"


def probe(
    conn: Connection, catalog: Catalog, cluster: Cluster, declared: Declared | None = None, progress: Progress | None = None
) -> Probed:
    """Look for rows of tenants in contexts in which there should be none. `conn` is in autocommit."""
    said = declared or Declared()
    guards = guarding.found(catalog, said.tenancy)
    ground = Ground(catalog, guards, Rows(), said.reviewed(catalog))
    row = conn.execute("SELECT session_user::text").fetchone()
    login = str(row[0]) if row else ""
    every = cluster.role[login].superuser if login in cluster.role else False
    reach = {login, *([r.name for r in cluster.roles] if every else Effective(catalog, cluster).becomes(login))}
    parts = sides(catalog, cluster, said, [r for r in reach if not r.startswith("pg_")])
    roles = [r for r in parts.attackers if r]
    relations = list(_relations(ground))
    holes: list[Hole] = []
    gaps: set[Gap] = set()
    tried = 0
    for number, role in enumerate(roles):
        if progress:
            progress(f"looking as {role}", number, len(roles))
        first = _GENTLE + f"SET LOCAL ROLE {quote(role)}; "
        for at, select in relations:
            for name, context in _contexts(guards).items():
                tried += 1
                seen = observe(conn, select, context, first=first)
                if seen.state in ("57014", "55P03"):
                    gaps.add(Gap(str(at), "looking took more than 5 s, or waited for a lock for more than 1 s"))
                if not seen.state and seen.rows:
                    told = "".join(f"SELECT set_config({literal(n)}, {literal(v)}, true); " for n, v in context.items())
                    shown = f"BEGIN; {first}{told}{select}; ROLLBACK"
                    hole = Hole(at, role, "SELECT", name, "no row", "a row of some tenant", shown)
                    holes.append(Hole(at, role, "SELECT", name, "no row", "a row of some tenant", shown, remedy(hole, "", ground)))
    conn.execute("ROLLBACK")
    return Probed(tuple(sorted(holes)), (), tuple(roles), parts.above, tuple(sorted(guards.tables)), tried, tuple(sorted(gaps, key=str)))


def _relations(ground: Ground) -> Iterator[tuple[ObjectId, str]]:
    """Tables of tenants, and views over them that show whose a row is."""
    for table in sorted(ground.guards.tables):
        yield table, f"SELECT FROM {table.sql()} LIMIT 1"
    for view in ground.catalog.own_views:
        tenant = next((c.name for c in view.columns if ground.guards.names.get(c.name) == "tenant"), "")
        if tenant and ground.over[view.id] and view.id not in ground.reviewed:
            yield view.id, f"SELECT FROM {view.id.sql()} WHERE {quote(tenant)} IS NOT NULL LIMIT 1"


def _contexts(guards: Guards) -> dict[str, dict[str, str]]:
    nobody = {name: _value(guards.catalog.table[at].column[column].type) for name, (at, column) in guards.settings.items()}
    return {NOBODY: nobody, "no tenant": {}, "empty tenant": dict.fromkeys(nobody, "")}


def _value(kind: DataType) -> str:
    """A value that no row has."""
    if kind.basic == "uuid":
        return str(uuid.uuid4())
    sizes = {"int2": 15, "int4": 31, "int8": 63}
    if kind.basic in sizes:
        return str(2 ** sizes[kind.basic] - 1 - secrets.randbelow(1000))
    return secrets.token_hex((kind.length or 32) // 2) or "0"
