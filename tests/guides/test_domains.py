"""Data domains in a guide or charter: read, told, and refused with the line."""

from __future__ import annotations

from pathlib import Path

import pytest

from pgcharter import guides
from pgcharter.errors import CharterError
from pgcharter.guides.domains import MECHANISMS, Domain
from pgcharter.guides.options import Options
from pgcharter.render.guides import changed_options

HEAD = 'id = "acme"\ntitle = "Acme"\n\n'


def options(tmp_path: Path, text: str) -> Options:
    file = tmp_path / "acme.toml"
    file.write_text(HEAD + text, encoding="utf-8")
    return guides.load(str(file)).options


def test_domains_are_read(tmp_path: Path) -> None:
    text = """
[[options.domains]]
name = "orders"
tables = ["app.orders", "order_*"]
consistency = "strong"
mechanism = "version"

[[options.domains]]
name = "search"
tables = ["documents"]
consistency = "eventual"
"""
    assert options(tmp_path, text).domains == (
        Domain("orders", ("app.orders", "order_*"), "strong", "version"),
        Domain("search", ("documents",), "eventual"),
    )


def test_domains_are_told_in_words(tmp_path: Path) -> None:
    file = tmp_path / "acme.toml"
    file.write_text(HEAD + '[[options.domains]]\nname = "orders"\ntables = ["a", "b"]\nconsistency = "strong"\n', encoding="utf-8")
    [domain] = changed_options(guides.load(str(file)))["domains"]  # type: ignore[misc]
    assert str(domain) == "orders (strong: a, b)"
    assert str(Domain("x", ("t",), "causal", "events")) == "x (causal by events: t)"


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ('name = "x"\ntables = ["t"]\nconsistency = "stong"', 7, 'key "consistency" must be "strong", "causal" or "eventual", not "stong"'),
        ('name = "x"\ntables = "t"\nconsistency = "strong"', 6, 'key "tables" must be a list, not "t"'),
        ('name = "x"\ntables = []\nconsistency = "strong"', 4, "a domain needs a name and at least one table"),
        ('name = "x"\nconsistency = "strong"', 4, 'number 1 of domains has no "tables", which it needs'),
        (
            'name = "x"\ntables = ["t"]\nconsistency = "strong"\nmechanism = "outbox"',
            4,
            'domain "x" cannot be strong by outbox: possible are transaction, version, serializable',
        ),
    ],
)
def test_what_is_wrong_in_a_domain_has_its_line(tmp_path: Path, text: str, line: int, message: str) -> None:
    with pytest.raises(CharterError) as error:
        options(tmp_path, "[[options.domains]]\n" + text + "\n")
    assert error.value.message == message
    assert error.value.place.endswith(f"acme.toml:{line}")


@pytest.mark.parametrize("level", MECHANISMS)
def test_every_mechanism_of_a_level_is_accepted(level: str) -> None:
    for mechanism in MECHANISMS[level]:
        assert Domain("x", ("t",), level, mechanism).mechanism == mechanism  # type: ignore[arg-type]
