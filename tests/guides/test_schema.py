"""The JSON Schema of guides and charters says what the readers of these files take."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from pgcharter import guides
from pgcharter.errors import CharterError
from pgcharter.guides.files import FOLDER
from pgcharter.guides.model import Clause
from pgcharter.guides.options import Options
from pgcharter.guides.schema import explained, guide_schema
from pgcharter.guides.starter import starter
from pgcharter.render.source_codes import all_described

CODES = all_described().keys()


@pytest.fixture(scope="module")
def guide() -> dict[str, Any]:
    return json.loads(json.dumps(guide_schema(CODES, guides.available())))


def errors(schema: dict[str, Any], text: str) -> list[str]:
    jsonschema.Draft202012Validator.check_schema(schema)
    return [f"{'.'.join(map(str, e.path))}: {e.message}" for e in jsonschema.Draft202012Validator(schema).iter_errors(tomllib.loads(text))]


@pytest.mark.parametrize("name", guides.available())
def test_built_in_guides_are_valid(guide: dict[str, Any], name: str) -> None:
    assert errors(guide, (FOLDER / f"{name}.toml").read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("name", guides.available())
def test_a_new_guide_is_valid_loads_and_keeps_what_it_extends(guide: dict[str, Any], tmp_path: Path, name: str) -> None:
    text = starter("own", 'Acme "own" \\ standards', guides.load(name), extends=name)
    assert errors(guide, text) == []
    (tmp_path / "own.toml").write_text(text, encoding="utf-8")
    made = guides.load(str(tmp_path / "own.toml"), codes=CODES)
    assert made.title == 'Acme "own" \\ standards'
    assert made.options == guides.load(name).options
    options = text.partition("[options]\n")[2].partition("\n\n")[0]
    chosen = "[options]\n" + "\n".join(line.removeprefix("# ") for line in options.splitlines() if not line.startswith("## "))
    (tmp_path / "all.toml").write_text('id = "all"\ntitle = "All"\nextends = "' + name + '"\n' + chosen, encoding="utf-8")
    assert guides.load(str(tmp_path / "all.toml")).options == made.options


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('id = "x"\n', "'title' is a required property"),
        ('id = "x"\ntitle = "X"\n[options]\ntable_number = "dual"\n', "'dual' is not one of"),
        ('id = "x"\ntitle = "X"\n[options]\ntable_numbers = "plural"\n', "'table_numbers' was unexpected"),
        ('id = "x"\ntitle = "X"\n[severity]\nKEY01 = "fatal"\n', "'fatal' is not one of"),
        ('id = "x"\ntitle = "X"\n[[clause]]\nid = "A"\nsection = "S"\n', "'text' is a required property"),
    ],
)
def test_what_the_reader_refuses_the_schema_refuses(guide: dict[str, Any], tmp_path: Path, text: str, said: str) -> None:
    assert any(said in e for e in errors(guide, text))
    (tmp_path / "x.toml").write_text(text)
    with pytest.raises(CharterError):
        guides.load(str(tmp_path / "x.toml"))


@pytest.mark.parametrize("model", [Options, Clause])
def test_every_key_is_explained(model: type) -> None:
    own = {f for f in model.__dataclass_fields__ if model.__dataclass_fields__[f].metadata.get("in_file", True)}  # type: ignore[attr-defined]
    assert own - {"domains"} <= explained(model).keys()
    assert all(words and not words.startswith(" ") for words in explained(model).values())
