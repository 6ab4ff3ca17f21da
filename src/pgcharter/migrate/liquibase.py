"""Liquibase's formatted SQL: the changesets of a file, and what their comment lines say."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from pgcharter.errors import PgcharterError

_CHANGESET = re.compile(r"^[ \t]*--[ \t]*changeset[ \t]+(?P<rest>[^\r\n]*)", re.IGNORECASE | re.MULTILINE)
_WHO = re.compile(r"(?P<author>\"[^\"]*\"|[^:\s]+):(?P<id>\"[^\"]*\"|\S+)(?P<rest>.*)\Z", re.DOTALL)
_ATTRIBUTE = re.compile(r"(?P<name>\w+):(?P<value>\"[^\"]*\"|'[^']*'|\S+)")
_LINE = re.compile(r"^[ \t]*--[ \t]*(?P<word>rollback|comment|property)\b[ \t:]*(?P<rest>[^\r\n]*)", re.IGNORECASE | re.MULTILINE)
_CONDITION = re.compile(r"^[ \t]*--[ \t]*(?P<word>preconditions?|precondition-[\w-]+|ignoreLines)\b", re.IGNORECASE | re.MULTILINE)
_EMPTY = {"", "empty", "not required"}
_IGNORED = {"context", "contextfilter", "labels", "splitstatements", "stripcomments", "logicalfilepath", "failonerror", "enddelimiter",
            "ignore", "objectquotingstrategy", "created", "rollbackenddelimiter", "rollbacksplitstatements"}  # fmt: skip
_EVERYBODY = {"failonerror": "true", "ignore": "false", "enddelimiter": ";", "rollbackenddelimiter": ";"}
"""Attributes whose other values would change what runs."""


@dataclass(frozen=True, slots=True)
class Changeset:
    """One changeset of a file."""

    author: str
    id: str
    line: int
    """Line of its mark, from 1."""
    text: str
    """From its mark to the next one."""
    attributes: dict[str, str] = field(default_factory=dict)
    """By name in lower case."""

    def says(self, name: str, default: bool) -> bool:
        """The truth value of an attribute."""
        return self.attributes.get(name, str(default)).lower() == "true"

    @property
    def comment(self) -> str:
        """What `--comment` says."""
        return " ".join(rest for word, rest in lines(self.text) if word == "comment")


def changesets(text: str, file: str) -> list[Changeset]:
    """The changesets of a formatted SQL file; those for other databases are left out.

    Raises PgcharterError for a changeset without author and id, and for attributes that would change what runs.
    """
    marks = list(_CHANGESET.finditer(text))
    ends = [m.start() for m in marks[1:]] + [len(text)]
    found = [_changeset(m, text[m.start() : end], text.count("\n", 0, m.start()) + 1, file) for m, end in zip(marks, ends, strict=True)]
    return [c for c in found if {"postgresql", "all"} & {w.strip() for w in c.attributes.get("dbms", "all").lower().split(",")}]


def _changeset(mark: re.Match[str], text: str, line: int, file: str) -> Changeset:
    who = _WHO.match(mark["rest"])
    if who is None:
        hint = "write it as `--changeset author:id`"
        raise PgcharterError("the changeset has no author and id, so it cannot be recorded", place=f"{file}:{line}", hint=hint)
    if condition := _CONDITION.search(text):
        raise _beyond(f"changeset {who['id']} has {condition['word']}", f"{file}:{line + text.count(chr(10), 0, condition.start())}")
    attributes = {m["name"].lower(): m["value"].strip("\"'") for m in _ATTRIBUTE.finditer(who["rest"])}
    for name, value in attributes.items():
        unknown = name not in _IGNORED and name not in ("dbms", "runintransaction", "runonchange")
        if unknown or value.lower() != _EVERYBODY.get(name, value.lower()):
            raise _beyond(f"changeset {who['id']} says {name}:{value}", f"{file}:{line}")
    return Changeset(who["author"].strip('"'), who["id"].strip('"'), line, text, attributes)


def _beyond(what: str, place: str) -> PgcharterError:
    message = f"{what}, which pgcharter cannot do, so nothing was run"
    return PgcharterError(message, place=place, hint="take it out, or keep applying this file with Liquibase")


def lines(text: str) -> list[tuple[str, str]]:
    """The comment lines of a changeset that mean something to Liquibase: word and the rest."""
    return [(m["word"].lower(), m["rest"].strip()) for m in _LINE.finditer(text)]


def rollback(text: str) -> str | None:
    """The SQL that takes a changeset back, on the lines it stands on; None when there is none, empty when nothing needs to be done."""
    said = [m for m in _LINE.finditer(text) if m["word"].lower() == "rollback"]
    if not said:
        return None
    if all(m["rest"].strip().lower() in _EMPTY for m in said):
        return ""
    by_line = {text.count("\n", 0, m.start()): m["rest"] for m in said}
    return "\n".join(by_line.get(n, "") for n in range(max(by_line) + 1))


def properties(text: str) -> dict[str, str]:
    """Values of placeholders that the file gives: `--property name:schema value:app`."""
    found = [{m["name"].lower(): m["value"].strip("\"'") for m in _ATTRIBUTE.finditer(rest.replace("=", ":"))}
             for word, rest in lines(text) if word == "property"]  # fmt: skip
    return {p["name"]: p["value"] for p in found if "name" in p and "value" in p}
