"""Collectors that are no SQL, by name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from pgcharter.watch import collecting_backups, collecting_host, collecting_pooler, collecting_server, collecting_statements, collecting_tls
from pgcharter.watch.collecting_asked import Asked, Backups, NothingToAskError, Row, System

__all__ = ["FUNCTIONS", "Asked", "Backups", "NothingToAskError", "System"]

FUNCTIONS: Mapping[str, Callable[[Asked], Iterable[Row]]] = {
    "reach": collecting_server.reach,
    "writing": collecting_server.writing,
    "clock": collecting_server.clock,
    "certificate": collecting_tls.certificate,
    "disks": collecting_host.disks,
    "memory": collecting_host.memory,
    "load": collecting_host.load,
    "pressure": collecting_host.pressure,
    "kernel": collecting_host.kernel,
    "backups": collecting_backups.backups,
    "proofs": collecting_backups.proofs,
    "pools": collecting_pooler.pools,
    "pooler": collecting_pooler.pooler,
    "statements": collecting_statements.statements,
    "statement_store": collecting_statements.statement_store,
}
