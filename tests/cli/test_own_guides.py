"""`pgcharter guides new` and `guides schema`: a guide of one's own, from the first line to the first verdict."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from pgcharter import charter as charters
from pgcharter import examples, guides
from pgcharter.cli.project import sections
from pgcharter.errors import Exit


@pytest.fixture
def charter_schema(program: Any) -> dict[str, Any]:
    return json.loads(program("guides", "schema", "--charter").stdout)


def test_a_new_guide_checks_at_once(program: Any, tmp_path: Path) -> None:
    (tmp_path / "schema.sql").write_text("CREATE TABLE public.users_old (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY);\n")
    made = program("guides", "new", "db/standards.toml", "--title", "Acme standards", cwd=tmp_path)
    assert made.returncode == 0
    assert "wrote db/standards.toml" in made.stdout
    assert guides.load(str(tmp_path / "db/standards.toml")).title == "Acme standards"
    done = program("check", "schema.sql", "--guide", "db/standards.toml", "--format", "json")
    found = {f["code"]: f for f in json.loads(done.stdout)["targets"][0]["findings"]}
    assert found["OWN-A2.1"]["message"] == "table users_old is left over from a trial"
    assert found["OWN-A2.1"]["place"]["line"] == 1
    assert done.returncode == Exit.FINDINGS
    waived = program("check", "schema.sql", "--guide", "db/standards.toml", "--skip", "own-A2.1", "--format", "json")
    assert "OWN-A2.1" not in {f["code"] for f in json.loads(waived.stdout)["targets"][0]["findings"]}


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["standards.md"], Exit.USAGE, "does not end in .toml"),
        (["there.toml"], Exit.REFUSED, "there.toml is there already"),
        (["core.toml"], Exit.USAGE, "there is a built-in guide called core"),
        (["x.toml", "--extends", "thinkalik"], Exit.USAGE, 'there is no guide "thinkalik"'),
        (["x.toml", "--extends", "gone.toml"], Exit.USAGE, "gone.toml cannot be read: no such file"),
        (["there.toml/x.toml"], Exit.FAILED, "the guide cannot be written"),
    ],
)
def test_what_cannot_be_written_is_said(program: Any, tmp_path: Path, arguments: list[str], code: Exit, said: str) -> None:
    (tmp_path / "there.toml").write_text("")
    done = program("guides", "new", *arguments, cwd=tmp_path)
    assert (done.returncode, said in done.stderr) == (code, True), done.stderr
    assert sorted(p.name for p in tmp_path.iterdir()) == ["there.toml"]
    assert (tmp_path / "there.toml").read_text() == ""


def test_the_schema_of_guides_is_printed(program: Any) -> None:
    schema = json.loads(program("guides", "schema").stdout)
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["properties"]["options"]["properties"]["table_number"]["description"] == "Grammatical number of table names."


def test_charters_of_the_examples_are_valid(charter_schema: dict[str, Any]) -> None:
    for name in examples.names():
        file = examples.folder(name) / "pgcharter.toml"
        if file.is_file():
            jsonschema.validate(json.loads(json.dumps(tomllib.loads(file.read_text(encoding="utf-8")), default=str)), charter_schema)


def test_every_key_of_a_charter_is_in_its_schema(charter_schema: dict[str, Any]) -> None:
    assert charter_schema["properties"].keys() == {*charters._OWN_KEYS, *(s.name for s in sections())}


def test_a_clause_is_explained_by_its_id_and_its_query_by_its_code(program: Any, tmp_path: Path) -> None:
    program("guides", "new", "standards.toml", cwd=tmp_path)
    (tmp_path / "pgcharter.toml").write_text('guide = "standards.toml"\n')
    own = program("explain", "own-a2.1")
    assert own.returncode == 0
    assert "No table is left over from a trial (should)" in own.stdout
    assert "FROM pg_catalog.pg_tables" in own.stdout
    assert "KEY01" in program("explain", "A1.1").stdout
    assert json.loads(program("explain", "T2.1.8", "--format", "json").stdout)["clauses"][0]["id"] == "T2.1.8"
    assert "there is no rule 'Z9.9'" in program("explain", "Z9.9").stderr
