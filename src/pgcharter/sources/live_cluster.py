"""Roles, settings and counters of a live server."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from pgcharter.catalog.model import Catalog, Cluster, HbaLine, Membership, RelationStats, Role, Setting, Stats, Tablespace
from pgcharter.findings import Gap
from pgcharter.names import ObjectId
from pgcharter.sources.live_objects import gap_of_version, hide_setting, without_secret
from pgcharter.sources.live_shared import Shared, options

_FILE = "live_cluster"
_PARTIAL = "only a member of pg_read_all_settings sees every setting"
_KINDS = {"r": "table", "p": "table", "f": "table", "m": "materialized view", "i": "index", "I": "index"}


def cluster(shared: Shared) -> Cluster:
    """The server around the database. What our role may not see is stated as a gap."""
    ((passwords, hba, settings, version, recovering),) = shared.rows(_FILE, "rights")
    gaps: list[Gap] = list(gap_of_version(shared.conn.info.server_version))
    if not passwords:
        gaps.append(Gap("how passwords are stored", "the role may not read pg_authid"))
    if not hba:
        gaps.append(Gap("pg_hba.conf", "the role may not read pg_hba_file_rules"))
    if not settings:
        gaps.append(Gap("some server settings", _PARTIAL))
    return Cluster(
        server_version=shared.conn.info.server_version,
        version_text=version,
        roles=_roles(shared, dict(shared.rows(_FILE, "password_kinds")) if passwords else {}),
        memberships=tuple(sorted(Membership(a, b, c, d, e, f or "") for a, b, c, d, e, f in shared.rows(_FILE, "memberships"))),
        settings=tuple(
            sorted(
                Setting(name, hide_setting(name, value or ""), unit or "", source)
                for name, value, unit, source in shared.rows(_FILE, "settings")
            )
        ),
        tablespaces=tuple(
            sorted(
                Tablespace(name, location, shared.owner(owner), options(storage))
                for name, location, owner, storage in shared.rows(_FILE, "tablespaces")
            )
        ),
        databases=tuple(sorted(name for (name,) in shared.rows(_FILE, "databases"))),
        hba=_hba(shared) if hba else (),
        in_recovery=recovering,
        gaps=tuple(gaps),
    )


def _roles(shared: Shared, passwords: Mapping[int, str]) -> tuple[Role, ...]:
    roles = []
    for oid, name, superuser, inherit, create_role, create_db, login, replication, bypass, limit, until, settings, comment in shared.rows(
        _FILE, "roles"
    ):
        roles.append(
            Role(
                name=name,
                superuser=superuser,
                inherit=inherit,
                create_role=create_role,
                create_database=create_db,
                login=login,
                replication=replication,
                bypass_row_security=bypass,
                connection_limit=limit,
                valid_until=until or "",
                password=passwords.get(oid, "unknown"),
                settings=tuple(sorted(without_secret(s) for s in settings or ())),
                comment=comment or "",
            )
        )
    return tuple(sorted(roles, key=lambda r: r.name))


def _hba(shared: Shared) -> tuple[HbaLine, ...]:
    lines = [
        HbaLine(line, kind, tuple(databases), tuple(users), address, method)
        for line, kind, databases, users, address, method in shared.rows(_FILE, "hba")
    ]
    return tuple(sorted(lines))


def stats(shared: Shared, catalog: Catalog) -> Stats:
    """Row estimates, sizes, scans and sequence positions of what `catalog` holds."""
    own = {("table", t.schema, t.name) for t in catalog.tables}
    own |= {("materialized view", v.schema, v.name) for v in catalog.views}
    own |= {("index", i.schema, i.name) for t in catalog.tables for i in t.indexes}
    own |= {("index", i.schema, i.name) for v in catalog.views for i in v.indexes}
    found: dict[ObjectId, RelationStats] = {}
    for schema, name, kind, rows, size, scans, live, written, analysed in shared.rows(_FILE, "relation_stats"):
        key = _KINDS[kind], schema, name
        if key in own:
            found[ObjectId(*key)] = RelationStats(rows, size, scans, live=live, written=written, analysed=analysed)
    sequences = {s.id for s in catalog.sequences}
    for schema, name, value in shared.rows(_FILE, "sequence_values"):
        address = ObjectId("sequence", schema, name)
        if address in sequences:
            found[address] = RelationStats(last_value=value)
    reset = shared.rows(_FILE, "stats_reset")
    return Stats(
        relations=found,
        stats_reset=reset[0][0].isoformat() if reset and reset[0][0] else "",
        null_fractions=_null_fractions(shared, catalog),
        gaps=_unseen({ObjectId("table", *row) for row in shared.rows(_FILE, "unreadable")} & catalog.table.keys()),
    )


def _null_fractions(shared: Shared, catalog: Catalog) -> dict[ObjectId, float]:
    """Shares of NULLs of the columns that lead an index; of a partitioned table those over all its partitions."""
    leading = {t.part("column", i.keys[0].column): t.kind == "partitioned table" for t in catalog.tables for i in t.indexes if i.keys}
    shares = ((ObjectId("column", *address), share, whole) for *address, share, whole in shared.rows(_FILE, "null_fractions"))
    return {column: share for column, share, whole in shares if leading.get(column) is whole}


def _unseen(tables: Collection[ObjectId]) -> tuple[Gap, ...]:
    """One gap for all tables whose column statistics our role may not see."""
    if not tables:
        return ()
    return (Gap(f"column statistics of {some(tables)}", "the role may not read all of their rows"),)


_NAMED = 3


def some(tables: Collection[ObjectId]) -> str:
    """The first few by name, the rest counted."""
    names = [t.sql() for t in sorted(tables)]
    rest = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {rest:,} more {'table' if rest == 1 else 'tables'}" if rest > 0 else "")
