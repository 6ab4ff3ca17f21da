"""Jobs as entries of other schedulers: cron, systemd timers, CronJobs of Kubernetes. Each entry runs `pgcharter jobs run NAME`.

So lease, history, timeout and alarm are the same; jitter, rules of overlap and of missed runs are theirs, as near as they have them.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence

from pgcharter.measures import seconds
from pgcharter.policy.jobs_schedule import Schedule, fields
from pgcharter.policy.jobs_settings import JobsSection, JobTable

_WEEK = ("Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat")


def cron(section: JobsSection, command: Sequence[str], account: str = "") -> str:
    """Lines of a crontab; with an account, of a file in /etc/cron.d. CRON_TZ is cronie's: elsewhere times are the machine's."""
    lines = ["# made by pgcharter jobs render cron; do not edit", "SHELL=/bin/sh"]
    for job in section.job:
        schedule = section.schedule(job)
        when = fields(schedule)
        if when is None:
            lines.append(f"# {job.name}: cron cannot say {schedule.text!r}; use pgcharter jobs run --forever")
            continue
        words = " ".join(_shell(w).replace("%", r"\%") for w in (*command, job.name))
        zone = "UTC" if schedule.every else schedule.zone
        lines += [f"CRON_TZ={zone}", " ".join(filter(None, (when, account, words)))]
    return "\n".join(lines) + "\n"


def systemd(section: JobsSection, command: Sequence[str]) -> Mapping[str, str]:
    """Units by file name: a service and a timer for each job."""
    units = {}
    for job in section.job:
        schedule = section.schedule(job)
        words = " ".join(_unit_word(w) for w in (*command, job.name))
        units[f"pgcharter-{job.name}.service"] = (
            f"[Unit]\nDescription=pgcharter job {job.name}\n\n[Service]\nType=oneshot\n"
            f"ExecStart={words}\nKillMode=mixed\nTimeoutStartSec={_limit(job)}\n"
        )
        when = "\n".join(f"OnCalendar={line}" for line in calendar(schedule))
        persistent = "true" if job.missed == "run-once" else "false"
        units[f"pgcharter-{job.name}.timer"] = (
            f"[Unit]\nDescription=pgcharter job {job.name}: {schedule.text} {schedule.zone}\n\n[Timer]\n{when}\n"
            f"Persistent={persistent}\nRandomizedDelaySec={math.ceil(seconds(job.jitter))}\nAccuracySec=1s\n\n[Install]\nWantedBy=timers.target\n"
        )
    return units


def calendar(schedule: Schedule) -> Iterator[str]:
    """A schedule as systemd's OnCalendar; two where one of two days is enough."""
    text = fields(schedule)
    if text is None:
        step = schedule.every
        if step < 60 and 60 % step == 0:
            yield f"*-*-* *:*:0/{step:.0f} UTC"
            return
        made = sorted({int(n * step // 60) % 1440 for n in range(math.ceil(86400 / step))})
        for minute in made:
            yield f"*-*-* {minute // 60:02}:{minute % 60:02}:00 UTC"
        return
    from pgcharter.policy.jobs_schedule import parse

    plain = parse(text, "UTC" if schedule.every else schedule.zone)
    clock = f"{_some(plain.hours, 24)}:{_some(plain.minutes, 60)}:00 {plain.zone}"
    weekdays = "" if len(plain.weekdays) == 7 else ",".join(_WEEK[d] for d in plain.weekdays) + " "
    months, days = _some(plain.months, 12), _some(plain.days, 31)
    if plain.either:
        yield f"*-{months}-{days} {clock}"
        yield f"{weekdays}*-{months}-* {clock}"
    else:
        yield f"{weekdays}*-{months}-{days} {clock}"


def kubernetes(section: JobsSection, command: Sequence[str], image: str, secret: str) -> str:
    """CronJobs, one document each; the connection string comes from a Secret. Strings stand as JSON, which is YAML."""
    documents = []
    for job in section.job:
        schedule = section.schedule(job)
        when = fields(schedule)
        if when is None:
            documents.append(f"# {job.name}: a CronJob cannot say {schedule.text!r}; use pgcharter jobs run --forever\n")
            continue
        documents.append(_cron_job(job, schedule, when, [*command, job.name], image, secret))
    return "---\n".join(documents)


def _cron_job(job: JobTable, schedule: Schedule, when: str, command: Sequence[str], image: str, secret: str) -> str:
    late = 86400 if job.missed == "run-once" else 60
    return f"""apiVersion: batch/v1
kind: CronJob
metadata:
  name: {json.dumps("pgcharter-" + job.name.replace("_", "-"))}
  labels: {{"app.kubernetes.io/name": "pgcharter", "app.kubernetes.io/component": "job"}}
spec:
  schedule: {json.dumps(when)}
  timeZone: {json.dumps("Etc/UTC" if schedule.every or schedule.zone == "UTC" else schedule.zone)}
  concurrencyPolicy: {"Replace" if job.overlap == "cancel" else "Forbid"}
  startingDeadlineSeconds: {late}
  successfulJobsHistoryLimit: 1
  failedJobsHistoryLimit: 3
  jobTemplate:
    spec:
      backoffLimit: 0
      activeDeadlineSeconds: {_limit(job)}
      template:
        spec:
          restartPolicy: Never
          terminationGracePeriodSeconds: 30
          containers:
            - name: job
              image: {json.dumps(image)}
              command: {json.dumps(list(command))}
              envFrom:
                - secretRef: {{"name": {json.dumps(secret)}}}
"""


def _limit(job: JobTable) -> int:
    """Seconds that all attempts may take, with a minute to tidy up: pgcharter itself keeps the timeout."""
    waits: float = sum(min(seconds(job.backoff) * 2**n, max(3600.0, seconds(job.backoff))) for n in range(job.retries))
    return math.ceil(seconds(job.timeout) * (job.retries + 1) + waits + 60)


def _some(values: Sequence[int], count: int) -> str:
    return "*" if len(values) == count else ",".join(f"{v:02}" for v in values)


def _shell(word: str) -> str:
    import shlex

    return shlex.quote(word)


def _unit_word(word: str) -> str:
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{escaped}"' if not word or any(c in word for c in " \t\"'\\;") else escaped
