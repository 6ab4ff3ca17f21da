"""The page on writing guides says what is so: its example loads and scores as written."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

from pgcharter import charter, guides
from pgcharter.findings import Severity
from pgcharter.guides.model import Clause

PAGE = (Path(__file__).parents[2] / "docs" / "guides.md").read_text(encoding="utf-8")


def test_the_example_loads(tmp_path: Path) -> None:
    for text, name in re.findall(r"```toml\n(# (\S+\.toml)\n.*?)```", PAGE, re.DOTALL):
        (tmp_path / name).write_text(text, encoding="utf-8")
    made = charter.read(tmp_path / "pgcharter.toml")
    guide = guides.of(made)
    assert (guide.id, guide.options.table_number, guide.severity("KEY01", Severity.INFO)) == ("acme", "plural", Severity.ERROR)
    assert [c.proof for c in guide.clauses if c.guide == "acme"] == ["rule", "drill"]


def test_the_example_of_own_sql_loads(tmp_path: Path) -> None:
    (clause,) = re.findall(r"```toml\n(\[\[clause\]\]\n.*?)```", PAGE, re.DOTALL)
    (tmp_path / "own.toml").write_text('id = "acme"\ntitle = "Acme"\n' + clause, encoding="utf-8")
    assert guides.load(str(tmp_path / "own.toml")).own == {"OWN-A7.1"}


def test_every_key_of_a_clause_is_described() -> None:
    described = re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE)
    wanted = {f.name for f in fields(Clause)} - {"guide"} | {"rule", "probe", "drill", "later", "document"}
    assert set(described) == wanted


def test_every_built_in_guide_is_named() -> None:
    assert all(f"`{name}`" in PAGE for name in guides.available())
