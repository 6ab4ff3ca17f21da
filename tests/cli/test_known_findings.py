"""Known findings from the command line: recorded once, not counted, told when mended; and how that goes wrong."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from pgcharter import known_file

KEYLESS = "CREATE TABLE notes (body text);\nCREATE TABLE tags (label text);\n"
TEXT = ("--no-server", "--only", "KEY01,TYP04")
Program = Callable[..., Any]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / ".git").mkdir()
    (tmp_path / "db").mkdir()
    (tmp_path / "db" / "schema.sql").write_text(KEYLESS)
    return tmp_path


@pytest.fixture
def verdict(program: Program) -> Callable[..., tuple[int, dict[str, Any]]]:
    """Exit code and the first target of the document."""

    def call(*arguments: str, cwd: Path, **environment: str) -> tuple[int, dict[str, Any]]:
        done = program("check", "--format", "json", *arguments, cwd=cwd, **environment)
        return done.returncode, json.loads(done.stdout)["targets"][0]

    return call


def keys(findings: list[dict[str, Any]]) -> list[str]:
    return sorted(f["key"] for f in findings)


class TestRecord:
    def test_recorded_once_only_new_ones_count(self, project: Path, program: Program, verdict: Callable[..., Any]) -> None:
        done = program("check", "db", "--known", "known.json", "--record", cwd=project)
        assert done.returncode == 0
        assert "✔ 2 known findings in known.json: 2 new" in done.stdout
        assert 'known = "known.json" under [check]' in done.stdout
        assert verdict("db", "--known", "known.json", cwd=project)[0] == 0

        (project / "db" / "more.sql").write_text("CREATE TABLE more (label text);\n")
        (project / "db" / "schema.sql").write_text(KEYLESS.replace("body text", "body text PRIMARY KEY"))
        code, target = verdict("db", "--known", "known.json", cwd=project)
        assert (code, keys(target["findings"])) == (1, ["KEY01:table:public.more"])
        assert keys(target["known"]) == ["KEY01:table:public.tags"]
        assert [e["key"] for e in target["known_gone"]] == ["KEY01:table:public.notes"]
        assert (target["known_file"], target["totals"]["warning"]) == ("known.json", 1)

        text = program("check", "db", "--known", "known.json", cwd=project).stdout
        assert "mended  (still recorded in known.json)" in text
        assert "· 1 known finding not counted (known.json); 1 more recorded there is mended" in text
        assert "pgcharter check db --known known.json --record" in text

        done = program("check", "db", "--known", "known.json", "--record", cwd=project)
        assert "✔ 2 known findings in known.json: 1 new, 1 mended taken out" in done.stdout
        code, target = verdict("db", "--known", "known.json", cwd=project)
        assert (code, target["known_gone"], len(target["known"])) == (0, [], 2)

    def test_advice_tells_the_newcomer(self, project: Path, program: Program) -> None:
        (project / "db" / "more.sql").write_text("CREATE TABLE more (label text);\n")
        done = program("check", "db", *TEXT, cwd=project)
        assert "pgcharter check db --known pgcharter-known.json --record" in done.stdout
        assert "record these 3 as known: from then on only new ones count" in done.stdout

    def test_the_charter_names_the_file(self, project: Path, program: Program, verdict: Callable[..., Any]) -> None:
        (project / "pgcharter.toml").write_text('[check]\ntargets = ["db"]\nknown = "ci/known.json"\n')
        (project / "ci").mkdir()
        done = program("check", "--record", *TEXT, cwd=project / "db")
        assert (done.returncode, "hint" in done.stdout) == (0, False)
        assert [*known_file.loads((project / "ci/known.json").read_text(), "k").targets] == ["../db"]
        for folder in (project, project / "db"):
            assert verdict(*TEXT, cwd=folder)[0] == 0
        assert verdict(str(project / "db" / "schema.sql"), *TEXT, cwd=project / "ci")[0] == 0

    def test_without_a_name_it_stands_beside_the_charter(self, project: Path, program: Program) -> None:
        (project / "pgcharter.toml").write_text('[check]\ntargets = ["db"]\n')
        assert program("check", "--record", *TEXT, cwd=project / "db").returncode == 0
        assert (project / "pgcharter-known.json").is_file()

    def test_what_was_not_looked_at_stays(self, project: Path, program: Program, verdict: Callable[..., Any]) -> None:
        (project / "other.sql").write_text("CREATE TABLE prices (price real);\n")
        for target in ("db", "other.sql"):
            assert program("check", target, "--known", "k.json", "--record", *TEXT, cwd=project).returncode == 0
        (project / "other.sql").write_text("CREATE TABLE prices (price numeric);\n")
        program("check", "other.sql", "--known", "k.json", "--record", "--no-server", "--only", "KEY01", cwd=project)
        held = known_file.loads((project / "k.json").read_text(), "k").targets
        assert [e.code for e in held["other.sql"]] == ["KEY01", "TYP04"]
        assert len(held["db"]) == 2
        assert verdict("other.sql", "--known", "k.json", "--no-server", "--only", "KEY01", cwd=project)[1]["known_gone"] == []

    def test_a_target_that_is_gone_leaves_the_file(self, project: Path, program: Program) -> None:
        program("check", "db", "--known", "k.json", "--record", *TEXT, cwd=project)
        (project / "db").rename(project / "database")
        done = program("check", "database", "--known", "k.json", "--record", *TEXT, cwd=project)
        assert "✔ 2 known findings in k.json: 2 new" in done.stdout
        assert known_file.loads((project / "k.json").read_text(), "k").targets.keys() == {"database"}

    def test_a_rule_that_is_no_more_is_taken_out(self, project: Path, program: Program, verdict: Callable[..., Any]) -> None:
        program("check", "db", "--known", "k.json", "--record", *TEXT, cwd=project)
        file = project / "k.json"
        file.write_text(file.read_text().replace("KEY01:table:notes", "KEY99:table:notes").replace('"code": "KEY01"', '"code": "KEY99"', 1))
        assert [e["code"] for e in verdict("db", "--known", "k.json", *TEXT, cwd=project)[1]["known_gone"]] == ["KEY99"]

    def test_text_and_built_findings_are_the_same(self, project: Path, program: Program, verdict: Callable[..., Any]) -> None:
        """A hook that looks at the text and a build in CI share one file, whichever wrote it."""
        sql = "CREATE TABLE people (id bigint PRIMARY KEY, email text NOT NULL UNIQUE, price real);\n"
        (project / "db" / "schema.sql").write_text(sql)
        program("check", "db", "--known", "built.json", "--record", cwd=project)
        program("check", "db", "--known", "text.json", "--record", "--no-server", cwd=project)
        for file in ("built.json", "text.json"):
            code, target = verdict("db", "--known", file, "--no-server", cwd=project)
            assert (code, keys(target["findings"]), target["known_gone"]) == (0, [], [])
        target = verdict("db", "--known", "text.json", cwd=project)[1]
        assert not {"CON07", "TYP04"} & {f["code"] for f in target["findings"]}

    def test_files_are_known_from_everywhere_and_after_a_renaming(
        self, project: Path, program: Program, verdict: Callable[..., Any]
    ) -> None:
        (project / "db" / "größe.sql").write_text("CREATE TABEL x (a int);\nCREATE TABEL y (a int);\n")
        program("check", "db", "--known", "k.json", "--record", "--no-server", cwd=project)
        assert '"file": "db/größe.sql"' in (project / "k.json").read_text(encoding="utf-8")
        assert verdict(".", "--known", "../k.json", "--no-server", cwd=project / "db")[0] == 0
        (project / "db" / "größe.sql").rename(project / "db" / "new.sql")
        code, target = verdict("db", "--known", "k.json", "--no-server", cwd=project)
        assert (code, target["known_gone"], len(target["known"])) == (0, [], 4)

    def test_waived_and_allowed_ones_are_neither_recorded_nor_mended(
        self, project: Path, program: Program, verdict: Callable[..., Any]
    ) -> None:
        program("check", "db", "--known", "k.json", "--record", *TEXT, cwd=project)
        (project / "pgcharter.toml").write_text('[[waiver]]\nrule = "KEY01"\nobject = "public.notes"\nreason = "a log"\n')
        (project / "db" / "schema.sql").write_text(
            KEYLESS.replace("CREATE TABLE tags", "CREATE TABLE tags -- pgcharter: allow KEY01 because x\n")
        )
        code, target = verdict("db", "--known", "k.json", *TEXT, cwd=project)
        assert (code, target["known"], target["known_gone"], len(target["waived"]), len(target["suppressed"])) == (0, [], [], 1, 1)

    def test_with_json_the_record_is_told_beside_the_document(self, project: Path, program: Program) -> None:
        done = program("check", "db", "--known", "k.json", "--record", "--format", "json", *TEXT, cwd=project)
        assert len(json.loads(done.stdout)["targets"][0]["known"]) == 2
        assert done.stderr.startswith("✔ 2 known findings in k.json: 2 new")

    def test_a_live_database_is_named_without_its_host(self, tmp_path: Path, database: str, program: Program) -> None:
        import psycopg

        with psycopg.connect(database) as conn:
            conn.execute("CREATE TABLE notes (body text)")
            name = conn.info.dbname
        (tmp_path / "pgcharter.toml").write_text('[environments.live]\ndsn_env = "LIVE"\n')
        assert program("check", database, "--known", "k.json", "--record", "--only", "KEY01", cwd=tmp_path).returncode == 0
        program("check", "--env", "live", "--known", "k.json", "--record", "--only", "KEY01", cwd=tmp_path, LIVE=database)
        program("check", "env:LIVE", "--known", "k.json", "--record", "--only", "KEY01", cwd=tmp_path)
        held = known_file.loads((tmp_path / "k.json").read_text(), "k").targets
        assert held.keys() == {f"database {name}", "env:LIVE", "environment live"}
        assert {e.key for entries in held.values() for e in entries} == {"KEY01:table:public.notes"}
        assert "127.0.0.1" not in (tmp_path / "k.json").read_text()


class TestGoesWrong:
    def test_no_such_file(self, project: Path, program: Program) -> None:
        done = program("check", "db", "--known", "k.json", cwd=project)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith("error: there is no file k.json with known findings\n")
        assert "--known k.json --record" in done.stderr
        (project / "pgcharter.toml").write_text('[check]\ntargets = ["db"]\nknown = "ci/known.json"\n')
        done = program("check", cwd=project)
        assert done.returncode == 2
        assert "pgcharter.toml:3: there is no file ci/known.json" in done.stderr

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("{", "k.json:1:2: the known findings are not JSON"),
            ("<<<<<<< HEAD\n", "k.json:1: the known findings hold the marks of a merge conflict"),
            ('{"format": "pgcharter-known", "version": 7, "targets": {}}', "version 7 of the file, and this pgcharter reads up to 1"),
        ],
    )
    @pytest.mark.parametrize("record", [(), ("--record",)], ids=["read", "record"])
    def test_a_file_that_cannot_be_understood_is_refused_and_kept(
        self, project: Path, program: Program, text: str, said: str, record: tuple[str, ...]
    ) -> None:
        (project / "k.json").write_text(text)
        done = program("check", "db", "--known", "k.json", *record, *TEXT, cwd=project)
        assert done.returncode == 2
        assert said in " ".join(done.stderr.split())
        assert (project / "k.json").read_text() == text

    def test_bytes_that_are_no_text(self, project: Path, program: Program) -> None:
        (project / "k.json").write_bytes(b'{"format": "\xff"}')
        done = program("check", "db", "--known", "k.json", *TEXT, cwd=project)
        assert (done.returncode, "not UTF-8" in done.stderr) == (2, True)

    def test_a_folder(self, project: Path, program: Program) -> None:
        done = program("check", "db", "--known", "db", "--record", *TEXT, cwd=project)
        assert done.returncode == 2
        assert "db is a folder" in done.stderr
        assert "--known db/pgcharter-known.json" in done.stderr

    def test_a_folder_that_is_not_there(self, project: Path, program: Program) -> None:
        done = program("check", "db", "--known", "no/k.json", "--record", *TEXT, cwd=project)
        assert done.returncode == 3
        assert "no/k.json: the known findings cannot be written: no such file or directory" in done.stderr

    def test_a_folder_that_may_not_be_written(self, program: Program) -> None:
        """Root may write everywhere, so root steps down to another account once everything is imported."""
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            (folder / "a.sql").write_text(KEYLESS)
            assert program("check", "a.sql", "--known", "k.json", "--record", *TEXT, cwd=folder).returncode == 0
            folder.chmod(0o555)
            root = os.geteuid() == 0
            if root:
                os.seteuid(65534)
            try:
                done = program("check", "a.sql", "--known", "other.json", "--record", *TEXT, cwd=folder)
            finally:
                if root:
                    os.seteuid(0)
                folder.chmod(0o755)
            assert done.returncode == 3
            assert "other.json: the known findings cannot be written: permission denied" in done.stderr
            assert sorted(p.name for p in folder.iterdir()) == ["a.sql", "k.json"]

    def test_a_full_device_leaves_the_old_file(self, project: Path, program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
        program("check", "db", "--known", "k.json", "--record", *TEXT, cwd=project)
        before = (project / "k.json").read_text()
        (project / "db" / "more.sql").write_text("CREATE TABLE more (label text);\n")
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        import signal

        old = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
            done = program("check", "db", "--known", "k.json", "--record", *TEXT, cwd=project)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
            signal.signal(signal.SIGXFSZ, old)
        assert done.returncode == 3
        assert "cannot be written: file too large" in done.stderr
        assert (project / "k.json").read_text() == before
        assert [p.name for p in project.iterdir() if p.name.startswith(".k")] == []

    def test_record_and_changed_since_contradict(self, project: Path, program: Program) -> None:
        done = program("check", "db", "--record", "--changed-since", "HEAD", cwd=project)
        assert (done.returncode, "leaves most of it out" in done.stderr) == (2, True)


class TestWriting:
    def test_a_link_stays_a_link_and_rights_stay(self, project: Path, program: Program) -> None:
        real = project / "ci.json"
        program("check", "db", "--known", "ci.json", "--record", *TEXT, cwd=project)
        assert real.stat().st_mode & 0o777 == 0o666 & ~_umask()
        real.chmod(0o600)
        (project / "k.json").symlink_to("ci.json")
        (project / "db" / "more.sql").write_text("CREATE TABLE more (label text);\n")
        assert program("check", "db", "--known", "k.json", "--record", *TEXT, cwd=project).returncode == 0
        assert (project / "k.json").is_symlink()
        assert "public.more" in real.read_text() or "table:more" in real.read_text()
        assert real.stat().st_mode & 0o777 == 0o600

    def test_recording_at_once_loses_nothing(self, project: Path) -> None:
        """Six programs record six targets in one file; each is there in the end, and no temporary file."""
        for n in range(6):
            (project / f"t{n}.sql").write_text(f"CREATE TABLE t{n} (label text);\n")

        def record(n: int) -> int:
            command = [sys.executable, "-m", "pgcharter", "check", f"t{n}.sql", "--known", "k.json", "--record", *TEXT]
            return subprocess.run(command, cwd=project, capture_output=True, timeout=120, check=False).returncode

        with ThreadPoolExecutor(6) as pool:
            assert [*pool.map(record, range(6))] == [0] * 6
        held = known_file.loads((project / "k.json").read_text(), "k").targets
        assert {t: len(e) for t, e in held.items()} == {f"t{n}.sql": 1 for n in range(6)}
        assert [p.name for p in project.iterdir() if p.name.startswith(".k")] == []

    def test_ten_thousand(self, project: Path, program: Program, verdict: Callable[..., Any]) -> None:
        (project / "db" / "schema.sql").write_text("".join(f"CREATE TABLE t{n} (label text);\n" for n in range(10_000)))
        assert program("check", "db", "--known", "k.json", "--record", "-q", *TEXT, cwd=project).returncode == 0
        code, target = verdict("db", "--known", "k.json", *TEXT, cwd=project)
        assert (code, len(target["known"]), target["findings"]) == (0, 10_000, [])


class TestMinSeverity:
    SQL = "CREATE TABLE notes (id bigint PRIMARY KEY, price real);\nCREATE TABLE tags (label text);\n"

    def test_milder_ones_are_not_shown_and_decide_all_the_same(self, project: Path, program: Program, verdict: Callable[..., Any]) -> None:
        (project / "db" / "schema.sql").write_text(self.SQL)
        code, target = verdict("db", "--min-severity", "error", *TEXT, cwd=project)
        assert (code, [f["code"] for f in target["findings"]]) == (1, ["TYP04"])
        assert (target["min_severity"], target["below"]) == ("error", {"warning": 1})
        (project / "db" / "schema.sql").write_text("CREATE TABLE tags (label text);\n")
        done = program("check", "db", "--min-severity", "error", *TEXT, cwd=project)
        assert done.returncode == 1
        assert "✔ nothing to mend at error or above" in done.stdout
        assert "✘ fails  findings at warning or above (--fail-on)" in done.stdout
        assert "· 1 finding below error not shown (--min-severity)" in done.stdout
        assert program("check", "db", "--min-severity", "error", "--fail-on", "error", *TEXT, cwd=project).returncode == 0


class TestPaths:
    def test_a_part_of_the_project_has_its_own_settings(self, project: Path, program: Program, verdict: Callable[..., Any]) -> None:
        (project / "db" / "legacy").mkdir()
        (project / "db" / "legacy" / "old.sql").write_text("CREATE TABLE old (label text);\nCREATE TABLE prices (price real);\n")
        text = '[check]\ntargets = ["db"]\n[[path]]\nmatch = ["db/legacy/**"]\nskip = ["TYP04"]\nseverity = { KEY01 = "info" }\n'
        (project / "pgcharter.toml").write_text(text)
        for folder, arguments in (
            (project, ()),
            (project / "db", ()),
            (project, ("db/legacy",)),
            (project / "db" / "legacy", ("old.sql",)),
        ):
            target = verdict(*arguments, *TEXT, cwd=folder)[1]
            levels = {f["object"]["name"]: f["severity"] for f in target["findings"]}
            assert {name: levels.get(name) for name in ("old", "prices")} == {"old": "info", "prices": "info"}
            assert [(f["code"], Path(f["setting"]).name) for f in target["left_out"]] == [("TYP04", "pgcharter.toml:3")]
        assert levels.keys() == {"old", "prices"}
        assert "1 left out by its [[path]]" in program("check", *TEXT, cwd=project).stdout
        assert program("check", "db/legacy", *TEXT, cwd=project).returncode == 0

    def test_a_rule_that_does_not_exist(self, project: Path, program: Program) -> None:
        (project / "pgcharter.toml").write_text('[check]\ntargets = ["db"]\n\n[[path]]\nmatch = ["db"]\nskip = ["KEY1"]\n')
        done = program("check", cwd=project)
        assert done.returncode == 2
        assert 'pgcharter.toml:6: there is no rule "KEY1"' in done.stderr
        assert "did you mean KEY" in done.stderr


class TestWaivers:
    def waiver(self, project: Path, more: str) -> None:
        text = f'[check]\ntargets = ["db"]\n[[waiver]]\nrule = "KEY01"\nobject = "public.*"\nreason = "a log"\nowner = "data team"\n{more}'
        (project / "pgcharter.toml").write_text(text.replace("public.*", "public.notes"))
        (project / "db" / "schema.sql").write_text("CREATE TABLE notes (body text);\n")

    def test_one_past_its_day_fails_whatever_the_level(self, project: Path, program: Program) -> None:
        self.waiver(project, "expires = 2020-01-31\n")
        done = program("check", "--fail-on", "error", *TEXT, cwd=project)
        assert done.returncode == 1
        assert "expired on 2020-01-31, so its finding counts again (owner: data team)" in " ".join(done.stdout.split())
        assert "✘ fails  a waiver is past its day" in done.stdout
        assert program("check", "--fail-on", "never", *TEXT, cwd=project).returncode == 0

    def test_recording_does_not_silence_it(self, project: Path, program: Program) -> None:
        self.waiver(project, "expires = 2020-01-31\n")
        assert program("check", "--record", *TEXT, cwd=project).returncode == 1
        done = program("check", "--known", "pgcharter-known.json", *TEXT, cwd=project)
        assert (done.returncode, "✘ fails  a waiver is past its day" in done.stdout) == (1, True)

    def test_a_key_with_a_file_holds_wherever_one_stands(self, project: Path, verdict: Callable[..., Any]) -> None:
        (project / "db" / "schema.sql").write_text("CREATE TABEL x (a int);\n")
        key = verdict("db", "--no-server", cwd=project)[1]["findings"][0]["key"]
        assert key == "SRC02:db/schema.sql:CREATE TABEL x (a int)"
        (project / "pgcharter.toml").write_text(f'[[waiver]]\nrule = "SRC02"\nkey = "{key}"\nreason = "x"\n')
        for target, folder in (("db", project), ("schema.sql", project / "db"), (str(project / "db"), project)):
            code, found = verdict(target, "--no-server", cwd=folder)
            assert (code, len(found["waived"])) == (0, 1)

    def test_one_near_its_end_is_mentioned(self, project: Path, program: Program) -> None:
        from datetime import date, timedelta

        self.waiver(project, f"expires = {date.today() + timedelta(days=5)}\n")
        done = program("check", *TEXT, cwd=project)
        assert done.returncode == 0
        assert "ends in 5 days, after" in done.stdout
        self.waiver(project, f"expires = {date.today() + timedelta(days=50)}\n")
        assert "ends in" not in program("check", *TEXT, cwd=project).stdout


def _umask() -> int:
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


@pytest.mark.parametrize("record", [(), ("--record",)])
def test_a_pipe_or_device_is_no_file_to_keep_findings_in(project: Path, program: Program, record: tuple[str, ...]) -> None:
    os.mkfifo(project / "pipe")
    for name in ("pipe", "/dev/null"):
        done = program("check", "db", *TEXT, "--known", name, *record, cwd=project)
        assert done.returncode == 2
        assert f"{name} is no regular file" in done.stderr


def test_a_number_without_end_is_told(project: Path, program: Program) -> None:
    (project / "known.json").write_text(f'{{"format": "pgcharter-known", "version": {"9" * 5000}, "targets": {{}}}}')
    done = program("check", "db", *TEXT, "--known", "known.json", cwd=project)
    assert done.returncode == 2
    assert "known.json: the known findings hold a number that is too long to be one" in done.stderr
