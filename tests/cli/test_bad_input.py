"""Bad input ends in one clear sentence, the right exit code and no traceback."""

from __future__ import annotations

import errno
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from pgcharter.servers.lifecycle import Server

Done = Any
Program = Callable[..., Done]


def one_sentence(done: Done, code: int, pattern: str) -> str:
    """The sentence of a run that failed with `code`; it must match `pattern`."""
    assert done.returncode == code, done.stderr + done.stdout
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    lines = re.sub(r"\n +", " ", done.stderr).strip().splitlines()
    assert len(lines) <= 2, done.stderr
    assert lines[0].startswith("error: ")
    assert all(line.startswith("hint: ") for line in lines[1:])
    assert re.search(pattern, lines[0]), lines[0]
    assert "inside pgcharter" not in lines[0]
    return "\n".join(lines)


FILES: dict[str, bytes] = {
    "empty.sql": b"",
    "comments.sql": b"-- nothing\n/* at all */\n",
    "nul.sql": b"CREATE TABLE a (id int);\nCREATE\0 TABLE b (id int);\n",
    "binary.sql": bytes(range(256)) * 40,
    "archive.sql": b"PGDMP\x01\x0e\x00",
    "latin.sql": b"SELECT 'caf\xe9';\n",
    "mysql.sql": b"CREATE TABLE `a` (`id` int AUTO_INCREMENT) ENGINE=InnoDB;\nCREATE TABLE `b` (`id` int) ENGINE=InnoDB;\n",
    "broken.json": b"{",
    "other.json": b'{"a": 1}',
    "good.sql": b"CREATE TABLE a (id bigint PRIMARY KEY);\n",
}

FILE_CASES = [
    ("missing.sql", 2, "no file or folder 'missing.sql'"),
    ("god.sql", 2, "no file or folder 'god.sql'"),
    ("empty.sql", 2, "empty.sql .*(no SQL|empty)"),
    ("comments.sql", 2, "comments.sql .*no SQL"),
    ("folder", 2, "folder .*no .*SQL"),
    ("nul.sql", 2, r"nul.sql:2:7: .*NUL"),
    ("binary.sql", 2, "binary"),
    ("archive.sql", 2, "pg_dump archive"),
    ("latin.sql", 2, r"latin.sql:1:12: .*UTF-8"),
    ("mysql.sql", 2, "MySQL"),
    ("broken.json", 2, "broken.json:1:2: .*not JSON"),
    ("other.json", 2, "other.json: .*no catalog snapshot"),
    ("mysql://host/db", 2, "not a PostgreSQL address"),
    ("", 2, "empty"),
    ("no.such.module:metadata", 2, "no.such.module|no module"),
    ("host=x frobnicate=1", 2, "connection string"),
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, data in FILES.items():
        (tmp_path / name).write_bytes(data)
    (tmp_path / "folder").mkdir()
    (tmp_path / ".git").mkdir()
    return tmp_path


@pytest.mark.parametrize(("target", "code", "pattern"), FILE_CASES, ids=[c[0] or "nothing" for c in FILE_CASES])
def test_target(folder: Path, target: str, code: int, pattern: str, program: Program) -> None:
    one_sentence(program("check", target, cwd=folder), code, pattern)


@pytest.mark.parametrize("target", ["nul.sql", "binary.sql", "empty.sql", "folder"])
def test_target_as_text(folder: Path, target: str, program: Program) -> None:
    one_sentence(program("check", target, "--no-server", cwd=folder), 2, ".")


def test_near_name_is_suggested(folder: Path, program: Program) -> None:
    assert "good.sql" in one_sentence(program("check", "god.sql", cwd=folder), 2, "god.sql")


def test_syntax_error_is_a_finding_with_its_place(folder: Path, program: Program) -> None:
    (folder / "typo.sql").write_text("CREATE TABLE a (id bigint PRIMARY KEY);\n\nCREATE TABEL b (id int);\n")
    done = program("check", "typo.sql", "--format", "json", cwd=folder)
    assert (done.returncode, done.stderr) == (1, "")
    found = next(f for f in json.loads(done.stdout)["targets"][0]["findings"] if f["code"] == "SRC02")
    assert (found["place"]["line"], found["place"]["column"]) == (3, 8)


CHARTERS = [
    ('[check]\nfail_onn = "error"\n', r"pgcharter.toml:2: .*fail_onn", "fail_on"),
    ("guide = 1\n", r"pgcharter.toml:1: .*guide", ""),
    ('guide = "cloudlb"\n', "cloudlb", "cloudlab"),
    ('guide = "none.toml"\n', "none.toml", ""),
    ("guide = \n", r"pgcharter.toml:1:\d+: .*TOML", ""),
    ('[severity]\nKEY1 = "error"\n', r"pgcharter.toml:2: .*KEY1", "did you mean KEY"),
    ('[severity]\nKEY01 = "fatal"\n', r"pgcharter.toml:2: .*fatal", "error"),
    ('[options]\ntable_nubmer = "plural"\n', r"pgcharter.toml:2: .*table_nubmer", "table_number"),
    ('[[waiver]]\nrule = "KEY01"\nobject = "a"\n', r"pgcharter.toml:\d: .*reason", ""),
    ('[environments.p]\ndsn = "postgresql://me:hidden@host/db"\n', r"pgcharter.toml:2: .*password", ""),
]


@pytest.mark.parametrize(("text", "pattern", "hint"), CHARTERS, ids=[c[0].splitlines()[-1] for c in CHARTERS])
def test_charter(folder: Path, text: str, pattern: str, hint: str, program: Program) -> None:
    (folder / "pgcharter.toml").write_text(text)
    said = one_sentence(program("check", "good.sql", cwd=folder), 2, pattern)
    assert hint in said
    assert "hidden" not in said


def test_two_charters(folder: Path, program: Program) -> None:
    (folder / "pgcharter.toml").write_text("")
    (folder / ".pgcharter.toml").write_text("")
    one_sentence(program("check", "good.sql", cwd=folder), 2, "two charters")


def test_nothing_to_check(folder: Path, program: Program) -> None:
    assert "pgcharter init" in one_sentence(program("check", cwd=folder), 2, "nothing says what to check")


def test_environments(folder: Path, program: Program) -> None:
    (folder / "pgcharter.toml").write_text('[environments.a]\ndsn_env = "A_URL"\n[environments.b]\ndsn_env = "B_URL"\n')
    assert "--env" in one_sentence(program("check", cwd=folder), 2, "which environment to check: a, b")
    assert "export A_URL=" in one_sentence(program("check", "--env", "a", cwd=folder, A_URL=""), 2, "A_URL, which is not set")
    assert "known are a, b" in one_sentence(program("check", "--env", "c", cwd=folder), 2, "no environment 'c'")


@pytest.mark.parametrize(
    ("arguments", "pattern"),
    [
        (("check", "good.sql", "--only", "KEY1"), "no rule 'KEY1'"),
        (("check", "good.sql", "--guide", "cloudlb"), 'no guide "cloudlb"'),
        (("check", "good.sql", "--fail-on", "fatal"), "'fatal'"),
        (("check", "good.sql", "--major", "twelve"), "'twelve'"),
        (("explain", "KEY1"), "no rule 'KEY1'"),
        (("guides", "show", "cloudlb"), 'no guide "cloudlb"'),
        (("guides", "show", "core", "--section", "nowhere"), "no section with 'nowhere'"),
        (("rules", "list", "--family", "nothing"), "no rule family 'nothing'"),
        (("completion", "tcsh"), "'tcsh'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_wrong_words(folder: Path, arguments: tuple[str, ...], pattern: str, program: Program) -> None:
    one_sentence(program(*arguments, cwd=folder), 2, pattern)


def test_unavailable_version(folder: Path, program: Program) -> None:
    one_sentence(program("check", "good.sql", "--major", "9", cwd=folder), 3, "9")


@pytest.fixture
def role(major_server: Server) -> Iterator[str]:
    """A role with the password `right`; dropped after the test."""
    with psycopg.connect(major_server.dsn(), autocommit=True) as conn:
        conn.execute("CREATE ROLE reader LOGIN PASSWORD 'right'")
        yield "reader"
        conn.execute("DROP ROLE reader")


class TestServer:
    def test_nobody_listens(self, tmp_path: Path, program: Program) -> None:
        one_sentence(program("check", "postgresql://me:hidden@127.0.0.1:1/shop", cwd=tmp_path), 3, "127.0.0.1")

    def test_no_such_host(self, tmp_path: Path, program: Program) -> None:
        said = one_sentence(program("check", "postgresql://me:hidden@no-such-host.invalid/shop", cwd=tmp_path), 3, "no-such-host.invalid")
        assert "hidden" not in said

    def test_no_such_database(self, major_server: Server, tmp_path: Path, program: Program) -> None:
        one_sentence(program("check", major_server.dsn("nowhere"), cwd=tmp_path), 3, "nowhere")

    def test_wrong_password(self, major_server: Server, role: str, tmp_path: Path, program: Program) -> None:
        said = one_sentence(
            program("check", make_conninfo(major_server.dsn(), user=role, password="hidden"), cwd=tmp_path), 3, f"password .*{role}"
        )
        assert "hidden" not in said

    def test_no_right_to_connect(self, database: str, role: str, tmp_path: Path, program: Program) -> None:
        with psycopg.connect(database, autocommit=True) as conn:
            conn.execute(f"REVOKE CONNECT ON DATABASE {conn.info.dbname} FROM PUBLIC")  # type: ignore[arg-type]
        said = one_sentence(program("check", make_conninfo(database, user=role, password="right"), cwd=tmp_path), 3, "CONNECT|connect")
        assert "GRANT CONNECT" in said

    def test_no_right_to_use_a_schema_is_no_crash(self, database: str, role: str, tmp_path: Path, program: Program) -> None:
        with psycopg.connect(database, autocommit=True) as conn:
            conn.execute("CREATE SCHEMA closed CREATE TABLE t (body text)")
        done = program("check", make_conninfo(database, user=role, password="right"), "--format", "json", cwd=tmp_path)
        assert done.returncode in (0, 1), done.stderr
        assert json.loads(done.stdout)["targets"][0]["source"] == "live"


def test_nothing_left_to_run_is_wrong_usage(program: Callable[..., Done], tmp_path: Path) -> None:
    (tmp_path / "a.sql").write_text("CREATE TABLE a (x int);")
    done = program("check", tmp_path / "a.sql", "--no-server", "--only", "KEY01", "--skip", "KEY01,KEY02")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: every rule that --only names is left out by --skip")


def test_what_may_not_be_read_is_told(program: Callable[..., Done], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.sql").write_text("CREATE TABLE a (x int);")

    def refuse(path: Path, *_: object, **__: object) -> NoReturn:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    with monkeypatch.context() as barred:
        barred.setattr(Path, "open", refuse)
        done = program("check", tmp_path / "a.sql", "--no-server")
    assert done.returncode == 3
    assert "a.sql cannot be read: Permission denied" in " ".join(done.stderr.split())
    with monkeypatch.context() as barred:
        barred.setattr("pgcharter.charter.find", refuse)
        done = program("check", tmp_path / "a.sql", "--no-server")
    assert done.returncode == 3
    assert "mistake" not in done.stderr
    assert "cannot be used: Permission denied" in " ".join(done.stderr.split())
