"""The program as a process: what it imports, how it ends, what it says when it cannot."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pgcharter import __version__

PGCHARTER = (sys.executable, "-m", "pgcharter")
HEAVY = {"psycopg", "rich", "pydantic", "postgast", "sqlalchemy", "alembic", "jinja2", "google.protobuf"}


def environment(**extra: str) -> dict[str, str]:
    inherited = {
        k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "FORCE_COLOR", "CLICOLOR_FORCE", "COLUMNS", "PGCHARTER_DEBUG")
    }
    return {**inherited, **extra}


def run(*arguments: str | Path, cwd: Path | None = None, **extra: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*PGCHARTER, *map(str, arguments)], capture_output=True, text=True, cwd=cwd, env=environment(**extra), timeout=120, check=False
    )


def imported(*arguments: str | Path) -> set[str]:
    """Names of the modules that a run imports."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "pgcharter", *map(str, arguments)],
        capture_output=True, text=True, env=environment(), timeout=120, check=False,
    )  # fmt: skip
    return {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}


@pytest.fixture
def good(tmp_path: Path) -> Path:
    file = tmp_path / "good.sql"
    file.write_text("CREATE TABLE notes (note_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, body text NOT NULL);\n")
    return file


@pytest.fixture
def bad(tmp_path: Path) -> Path:
    file = tmp_path / "bad.sql"
    file.write_text("CREATE TABLE notes (body text);\n")
    return file


class TestImports:
    @pytest.mark.parametrize("arguments", [("--version",), ("--help",), ("check", "--help")], ids=" ".join)
    def test_nothing_heavy_to_answer_at_once(self, arguments: tuple[str, ...]) -> None:
        names = imported(*arguments)
        assert "click" in names
        assert not names & HEAVY
        assert not {n for n in names if n.startswith(("pgcharter.rules.", "pgcharter.catalog", "pgcharter.servers"))}

    def test_text_only_check_needs_no_driver(self, good: Path) -> None:
        names = imported("check", good, "--no-server")
        assert "postgast" in names
        assert not names & (HEAVY - {"postgast", "google.protobuf"})


class TestEnds:
    def test_version(self) -> None:
        done = run("--version")
        assert (done.returncode, done.stdout, done.stderr) == (0, f"pgcharter {__version__}\n", "")

    def test_no_command_shows_help_and_is_wrong_usage(self) -> None:
        done = run()
        assert done.returncode == 2
        assert "Usage: pgcharter" in done.stderr
        assert done.stdout == ""

    def test_unknown_command(self) -> None:
        done = run("chek")
        assert done.returncode == 2
        assert done.stderr == "error: there is no command 'chek'\nhint: did you mean `pgcharter check`?\n"

    def test_unknown_option(self) -> None:
        done = run("check", "--gide", "core")
        assert done.returncode == 2
        assert done.stderr.startswith("error: no such option '--gide'")
        assert "`pgcharter check --help`" in done.stderr

    def test_closed_pipe_is_silent(self, bad: Path) -> None:
        process = subprocess.Popen(
            [*PGCHARTER, "check", str(bad), "--no-server", "--all"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment()
        )
        assert process.stdout
        assert process.stderr
        with process.stderr:
            process.stdout.close()
            assert process.wait(60) == 141
            assert process.stderr.read() == b""

    def test_ctrl_c_ends_in_one_line(self, tmp_path: Path) -> None:
        slow = tmp_path / "slow.sql"
        slow.write_text("DO $$ BEGIN PERFORM pg_sleep(1); END $$;\n" * 60)
        process = subprocess.Popen(
            [*PGCHARTER, "check", str(slow)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment(), text=True
        )
        time.sleep(3)
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
        assert process.returncode == 130
        assert out == ""
        assert err.strip() == "interrupted"

    def test_mistake_inside_has_no_traceback_unless_asked(self, tmp_path: Path) -> None:
        (tmp_path / "sitecustomize.py").write_text(
            "import pgcharter.charter as c\ndef find(start):\n    raise KeyError('postgresql://me:hidden@host/db')\nc.find = find\n"
        )
        done = run("check", "x.sql", PYTHONPATH=str(tmp_path))
        assert done.returncode == 3
        assert "Traceback" not in done.stderr
        assert "hidden" not in done.stderr
        assert "mistake inside pgcharter" in done.stderr
        assert "pgcharter --debug check" in done.stderr
        for shown in (
            run("--debug", "check", "x.sql", PYTHONPATH=str(tmp_path)),
            run("check", "x.sql", PYTHONPATH=str(tmp_path), PGCHARTER_DEBUG="1"),
        ):
            assert "Traceback" in shown.stderr
            assert "hidden" not in shown.stderr

    def test_latin_terminal(self, bad: Path) -> None:
        done = run("check", bad, "--no-server", PYTHONIOENCODING="ascii", PYTHONUTF8="0")
        assert done.returncode == 1
        assert done.stdout.isascii()
        assert "! KEY01" in done.stdout


class TestJson:
    def test_error_is_a_document_and_a_sentence(self) -> None:
        done = run("explain", "KYE01", "--format", "json")
        document = json.loads(done.stdout)
        assert done.returncode == document["exit_code"] == 2
        assert document["format"] == "pgcharter-error"
        assert document["message"] == "there is no rule 'KYE01'"
        assert done.stderr.startswith("error: there is no rule 'KYE01'")

    def test_wrong_option_too(self) -> None:
        done = run("check", "--format=json", "--nonsense")
        assert json.loads(done.stdout)["message"] == "no such option '--nonsense'"

    def test_check(self, bad: Path) -> None:
        done = run("check", bad, "--format", "json")
        document = json.loads(done.stdout)
        assert done.returncode == document["exit_code"] == 1
        assert (document["format"], document["version"], document["verdict"]) == ("pgcharter-check", 1, "findings")
        target = document["targets"][0]
        keyless = next(f for f in target["findings"] if f["code"] == "KEY01")
        assert keyless["object"] == {"kind": "table", "schema": "public", "name": "notes", "part": "", "sql": "public.notes"}
        assert keyless["place"]["line"] == 1
        assert target["guide"]["id"] == "core"
        assert target["server_version"] >= 150000


class TestCheck:
    def test_fine(self, good: Path) -> None:
        done = run("check", good)
        assert (done.returncode, done.stderr) == (0, "")
        assert "nothing to mend" in done.stdout

    @pytest.mark.parametrize(("level", "code"), [("error", 0), ("warning", 1), ("info", 1), ("never", 0)])
    def test_fail_on(self, bad: Path, level: str, code: int) -> None:
        done = run("check", bad, "--fail-on", level, "--only", "KEY01")
        assert done.returncode == code
        assert "KEY01" in done.stdout

    def test_several_targets(self, good: Path, bad: Path) -> None:
        done = run("check", good, bad, "--format", "json", "--no-server")
        assert [t["verdict"] for t in json.loads(done.stdout)["targets"]] == ["fine", "findings"]
        assert done.returncode == 1

    def test_only_and_skip_take_slugs_and_lists(self, bad: Path) -> None:
        only = json.loads(run("check", bad, "--only", "missing-primary-key,KEY02", "--format", "json").stdout)["targets"][0]
        assert set(only["rules_run"]) == {"KEY01", "KEY02"}
        skip = json.loads(run("check", bad, "--skip", "key01", "--format", "json").stdout)["targets"][0]
        assert "KEY01" not in skip["rules_run"]
        assert len(skip["rules_run"]) > 2

    def test_without_a_charter_it_says_how_to_go_on(self, bad: Path) -> None:
        text = run("check", bad.name, cwd=bad.parent).stdout
        assert "pgcharter explain KEY01" in text
        assert "pgcharter check bad.sql --guide" in text
        assert "pgcharter init" in text

    def test_quiet(self, bad: Path) -> None:
        text = run("check", bad.name, "-q", cwd=bad.parent).stdout
        assert len(text.splitlines()) == 3
        assert "1 warning" in text

    def test_score(self, bad: Path) -> None:
        text = run("check", bad, "--score", COLUMNS="120").stdout
        assert re.search(r"✘ H\S+ +Every table has a primary key[^✔✘]*KEY01", text)
        clauses = json.loads(run("check", bad, "--score", "--format", "json").stdout)["targets"][0]["score"]["clauses"]
        broken = [c for c in clauses if c["state"] == "broken"]
        assert [c["findings"] for c in broken] == [["KEY01:table:public.notes"]]

    def test_colour_only_on_a_terminal(self, bad: Path) -> None:
        assert "\x1b" not in run("check", bad, "--no-server").stdout
        assert "\x1b[" in run("check", bad, "--no-server", FORCE_COLOR="1").stdout
        assert "\x1b" not in run("check", bad, "--no-server", FORCE_COLOR="1", NO_COLOR="1").stdout
        assert "\x1b[" in on_terminal("check", str(bad), "--no-server")
        assert "\x1b" not in on_terminal("check", str(bad), "--no-server", NO_COLOR="1")

    def test_hostile_names_reach_the_terminal_as_text(self, tmp_path: Path) -> None:
        file = tmp_path / "bad\x1b]0;title\x07.sql"
        file.write_text('CREATE TABLE "red\x1b[31m\u202e" (body text);\nCREATE TABEL "x\x1b[2J" ();\n')
        done = run("check", file)
        assert done.returncode == 1
        assert not {c for c in done.stdout if c != "\n" and not c.isprintable()}
        assert r'"red\x1b[31m\u202e"' in done.stdout
        missing = run("check", tmp_path / "gone\x1b[2J.sql")
        assert missing.returncode == 2
        assert "\x1b" not in missing.stderr
        assert "\x1b" not in run("check", file, "--format", "json").stdout

    def test_progress_shows_no_password(self) -> None:
        shown = on_terminal("check", "postgresql://me:hidden@127.0.0.1:1/shop", stream="stderr")
        assert "reading postgresql://me:***@127.0.0.1:1/shop" in shown
        assert "hidden" not in shown


def on_terminal(*arguments: str, stream: str = "stdout", **extra: str) -> str:
    """What a run writes to stdout (or stderr) when that is a terminal."""
    master, slave = pty.openpty()
    streams = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, stream: slave}
    process = subprocess.Popen([*PGCHARTER, *arguments], env=environment(TERM="xterm", COLUMNS="150", **extra), **streams)
    os.close(slave)
    chunks = []
    while True:
        try:
            chunk = os.read(master, 65536)
        except OSError:
            break
        if not chunk:
            break
        chunks.append(chunk)
    process.wait(60)
    os.close(master)
    return b"".join(chunks).decode()


class TestCompletion:
    def complete(self, *words: str) -> list[str]:
        done = run(_PGCHARTER_COMPLETE="bash_complete", COMP_WORDS=" ".join(("pgcharter", *words)), COMP_CWORD=str(len(words)))
        assert (done.returncode, done.stderr) == (0, "")
        return [line.partition(",")[2] for line in done.stdout.splitlines()]

    def test_commands(self) -> None:
        assert self.complete("ch") == ["check"]

    def test_rules_and_guides(self) -> None:
        assert "KEY01" in self.complete("explain", "KEY")
        assert "missing-primary-key" in self.complete("explain", "missing")
        assert self.complete("check", "--only", "KEY01,KEY02") == ["KEY01,KEY02"]
        assert self.complete("check", "--guide", "clo") == ["cloudlab"]

    def test_a_broken_charter_does_not_disturb_typing(self, tmp_path: Path) -> None:
        (tmp_path / "pgcharter.toml").write_text("nonsense")
        done = run(cwd=tmp_path, _PGCHARTER_COMPLETE="bash_complete", COMP_WORDS="pgcharter check --guide core ", COMP_CWORD="4")
        assert done.stderr == ""

    @pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
    def test_script(self, shell: str) -> None:
        done = run("completion", shell)
        assert done.returncode == 0
        assert f"_PGCHARTER_COMPLETE={shell}_complete" in done.stdout


class TestSurroundings:
    @pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
    def test_closed_streams_change_no_exit_code(self, closed: str, good: Path, bad: Path) -> None:
        for file, code in ((good, 0), (bad, 1), (good.parent / "none.sql", 2)):
            done = shell(f"{sys.executable} -m pgcharter check {file} --no-server {closed}", good.parent)
            assert (done.returncode, "Traceback" in done.stderr) == (code, False)

    def test_closed_stdin_holds_no_sql(self, tmp_path: Path) -> None:
        done = shell(f"{sys.executable} -m pgcharter check - --no-server <&-", tmp_path)
        assert (done.returncode, done.stderr.splitlines()[0]) == (2, "error: - holds no SQL statement")

    @pytest.mark.parametrize("form", ["text", "json"])
    def test_a_full_disk_behind_stdout_is_told(self, form: str, good: Path) -> None:
        done = shell(f"{sys.executable} -m pgcharter check {good} --no-server --format {form} > /dev/full", good.parent)
        assert (done.returncode, done.stderr) == (3, "error: the output cannot be written: No space left on device\n")

    @pytest.mark.parametrize("arguments", ["check", "check x.sql", "check m:x", "init", "guides show core", "check {good} --no-server"])
    def test_a_folder_that_is_gone_is_told(self, arguments: str, good: Path) -> None:
        gone = good.parent / "gone"
        gone.mkdir()
        done = shell(f"rmdir {gone}; {sys.executable} -m pgcharter {arguments.format(good=good)}", gone)
        assert "Traceback" not in done.stderr
        assert done.returncode == 0 or done.stderr.startswith("error: the current folder does not exist any more")


def shell(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, shell=True, capture_output=True, text=True, cwd=folder, env=environment(), timeout=60, check=False)
