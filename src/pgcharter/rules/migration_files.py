"""Files of migrations by their names and marks: whose layout they follow, who wraps them in a transaction, what is only seeds."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePath

_VERSIONED = re.compile(r"(?:[VUBR]\d[0-9._]*__|R__|\d{3,}(?:[._-]|\Z)|\d{4}-\d\d-\d\d)")


def _mark(words: str) -> re.Pattern[str]:
    return re.compile(r"^[ \t]*--[ \t]*" + words, re.MULTILINE | re.IGNORECASE)


_TOOLS = (
    ("dbmate", _mark(r"migrate:up\b"), _mark(r"migrate:up\b[^\n]*transaction:false")),
    ("goose", _mark(r"\+goose\b"), _mark(r"\+goose[ \t]+NO[ \t]+TRANSACTION")),
    ("sql-migrate", _mark(r"\+migrate[ \t]+Up"), _mark(r"\+migrate[ \t]+Up[ \t]+notransaction")),
    ("liquibase", _mark(r"liquibase[ \t]+formatted[ \t]+sql"), re.compile(r"(?!)")),
    ("drizzle", re.compile(r"--> statement-breakpoint"), re.compile(r"(?!)")),
    ("pgcharter", _mark(r"pgcharter:[ \t]*(?:up|down|one-way|data|batched|gate)\b"), re.compile("")),
)
"""Tools by the marks in their files, with the mark by which a file asks to be run outside a transaction. pgcharter itself runs what
PostgreSQL refuses in a transaction outside of one."""
SENT_WHOLE = "the tool, which sends the statements of a file in one message"
"""Who opens the transaction where nobody says BEGIN: golang-migrate, sqlx, Prisma."""
_WHOLE = re.compile(r"(?:\.(?:up|down)\.sql|(?:^|/)migration\.sql)\Z")
_ALONE = _mark(r"(?:morph:nontransactional|no-transaction)\b")
"""Marks of Mattermost's morph and of sqlx."""
_SUPABASE = re.compile(r"(?:^|/)supabase/migrations/[^/]+\Z")
"""Its command line sends the statements of a file together, which makes them one transaction; from 2.109 without those that refuse one."""
_SQITCH = re.compile(r"^-- Deploy \S+:\S+ to pg\b", re.MULTILINE)
_SEEDS = frozenset({"seed", "seeds", "seeding", "fixture", "fixtures", "testdata", "sampledata"})
_ONE_WAY = re.compile(
    r"--[^\n]*\b(?:one[- ]way|irreversible|not reversible|no way back|cannot be (?:undone|reverted|rolled back)|forward[- ]only|no down)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class File:
    """A file of the target, as far as its name and marks tell."""

    name: str
    tool: str = ""
    """Whose marks it has: dbmate, goose, sql-migrate, liquibase, pgcharter; flyway by its name; empty when none are known."""
    wraps: bool = False
    """Whether the tool runs the whole file in one transaction."""
    wraps_back: bool = False
    """The same of its way back."""
    sent_whole: bool = False
    """Whether its tool sends the file as one message: then its statements share a transaction without a BEGIN."""
    unwrapped: bool = False
    """Whether a file beside it asks its tool not to open a transaction."""
    versioned: bool = False
    one_way: bool = False
    """A comment says that there is no way back."""
    text: str = field(default="", repr=False)


def is_seed(name: str) -> bool:
    """Whether a file fills a fresh database, by the name of its folder or its own: nobody uses that database yet."""
    path = PurePath(name)
    first = next(filter(None, re.split(r"[\W\d_]+", path.stem.lower())), "")
    return first in _SEEDS or any(part.lower() in _SEEDS for part in path.parts[:-1])


_NO_TRANSACTION = re.compile(r"^\s*(?:executeInTransaction\s*=\s*false|run_in_transaction\s*=\s*false)", re.MULTILINE)
_IN_TRANSACTION = re.compile(r"^\s*executeInTransaction\s*=\s*true", re.MULTILINE)
_ALONE_BACK = {"dbmate": _mark(r"migrate:down\b[^\n]*transaction:false"), "sql-migrate": _mark(r"\+migrate[ \t]+Down[ \t]+notransaction")}
_FOLDERS = ((re.compile(r"\d{4}-\d\d-\d\d-\d{6}"), "diesel"), (re.compile(r"\d{13}_"), "hasura"))
"""Tools with a folder a migration, by how that is named."""


def companions(name: str) -> tuple[str, str]:
    """Files that may stand beside a migration and say how its tool runs it: Flyway's and Diesel's."""
    return f"{name}.conf", (PurePath(name).parent / "metadata.toml").as_posix()


def beside(texts: Mapping[str, str], name: str) -> str:
    """What such files say."""
    return "\n".join(texts[other] for other in companions(name) if other in texts)


def file_of(name: str, text: str, source: str, told: str = "") -> File:
    """What the name and the marks of a file tell, and what is `told` by files beside it."""
    path = PurePath(name)
    versioned = any(_VERSIONED.match(part) for part in (path.name, path.parent.name)) or _SQITCH.search(text) is not None
    if source == "alembic":
        return File(name, "alembic", versioned=True, text=text)
    one_way = _ONE_WAY.search(text) is not None
    for tool, mark, alone in _TOOLS:
        if mark.search(text):
            wraps = not alone.search(text)
            back = tool not in ("pgcharter", "liquibase") and not _ALONE_BACK.get(tool, alone).search(text)
            return File(name, tool, wraps=wraps, wraps_back=back, versioned=True, one_way=one_way, text=text)
    if _SUPABASE.search(name):
        return File(name, "supabase", wraps=True, versioned=versioned, one_way=one_way, text=text)
    unwrapped = _NO_TRANSACTION.search(told) is not None
    if path.name in ("up.sql", "down.sql"):
        tool = next((tool for form, tool in _FOLDERS if form.match(path.parent.name)), "")
        wraps = bool(tool) and not unwrapped
        return File(name, tool, wraps=wraps, wraps_back=wraps, unwrapped=unwrapped, versioned=versioned, one_way=one_way, text=text)
    whole = _WHOLE.search(name) is not None and not _ALONE.search(text)
    flyway = re.match(r"[VUB]\d[0-9._]*__|R__", path.name) is not None
    wraps = flyway and _IN_TRANSACTION.search(told) is not None
    return File(
        name, "flyway" * flyway, wraps=wraps, unwrapped=unwrapped, sent_whole=whole, versioned=versioned, one_way=one_way, text=text
    )  # fmt: skip
