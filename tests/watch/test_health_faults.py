"""Every fault of one server is told, and nothing before and after.

The suite makes each on one version, in turn the oldest and the newest; `python -m tests.watch.matrix` makes all of them on all versions.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import psycopg
import pytest
from tests.conftest import installation
from tests.watch.faults import FAULTS
from tests.watch.ground import Fault, Ground, proven

from pgcharter.servers import lifecycle

QUIET: dict[str, lifecycle.Setting] = {
    "fsync": True, "full_page_writes": True, "synchronous_commit": True, "autovacuum": True, "autovacuum_naptime": "1d",
    "max_connections": 30, "max_prepared_transactions": 2, "wal_level": "logical", "max_wal_size": "32MB", "min_wal_size": "32MB",
    "max_wal_senders": 10, "max_replication_slots": 10, "idle_in_transaction_session_timeout": "5min", "track_io_timing": True,
    "log_lock_waits": True, "log_temp_files": 0, "checkpoint_timeout": "1d",
}  # fmt: skip
"""Settings of a server that nobody has anything to say about."""


EVERY = bool(os.environ.get("PGCHARTER_EVERY_FAULT"))
PARAMS = (15, 16, 17, 18) if EVERY else (15, 18)


@pytest.fixture(scope="module", params=PARAMS, ids=lambda major: f"pg{major}")
def ground(request: pytest.FixtureRequest) -> Iterator[Ground]:
    with (
        lifecycle.start_ephemeral(installation(request.param), settings=QUIET) as server,
        psycopg.connect(server.dsn(), autocommit=True) as admin,
    ):
        admin.execute("CREATE DATABASE cold TEMPLATE template0 STRATEGY file_copy")
        yield Ground(server, admin)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda f: f"{f.check}-{f.make.__wrapped__.__name__.strip('_')}")
def test_a_fault_is_told_and_nothing_else(ground: Ground, fault: Fault) -> None:
    if fault.majors and ground.server.major not in fault.majors:
        return
    if not EVERY and not fault.majors and FAULTS.index(fault) % 2 != (ground.server.major == 18):
        return
    proven(ground, fault)
