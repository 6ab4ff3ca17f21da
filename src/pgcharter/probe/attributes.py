"""Ways around row policies that a role's attributes and memberships open, told by the server alone: a copy must not have them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from pgcharter.catalog.model import Cluster, Role
from pgcharter.names import ObjectId, quote
from pgcharter.policy.probed import Hole
from pgcharter.probe.expected import Sides, groups

_MACHINE: Mapping[str, str] = {
    "pg_read_server_files": "SELECT pg_read_binary_file(pg_relation_filepath('…'))",
    "pg_write_server_files": "COPY … TO '/…/postgresql.auto.conf'",
    "pg_execute_server_program": "COPY … FROM PROGRAM '…'",
}
"""Roles of PostgreSQL's own that reach files of the server, and so the rows in them (documentation, Predefined Roles)."""
_TOLD = "by what the server says of the role"


def holes(attackers: Collection[str], sides: Sides, cluster: Cluster | None) -> Iterator[Hole]:
    """What attackers could do that is not tried."""
    for name in attackers:
        role = cluster.role.get(name) if cluster else None
        if cluster and role:
            yield from _of(role, sides, cluster)


def _of(role: Role, sides: Sides, cluster: Cluster) -> Iterator[Hole]:
    who = quote(role.name)
    for group in sorted(groups(role.name, cluster) & _MACHINE.keys()):
        yield Hole(
            ObjectId("role", "", group), role.name, "SET ROLE", "no tenant", "it reaches no files of the server", f"it may, {_TOLD}",
            f"SET ROLE {who}; {_MACHINE[group]}", f"REVOKE {group} FROM {who}",
        )  # fmt: skip
    if role.replication:
        yield Hole(
            role.id, role.name, "REPLICATION", "no tenant", "it reads no write-ahead log", f"it may read the changes of all, {_TOLD}",
            f"SET ROLE {who}; SELECT pg_create_logical_replication_slot('pgcharter_probe', 'pgoutput', true)",
            f"ALTER ROLE {who} NOREPLICATION",
        )  # fmt: skip
    if role.create_role and 0 < cluster.server_version < 160000:
        for power in sides.powers:
            if not cluster.role.get(power, Role(power)).superuser:
                yield Hole(
                    ObjectId("role", "", power), role.name, "GRANT", "no tenant", "refused: it stands above tenants",
                    f"before PostgreSQL 16 who may make roles may grant any that is no superuser, {_TOLD}",
                    f"SET ROLE {who}; GRANT {quote(power)} TO {who}", f"ALTER ROLE {who} NOCREATEROLE",
                )  # fmt: skip
