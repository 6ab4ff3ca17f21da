"""`explain`, `guides`, `rules` and `init`: what they say and write."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pgcharter import charter as charters
from pgcharter import guides
from pgcharter.cli.discover import discover
from pgcharter.cli.group import COMMANDS, pgcharter
from pgcharter.render.source_codes import SOURCE_CODES, all_described
from pgcharter.rules import engine

ROOT = Path(__file__).resolve().parents[2]


Run = Callable[..., str]


@pytest.fixture
def run(program: Callable[..., Any]) -> Run:
    """What a command says on stdout; on stderr when it ends in another code than 0."""

    def call(*arguments: str, cwd: Path | None = None, code: int = 0) -> str:
        done = program(*arguments, cwd=cwd)
        assert done.returncode == code, done.stderr
        said: str = done.stdout if code == 0 else done.stderr
        return said

    return call


class TestExplain:
    def test_by_code_and_by_slug(self, run: Run) -> None:
        assert run("explain", "key01") == run("explain", "missing-primary-key")

    def test_says_everything_the_rule_says(self, run: Run) -> None:
        text = run("explain", "KEY01")
        for part in ("Why\n", "Instead\n", "Except\n", "In the guides\n", "-- pgcharter: allow KEY01 because"):
            assert part in text
        assert "\n      CREATE TABLE " in text, "SQL keeps its own lines"

    def test_json(self, run: Run) -> None:
        data = json.loads(run("explain", "KEY01", "--format", "json"))
        assert (data["format"], data["code"], data["severity"]) == ("pgcharter-rule", "KEY01", "warning")
        assert data["clauses"]["core"]

    def test_findings_of_the_sources_are_explained_too(self, run: Run) -> None:
        assert "refused-statement" in run("explain", "SRC01")
        source = "".join(p.read_text() for p in (ROOT / "src" / "pgcharter" / "sources").glob("*.py"))
        used = {word for word in all_words(source) if word.startswith("SRC") and word[3:].isdigit()}
        assert used <= set(SOURCE_CODES)


def all_words(text: str) -> set[str]:
    return set(text.replace('"', " ").replace(",", " ").replace(":", " ").split())


@pytest.mark.parametrize("code", sorted(all_described()))
def test_every_rule_can_be_explained(code: str) -> None:
    rule = all_described()[code]
    assert rule.title
    assert rule.why
    assert rule.instead or rule.unless


class TestRules:
    def test_all(self, run: Run) -> None:
        text = run("rules", "list")
        assert all(code in text for code in engine.load())

    def test_of_a_guide_with_its_severities(self, run: Run) -> None:
        guide = guides.load("cloudlab")
        listed = json.loads(run("rules", "list", "--guide", "cloudlab", "--format", "json"))["rules"]
        assert {r["code"] for r in listed} == guide.rules & engine.load().keys()
        changed = {code: severity.word for code, severity in guide.severities.items()}
        assert {r["code"]: r["severity"] for r in listed if r["code"] in changed} == {c: w for c, w in changed.items() if c in guide.rules}

    def test_family(self, run: Run) -> None:
        text = run("rules", "list", "--family", "keys")
        assert "KEY01" in text
        assert "SEC01" not in text


class TestGuides:
    def test_list(self, run: Run) -> None:
        text = run("guides", "list")
        assert all(name in text for name in guides.available())

    def test_show(self, run: Run) -> None:
        text = run("guides", "show", "core")
        assert all(clause.id in text for clause in guides.load("core").clauses)

    def test_section(self, run: Run) -> None:
        data = json.loads(run("guides", "show", "cloudlab", "--section", "NAMING", "--format", "json"))
        assert data["clauses"]
        assert all("naming" in clause["section"].lower() for clause in data["clauses"])


class TestInit:
    def project(self, tmp_path: Path) -> Path:
        (tmp_path / ".git").mkdir()
        (tmp_path / "db" / "migrations").mkdir(parents=True)
        for number in range(3):
            (tmp_path / "db" / "migrations" / f"{number}.sql").write_text(f"CREATE TABLE t{number} (id bigint PRIMARY KEY);\n")
        (tmp_path / "src" / "shop").mkdir(parents=True)
        (tmp_path / "src" / "shop" / "models.py").write_text(
            "from sqlalchemy.orm import DeclarativeBase\n\n\nclass Base(DeclarativeBase):\n    pass\n"
        )
        (tmp_path / "node_modules").mkdir()
        (tmp_path / "node_modules" / "x.sql").write_text("SELECT 1;")
        return tmp_path

    def test_discovery(self, tmp_path: Path) -> None:
        project = self.project(tmp_path)
        assert discover(project) == (("db/migrations", "3 SQL files"), ("shop.models:Base.metadata", "SQLAlchemy models"))
        (project / "alembic.ini").write_text("[alembic]\n")
        assert discover(project)[0] == ("alembic.ini", "Alembic project")
        assert discover(project / "nowhere") == ()

    def test_writes_a_charter_that_can_be_read(self, tmp_path: Path, run: Run) -> None:
        project = self.project(tmp_path)
        text = run("init", "--guide", "cloudlab", cwd=project)
        assert "pgcharter check" in text
        charter = charters.read(project / "pgcharter.toml")
        assert charter.guide == "cloudlab"
        assert charter.check.targets == ("db/migrations", "shop.models:Base.metadata")

    def test_check_then_needs_no_words(self, tmp_path: Path, run: Run) -> None:
        project = self.project(tmp_path)
        (project / "src" / "shop" / "models.py").unlink()
        run("init", cwd=project)
        below = project / "db"
        assert "migrations" in run("check", "--no-server", cwd=below)

    def test_guide_of_ones_own(self, tmp_path: Path, run: Run) -> None:
        (tmp_path / "house.toml").write_text('id = "house"\ntitle = "Ours"\nextends = "core"\n')
        run("init", "--guide", "house.toml", cwd=tmp_path)
        assert tomllib.loads((tmp_path / "pgcharter.toml").read_text())["guide"] == "house.toml"

    def test_never_overwrites(self, tmp_path: Path, run: Run) -> None:
        (tmp_path / "pgcharter.toml").write_text("# mine\n")
        assert "--force" in run("init", cwd=tmp_path, code=4)
        assert (tmp_path / "pgcharter.toml").read_text() == "# mine\n"
        run("init", "--force", cwd=tmp_path)
        assert (tmp_path / "pgcharter.toml").read_text() != "# mine\n"

    def test_no_second_charter(self, tmp_path: Path, run: Run) -> None:
        (tmp_path / "pyproject.toml").write_text("[tool.pgcharter]\n")
        assert "pyproject.toml" in run("init", "--force", cwd=tmp_path, code=4)
        assert not (tmp_path / "pgcharter.toml").exists()

    def test_unknown_guide_writes_nothing(self, tmp_path: Path, run: Run) -> None:
        assert "cloudlab" in run("init", "--guide", "cloudlb", cwd=tmp_path, code=2)
        assert not (tmp_path / "pgcharter.toml").exists()


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_of_the_table_exists_and_has_help(name: str, run: Run) -> None:
    text = run(name, "--help")
    assert f"Usage: pgcharter {name}" in text
    import click

    found = pgcharter.get_command(click.Context(pgcharter), name)
    assert found is not None
    if not isinstance(found, click.Group):
        assert "Examples:" in text
