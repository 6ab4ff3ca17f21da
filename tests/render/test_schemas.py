"""The published JSON Schemas: valid themselves, held by every document, and complete: a field that is not described fails."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator, ValidationError

from pgcharter.cli import failures
from pgcharter.errors import UsageError
from pgcharter.render.schemas import schema_names, schema_text

CASES = Path(__file__).parent / "cases"


def schema(name: str, *, strict: bool = False) -> Any:
    """The schema; `strict` allows no field that it does not describe."""
    data = json.loads(schema_text(name))
    if not strict:
        return data
    parts = data.pop("$defs", {})
    open_finding = {"open_finding": parts["finding"]} if parts else {}
    shut = {**closed(data), "$defs": {**closed(parts), **open_finding}}
    return json.loads(json.dumps(shut).replace('"allOf": [{"$ref": "#/$defs/finding"}', '"allOf": [{"$ref": "#/$defs/open_finding"}'))


def closed(node: Any) -> Any:
    if isinstance(node, list):
        return [closed(n) for n in node]
    if not isinstance(node, dict):
        return node
    if "allOf" in node:  # its parts describe the object together
        return {**node, "unevaluatedProperties": False}
    made = {key: closed(value) for key, value in node.items()}
    return {**made, "additionalProperties": False} if "properties" in made and "additionalProperties" not in made else made


def check(data: Any, *, strict: bool = True) -> None:
    Draft202012Validator(schema(data["format"], strict=strict)).validate(data)


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    def call(*arguments: str | Path) -> Any:
        capsys.readouterr()
        failures.run([*map(str, arguments), "--format", "json"])
        return json.loads(capsys.readouterr().out)

    return call


@pytest.mark.parametrize("name", schema_names())
def test_the_schema_is_one(name: str) -> None:
    Draft202012Validator.check_schema(schema(name))
    assert schema(name)["properties"]["format"] == {"const": name}


@pytest.mark.parametrize("case", sorted(CASES.glob("*/out.json")), ids=lambda file: file.parent.name)
def test_recorded_verdicts(case: Path) -> None:
    check(json.loads(case.read_text(encoding="utf-8")), strict=False)


def test_a_verdict_with_everything(said: Callable[..., Any], tmp_path: Path) -> None:
    file = tmp_path / "a.sql"
    file.write_text(
        "CREATE TABLE a (x text);\n-- pgcharter: allow KEY01 because it is a log\nCREATE TABLE b (y text);\n"
        "CREATE TABLE c (z real);\nselct 1;\n"
    )
    (tmp_path / "pgcharter.toml").write_text(
        'guide = "cloudlab"\n[[waiver]]\nrule = "KEY01"\nobject = "public.c"\nreason = "soon gone"\nowner = "me"\n'
        '[[waiver]]\nrule = "KEY01"\nobject = "public.none"\nreason = "gone"\nowner = "me"\n'
    )
    data = said("check", file, "--score")
    check(data)
    target = data["targets"][0]
    assert target["findings"]
    assert target["suppressed"]
    assert target["waived"]
    assert target["score"]["clauses"]


@pytest.mark.parametrize(
    "words",
    [("rules", "list"), ("explain", "KEY01"), ("guides", "list"), ("guides", "show", "cloudlab"), ("check", "nowhere.sql")],
    ids=" ".join,
)
def test_other_documents(said: Callable[..., Any], words: tuple[str, ...]) -> None:
    check(said(*words))


def test_a_field_that_is_not_described_is_noticed(said: Callable[..., Any]) -> None:
    data = said("check", "nowhere.sql")
    with pytest.raises(ValidationError, match="surprise"):
        check({**data, "surprise": 1})
    check({**data, "surprise": 1}, strict=False)


def test_an_error_that_ends_in_a_password_is_still_json(capsys: pytest.CaptureFixture[str]) -> None:
    failures._tell(UsageError("no such thing: password=hunter2"), ["--format", "json"])
    data = json.loads(capsys.readouterr().out)
    check(data)
    assert data["message"] == "no such thing: password=***"


def test_it_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert failures.run(["check", "--schema"]) == 0
    assert json.loads(capsys.readouterr().out)["$id"] == "urn:pgcharter:schema:pgcharter-check:1"
