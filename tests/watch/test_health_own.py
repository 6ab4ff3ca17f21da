"""What pgcharter's own tables say: rows as they are when something is wrong, in tables as policies make them."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from tests.conftest import MAJORS, installation
from tests.watch.ground import Ground, worst

from pgcharter.db.queries import load
from pgcharter.migrate import planning
from pgcharter.migrate.planning import Wish
from pgcharter.migrate.policies import Chosen
from pgcharter.policy import evidence, jobs, messaging, sync, two_phase
from pgcharter.policy.evidence_settings import EvidenceSection
from pgcharter.policy.jobs_settings import JobsSection
from pgcharter.policy.messaging_settings import MessagingSection
from pgcharter.policy.sync_settings import SyncSection
from pgcharter.policy.two_phase_settings import TwoPhaseSection
from pgcharter.servers import lifecycle
from pgcharter.watch import registry
from pgcharter.watch.judging import Past
from pgcharter.watch.model import Level

FEED = "INSERT INTO pgcharter.feeds (consumer, slot, slots, log, position, state, lease_until, moved_at, error) VALUES "
NOW, LONG_AGO = "now() + interval '10 s'", "now() - interval '2 h'"
PARKED = "INSERT INTO pgcharter.parked (consumer, key, position, state, parked_at, error, message) VALUES "
SAGA = "INSERT INTO pgcharter.saga_instances (saga_type, definition_version, saga_data, stuck_at, deadline, next_at, error) VALUES "
SINK = "INSERT INTO pgcharter.sync_sinks (slot, sink, wanted, state, reason, behind, spilled, updated_at) VALUES "
JOB = "INSERT INTO pgcharter.jobs (name, definition, scheduled_for, next_run, lease_until, run_id, paused, failures) VALUES"
RUN = "00000000-0000-0000-0000-000000000001"
PROOF = "INSERT INTO pgcharter.evidence (name, holds, seen, proven_at, counts_until) VALUES"
ORDER = "'order', 1, '{}'"

FAULTS = {
    "flow.consumer_stale": (Level.CRITICAL, [f"{FEED} ('mails', 0, 1, 'events', 5, 'stale', {NOW}, now(), NULL)"]),
    "flow.consumer_failing": (Level.WARNING, [f"{FEED} ('mails', 0, 1, 'events', 5, 'running', {NOW}, now(), 'no route to host')"]),
    "flow.consumer_unattended": (Level.CRITICAL, [f"{FEED} ('mails', 0, 1, 'events', 5, 'running', {LONG_AGO}, {LONG_AGO}, NULL)"]),
    "flow.outbox_lag": (
        Level.CRITICAL,
        [
            f"{FEED} ('mails', 0, 1, 'outbox', 0, 'running', {NOW}, now(), NULL)",
            "INSERT INTO pgcharter.outbox (position, part, message_id, topic, tenant, payload, created_at)"
            f" VALUES (7, 1, gen_random_uuid(), 'paid', '', '{{}}', {LONG_AGO})",
        ],
    ),
    "flow.events_lag": (
        Level.CRITICAL,
        [
            f"{FEED} ('list', 0, 1, 'events', 0, 'running', {NOW}, now(), NULL)",
            "INSERT INTO pgcharter.events (position, month, tenant, aggregate_type, aggregate_id, event_version, event_id, event_type,"
            " schema_version, event_data, created_at) VALUES (7, '1000-01-01', '', 'order', gen_random_uuid(), 1,"
            " gen_random_uuid(), 'paid',"
            f" 1, '{{}}', {LONG_AGO})",
        ],
    ),
    "flow.dead": (Level.WARNING, [f"{PARKED} ('mails', 'k', 1, 'dead', now(), 'refused', '{{}}')"]),
    "flow.parked": (Level.WARNING, [f"{PARKED} ('mails', 'k', 1, 'waiting', {LONG_AGO}, 'refused', '{{}}')"]),
    "flow.saga_stuck": (Level.WARNING, [f"{SAGA} ({ORDER}, now(), NULL, now(), 'no such account')"]),
    "flow.saga_overdue": (Level.WARNING, [f"{SAGA} ({ORDER}, NULL, {LONG_AGO}, now(), NULL)"]),
    "flow.saga_due": (Level.CRITICAL, [f"{SAGA} ({ORDER}, NULL, NULL, {LONG_AGO}, NULL)"]),
    "flow.rebuild": (
        Level.WARNING,
        ["INSERT INTO pgcharter.projections (name, mode, building, building_since) VALUES ('list', 'async', 2, now() - interval '2 d')"],
    ),
    "flow.copy_trouble": (Level.CRITICAL, [f"{SINK} ('s', 'search', 'running', 'lost', 'its slot is gone', 0, 0, now())"]),
    "flow.copy_behind": (Level.CRITICAL, [f"{SINK} ('s', 'search', 'running', 'running', '', 700, 0, now())"]),
    "flow.copy_silent": (Level.CRITICAL, [f"{SINK} ('s', 'search', 'running', 'running', '', 0, 0, {LONG_AGO})"]),
    "flow.copy_paused": (Level.INFO, [f"{SINK} ('s', 'search', 'paused', 'paused', '', 0, 0, now())"]),
    "flow.copy_spilled": (Level.WARNING, [f"{SINK} ('s', 'search', 'running', 'down', 'x', 0, 2000000000, now())"]),
    "flow.copy_differs": (
        Level.WARNING,
        [
            "INSERT INTO pgcharter.sync_snapshots (slot, sink, source, after)"
            """ VALUES ('reconcile', 'search', 'app.orders', ARRAY['{"found": 3, "repaired": 0, "remaining": 2, "unsettled": 1}'])"""
        ],
    ),
    "flow.undecided": (
        Level.CRITICAL,
        [
            "INSERT INTO pgcharter.two_phase_log (epoch, number, coordinator, decision, participants, decided_at)"
            f" VALUES (1, 1, 'pay', 'commit', '{{}}', {LONG_AGO})"
        ],
    ),
    "flow.migration_failed": (
        Level.WARNING,
        ["INSERT INTO pgcharter.schema_migrations (version, outcome, error_message) VALUES ('007', 'failed', 'no such column')"],
    ),
    "flow.migration_running": (
        Level.WARNING,
        [f"INSERT INTO pgcharter.schema_migrations (version, outcome, started_at) VALUES ('008', 'running', {LONG_AGO})"],
    ),
    "jobs.failed": (Level.CRITICAL, [f"{JOB} ('backup', '', now(), now() + interval '1 h', NULL, NULL, false, 3)"]),
    "jobs.overdue": (Level.CRITICAL, [f"{JOB} ('backup', '', now(), {LONG_AGO}, NULL, NULL, false, 0)"]),
    "jobs.running": (
        Level.WARNING,
        [
            f"{JOB} ('backup', '', now(), now(), now() + interval '1 min', '{RUN}', false, 0)",
            "INSERT INTO pgcharter.job_runs (run_id, job_name, scheduled_for, reason, status, started_at)"
            f" VALUES ('{RUN}', 'backup', now(), 'schedule', 'running', now() - interval '2 d')",
        ],
    ),
    "jobs.paused": (Level.INFO, [f"{JOB} ('backup', '', now(), now() + interval '1 h', NULL, NULL, true, 0)"]),
    "evidence.broken": (Level.WARNING, [f"{PROOF} ('backup.drill', false, '3 rows differ', now(), NULL)"]),
    "evidence.stale": (Level.WARNING, [f"{PROOF} ('backup.drill', true, 'fine', {LONG_AGO}, now() - interval '1 h')"]),
}  # fmt: skip
OWN = ("feeds", "outbox", "parked", "saga_instances", "projections", "sync_sinks", "sync_snapshots", "two_phase_log", "schema_migrations",
       "evidence", "job_runs", "jobs")  # fmt: skip
"""What can be deleted again; events cannot."""


@pytest.fixture(scope="module", params=(MAJORS[0], MAJORS[-1]), ids=lambda major: f"pg{major}")
def ground(request: pytest.FixtureRequest) -> Iterator[Ground]:
    with lifecycle.start_ephemeral(installation(request.param)) as server, psycopg.connect(server.dsn(), autocommit=True) as admin:
        chosen = (messaging.policy(MessagingSection()), two_phase.policy(TwoPhaseSection()), sync.policy(SyncSection()),
                  evidence.policy(EvidenceSection()), jobs.policy(JobsSection()))  # fmt: skip
        planned = planning.make(Wish("", server.dsn(), chosen=Chosen(chosen), prove=False))
        assert planned.plan.questions == ()
        for step in planned.plan.steps:
            admin.execute(step.sql.encode())
        for statement in load("pgcharter.migrate", "ledger.sql")["install"].split(";\n"):
            if statement.strip():
                admin.execute(statement.encode())
        yield Ground(server, admin)


@pytest.mark.parametrize("id_", FAULTS, ids=str)
def test_what_our_tables_say_is_told(ground: Ground, id_: str) -> None:
    level, statements = FAULTS[id_]
    before, _ = ground.look(id_)
    assert not before.gaps
    assert before.worst is Level.OK
    for statement in statements:
        ground.admin.execute(statement.encode())
    try:
        found, _ = ground.look(id_)
        one = worst(found, id_)
        assert one is not None
        assert one.level is level, one
        assert "?" not in one.says
        assert one.labels["database"] == "postgres"
    finally:
        for table in OWN:
            ground.admin.execute(f"DELETE FROM pgcharter.{table}".encode())
    after, _ = ground.look(id_)
    assert after.worst is Level.OK


def test_who_may_not_read_them_is_told_what_to_grant(ground: Ground) -> None:
    ground.admin.execute("CREATE ROLE watcher LOGIN PASSWORD 'x' IN ROLE pg_monitor")
    try:
        from pgcharter.watch.collecting import Target

        ground.target = Target(ground.server.dsn(user="watcher", password="x"))
        found, _ = ground.look("flow.dead", "flow.outbox_lag")
        assert not found.readings
        assert "GRANT SELECT ON pgcharter.parked TO watcher" in found.gaps[0].why
        for table in (*OWN, "events"):
            ground.admin.execute(f"GRANT SELECT ON pgcharter.{table} TO watcher".encode())
        ground.admin.execute("GRANT USAGE ON SCHEMA pgcharter TO watcher")
        found, _ = ground.judge([c for c in registry.load().checks.values() if c.family == "flow"], Past())
        assert not found.gaps
    finally:
        ground.target = None
        ground.admin.execute("DROP OWNED BY watcher")
        ground.admin.execute("DROP ROLE watcher")
