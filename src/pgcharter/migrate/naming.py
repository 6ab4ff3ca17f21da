"""The next migration file of a folder: its version, its name and its first text, in the layout that the folder has."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pgcharter.errors import PgcharterError, UsageError
from pgcharter.migrate import layouts
from pgcharter.migrate.files import Folder
from pgcharter.migrate.model import Migration

NEW = "pgcharter"
"""Layout of the first file in an empty folder."""
PLAN = "sqitch.plan"
"""The one file that grows instead of being new."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What a new migration is to be."""

    name: str
    """What it does, in a few words: `add total to orders`."""
    layout: str = ""
    """Empty: that of the last file."""
    kind: str = "versioned"
    author: str = ""
    email: str = ""
    """For Sqitch, whose plans want one."""
    now: datetime | None = None


def slug(words: str) -> str:
    """Words as the name of a file: `Add total!` → `add_total`. Raises UsageError when nothing is left."""
    made = re.sub(r"[^\w]+", "_", words.strip().lower()).strip("_")
    if not made:
        raise UsageError(f"{words!r} gives no name for a file", hint="say what it does: pgcharter new add_total_to_orders")
    if len(made.encode()) > 200:
        raise UsageError("the name is too long for a file", hint="a few words are enough")
    return made


def next_files(folder: Folder, wish: Wish) -> dict[Path, str]:
    """The files to write, by path, with their texts; nothing is written.

    Raises UsageError when the name says nothing, or the layout cannot have such a migration.
    """
    now = wish.now or datetime.now(UTC)
    name, root = slug(wish.name), Path(folder.target).expanduser()
    last = next((m for m in reversed(folder.migrations) if m.version), folder.migrations[-1] if folder.migrations else None)
    layout = wish.layout or (last.layout if last else NEW)
    if layout == "sqitch":
        _refuse_plan(folder)
        return _sqitch(root, name, wish, now)
    head = _header(wish, now)
    if layout == "liquibase":
        author = wish.author.split()[0].lower() if wish.author else "me"
        stem = f"{next_version(folder.migrations, '', now)}_{name}"
        return {root / f"{stem}.sql": f"--liquibase formatted sql\n\n--changeset {author}:{name}\n--comment {wish.name}\n\n\n--rollback \n"}
    if wish.kind == "repeatable":
        return {root / f"R__{name}.sql": head + "CREATE OR REPLACE \n"}
    version = next_version(folder.migrations, layout, now)
    if layout == "flyway":
        return {root / f"V{version}__{name}.sql": head}
    if layout == "up-down":
        return _pair(root, last, version, name, head)
    return {root / f"{version}_{name}.sql": _body(layout, head, wish.kind, last)}


def path_for(folder: Folder, words: str, now: datetime | None = None) -> Path:
    """Where a file with pgcharter's own marks goes: named like its neighbours, so that it is the next one.

    Raises UsageError in a folder of Sqitch's, whose plan would not know it.
    """
    if any(m.layout == "sqitch" for m in folder.migrations):
        hint = "pgcharter new <name> makes the three scripts and the line of the plan"
        raise UsageError(f"{folder.target} is a folder of Sqitch's, in which no single file is a migration", hint=hint)
    last = next((m for m in reversed(folder.migrations) if m.version), None)
    flyway = last is not None and last.path is not None and last.path.name.upper().startswith("V")
    version = next_version(folder.migrations, "flyway" if flyway else "", now or datetime.now(UTC))
    return Path(folder.target).expanduser() / (f"V{version}__{slug(words)}.sql" if flyway else f"{version}_{slug(words)}.sql")


def write(files: Mapping[Path, str]) -> None:
    """Write new files and their folders.

    Raises PgcharterError when one is there already, or cannot be written whole: then nothing is left of any, for half a file would be run.
    """
    for path in files:
        if path.exists() and path.name != PLAN:
            raise PgcharterError(f"{path} is there already, and nothing is ever overwritten", hint="choose another name")
    made: list[Path] = []
    for path, text in files.items():
        whole = path.with_name(f".{path.name}.part") if path.name == PLAN else path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with whole.open("w" if whole is not path else "x", encoding="utf-8", newline="\n") as file:
                made.append(whole)
                file.write(text)
            whole.replace(path)
        except OSError as error:
            for one in made:
                one.unlink(missing_ok=True)
            raise PgcharterError(f"{path} cannot be written, so nothing was: {error.strerror}") from None


def next_version(made: Sequence[Migration], layout: str, now: datetime) -> str:
    """The version after the last one, written like it: a time, a day, or a number with as many digits."""
    versions = [m.version for m in made if layouts.numbers(m.version)]
    last = max(versions, key=layouts.numbers, default="")
    style = _style(last, layout)
    if style == "day":
        return max(f"{now:%Y%m%d}", last)
    if style == "number":
        return _incremented(last) if last else "1" if layout == "flyway" else "001"
    separator = re.sub(r"\d", "", last)[:1] if re.fullmatch(r"\d{8}[_-]\d{6}", last) else ""
    version = f"{now:%Y%m%d}{separator}{now:%H%M%S}"
    return version if layouts.numbers(version) > layouts.numbers(last) or len(layouts.numbers(last)) > 2 else _incremented(last)


def _style(last: str, layout: str) -> str:
    digits = re.sub(r"\D", "", last)
    if not last:
        return {"number": "number", "flyway": "number", "date": "day"}.get(layout, "time")
    return "time" if len(digits) >= 12 and "." not in last else "day" if layouts.is_day(last) and "-" not in last else "number"


def _incremented(version: str) -> str:
    """The same with its last number one higher, padded alike: `1_2` → `1_3`, `009` → `010`."""
    head, number = re.fullmatch(r"(.*?)(\d+)", version, re.DOTALL).groups()  # type: ignore[union-attr]
    return f"{head}{int(number) + 1:0{len(number)}}"


def _header(wish: Wish, now: datetime) -> str:
    lines = [("Description", " ".join(wish.name.replace("_", " ").split())), ("Author", wish.author), ("Date", f"{now:%Y-%m-%d}")]
    return "".join(f"-- {word}: {value}\n" for word, value in lines if value) + "\n"


_MARKS = {
    "pgcharter": ("-- pgcharter: up", "-- pgcharter: down"),
    "dbmate": ("-- migrate:up", "-- migrate:down"),
    "goose": ("-- +goose Up", "-- +goose Down"),
    "sql-migrate": ("-- +migrate Up", "-- +migrate Down"),
}


def _body(layout: str, head: str, kind: str, last: Migration | None) -> str:
    if kind == "data" and layout != "pgcharter":
        raise UsageError(
            f"files in the layout {layout} cannot say that they change rows only", hint="pgcharter new --layout pgcharter --data …"
        )
    marks = _MARKS.get(layout)
    if marks is None:
        named = last is not None and re.search(r"^-- Down Migration", last.text, re.MULTILINE | re.IGNORECASE)
        marks = ("-- Up Migration", "-- Down Migration") if named else ("", "")
    data = "-- pgcharter: data\n" if kind == "data" else ""
    return head + data + "\n\n\n".join(marks).strip("\n") + ("\n\n" if marks[0] else "\n")


def _pair(root: Path, last: Migration | None, version: str, name: str, head: str) -> dict[Path, str]:
    """Two files, named and placed like the last two."""
    path = last.path if last else None
    if path is not None and path.stem.lower() == "up":
        folder = root / f"{version}_{name}"
        return {folder / f"up{path.suffix}": head, folder / f"down{path.suffix}": ""}
    if path is not None and path.parent.name.lower() in ("up", "deploy"):
        return {path.parent / f"{version}_{name}.sql": head, path.parent.parent / "down" / f"{version}_{name}.sql": ""}
    mark = "_" if path is not None and path.stem.endswith("_up") else "."
    return {root / f"{version}_{name}{mark}up.sql": head, root / f"{version}_{name}{mark}down.sql": ""}


def _refuse_plan(folder: Folder) -> None:
    """Raise UsageError where a plan of Sqitch's would be the first: it alone would say what is run, and the files there no more."""
    others = [m.file for m in folder.migrations if m.layout != "sqitch"]
    if others:
        raise UsageError(
            f"{folder.target} holds {others[-1]}, which would not be run any more beside a plan of Sqitch's",
            hint="choose another --folder, or leave --layout out",
        )


def _sqitch(root: Path, name: str, wish: Wish, now: datetime) -> dict[Path, str]:
    plan = root / PLAN
    before = plan.read_text("utf-8") if plan.is_file() else "%syntax-version=1.0.0\n%project=" + root.resolve().name + "\n\n"
    line = f"{name} {now:%Y-%m-%dT%H:%M:%SZ} {wish.author or 'nobody'} <{wish.email or 'nobody@example.invalid'}> # {wish.name}\n"
    texts = {"deploy": "BEGIN;\n\n\nCOMMIT;\n", "revert": "BEGIN;\n\n\nCOMMIT;\n", "verify": "BEGIN;\n\n\nROLLBACK;\n"}
    made = {root / kind / f"{name}.sql": f"-- {kind.capitalize()} {name}\n\n{text}" for kind, text in texts.items()}
    return {**made, plan: (before if before.endswith("\n") else before + "\n") + line}
