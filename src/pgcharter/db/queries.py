"""Named queries kept in `.sql` files beside the module that runs them.

A file holds blocks that begin with `-- name: tables`. What differs between PostgreSQL versions is written in place:
`{{since 17: d.datlocale since 15: d.daticulocale otherwise null}}` becomes the text of the newest version that the server has reached.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from importlib import resources

_NAME = re.compile(r"^-- name: *([a-z0-9_]+) *$", re.MULTILINE)
_CHOICE = re.compile(r"\{\{(since .*?) otherwise (.*?)\}\}", re.DOTALL)
_BRANCH = re.compile(r"\s*since (\d+): ")


@cache
def load(package: str, file: str) -> Mapping[str, str]:
    """Return the queries of `file` inside `package` by name, as written."""
    text = resources.files(package).joinpath(file).read_text(encoding="utf-8")
    pieces = _NAME.split(text)
    names = pieces[1::2]
    if len(set(names)) != len(names):
        raise AssertionError(f"{package}/{file} has two queries of one name")
    return {name: body.strip() for name, body in zip(names, pieces[2::2], strict=True)}


@cache
def query(package: str, file: str, name: str, major: int) -> str:
    """Return query `name` as it must be asked of a server of this major version."""

    def choose(match: re.Match[str]) -> str:
        pieces = _BRANCH.split(match[1])
        for since, text in zip(pieces[1::2], pieces[2::2], strict=True):
            if major >= int(since):
                return text
        return match[2]

    return _CHOICE.sub(choose, load(package, file)[name])
