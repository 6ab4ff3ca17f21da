"""Jobs on real servers with real schedulers: leases, meetings, misses, failures, kills."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests.policy.planned import applied

from pgcharter.cli import jobs_commands
from pgcharter.errors import RefusedError, UnavailableError, UsageError
from pgcharter.migrate import planning
from pgcharter.migrate.planning import Wish
from pgcharter.migrate.policies import Chosen
from pgcharter.operate import jobs_render
from pgcharter.operate.jobs import POINTS, Scheduler
from pgcharter.operate.jobs_process import Process
from pgcharter.policy import jobs as policies
from pgcharter.policy.jobs_settings import JobsSection, JobTable

MADE: list[Scheduler] = []


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    while MADE:
        MADE.pop().store.close()


@pytest.fixture
def home(database: str) -> str:
    """A database with the tables of jobs, and one to count in."""
    applied(database, planning.make(Wish("", database, chosen=Chosen((policies.policy(JobsSection()),)))))
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute("CREATE TABLE seen (at timestamptz DEFAULT clock_timestamp(), pid int, what text)")
    return database


def made(dsn: str, *jobs: JobTable, said: list[str] | None = None, proven: list[Any] | None = None, **more: Any) -> Scheduler:
    section = JobsSection(job=jobs, **{"lease": "2s", **more})
    scheduler = Scheduler(
        section, dsn, lambda job: jobs_commands.command(job, ""), say=(said if said is not None else []).append,
        prove=(proven if proven is not None else []).append, environment={"PGCHARTER_JOB_DSN": dsn}, more=jobs_commands.environment,
    )  # fmt: skip
    MADE.append(scheduler)
    return scheduler


def job(name: str = "one", **more: Any) -> JobTable:
    what: dict[str, Any] = {} if {"sql", "program", "pgcharter"} & more.keys() else {"program": (sys.executable, "-c", "print('done')")}
    return JobTable(name, more.pop("schedule", "yearly"), **what, **more)


def python(text: str) -> tuple[str, ...]:
    return (sys.executable, "-c", text)


def asked(dsn: str, sql: str) -> list[Any]:
    with psycopg.connect(dsn, autocommit=True) as conn:
        return [row[0] if len(row) == 1 else row for row in conn.execute(sql.encode()).fetchall()]


def changed(dsn: str, sql: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute(sql.encode())


def due(dsn: str, ago: str = "1 second") -> None:
    changed(dsn, f"UPDATE pgcharter.jobs SET scheduled_for = now() - interval '{ago}', next_run = now() - interval '{ago}'")


def until(what: Callable[[], Any], limit: float = 20) -> Any:
    end = time.monotonic() + limit
    while not (found := what()):
        assert time.monotonic() < end
        time.sleep(0.05)
    return found


RUNS = "SELECT status, reason FROM pgcharter.job_runs ORDER BY started_at"


@pytest.mark.parametrize("major", [15, 18])
def test_a_run_with_its_history_and_evidence(home: str, major: int) -> None:
    proven: list[Any] = []
    one = job(program=python("import os; print('x' * 20000); print('dsn postgresql://u:secret@h/d', os.environ['PGCHARTER_JOB'])"))
    assert made(home, one, proven=proven).one("one") == "succeeded"
    [run] = made(home, one).store.history("one", 5)
    assert (run.status, run.exit_code, run.reason) == ("succeeded", 0, "manual")
    assert run.output is not None
    assert run.output.endswith("dsn postgresql://u:***@h/d one")
    assert len(run.output) < 17000
    assert [(e.name, e.holds) for e in proven] == [("jobs.one", True)]
    assert proven[0].until > proven[0].at


def test_sql_in_one_transaction_commits_only_under_its_token(home: str) -> None:
    good = job(sql="INSERT INTO seen (what) VALUES ('a'); INSERT INTO seen (what) VALUES ('b')")
    assert made(home, good).one("one") == "succeeded"
    stolen = job(sql="INSERT INTO seen (what) VALUES ('c'); UPDATE pgcharter.jobs SET fencing_token = fencing_token + 1")
    assert made(home, stolen).one("one") != "succeeded"
    broken = job(sql="INSERT INTO seen (what) VALUES ('d'); SELECT 1/0")
    scheduler = made(home, broken, job("vacuum", sql="VACUUM seen; ANALYZE seen", transaction=False))
    assert scheduler.one("one") == "failed"
    assert scheduler.one("vacuum") == "succeeded"
    assert "division by zero" in str(asked(home, "SELECT output FROM pgcharter.job_runs WHERE status = 'failed'"))
    assert asked(home, "SELECT what FROM seen ORDER BY what") == ["a", "b"]


def test_a_timeout_ends_everything_that_it_began(home: str, tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    text = (
        "import subprocess,sys,os,signal,time; signal.signal(signal.SIGTERM, signal.SIG_DFL);"
        "p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']);"
        f"open({str(pids)!r}, 'w').write(f'{{os.getpid()}} {{p.pid}}'); time.sleep(60)"
    )
    assert made(home, job(program=python(text), timeout="1s")).one("one") == "timed out"
    until(lambda: not any(alive(int(p)) for p in pids.read_text().split()))


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_failures_are_tried_again_later_each_time(home: str) -> None:
    said: list[str] = []
    proven: list[Any] = []
    scheduler = made(home, job(program=python("import sys; sys.exit(4)"), retries=2, backoff="0.05s"), said=said, proven=proven)
    scheduler.begin()
    due(home)
    scheduler.due()
    until(lambda: (not scheduler.due()) and len(asked(home, RUNS)) == 3)
    assert asked(home, RUNS) == [("failed", "schedule"), ("failed", "retry"), ("failed", "retry")]
    assert asked(home, "SELECT failures, again_at IS NULL FROM pgcharter.jobs") == [(3, True)]
    assert asked(home, "SELECT count(*) FROM pgcharter.job_runs WHERE exit_code = 4 AND error_message = 'it ended in 4'") == [3]
    assert [e.holds for e in proven] == [False] * 3
    assert made(home, job("no", program=("/no/such/program",))).one("no") == "failed"


@pytest.mark.parametrize(
    ("missed", "ago", "expected"),
    [
        ("run-once", "3 days", [("succeeded", "missed")]),
        ("skip", "3 days", [("missed", "schedule")]),
        ("skip", "1 second", [("succeeded", "schedule")]),
    ],
)
def test_missed(home: str, missed: Any, ago: str, expected: list[Any]) -> None:
    scheduler = made(home, job(missed=missed))
    scheduler.begin()
    due(home, ago)
    assert scheduler.due()
    assert asked(home, RUNS) == expected
    assert asked(home, "SELECT next_run > now() FROM pgcharter.jobs") == [True]
    assert made(home, job(missed=missed)).due()
    assert len(asked(home, RUNS)) == 1


@pytest.mark.parametrize(
    ("overlap", "expected"),
    [
        ("skip", [("succeeded", "schedule"), ("skipped", "schedule")]),
        ("queue", [("succeeded", "schedule"), ("succeeded", "queued")]),
        ("cancel", [("cancelled", "schedule"), ("succeeded", "schedule")]),
    ],
)
def test_overlap(home: str, overlap: Any, expected: list[Any], tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    long = 60 if overlap == "cancel" else 1
    text = f"import os,time; first = not os.path.exists({str(flag)!r}); open({str(flag)!r}, 'w'); time.sleep({long} * first)"
    scheduler = made(home, job(program=python(text), overlap=overlap), lease="4s")
    scheduler.begin()
    due(home)
    until(lambda: scheduler.turn() is not None and flag.exists())
    due(home)
    scheduler.look_at = 0.0
    until(lambda: scheduler.turn() is not None and not scheduler.running and len(asked(home, RUNS)) == 2)
    assert asked(home, RUNS) == expected
    scheduler.end()


def test_paused(home: str) -> None:
    scheduler = made(home, job())
    scheduler.pause("one", paused=True)
    due(home, "2 days")
    assert scheduler.due()
    assert asked(home, RUNS) == []
    scheduler.pause("one", paused=False)
    assert scheduler.due()
    assert asked(home, RUNS) == []
    assert asked(home, "SELECT next_run > now() FROM pgcharter.jobs") == [True]
    with pytest.raises(UsageError):
        scheduler.pause("two", paused=True)


def test_schedules_that_change_and_jobs_that_go(home: str) -> None:
    made(home, job(), job("two")).begin()
    made(home, job(schedule="every 1h", jitter="10min")).begin()
    assert asked(home, "SELECT next_run < now() + interval '71 minutes' FROM pgcharter.jobs WHERE name = 'one'") == [True]
    assert asked(home, "SELECT declared FROM pgcharter.jobs ORDER BY name") == [True, False]
    assert asked(home, "SELECT next_run >= scheduled_for AND next_run < scheduled_for + '10 minutes' FROM pgcharter.jobs") == [True, True]


def test_without_tables(database: str) -> None:
    with pytest.raises(UnavailableError, match="no tables here"):
        made(database, job()).begin()


@contextmanager
def schedulers(dsn: str, folder: Path, charter: str, count: int = 1, fault: str = "") -> Iterator[list[subprocess.Popen[str]]]:
    """Real processes of `pgcharter jobs run --forever`."""
    (folder / "pgcharter.toml").write_text(charter)
    environment = {**os.environ, "PGCHARTER_FAULT": fault}
    command = [sys.executable, "-m", "pgcharter", "jobs", "run", "--forever", "--on", dsn]
    running = [
        subprocess.Popen(command, cwd=folder, env=environment, stderr=subprocess.PIPE, text=True, start_new_session=True)
        for _ in range(count)
    ]
    try:
        yield running
    finally:
        for process in running:
            process.kill()
            process.communicate()


WORK = "INSERT INTO seen (pid, what) SELECT pg_backend_pid(), current_setting('application_name')"


def test_two_schedulers_never_run_one_job_twice(home: str, tmp_path: Path) -> None:
    charter = f'[jobs]\nlease = "3s"\n[[jobs.job]]\nname = "tick"\nschedule = "every 1s"\nsql = "{WORK}"\noverlap = "skip"\n'
    with schedulers(home, tmp_path, charter, 2) as running:
        until(lambda: asked(home, "SELECT count(*) >= 6 FROM pgcharter.job_runs WHERE status = 'succeeded'")[0], 60)
        for process in running:
            process.send_signal(signal.SIGTERM)
        assert [p.wait(20) for p in running] == [0, 0]
    succeeded = asked(home, "SELECT count(*), count(DISTINCT scheduled_for) FROM pgcharter.job_runs WHERE status = 'succeeded'")[0]
    assert succeeded[0] == succeeded[1] == asked(home, "SELECT count(*) FROM seen")[0]
    runs = "(SELECT * FROM pgcharter.job_runs WHERE status <> 'skipped')"
    meet = "a.run_id < b.run_id AND a.started_at < b.ended_at AND b.started_at < a.ended_at"
    met = asked(home, f"SELECT count(*) FROM {runs} a, {runs} b WHERE {meet}")
    assert met == [0]
    assert asked(home, "SELECT count(*) FROM pgcharter.jobs WHERE lease_owner IS NOT NULL") == [0]


@pytest.mark.parametrize("fault", POINTS[:3])
def test_killed_and_made_up_for(home: str, tmp_path: Path, fault: str) -> None:
    charter = f'[jobs]\nlease = "1s"\n[[jobs.job]]\nname = "one"\nschedule = "yearly"\nsql = "{WORK}"\n'
    made(home, job(sql=WORK)).begin()
    due(home)
    with schedulers(home, tmp_path, charter, 1, fault) as (killed,):
        assert killed.wait(30) == -signal.SIGKILL
    with schedulers(home, tmp_path, charter):
        until(lambda: ("succeeded", "lost") in asked(home, RUNS), 30)
    assert asked(home, RUNS) == [("lost", "schedule"), ("succeeded", "lost")]


def test_what_a_dead_scheduler_ran_is_ended(home: str, tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    text = f"import os,time; open({str(pid)!r}, 'w').write(str(os.getpid())); time.sleep(60)"
    charter = '[jobs]\nlease = "3s"\n[[jobs.job]]\nname = "one"\nschedule = "yearly"\nmissed = "skip"\nprogram = ' + json.dumps(
        [*python(text)]
    )
    made(home, job(program=python(text), missed="skip")).begin()
    due(home)
    with schedulers(home, tmp_path, charter) as (first,):
        number = int(until(lambda: pid.exists() and pid.read_text(), 30))
        with pytest.raises(RefusedError, match="is running"):
            made(home, job()).one("one")
        first.kill()
        until(lambda: not alive(number), 10)
    until(lambda: made(home, job(missed="skip")).due() and asked(home, RUNS) == [("lost", "schedule")])


def test_a_scheduler_that_stops_loses_its_jobs_before_its_lease(home: str, tmp_path: Path) -> None:
    beats = tmp_path / "beats"
    text = f"import time,os\nwhile True:\n open({str(beats)!r}, 'w').write(str(time.time())); time.sleep(0.02)"
    charter = '[jobs]\nlease = "3s"\n[[jobs.job]]\nname = "one"\nschedule = "yearly"\nprogram = ' + json.dumps([*python(text)])
    made(home, job(program=python(text))).begin()
    due(home)
    with schedulers(home, tmp_path, charter) as (first,):
        until(beats.exists, 30)
        first.send_signal(signal.SIGSTOP)
        over = "SELECT extract(epoch FROM lease_until)::float8 FROM pgcharter.jobs WHERE lease_until <= clock_timestamp()"
        [end] = until(lambda: asked(home, over), 20)
        assert float(beats.read_text()) < end


def test_ctrl_c_ends_what_runs(home: str, tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    text = f"import os,time; open({str(pid)!r}, 'w').write(str(os.getpid())); time.sleep(60)"
    charter = '[[jobs.job]]\nname = "one"\nschedule = "yearly"\nprogram = ' + json.dumps([*python(text)])
    made(home, job(program=python(text))).begin()
    due(home)
    with schedulers(home, tmp_path, charter) as (first,):
        number = int(until(lambda: pid.exists() and pid.read_text(), 30))
        first.send_signal(signal.SIGINT)
        assert first.wait(20) == 0
        assert not alive(number)
    assert asked(home, RUNS) == [("cancelled", "schedule")]


def test_a_killed_process_of_a_job_has_failed(home: str) -> None:
    assert made(home, job(program=python("import os; os.kill(os.getpid(), 9)"))).one("one") == "failed"
    assert asked(home, "SELECT exit_code, error_message FROM pgcharter.job_runs") == [(137, "signal 9 ended it")]


def test_words_of_the_command_line() -> None:
    def words(text: str, environment: str = "") -> str:
        return " ".join(jobs_commands.command(job(pgcharter=text), environment)[3:])

    assert words("backup take full") == "backup take full --on env:PGCHARTER_JOB_DSN"
    assert words("backup take full", "production") == "backup take full --env production"
    assert words("backup take --env other full", "production") == "backup take --env other full"
    assert words("rules list", "production") == "rules list"
    with pytest.raises(UsageError, match="has no command"):
        words("backup tkae")


def test_secrets_of_the_environment_are_not_kept() -> None:
    process = Process(python("import os; print(os.environ['MY_SECRET'], 'and more')"), {"MY_SECRET": "abc-123-x"}, time.monotonic() + 60, 1)
    until(lambda: process.ended() is not None)
    assert process.output() == "*** and more"


ALL = JobsSection(
    job=(
        job("backup", schedule="30 3 * * 1-5", pgcharter="backup take full", time_zone="Europe/Berlin", jitter="5min"),
        job("both", schedule="0 12 13 * fri", overlap="cancel"),
        job("often", schedule="every 15min", missed="skip"),
        job("odd", schedule="every 7min"),
    )
)


def test_cron() -> None:
    text = jobs_render.cron(ALL, ["/opt/my apps/pgcharter", "jobs", "run", "--env", "100%"])
    assert text.splitlines()[2:] == [
        "CRON_TZ=Europe/Berlin",
        r"30 3 * * 1-5 '/opt/my apps/pgcharter' jobs run --env 100\% backup",
        "CRON_TZ=UTC",
        r"0 12 13 * fri '/opt/my apps/pgcharter' jobs run --env 100\% both",
        "CRON_TZ=UTC",
        r"*/15 * * * * '/opt/my apps/pgcharter' jobs run --env 100\% often",
        "# odd: cron cannot say 'every 7min'; use pgcharter jobs run --forever",
    ]


def test_systemd(tmp_path: Path) -> None:
    import shutil

    units = jobs_render.systemd(ALL, [sys.executable, "-m", "pgcharter", "jobs", "run"])
    assert len(units) == 8
    lines = units["pgcharter-both.timer"].splitlines()
    assert [line for line in lines if line.startswith("OnCalendar")] == [
        "OnCalendar=*-*-13 12:00:00 UTC",
        "OnCalendar=Fri *-*-* 12:00:00 UTC",
    ]
    assert "OnCalendar=Mon,Tue,Wed,Thu,Fri *-*-* 03:30:00 Europe/Berlin" in units["pgcharter-backup.timer"]
    program = shutil.which("systemd-analyze")
    if program is None:
        return  # what systemd itself says of them is told where there is one
    for name, text in units.items():
        (tmp_path / name).write_text(text)
        for line in text.splitlines():
            if line.startswith("OnCalendar="):
                subprocess.run([program, "calendar", line.removeprefix("OnCalendar=")], check=True, capture_output=True)
    found = subprocess.run([program, "verify", *map(str, tmp_path.iterdir())], capture_output=True, text=True, check=False)
    assert str(tmp_path) not in found.stderr


def test_kubernetes() -> None:
    import yaml

    text = jobs_render.kubernetes(ALL, ["pgcharter", "jobs", "run", "--env", 'we"ird'], "img:1", "secret")
    documents = [d for d in yaml.safe_load_all(text) if d]
    assert [d["spec"]["schedule"] for d in documents] == ["30 3 * * 1-5", "0 12 13 * fri", "*/15 * * * *"]
    assert [d["spec"]["concurrencyPolicy"] for d in documents] == ["Forbid", "Replace", "Forbid"]
    assert documents[0]["spec"]["timeZone"] == "Europe/Berlin"
    container = documents[0]["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]
    assert container["command"] == ["pgcharter", "jobs", "run", "--env", 'we"ird', "backup"]


def test_what_cron_begins_is_the_run_of_its_time(home: str) -> None:
    scheduler = made(home, job())
    scheduler.begin()
    due(home, "-5 seconds")  # its clock is a little ahead of the server's
    assert scheduler.one("one") == "succeeded"
    assert asked(home, "SELECT next_run > now() + interval '1 minute' FROM pgcharter.jobs") == [True]


def test_a_lost_connection_does_not_hurt_what_runs(home: str, tmp_path: Path) -> None:
    charter = '[[jobs.job]]\nname = "one"\nschedule = "yearly"\nprogram = ["sleep", "2"]\n'
    made(home, job(program=("sleep", "2"))).begin()
    due(home)
    with schedulers(home, tmp_path, charter):
        until(lambda: asked(home, RUNS) == [("running", "schedule")], 30)
        asked(home, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'pgcharter jobs'")
        until(lambda: asked(home, RUNS) == [("succeeded", "schedule")], 30)
