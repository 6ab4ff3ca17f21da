"""A check inside a project: its charter's guide, targets, waivers, environments."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

KEYLESS = "CREATE TABLE notes (body text);\nCREATE TABLE tags (label text);\n"


Check = Callable[..., tuple[int, dict[str, Any]]]


@pytest.fixture
def check(program: Callable[..., Any]) -> Check:
    """Exit code and the first target of the document."""

    def call(*arguments: str, cwd: Path, **environment: str) -> tuple[int, dict[str, Any]]:
        done = program("check", "--format", "json", *arguments, cwd=cwd, **environment)
        assert done.stderr == ""
        return done.returncode, json.loads(done.stdout)["targets"][0]

    return call


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / ".git").mkdir()
    (tmp_path / "db").mkdir()
    (tmp_path / "db" / "schema.sql").write_text(KEYLESS)
    return tmp_path


def charter(project: Path, text: str) -> None:
    (project / "pgcharter.toml").write_text(text)


def objects(target: dict[str, Any], part: str = "findings", code: str = "KEY01") -> list[str]:
    return [f["object"]["sql"] for f in target[part] if f["code"] == code]


def test_targets_start_from_the_charters_folder(project: Path, check: Check) -> None:
    charter(project, '[check]\ntargets = ["db/schema.sql"]\n')
    for folder in (project, project / "db"):
        code, target = check(cwd=folder)
        assert code == 1
        assert objects(target) == ["public.notes", "public.tags"]


def test_fail_on_and_skip_of_the_charter_yield_to_the_command_line(project: Path, check: Check) -> None:
    charter(project, '[check]\ntargets = ["db/schema.sql"]\nfail_on = "never"\nskip = ["KEY01"]\n')
    code, target = check(cwd=project)
    assert (code, objects(target)) == (0, [])
    code, target = check("--only", "KEY01", "--fail-on", "info", cwd=project)
    assert (code, target["rules_run"]) == (1, ["KEY01"])


def test_severity_and_guide_of_the_charter(project: Path, check: Check) -> None:
    charter(project, 'guide = "core"\n[severity]\nKEY01 = "info"\n')
    code, target = check("db", cwd=project)
    assert {f["severity"] for f in target["findings"] if f["code"] == "KEY01"} == {"info"}
    assert target["guide"]["chosen"] is True
    assert target["beyond_guide"] == 0
    assert code == 0


def test_the_charter_beside_a_target_holds_else_the_one_here(project: Path, tmp_path_factory: pytest.TempPathFactory, check: Check) -> None:
    charter(project, '[severity]\nKEY01 = "info"\n')
    part = project / "part"
    part.mkdir()
    (part / "pgcharter.toml").write_text('[severity]\nKEY01 = "error"\n')
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / ".git").mkdir()
    for folder in (part, elsewhere):
        (folder / "schema.sql").write_text(KEYLESS)
    severities = [
        {f["severity"] for f in check(str(target), "--no-server", cwd=project)[1]["findings"] if f["code"] == "KEY01"}
        for target in ("db/schema.sql", "part/schema.sql", elsewhere / "schema.sql")
    ]
    assert severities == [{"info"}, {"error"}, {"info"}]


def test_waived_findings_do_not_count(project: Path, check: Check) -> None:
    charter(project, '[check]\ntargets = ["db"]\n[[waiver]]\nrule = "KEY01"\nobject = "public.*"\nreason = "a log"\n')
    code, target = check(cwd=project)
    assert (code, objects(target)) == (0, [])
    assert objects(target, "waived") == ["public.notes", "public.tags"]
    assert {f["reason"] for f in target["waived"]} == {"a log"}


def test_expired_waivers_count_again_and_are_named(project: Path, check: Check) -> None:
    charter(project, '[[waiver]]\nrule = "KEY01"\nobject = "public.notes"\nreason = "a log"\nexpires = 2020-01-31\n')
    code, target = check("db", cwd=project)
    assert code == 1
    assert objects(target) == ["public.notes", "public.tags"]
    assert [(p["kind"], p["place"]) for p in target["waiver_problems"]] == [("expired", "pgcharter.toml:1")]


def test_idle_waivers_are_named_only_when_everything_was_checked(project: Path, check: Check) -> None:
    charter(project, '[check]\ntargets = ["db"]\n[[waiver]]\nrule = "KEY01"\nobject = "public.gone"\nreason = "a log"\n')
    assert [p["kind"] for p in check(cwd=project)[1]["waiver_problems"]] == ["dangling"]
    assert check("db/schema.sql", cwd=project)[1]["waiver_problems"] == []
    assert check("--only", "KEY02", cwd=project)[1]["waiver_problems"] == []


def test_a_waiver_is_idle_only_when_it_covers_nothing_in_any_target(project: Path, program: Callable[..., Any]) -> None:
    (project / "more.sql").write_text("CREATE TABLE more (body text);\n")
    waivers = "".join(f'[[waiver]]\nrule = "KEY01"\nobject = "public.{name}"\nreason = "a log"\n' for name in ("notes", "more", "gone"))
    charter(project, '[check]\ntargets = ["db", "more.sql"]\n' + waivers)
    done = program("check", "--format", "json", cwd=project)
    problems = [p["message"] for target in json.loads(done.stdout)["targets"] for p in target["waiver_problems"]]
    assert len(problems) == 1
    assert "public.gone" in problems[0]


def test_environment(project: Path, database: str, check: Check) -> None:
    charter(project, '[environments.production]\ndsn_env = "SHOP_URL"\nproduction = true\n')
    for arguments in ((), ("--env", "production")):
        code, target = check(*arguments, "--fail-on", "never", cwd=project, SHOP_URL=database)
        assert (code, target["source"]) == (0, "live")


def test_suppression_comment(project: Path, check: Check) -> None:
    (project / "db" / "schema.sql").write_text(
        "-- pgcharter: allow KEY01 because rows are only appended\nCREATE TABLE notes (body text);\n"
    )
    code, target = check("db", cwd=project)
    assert (code, objects(target)) == (0, [])
    assert [(f["code"], f["reason"]) for f in target["suppressed"]] == [("KEY01", "rows are only appended")]
