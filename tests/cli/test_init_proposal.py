"""`pgcharter init` on a project that is already there: which guide it proposes, and what happens where it cannot."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Any

import pytest

from pgcharter import examples, guides, sources
from pgcharter.errors import Exit
from pgcharter.rules import engine
from pgcharter.rules.nearest import candidates

EXAMPLE_OF = {"shop": "cloudlab", "teams": "thinkalike", "blog": "default", "stock": "creampie", "clinic": "blueprint"}
"""Example → the guide it was made for."""


@pytest.mark.parametrize(("example", "guide"), EXAMPLE_OF.items())
def test_an_example_is_nearest_to_its_own_guide(example: str, guide: str) -> None:
    codes = engine.load()
    known = [guides.load(name, codes=codes) for name in guides.available() if name != "core"]
    found = candidates(sources.read(str(examples.folder(example) / "migrations")), known)
    assert found[0].guide.id == guide
    assert found[0].followed == found[0].asked > 0
    assert [c.distance for c in found] == sorted(c.distance for c in found)


def test_an_empty_schema_is_near_to_nothing(tmp_path: Path) -> None:
    (tmp_path / "x.sql").write_text("SELECT 1;\n")
    assert candidates(sources.read(str(tmp_path)), [guides.load("cloudlab", codes=engine.load())]) == []


def test_the_nearest_guide_is_proposed_with_its_deviations(program: Any, tmp_path: Path) -> None:
    (tmp_path / "schema.sql").write_text(
        "CREATE TABLE public.products (product_id uuid PRIMARY KEY DEFAULT gen_random_uuid(), title varchar(80) NOT NULL);\n"
    )
    done = program("init", cwd=tmp_path)
    assert done.returncode == 0
    assert "nearest guides  by the house style of schema.sql" in done.stdout
    assert "house rules" in done.stdout
    assert "pgcharter init --force --guide " in done.stdout
    assert tomllib.loads((tmp_path / "pgcharter.toml").read_text())["guide"] == "core"


def test_nearest_is_taken_when_asked_for(program: Any, tmp_path: Path) -> None:
    done = program("init", "--from", str(examples.folder("shop") / "migrations"), "--guide", "nearest", cwd=tmp_path)
    assert done.returncode == 0
    assert tomllib.loads((tmp_path / "pgcharter.toml").read_text())["guide"] == "cloudlab"


def test_a_database_can_be_judged(program: Any, tmp_path: Path, database: str) -> None:
    import psycopg

    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute("CREATE TABLE public.products (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY)")
    done = program("init", "--from", database, cwd=tmp_path)
    assert "nearest guides" in done.stdout


def test_a_project_that_cannot_be_read_still_gets_its_charter(program: Any, tmp_path: Path) -> None:
    done = program("init", "--from", "postgresql://nobody@127.0.0.1:1/none", cwd=tmp_path)
    assert done.returncode == 0
    assert "no guide proposed" in done.stdout
    assert (tmp_path / "pgcharter.toml").is_file()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--guide", "nearest"], "no guide can be proposed: nothing here looks like a schema"),
        (["--guide", "nearest", "--no-look"], "--guide nearest needs a look at the project, which --no-look forbids"),
    ],
)
def test_nearest_without_anything_to_judge_writes_nothing(program: Any, tmp_path: Path, arguments: list[str], said: str) -> None:
    done = program("init", *arguments, cwd=tmp_path)
    assert (done.returncode, said in done.stderr) == (Exit.USAGE, True)
    assert list(tmp_path.iterdir()) == []


def test_the_variable_of_the_database_becomes_an_environment_without_its_value(program: Any, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("DEBUG=1\nexport SHOP_DB='postgresql://me:hidden@host/shop'\n")
    done = program("init", "--no-look", cwd=tmp_path)
    text = (tmp_path / "pgcharter.toml").read_text()
    assert tomllib.loads(text)["environments"] == {"development": {"dsn_env": "SHOP_DB", "production": False}}
    assert "hidden" not in text + done.stdout
    assert "environment development, its DSN from SHOP_DB" in done.stdout


def test_files_that_are_none_stop_nothing(program: Any, tmp_path: Path) -> None:
    for name, target in ((".#models.py", "me@host.123"), ("gone.py", "nowhere"), ("loop.py", "loop.py"), (".env.local", "loop.py")):
        (tmp_path / name).symlink_to(target)
    os.mkfifo(tmp_path / ".env")
    os.mkfifo(tmp_path / "pipe.py")
    (tmp_path / "schema.sql").write_text("CREATE TABLE public.orders (id int PRIMARY KEY);\n")
    done = program("init", "--no-look", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert tomllib.loads((tmp_path / "pgcharter.toml").read_text())["check"]["targets"] == ["schema.sql"]


@pytest.mark.parametrize("name", ["db 😀", 'quo"te', "back\\slash", "del\x7f", "守"])
def test_targets_are_written_whatever_they_are_called(program: Any, tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    (tmp_path / name / "a.sql").write_text("CREATE TABLE public.orders (id int PRIMARY KEY);\n")
    (tmp_path / os.fsdecode(b"a\xff.sql")).write_text("SELECT 1;\n")
    assert program("init", "--no-look", cwd=tmp_path).returncode == 0
    written = (tmp_path / "pgcharter.toml").read_text(encoding="utf-8")
    assert tomllib.loads(written)["check"]["targets"][0].partition("/")[0] == name


def test_a_password_in_what_models_say_is_not_told(program: Any, tmp_path: Path) -> None:
    (tmp_path / "shop_models.py").write_text(
        'import sqlalchemy as sa\nmetadata = sa.MetaData()\nraise RuntimeError("postgresql://u:s3cret@h/d")\n'
    )
    done = program("init", cwd=tmp_path)
    assert "RuntimeError: postgresql://u:***@h/d" in done.stdout
    assert "s3cret" not in done.stdout + done.stderr


def test_a_look_cannot_be_wanted_and_forbidden(program: Any, tmp_path: Path) -> None:
    done = program("init", "--from", "schema.sql", "--no-look", cwd=tmp_path)
    assert done.returncode == Exit.USAGE
    assert "--from names what to look at, which --no-look forbids" in done.stderr
    assert list(tmp_path.iterdir()) == []
