"""Jobs: the table of their states, with lease and fencing token, and that of their runs."""

from __future__ import annotations

from dataclasses import replace

from pgcharter.catalog.model import Catalog, Constraint, Table
from pgcharter.names import ObjectId
from pgcharter.policy.compose import SCHEMA
from pgcharter.policy.jobs_settings import SECTION, JobsSection
from pgcharter.policy.model import Policy, State
from pgcharter.policy.own import check, columns, index, joined, opened, primary
from pgcharter.policy.rights import closed

JOBS = ObjectId("table", SCHEMA, "jobs")
RUNS = ObjectId("table", SCHEMA, "job_runs")
_AT, _NOW = "timestamp with time zone", "clock_timestamp()"
STATES = ("running", "succeeded", "failed", "timed out", "cancelled", "lost", "skipped", "missed")
"""States of a run. skipped: it was due while the one before was running; missed: no scheduler was there."""
_JOBS = {
    "name": ("text", "", ""),
    "definition": ("text", "", "schedule, zone and jitter that next_run was made from"),
    "declared": ("boolean", "true", "whether the charter of the newest scheduler has it"),
    "paused": ("boolean", "false", ""),
    "alarm": ("boolean", "true", "whether health warns of it"),
    "scheduled_for": (_AT, "", "the time that its schedule names next"),
    "next_run": (_AT, "", "when it begins for that: later by the jitter"),
    "again_at": (f"{_AT}?", "", "when it runs besides, and why: again_why"),
    "again_for": (f"{_AT}?", "", ""),
    "again_why": ("text?", "", "retry, lost, queued, cancelled"),
    "again_attempt": ("integer", "1", ""),
    "lease_owner": ("text?", "", "scheduler that runs it"),
    "lease_until": (f"{_AT}?", "", ""),
    "fencing_token": ("bigint", "0", "grows with each claim: whoever holds an older one can write nothing"),
    "run_id": ("uuid?", "", "the run that is under way"),
    "cancel_asked": ("boolean", "false", "whoever runs it is to end it"),
    "last_status": ("text?", "", "how the last run ended"),
    "last_ended_at": (f"{_AT}?", "", ""),
    "failures": ("integer", "0", "runs that failed since the last that succeeded"),
    "created_at": (_AT, _NOW, ""),
    "updated_at": (_AT, _NOW, ""),
}
_RUNS = {
    "run_id": ("uuid", "gen_random_uuid()", ""),
    "job_name": ("text", "", ""),
    "scheduled_for": (_AT, "", "the time of its schedule that it is for; of one that a person began, when that was"),
    "reason": ("text", "", "schedule, missed, retry, lost, queued, cancelled, manual"),
    "attempt": ("integer", "1", ""),
    "status": ("text", "", ""),
    "fencing_token": ("bigint?", "", ""),
    "worker": ("text?", "", "scheduler that ran it"),
    "started_at": (_AT, _NOW, ""),
    "ended_at": (f"{_AT}?", "", ""),
    "exit_code": ("integer?", "", "128 and more: ended by a signal"),
    "error_message": ("text?", "", ""),
    "output": ("text?", "", "the end of what it said, without passwords"),
    "created_at": (_AT, _NOW, ""),
}


def policy(section: JobsSection) -> Policy:
    """The policy of a `[jobs]` section."""
    return Policy(SECTION.name, lambda state: _apply(state, section))


def _apply(state: State, section: JobsSection) -> State:
    catalog = state.catalog
    rights = [(role, "SELECT") for role in (*section.readers, *section.workers)]
    rights += [(role, p) for role in section.workers for p in ("INSERT", "UPDATE", "DELETE")]
    acl = closed("table", catalog.database.owner, rights, catalog.major)
    made = replace(catalog, tables=joined(catalog.tables, replace(_jobs(), acl=acl), replace(_runs(), acl=acl)))
    return replace(state, catalog=_opened(made, section))


def _opened(catalog: Catalog, section: JobsSection) -> Catalog:
    return opened(catalog, dict.fromkeys((*section.readers, *section.workers)))


def _jobs() -> Table:
    return Table(
        SCHEMA, JOBS.name, columns=columns(_JOBS), constraints=(primary("jobs_pkey", ("name",)),),
        indexes=(index(JOBS, "jobs_pkey", ("name",), unique=True),), options=("fillfactor=50",),
        comment="Jobs of the charter: when each is due, who runs it",
    )  # fmt: skip


def _runs() -> Table:
    states = ", ".join(f"'{s}'::text" for s in STATES)
    home = Constraint(
        "job_runs_job_name_fkey", "foreign key", ("job_name",), f"FOREIGN KEY (job_name) REFERENCES {JOBS.sql()}(name) ON DELETE CASCADE",
        references=JOBS, referenced_columns=("name",), on_delete="cascade", on_update="no action", match="simple", index="jobs_pkey",
    )  # fmt: skip
    return Table(
        SCHEMA, RUNS.name, columns=columns(_RUNS),
        constraints=(check("chk_job_run_status", f"status = ANY (ARRAY[{states}])", "status"), home, primary("job_runs_pkey", ("run_id",))),
        indexes=(
            index(RUNS, "job_runs_job_name", ("job_name", "started_at")),
            index(RUNS, "job_runs_pkey", ("run_id",), unique=True),
            index(RUNS, "job_runs_started_at", ("started_at",)),
        ),
        comment="Runs of jobs",
    )  # fmt: skip
