"""A part of the data layer's tests once more, through PgBouncer in transaction mode: `PGCHARTER_POOLED=1 pytest tests/runtime` runs all."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from tests.runtime.poolers import POOLED, SESSIONS, fill, program, through

from pgcharter.servers.lifecycle import Server

ROOT = Path(__file__).parents[2]
PARTS = """
test_work.py::test_commits_and_gives_back test_work.py::test_nested_is_a_savepoint test_work.py::test_isolation_readonly_and_timeouts
test_work.py::test_a_lost_connection_before_commit_is_tried_again test_work.py::test_tenants_and_the_context
test_work.py::test_threads_share_a_database_and_counts_are_exact test_work.py::test_a_session_leaves_nothing_on_the_connection
test_context.py::test_nothing_is_left_for_the_next_transaction test_context.py::test_threads_begin_without_one
test_context.py::test_async_connections_and_tasks test_context.py::test_async_engines
test_idempotency.py::test_many_at_once test_idempotency.py::test_a_commit_without_answer_is_settled
test_idempotency.py::test_async_and_sessions
test_database_watch.py::test_truncate_by_others_is_told_once test_database_watch.py::test_async_hooks_and_tokens
test_pages.py::test_async_reads_the_same test_pages.py::test_row_factories_see_their_own_columns
test_bulk_merge.py::test_counts[table-pg18] test_bulk_merge.py::test_nothing_is_left_behind
test_bulk_colours.py::test_sync_connections test_bulk_colours.py::test_async_connections test_bulk_colours.py::test_cancelled_by_the_server
test_repository.py::test_upserts test_repository.py::test_async_is_the_same
test_locks.py::test_locks_end_with_the_transaction test_locks.py::test_claims_do_not_meet test_locks.py::test_async_colours
test_feeds.py::test_workers_share_slots_and_take_over test_feeds.py::test_async test_sagas.py::test_all_steps_are_done
test_sagas.py::test_inside_is_done_once_with_the_checkpoint
test_outbox.py::test_each_key_in_order_and_a_bad_message_parks_its_key_only test_outbox.py::test_tasks_relay_too
test_models_soft_delete.py::test_relationships_however_they_are_loaded test_models_soft_delete.py::test_async
"""
AT_LEAST = 50

pytestmark = pytest.mark.skipif(POOLED, reason="direct: all of it runs through PgBouncer now")


def test_parts_through_a_pooler() -> None:
    program()
    chosen = [f"tests/runtime/{name}" for name in PARTS.split()]
    command = [sys.executable, "-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider", "--tb=short", *chosen]
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, "PGCHARTER_POOLED": "1"}, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed, done.stdout
    assert int(passed[1]) >= AT_LEAST


def test_each_transaction_is_on_another_session(major_server: Server, database: str) -> None:
    """What the other tests stand on: a setting of one session is not met by the next transaction, and nothing may be prepared."""
    with through(major_server) as behind:
        dsn = behind.dsn(database.rpartition("/")[2].partition("?")[0])
        fill(dsn)
        with psycopg.connect(dsn, autocommit=True, prepare_threshold=None) as conn:
            pids = [conn.execute("SELECT pg_backend_pid()").fetchone() for _ in range(2 * SESSIONS)]
            assert len(set(pids[:SESSIONS])) == SESSIONS
            assert pids[:SESSIONS] == pids[SESSIONS:]
        with psycopg.connect(dsn, autocommit=True, prepare_threshold=0) as conn, pytest.raises(psycopg.errors.InvalidSqlStatementName):
            conn.execute("SELECT 1")
