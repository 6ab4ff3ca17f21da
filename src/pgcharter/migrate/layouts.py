"""What the names and heads of migration files say: version, name, layout, kind, header. Nothing here parses SQL."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from pathlib import PurePath

from pgcharter.migrate.model import Kind
from pgcharter.plan import grounds
from pgcharter.sources.layout import FLYWAY
from pgcharter.sqltext.split import skip_space

_NUMBERED = re.compile(r"(?P<version>\d{4}-\d\d-\d\d(?:-\d+)?|\d{8}[_-]\d{6}|\d+(?:\.\d+)*)(?:[_\-. ]+(?P<name>.*))?\Z", re.DOTALL)
_SIDE = re.compile(r"(?:^|[._-])(?P<side>up|down|undo|rollback|revert)\Z", re.IGNORECASE)
_HEADER = re.compile(
    r"^[\s\-/*#]*(?P<word>description|migration|author|created by|date|created(?: at| on)?)"
    r"[ \t]*:[ \t]*(?P<value>\S.*?)[ \t]*(?:\*/)?[ \t]*\r?$",
    re.IGNORECASE | re.MULTILINE,
)
_GROUND = re.compile(rf"^-- {grounds.MARK}: (\{{.*\}})[ \t]*\r?$", re.MULTILINE)
_DIGITS, _NUMBER = re.compile(r"[\d._\- ]+"), re.compile(r"\d+")
_TOOL = re.compile(
    r"^[ \t]*--[ \t]*(?:(?P<goose>\+goose\b)|(?P<sql_migrate>\+migrate\b)|(?P<dbmate>migrate:(?:up|down)\b)"
    r"|(?P<liquibase>liquibase[ \t]+formatted[ \t]+sql\b)|(?P<pgcharter>pgcharter:[ \t]*(?:up|down|one-way|data|batched|gate)\b))",
    re.IGNORECASE | re.MULTILINE,
)
_DATA = re.compile(r"^[ \t]*--[ \t]*pgcharter:[ \t]*data\b", re.IGNORECASE | re.MULTILINE)
FLYWAY_CALLBACK = re.compile(r"(?:before|after)[A-Z]|B[0-9]")
"""Files of a Flyway folder that are no versioned or repeatable migrations: callbacks and baselines."""


@dataclass(frozen=True, slots=True)
class Named:
    """What the name of a file says."""

    version: str
    """As written; empty for a repeatable one."""
    name: str
    layout: str
    kind: Kind = "versioned"


def named(path: PurePath) -> Named | None:
    """What the name of a file says (its folder's, where the file itself is only called `up.sql`); None when there is no version in it."""
    stem = path.stem
    flyway = FLYWAY.fullmatch(stem)
    if flyway and flyway["kind"].upper() == "R" and not flyway["version"]:
        return Named("", flyway["name"], "flyway", "repeatable")
    if flyway and flyway["version"] and flyway["kind"].upper() in "VU":
        return Named(flyway["version"], flyway["name"], "flyway")
    side = _SIDE.search(stem)
    bare = stem[: side.start()] if side and (stem[side.start()] == "." or not side.start()) else stem
    if not bare and path.parent.name:
        bare = path.parent.name
    found = _NUMBERED.match(bare)
    return Named(found["version"], found["name"] or "", _by_digits(found["version"])) if found else None


def without_side(name: str) -> str:
    """A migration's name without a last `_down`, which tells the way of a file and not what it does."""
    return _SIDE.sub("", name)


def sounds_down(stem: str) -> bool:
    """Whether a name ends in a word like `_down`, which may as well be part of what the file does (`004_tear_down`)."""
    side = _SIDE.search(stem)
    return bool(side and side[0][0] in "_-")


def _by_digits(version: str) -> str:
    digits = re.sub(r"\D", "", version)
    if len(digits) >= 12 and "." not in version:
        return "timestamp"
    return "date" if is_day(version) else "number"


def is_day(version: str) -> bool:
    """Whether a version is no more than a day (20261121), which several migrations may share."""
    digits = version.replace("-", "")
    if len(digits) != 8 or not digits.isdigit() or not "1970" < digits[:4] < "2200":
        return False
    try:
        date(int(digits[:4]), int(digits[4:6]), int(digits[6:]))
    except ValueError:
        return False
    return True


@lru_cache(maxsize=16384)
def numbers(version: str) -> tuple[int, ...]:
    """The numbers of a version, by which versions are ordered: (1, 2) for `1_2` and `1.02`; empty when it is a word."""
    return tuple(map(int, _NUMBER.findall(version))) if _DIGITS.fullmatch(version) else ()


@lru_cache(maxsize=16384)
def identity(version: str, name: str) -> tuple[str, ...]:
    """What makes two files or rows of the ledger the same migration: the version, and the name where that is not enough."""
    if not version:
        return ("", name)
    found = numbers(version)
    if not found or is_day(version):
        return (version, name)
    return (".".join(map(str, found)),)


def by_text(text: str) -> str:
    """The tool whose marks a text has; empty when it has none."""
    found = _TOOL.search(text)
    return found.lastgroup.replace("_", "-") if found and found.lastgroup else ""


def says_data(text: str) -> bool:
    """Whether a file of pgcharter's own layout says that it changes rows only."""
    return _DATA.search(text) is not None


def header(text: str) -> dict[str, str]:
    """`description`, `author` and `date` as the comments above the first statement give them."""
    found: dict[str, str] = {}
    for match in _HEADER.finditer(text[: min(skip_space(text, 0), 8000)]):
        word = match["word"].lower()
        key = "description" if word in ("description", "migration") else "author" if word in ("author", "created by") else "date"
        if key not in found or word == "description":
            found[key] = match["value"][:1000]
    return found


def ground(text: str) -> str:
    """What the header of a plan says of the database that it was made for (`plan.grounds`); empty for a file that nobody planned."""
    found = _GROUND.search(text, 0, skip_space(text, 0))
    return found[1] if found else ""
