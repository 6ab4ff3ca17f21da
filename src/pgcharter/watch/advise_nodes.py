"""What each node of a cluster has counted: an index that is not read on the primary may be all that a standby lives on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pgcharter.db import Connection, queries
from pgcharter.errors import UsageError
from pgcharter.findings import Gap
from pgcharter.names import ObjectId
from pgcharter.watch.workload_read import PACKAGE

NOT_READ = "indexes that nobody reads"


@dataclass(frozen=True)
class Node:
    """One server with this database."""

    called: str
    cluster: str
    """Identifier of the cluster, the same on all its nodes."""
    standby: bool
    now: datetime
    since: datetime
    """When its counters began, at the latest."""
    indexes: Mapping[ObjectId, tuple[int, datetime | None, int]]
    """Scans, the last one (from 16 on), and bytes."""
    tables: Mapping[ObjectId, tuple[int, int]]
    """Rows deleted, and writes that had to touch indexes."""
    building: frozenset[ObjectId]
    """Indexes that are being built."""
    standbys: tuple[str, ...]
    """Who streams from it."""
    gaps: tuple[Gap, ...] = ()


def read(conn: Connection, called: str) -> Node:
    """Look at one node, with a fixed number of queries. Raises psycopg.Error."""

    def asked(name: str) -> list[tuple[Any, ...]]:
        return conn.execute(queries.query(PACKAGE, "advise.sql", name, conn.info.server_version // 10000).encode()).fetchall()

    [(cluster, standby, now, since, sees_all, role)] = asked("node")
    gaps = () if sees_all else (Gap("standbys", f"role {role} does not see who streams from {called}: GRANT pg_monitor TO {role}"),)
    return Node(
        called, cluster, standby, now, since,
        indexes={ObjectId("index", s, n): (scans, last, size) for s, n, scans, last, size in asked("indexes")},
        tables={ObjectId("table", s, n): (deleted, written) for s, n, deleted, written in asked("written")},
        building=frozenset(ObjectId("index", s, n) for s, n in asked("building")),
        standbys=tuple(name for (name,) in asked("standbys")),
        gaps=gaps,
    )  # fmt: skip


def same_cluster(nodes: Sequence[Node]) -> None:
    """Raise UsageError for a node of another cluster, or one that is named twice."""
    for node in nodes[1:]:
        if node.cluster != nodes[0].cluster:
            raise UsageError(
                f"{node.called} is no node of the cluster of {nodes[0].called}", hint="--node names its other nodes, by their own address"
            )
    if sum(not n.standby for n in nodes) > 1:
        raise UsageError("two of the nodes are primaries, or one is named twice", hint="--node names each other node once")


def unseen(nodes: Sequence[Node], window_seconds: float) -> list[Gap]:
    """Why it cannot be said that an index is not read anywhere; empty: it can."""
    found = [gap for node in nodes for gap in node.gaps]
    primary = next((n for n in nodes if not n.standby), None)
    if primary is None:
        found.append(Gap(NOT_READ, f"{nodes[0].called} is a standby, and its primary was not asked: --node DSN"))
    expected = [name for n in nodes for name in n.standbys]
    asked = sum(n.standby for n in nodes)
    if len(expected) > asked:
        streams = "1 node streams" if len(expected) == 1 else f"{len(expected)} nodes stream"
        found.append(Gap(NOT_READ, f"{streams} from here ({', '.join(expected)}), and {asked or 'none'} was asked: --node DSN for each"))
    for node in nodes:
        counted = (node.now - node.since).total_seconds()
        if counted < window_seconds:
            days = f"{counted / 86400:.1f} of {window_seconds / 86400:g} days"
            found.append(
                Gap(
                    NOT_READ,
                    f"{node.called} has counted for {days} only, since {node.since:%Y-%m-%d %H:%M} UTC: jobs of the month may need them",
                )
            )
    return found


def quiet(nodes: Sequence[Node], ids: Iterable[ObjectId], window_seconds: float) -> bool:
    """Whether none of some indexes was read on any node in the window."""
    return all(_quiet(node, id_, window_seconds) for node in nodes for id_ in ids)


def _quiet(node: Node, id_: ObjectId, window_seconds: float) -> bool:
    if id_ not in node.indexes:
        return False
    scans, last, _ = node.indexes[id_]
    return not scans or (last is not None and (node.now - last).total_seconds() > window_seconds)
