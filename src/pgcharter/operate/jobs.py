"""The scheduler: claims jobs that are due, runs them, and knows what becomes of those that meet, fail, were missed or lost their scheduler.

A job has at most one run: whoever claims it has a lease by the server's clock, renewed while it runs, and a fencing token that grows. The
process of a run ends before its lease does, whatever becomes of the scheduler, so another scheduler never runs a job beside the first.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import psycopg

from pgcharter import faults
from pgcharter.errors import ConnectError, RefusedError, UsageError
from pgcharter.findings import Evidence
from pgcharter.measures import seconds
from pgcharter.operate.jobs_process import Process
from pgcharter.operate.jobs_store import Claim, State, Store
from pgcharter.policy.jobs_schedule import Schedule
from pgcharter.policy.jobs_settings import JobsSection, JobTable

POINTS = ("job claimed", "job began", "job ended", "job recorded")
LATE = 60.0
"""A time that passed longer ago, in seconds, was missed."""
POLL = 2.0
_PRUNE = 3600.0

Command = Callable[[JobTable], Sequence[str]]
Say = Callable[[str], None]
Prove = Callable[[Evidence], object]


@dataclass(slots=True)
class Running:
    """A run under way here."""

    job: JobTable
    claim: Claim
    process: Process
    ends: float
    """When its timeout is over, by the monotonic clock."""
    renew: float
    until: float
    """When its lease is over for us, by the monotonic clock."""


class Scheduler:
    """Runs the jobs of a charter against one database."""

    def __init__(
        self, section: JobsSection, dsn: str, command: Command, *, say: Say = lambda _: None, prove: Prove = lambda _: None,
        environment: Mapping[str, str] | None = None, more: Callable[[JobTable], Mapping[str, str]] = lambda _: {},
    ) -> None:  # fmt: skip
        self.section, self.dsn, self.command, self.say, self.prove = section, dsn, command, say, prove
        self.environment, self.more = dict(environment or {}), more
        self.jobs = {j.name: j for j in section.job}
        self.schedules = {j.name: section.schedule(j) for j in section.job}
        self.lease = seconds(section.lease)
        self.store = Store(dsn, f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}", self.lease)
        self.running: dict[str, Running] = {}
        self._pruned = 0.0
        self.look_at = 0.0
        """When states are read again, by the monotonic clock."""
        self._unwell = False

    def begin(self) -> None:
        """Write down which jobs there are. Raises UnavailableError where there are no tables."""
        now = self.store.now()
        for job in self.jobs.values():
            self._declare(job, now)
        self.store.asked("undeclare", {"names": list(self.jobs)})

    def forever(self) -> None:
        """Run what is due, until KeyboardInterrupt; what runs then is ended, and recorded as cancelled."""
        try:
            self._reached(self.begin)
            while True:
                pause = self._reached(self.turn)
                time.sleep(0.1 if self.running else max(0.02, min(POLL, pause)))
        finally:
            self.end()

    def due(self) -> bool:
        """Run what is due now and what comes of that at once, to its end; returns whether all went well."""
        self.begin()
        try:
            while self.turn() <= 0 or self.running:
                time.sleep(0.05)
        finally:
            self.end()
        return not self._unwell

    def one(self, name: str) -> str:
        """Run a job now, with its retries; returns the status of the last run. Raises UsageError, RefusedError where it is running."""
        job = self.jobs.get(name)
        if job is None:
            raise UsageError(f"there is no job {name}", hint="known are " + (", ".join(self.jobs) or "none: write [[jobs.job]]"))
        now = self.store.now()
        self._declare(job, now)
        status = self._one(job, "manual", 1, now)
        for attempt in range(2, job.retries + 2):
            if status not in ("failed", "timed out"):
                break
            time.sleep(self._backoff(job, attempt - 1))
            status = self._one(job, "manual", attempt, now)
        return status

    def pause(self, name: str, *, paused: bool) -> None:
        """Have a job begun no more, or again from its next time on. Raises UsageError for one that there is not."""
        if name not in self.jobs:
            raise UsageError(f"there is no job {name}", hint="known are " + (", ".join(self.jobs) or "none: write [[jobs.job]]"))
        self.begin()
        following = self.schedules[name].after(self.store.now())
        when = (
            {"following": None, "next_run": None}
            if paused
            else {"following": following, "next_run": self._late(self.jobs[name], following)}
        )
        self.store.asked("pause", {"name": name, "paused": paused, **when})
        self.store.close()

    def end(self) -> None:
        """End what runs, and say so."""
        for run in self.running.values():
            run.process.stop("cancelled")
        for name, run in list(self.running.items()):
            run.process.wait(10.0)
            with suppress(ConnectError, psycopg.Error):
                self._finish(run, run.process.ended())
            self.running.pop(name, None)
        self.store.close()

    def turn(self) -> float:
        """Look once after what runs, and after what is due when it is time for that; returns seconds until it is."""
        before = len(self.running)
        for run in list(self.running.values()):
            self._tend(run)
        if len(self.running) == before and (left := self.look_at - time.monotonic()) > 0:
            return left
        self._prune()
        pause = min((self._seen(state) for state in self.store.states(self.jobs).values()), default=POLL)
        self.look_at = time.monotonic() + pause
        return pause

    def _seen(self, state: State) -> float:
        """Do what a job's state asks for; returns seconds until it may ask for more."""
        run = self.running.get(state.name)
        if run and run.claim.token == state.token and state.cancel_asked:
            run.process.stop("cancelled")
        if state.over:
            self._lost(state)
            return 0
        return POLL if state.paused else self._due(self.jobs[state.name], state)

    def _reached(self, work: Callable[[], Any]) -> Any:
        """Do it again and again while the database cannot be reached; what runs meanwhile ends with its lease."""
        while True:
            try:
                return work()
            except (ConnectError, psycopg.OperationalError) as error:
                self.say(f"the database cannot be reached: {' '.join(str(error).split())}")
                self.store.close()
                time.sleep(min(POLL, self.lease / 10))

    def _declare(self, job: JobTable, now: datetime) -> None:
        schedule = self.schedules[job.name]
        following = schedule.after(now)
        definition = f"{job.schedule} | {schedule.zone} | {job.jitter}"
        values = {"name": job.name, "definition": definition, "alarm": job.alarm, "scheduled_for": following}
        self.store.asked("declare", {**values, "next_run": self._late(job, following)})

    def _late(self, job: JobTable, at: datetime) -> datetime:
        """A time of the schedule with its jitter, the same for all schedulers."""
        drawn = int.from_bytes(hashlib.sha256(f"{job.name} {at.isoformat()}".encode()).digest()[:6]) / (1 << 48)
        return at + timedelta(seconds=seconds(job.jitter) * drawn)

    def _due(self, job: JobTable, state: State) -> float:
        """Begin a job that is due, or say in how many seconds it is."""
        again = state.again_at is not None and state.again_at <= state.now
        regular = state.next_run <= state.now
        if state.owner is not None:
            if regular:
                self._meets(job, state)
            return POLL
        if not (again or regular):
            return min(
                (state.next_run - state.now).total_seconds(),
                POLL if state.again_at is None else (state.again_at - state.now).total_seconds(),
            )
        if len(self.running) >= self.section.parallel:
            return POLL
        if again:
            why = {"cancelled": "schedule", "queued": "queued"}.get(state.again_why or "", state.again_why or "retry")
            self._begin(job, self._claim(state, why, state.again_attempt, state.again_for or state.now, again=True))
            return 0
        last, following = self._passed(job, state)
        if (state.now - self._late(job, last)).total_seconds() > LATE:
            return self._missed(job, state, last, following)
        self._begin(job, self._claim(state, "schedule", 1, last, following=following, next_run=self._late(job, following)))
        return 0

    def _passed(self, job: JobTable, state: State) -> tuple[datetime, datetime]:
        """The last time of its schedule that has come, jitter and all, and the one behind it."""
        schedule: Schedule = self.schedules[job.name]
        last, following = schedule.last(state.scheduled_for, max(state.now, state.scheduled_for))
        if self._late(job, last) > state.now and last > state.scheduled_for:
            return state.scheduled_for, schedule.after(state.scheduled_for)
        return last, following

    def _missed(self, job: JobTable, state: State, last: datetime, following: datetime) -> float:
        when = {"following": following, "next_run": self._late(job, following)}
        if job.missed == "run-once":
            self._begin(job, self._claim(state, "missed", 1, last, **when))
        else:
            said = f"nobody ran it at {last.isoformat()}, and it is not made up for"
            self._pass(state, last, "missed", said, **when)
        return 0

    def _meets(self, job: JobTable, state: State) -> None:
        """It is due while it runs, here or elsewhere."""
        last, following = self._passed(job, state)
        when = {"following": following, "next_run": self._late(job, following)}
        if job.overlap == "skip":
            self._pass(state, last, "skipped", "the run before it was under way", **when)
        else:
            why = "queued" if job.overlap == "queue" else "cancelled"
            self._pass(state, last, None, None, again=True, why=why, cancel=job.overlap == "cancel", **when)

    def _pass(self, state: State, last: datetime, status: str | None, error: str | None, **values: Any) -> None:
        named = {"again": False, "why": None, "cancel": False, **values}
        self.store.asked("pass", {
            "name": state.name, "seen": state.scheduled_for, "token": state.token, "for": last, "status": status, "error": error, **named,
        })  # fmt: skip

    def _claim(self, state: State, reason: str, attempt: int, of: datetime, **values: Any) -> Claim | None:
        named = {"again": False, "following": None, "next_run": None, **values}
        rows = self.store.asked("claim", {
            "name": state.name, "token": state.token, "seen": state.scheduled_for, "reason": reason, "attempt": attempt, "for": of, **named,
        })  # fmt: skip
        if not rows:
            return None
        faults.point("job claimed")
        return Claim(state.name, rows[0][0], rows[0][1], of, reason, attempt)

    def _begin(self, job: JobTable, claim: Claim | None) -> None:
        if claim is None:
            return
        begun = time.monotonic()
        until = begun + self.lease * 0.85
        values = {"PGCHARTER_JOB": job.name, "PGCHARTER_JOB_RUN": str(claim.run_id), "PGCHARTER_JOB_TOKEN": str(claim.token)}
        process = Process(self.command(job), {**self.environment, **self.more(job), **values}, until, self._grace)
        faults.point("job began")
        self.running[job.name] = Running(job, claim, process, begun + seconds(job.timeout), begun + self.lease / 4, until)
        self.say(f"{job.name}: began{'' if claim.reason == 'schedule' else f' ({claim.reason})'}")

    @property
    def _grace(self) -> float:
        """Seconds between asking a process to end, when its lease is, and ending it."""
        return min(5.0, self.lease * 0.2)

    def _tend(self, run: Running) -> None:
        """Renew its lease, see to its timeout, record its end."""
        now, code = time.monotonic(), run.process.ended()
        if code is not None:
            self._finish(run, code)
            return
        if now >= run.ends:
            run.process.stop("timed out")
        if now >= run.renew:
            self._renew(run, now)

    def _renew(self, run: Running, now: float) -> None:
        rows = self.store.asked("renew", {"name": run.job.name, "token": run.claim.token})
        if not rows:
            run.process.stop("fenced")
            run.renew = now + self.lease
            return
        run.until, run.renew = now + self.lease * 0.85, now + self.lease / 4
        run.process.lease(run.until, self._grace)
        if rows[0][0]:
            run.process.stop("cancelled")

    def _finish(self, run: Running, code: int | None) -> None:
        """Record how it ended. Where that cannot be, it is tried again while the lease lasts; then it is for others to call it lost."""
        faults.point("job ended")
        job, claim, why = run.job, run.claim, run.process.stopping
        status = why if why in ("timed out", "cancelled") else "succeeded" if code == 0 else "failed"
        retry = status in ("failed", "timed out") and claim.attempt <= job.retries and claim.reason != "manual"
        error = None if status == "succeeded" else _said(status, code, job)
        values = {
            "name": job.name, "token": claim.token, "run": claim.run_id, "status": status, "exit_code": code, "error": error,
            "output": run.process.output(), "retry": retry, "backoff": timedelta(seconds=self._backoff(job, claim.attempt)),
            "for": claim.scheduled_for, "attempt": claim.attempt,
        }  # fmt: skip
        try:
            recorded = self.store.asked("finish", values)
        except (ConnectError, psycopg.OperationalError):
            if time.monotonic() > run.until:
                self.running.pop(job.name, None)
                self.say(f"{job.name}: {status}, which could not be recorded before its lease was over")
            raise
        self.running.pop(job.name, None)
        faults.point("job recorded")
        if not recorded:
            self.say(f"{job.name}: {status}, but another scheduler has it: not recorded")
            return
        self.say(f"{job.name}: {status}{f': {error}' if error else ''}{', will be tried again' if retry else ''}")
        self._unwell |= status not in ("succeeded", "cancelled")
        self._prove(job, recorded[0][0], status, error)

    def _prove(self, job: JobTable, at: datetime, status: str, error: str | None) -> None:
        if status == "cancelled":
            return
        following = self.schedules[job.name].after(self.schedules[job.name].after(at))
        seen = "the last run succeeded" if status == "succeeded" else f"the last run {'failed' if status == 'failed' else status}: {error}"
        facts = {"status": status, "schedule": job.schedule}
        self.prove(
            Evidence(f"jobs.{job.name}", status == "succeeded", seen, at, following + timedelta(seconds=seconds(job.timeout)), facts)
        )

    def _lost(self, state: State) -> None:
        """A scheduler has gone with a run: it is made up for or not, as for one that was missed."""
        again = self.jobs[state.name].missed == "run-once"
        if self.store.asked("lose", {"name": state.name, "token": state.token, "again": again}):
            self.say(f"{state.name}: its scheduler {state.owner} has gone; {'it runs again' if again else 'it waits for its next time'}")
            self._prove(self.jobs[state.name], state.now, "lost", "its scheduler has gone")

    def _backoff(self, job: JobTable, attempt: int) -> float:
        return float(min(seconds(job.backoff) * 2 ** (attempt - 1), max(3600.0, seconds(job.backoff))))

    def _prune(self) -> None:
        if time.monotonic() > self._pruned:
            self._pruned = time.monotonic() + _PRUNE
            self.store.asked("prune", {"keep": timedelta(seconds=seconds(self.section.keep))})

    def _one(self, job: JobTable, reason: str, attempt: int, of: datetime) -> str:
        state = self.store.states([job.name])[job.name]
        if state.over:
            self._lost(state)
            state = self.store.states([job.name])[job.name]
        when: dict[str, Any] = {}
        if state.scheduled_for <= state.now + timedelta(seconds=LATE):  # cron or systemd begins it: that is this time's run
            following = self.schedules[job.name].after(state.now + timedelta(seconds=LATE))
            when = {"following": following, "next_run": self._late(job, following)}
        claim = None if state.owner else self._claim(state, reason, attempt, of, again=state.again_why == "lost", **when)
        if claim is None:
            raise RefusedError(
                f"job {job.name} is running: {state.owner or 'somebody else'} has it", hint="pgcharter jobs history " + job.name
            )
        self._begin(job, claim)
        run = self.running[job.name]
        try:
            while job.name in self.running:
                self._tend(run)
                time.sleep(0.05)
            return self.store.states([job.name])[job.name].last_status or "lost"
        finally:
            self.end()


def _said(status: str, code: int | None, job: JobTable) -> str:
    if status == "timed out":
        return f"it took longer than {job.timeout} and was ended"
    if status == "cancelled":
        return "it was ended before it was done"
    if code == 127:
        return "its program could not be started"
    return f"signal {code - 128} ended it" if code is not None and code > 128 else f"it ended in {code}"
