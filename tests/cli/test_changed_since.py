"""`--changed-since`: only what is new since a git revision counts, and what git cannot tell is said. Real repositories, real builds."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pgcharter.sources import revision

BASE = """\
CREATE TABLE customers (
    id    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    email text NOT NULL UNIQUE
);
CREATE TABLE orders (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    customer_id bigint NOT NULL REFERENCES customers ON DELETE RESTRICT,
    amount      real NOT NULL
);
CREATE INDEX orders_customer_id ON orders (customer_id);
"""
Program = Callable[..., Any]
Run = Callable[..., tuple[int, dict[str, Any]]]


def git(folder: Path, *arguments: str) -> str:
    known = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull, "HOME": str(folder)}
    who = ["-c", "user.name=Ada", "-c", "user.email=ada@example.org", "-c", "protocol.file.allow=always", "-c", "init.defaultBranch=main"]
    done = subprocess.run(["git", *who, *arguments], cwd=folder, env={**os.environ, **known}, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def commit(folder: Path) -> str:
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "x")
    return git(folder, "rev-parse", "HEAD")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "ein Ort"
    (folder / "db").mkdir(parents=True)
    git(folder, "init", "-q")
    (folder / "db" / "1_base.sql").write_text(BASE)
    commit(folder)
    return folder


@pytest.fixture
def since(program: Program) -> Run:
    """Exit code and the first target of the document."""

    def call(*arguments: str, cwd: Path, **environment: str) -> tuple[int, dict[str, Any]]:
        done = program("check", "--format", "json", *arguments, cwd=cwd, **environment)
        assert done.stderr == ""
        return done.returncode, json.loads(done.stdout)["targets"][0]

    return call


def keys(found: list[dict[str, Any]]) -> list[str]:
    return sorted(f["key"] for f in found)


OLD = ["CON07:column:public.customers.email:customers_email_key", "TYP04:column:public.orders.amount"]
TEXT = ("--no-server", "--only", "KEY01,TYP04")


class TestWhatCounts:
    def test_nothing_changed(self, repository: Path, since: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        """The old state is not even built."""
        monkeypatch.setattr(revision, "checked_out", None)
        code, target = since("db", "--changed-since", "HEAD", cwd=repository)
        assert (code, target["findings"], keys(target["unchanged"]), target["changed_since"]) == (0, [], OLD, "HEAD")

    def test_a_new_line_makes_a_finding_on_an_old_one(self, repository: Path, since: Run) -> None:
        """The duplicate index arises in an unchanged file, from a line in a new one: comparing lines would not tell."""
        (repository / "db" / "2_more.sql").write_text("CREATE INDEX a_duplicate ON orders (customer_id);\n")
        code, target = since("db", "--changed-since", "HEAD", cwd=repository)
        assert code == 1
        assert {f["code"][:3] for f in target["findings"]} == {"IDX"}
        assert keys(target["unchanged"]) == OLD

    def test_moved_and_reformatted_lines_are_not_new(self, repository: Path, since: Run) -> None:
        (repository / "db" / "1_base.sql").rename(repository / "db" / "0_größe.sql")
        file = repository / "db" / "0_größe.sql"
        file.write_bytes(b"\xef\xbb\xbf-- moved\r\n\r\n" + BASE.replace("\n", "\r\n").encode())
        code, target = since("db", "--changed-since", "HEAD", cwd=repository)
        assert (code, target["findings"], keys(target["unchanged"])) == (0, [], OLD)

    def test_a_deleted_file_and_an_index_that_went_with_it(self, repository: Path, since: Run) -> None:
        base, index = BASE.rsplit("CREATE INDEX", 1)
        (repository / "db" / "1_base.sql").write_text(base)
        (repository / "db" / "2_index.sql").write_text("CREATE INDEX" + index)
        commit(repository)
        (repository / "db" / "2_index.sql").unlink()
        code, target = since("db", "--changed-since", "HEAD", cwd=repository)
        assert (code, [f["code"] for f in target["findings"]]) == (1, ["KEY20"])

    def test_committed_staged_and_untracked_changes_all_count(self, repository: Path, since: Run) -> None:
        base = git(repository, "rev-parse", "HEAD")
        for name in ("a", "b", "c"):
            (repository / "db" / f"{name}.sql").write_text(f"CREATE TABLE {name} (x text);\n")
            if name == "a":
                commit(repository)
            if name == "b":
                git(repository, "add", "-A")
        target = since("db", "--changed-since", base, *TEXT, cwd=repository)[1]
        assert keys(target["findings"]) == ["KEY01:table:a", "KEY01:table:b", "KEY01:table:c"]
        (repository / ".gitignore").write_text("db/d.sql\n")
        commit(repository)
        (repository / "db" / "d.sql").write_text("CREATE TABLE d (x text);\n")
        assert keys(since("db", "--changed-since", "HEAD", *TEXT, cwd=repository)[1]["findings"]) == ["KEY01:table:d"]

    def test_since_the_branch_left_it(self, repository: Path, since: Run) -> None:
        """What main mended meanwhile is not this branch's doing."""
        git(repository, "checkout", "-qb", "work")
        (repository / "db" / "2.sql").write_text("CREATE TABLE mine (x text);\n")
        commit(repository)
        git(repository, "checkout", "-q", "main")
        (repository / "db" / "1_base.sql").write_text(BASE.replace("real", "numeric"))
        commit(repository)
        git(repository, "checkout", "-q", "work")
        target = since("db", "--changed-since", "main", *TEXT, cwd=repository)[1]
        assert keys(target["findings"]) == ["KEY01:table:mine"]

    def test_a_target_that_is_new_counts_whole(self, repository: Path, since: Run) -> None:
        (repository / "new").mkdir()
        (repository / "new" / "a.sql").write_text("CREATE TABLE a (x text);\n")
        for target in ("new", "new/a.sql"):
            code, verdict = since(target, "--changed-since", "HEAD", *TEXT, cwd=repository)
            assert (code, keys(verdict["findings"]), verdict["unchanged"]) == (1, ["KEY01:table:a"], [])

    def test_a_single_file_its_includes_and_another_folder_to_stand_in(self, repository: Path, since: Run) -> None:
        (repository / "db" / "all.sql").write_text("\\ir parts/a.sql\n\\ir 1_base.sql\n")
        (repository / "db" / "parts").mkdir()
        (repository / "db" / "parts" / "a.sql").write_text("CREATE TABLE a (price real);\n")
        commit(repository)
        (repository / "db" / "all.sql").write_text("\\ir parts/a.sql\n\\ir 1_base.sql\nCREATE TABLE b (x text);\n")
        code, target = since("all.sql", "--changed-since", "HEAD", "--only", "KEY01,TYP04", cwd=repository / "db")
        assert (code, keys(target["findings"])) == (1, ["KEY01:table:public.b"])
        assert "TYP04:column:public.a.price" in keys(target["unchanged"])

    def test_findings_without_an_object_in_a_renamed_file(self, repository: Path, since: Run) -> None:
        (repository / "db" / "2.sql").write_text("CREATE TABEL x (a int);\n")
        commit(repository)
        (repository / "db" / "2.sql").rename(repository / "db" / "3.sql")
        (repository / "db" / "4.sql").write_text("CREATE TABEL y (a int);\n")
        target = since("db", "--changed-since", "HEAD", "--no-server", cwd=repository)[1]
        assert [(f["code"], f["place"]["file"]) for f in target["findings"]] == [("SRC02", "db/4.sql")]

    def test_links_are_followed_inside_and_nowhere_else(self, repository: Path, since: Run, tmp_path: Path) -> None:
        (tmp_path / "secret.sql").write_text("CREATE TABLE outside (x text);\n")
        (repository / "shared.sql").write_text("CREATE TABLE shared (x text);\n")
        (repository / "db" / "2.sql").symlink_to("../shared.sql")
        (repository / "db" / "3.sql").symlink_to(tmp_path / "secret.sql")
        commit(repository)
        (repository / "db" / "4.sql").write_text("CREATE TABLE new (x text);\n")
        target = since("db", "--changed-since", "HEAD", *TEXT, cwd=repository)[1]
        assert keys(target["findings"]) == ["KEY01:table:new", "KEY01:table:outside"]

    def test_a_target_that_is_a_link_and_markdown(self, repository: Path, since: Run, tmp_path: Path) -> None:
        (repository / "notes.md").write_text("# x\n\n```sql\nCREATE TABLE a (price real);\n```\n")
        commit(repository)
        (repository / "notes.md").write_text("# x\n\n```sql\nCREATE TABLE b (x text);\nCREATE TABLE a (price real);\n```\n")
        (tmp_path / "link.md").symlink_to(repository / "notes.md")
        for target in ("ein Ort/notes.md", "link.md"):
            verdict = since(target, "--changed-since", "HEAD", "--only", "KEY01,TYP04", cwd=tmp_path)[1]
            assert keys(verdict["findings"]) == ["KEY01:table:public.b"]

    def test_a_suppression_taken_out_makes_it_new(self, repository: Path, since: Run) -> None:
        (repository / "db" / "2.sql").write_text("CREATE TABLE a (x text); -- pgcharter: allow KEY01 because x\n")
        commit(repository)
        (repository / "db" / "2.sql").write_text("CREATE TABLE a (x text);\n")
        assert keys(since("db", "--changed-since", "HEAD", *TEXT, cwd=repository)[1]["findings"]) == ["KEY01:table:a"]

    def test_together_with_known_findings(self, repository: Path, since: Run, program: Program) -> None:
        assert program("check", "db", "--known", "k.json", "--record", *TEXT, cwd=repository).returncode == 0
        (repository / "db" / "2.sql").write_text("CREATE TABLE a (x text);\n")
        target = since("db", "--known", "k.json", "--changed-since", "HEAD", *TEXT, cwd=repository)[1]
        assert (keys(target["findings"]), len(target["known"]), target["known_gone"], target["unchanged"]) == (["KEY01:table:a"], 1, [], [])

    def test_attributes_that_thin_out_an_archive_do_not_matter(self, repository: Path, since: Run) -> None:
        (repository / ".gitattributes").write_text("db export-ignore\n*.sql ident\n")
        commit(repository)
        (repository / "db" / "2.sql").write_text("CREATE TABLE a (x text);\n")
        assert keys(since("db", "--changed-since", "HEAD", *TEXT, cwd=repository)[1]["findings"]) == ["KEY01:table:a"]

    def test_in_a_hook(self, repository: Path, since: Run) -> None:
        """Git tells a hook where the repository is, relative to its top."""
        (repository / "db" / "2.sql").write_text("CREATE TABLE a (x text);\n")
        hook = {"GIT_DIR": ".git", "GIT_INDEX_FILE": ".git/index", "GIT_PREFIX": ""}
        assert keys(since(".", "--changed-since", "HEAD", *TEXT, cwd=repository / "db", **hook)[1]["findings"]) == ["KEY01:table:a"]

    def test_names_that_git_would_quote_or_take_for_a_pattern(self, repository: Path, since: Run) -> None:
        odd = repository / "db" / 'sü"ß\t*[a].sql'
        odd.write_text("CREATE TABLE a (x text);\n")
        commit(repository)
        with odd.open("a") as file:
            file.write("CREATE TABLE b (x text);\n")
        for target in (str(odd), "db"):
            assert keys(since(target, "--changed-since", "HEAD", *TEXT, cwd=repository)[1]["findings"]) == ["KEY01:table:b"]

    def test_a_submodule_is_said_to_be_unseen(self, repository: Path, since: Run, tmp_path: Path) -> None:
        other = tmp_path / "other"
        other.mkdir()
        git(other, "init", "-q")
        (other / "o.sql").write_text("CREATE TABLE o (x text);\n")
        commit(other)
        git(repository, "submodule", "--quiet", "add", str(other), "db/sub")
        commit(repository)
        (repository / "db" / "2.sql").write_text("CREATE TABLE a (x text);\n")
        target = since("db", "--changed-since", "HEAD", *TEXT, cwd=repository)[1]
        assert keys(target["findings"]) == ["KEY01:table:a", "KEY01:table:o"]
        assert any("submodule" in gap["why"] for gap in target["gaps"])
        assert since("db/sub", "--changed-since", "HEAD", *TEXT, cwd=repository)[1]["findings"] == []


class TestWhatIsSaid:
    def test_the_totals_tell_how_many_were_there(self, repository: Path, program: Program) -> None:
        done = program("check", "db", "--changed-since", "HEAD", *TEXT, cwd=repository)
        assert "✔ nothing new to mend" in done.stdout
        assert "· 1 finding not counted that was there at HEAD (--changed-since)" in done.stdout

    @pytest.mark.parametrize("name", ["nope", "--output=x", "-x", "", " ", "HEAD:db", "x\ny", "HEAD^{tree}", "main --all"])
    def test_no_such_revision(self, repository: Path, program: Program, name: str) -> None:
        done = program("check", "db", f"--changed-since={name}", *TEXT, cwd=repository)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith("error: git knows no revision ")
        assert "git fetch" in done.stderr
        assert sorted(p.name for p in repository.iterdir()) == [".git", "db"]

    def test_a_shallow_clone(self, repository: Path, program: Program, since: Run, tmp_path: Path) -> None:
        (repository / "db" / "2.sql").write_text("CREATE TABLE a (x text);\n")
        commit(repository)
        git(tmp_path, "clone", "-q", "--depth", "1", repository.as_uri(), "shallow")
        done = program("check", "db", "--changed-since", "HEAD~1", *TEXT, cwd=tmp_path / "shallow")
        assert done.returncode == 2
        assert "fetch-depth: 0" in done.stderr

    def test_histories_that_do_not_meet_are_compared_and_told(self, repository: Path, since: Run) -> None:
        git(repository, "checkout", "-q", "--orphan", "fresh")
        (repository / "db" / "2.sql").write_text("CREATE TABLE a (x text);\n")
        commit(repository)
        target = since("db", "--changed-since", "main", *TEXT, cwd=repository)[1]
        assert keys(target["findings"]) == ["KEY01:table:a"]
        assert [g["what"] for g in target["gaps"] if "history" in g["why"]] == ["where this branch left main"]

    def test_no_repository(self, tmp_path: Path, program: Program) -> None:
        (tmp_path / "a.sql").write_text("CREATE TABLE a (x text);\n")
        done = program("check", "a.sql", "--changed-since", "HEAD", *TEXT, cwd=tmp_path, GIT_CEILING_DIRECTORIES=str(tmp_path.parent))
        assert done.returncode == 2
        assert done.stderr.startswith("error: a.sql is not in a git repository, so nothing tells what changed in it\n")

    def test_a_repository_without_a_commit(self, tmp_path: Path, program: Program) -> None:
        git(tmp_path, "init", "-q")
        (tmp_path / "a.sql").write_text("CREATE TABLE a (x text);\n")
        done = program("check", "a.sql", "--changed-since", "HEAD", *TEXT, cwd=tmp_path)
        assert (done.returncode, "has no commit yet" in done.stderr) == (2, True)

    def test_a_bare_repository(self, repository: Path, program: Program, tmp_path: Path) -> None:
        git(tmp_path, "clone", "-q", "--bare", repository.as_uri(), "bare.git")
        (tmp_path / "bare.git" / "a.sql").write_text("CREATE TABLE a (x text);\n")
        done = program("check", "a.sql", "--changed-since", "HEAD", *TEXT, cwd=tmp_path / "bare.git")
        assert (done.returncode, "is bare" in done.stderr) == (2, True)

    def test_git_is_not_there(self, repository: Path, program: Program) -> None:
        done = program("check", "db", "--changed-since", "HEAD", *TEXT, cwd=repository, PATH="/nonexistent")
        assert (done.returncode, "needs git, which is not installed" in done.stderr) == (3, True)

    @pytest.mark.parametrize("target", ["postgresql://localhost/x", "-", "app.models:metadata", "dbname=x"])
    def test_targets_that_git_does_not_know(self, repository: Path, program: Program, target: str) -> None:
        done = program("check", target, "--changed-since", "HEAD", cwd=repository)
        assert done.returncode == 2
        assert "--changed-since compares files" in done.stderr
        assert "--known FILE --record" in done.stderr

    def test_an_alembic_project(self, repository: Path, program: Program) -> None:
        (repository / "alembic.ini").write_text("[alembic]\n")
        for target in (".", "alembic.ini"):
            done = program("check", target, "--changed-since", "HEAD", cwd=repository)
            assert (done.returncode, "Alembic" in done.stderr) == (2, True)

    def test_an_old_state_that_cannot_be_read(self, repository: Path, since: Run) -> None:
        (repository / "db" / "2.sql").write_bytes("CREATE TABLE größe (x text);\n".encode("latin-1"))
        commit(repository)
        (repository / "db" / "2.sql").write_text("CREATE TABLE größe (x text);\n", encoding="utf-8")
        code, target = since("db", "--changed-since", "HEAD", *TEXT, cwd=repository)
        assert (code, len(target["findings"])) == (1, 2)
        (gap,) = [g for g in target["gaps"] if g["what"] == "what was there at HEAD"]
        assert gap["why"] == "byte 0xf6 is not UTF-8, so the text after it would be misread; so everything counts as new"

    def test_a_repository_of_someone_else(self, repository: Path, program: Program) -> None:
        owner = {"GIT_TEST_ASSUME_DIFFERENT_OWNER": "1", "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
        done = program("check", "db", "--changed-since", "HEAD", *TEXT, cwd=repository, **owner)
        assert done.returncode == 3
        assert "git does not trust the repository of db" in done.stderr
        assert f"safe.directory '{repository}'" in " ".join(done.stderr.split())

    def test_a_damaged_repository(self, repository: Path, program: Program) -> None:
        blob = git(repository, "rev-parse", "HEAD:db/1_base.sql")
        (repository / ".git" / "objects" / blob[:2] / blob[2:]).unlink()
        (repository / "db" / "2.sql").write_text("CREATE TABLE a (x text);\n")
        done = program("check", "db", "--changed-since", "HEAD", *TEXT, cwd=repository)
        assert done.returncode == 3
        assert "git cannot read db/1_base.sql at HEAD" in done.stderr

    def test_branches_are_completed(self, repository: Path, program: Program) -> None:
        git(repository, "tag", "v1")
        done = program(cwd=repository, _PGCHARTER_COMPLETE="bash_complete", COMP_WORDS="pgcharter check --changed-since ", COMP_CWORD="3")
        assert {"plain,main", "plain,v1"} <= set(done.stdout.split())


def test_nothing_of_the_repository_is_run(repository: Path, since: Run, tmp_path: Path) -> None:
    program, told = tmp_path / "evil.sh", tmp_path / "evil.txt"
    program.write_text(f"#!/bin/sh\necho ran >> '{told}'\ncat\n")
    program.chmod(0o755)
    (repository / ".gitattributes").write_text("*.sql filter=evil diff=evil merge=evil\n")
    commit(repository)
    for key in ("filter.evil.clean", "filter.evil.smudge", "filter.evil.process", "diff.evil.textconv", "diff.evil.command",
                "diff.external", "core.fsmonitor", "core.pager", "core.alternateRefsCommand"):  # fmt: skip
        git(repository, "config", key, str(program))
    for hook in ("post-index-change", "post-checkout", "reference-transaction"):
        (repository / ".git" / "hooks" / hook).unlink(missing_ok=True)
        (repository / ".git" / "hooks").mkdir(exist_ok=True)
        (repository / ".git" / "hooks" / hook).symlink_to(program)
    os.utime(repository / "db" / "1_base.sql", (0, 0))
    assert since("db", *TEXT, "--changed-since", "HEAD", cwd=repository)[0] == 0
    (repository / "db" / "1_base.sql").write_text(BASE + "CREATE TABLE keyless (a int);\n")
    assert since("db", *TEXT, "--changed-since", "HEAD", cwd=repository)[0] == 1
    assert not told.exists()


def test_an_include_of_any_kind_that_changed_is_seen(repository: Path, since: Run) -> None:
    (repository / "db" / "2.sql").write_text("\\i more.txt\n")
    (repository / "db" / "more.txt").write_text("CREATE TABLE one (a int PRIMARY KEY);\n")
    commit(repository)
    (repository / "db" / "more.txt").write_text("CREATE TABLE one (a int);\n")
    assert since("db", *TEXT, "--changed-since", "HEAD", cwd=repository)[0] == 1


@pytest.mark.parametrize("name", ["GIT_GLOB_PATHSPECS", "GIT_ICASE_PATHSPECS", "GIT_NOGLOB_PATHSPECS"])
def test_the_meaning_of_paths_is_ours(repository: Path, since: Run, name: str) -> None:
    assert since("db", *TEXT, "--changed-since", "HEAD", cwd=repository, **{name: "1"})[0] == 0


@pytest.mark.parametrize(
    ("target", "said"), [("gone.sql", "there is no file or folder gone.sql"), ("app.models:metadata", "models have none")]
)
def test_a_target_that_is_not_there_is_no_database(repository: Path, program: Program, target: str, said: str) -> None:
    done = program("check", target, "--changed-since", "HEAD", cwd=repository)
    assert done.returncode == 2
    assert said in done.stderr
