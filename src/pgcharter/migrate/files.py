"""The migrations of a folder in the order in which they are applied, whatever layout its files follow. SQL is parsed in `units`."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path, PurePath

from pgcharter.errors import UsageError
from pgcharter.migrate import layouts, liquibase
from pgcharter.migrate.model import Migration
from pgcharter.migrate.settings import MigrateSection
from pgcharter.paths import pattern
from pgcharter.sources.layout import Change, SqlFile, files_in, natural, sqitch_plan
from pgcharter.sources.text import read_text

FOLDERS = ("migrations", "db/migrations", "sql/migrations", "database/migrations")
"""Where migrations are looked for when nobody says."""


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder of migrations."""

    target: str
    """As the user named it."""
    migrations: tuple[Migration, ...] = ()
    """In the order in which they are applied, without units; repeatable ones last."""
    gaps: tuple[str, ...] = ()
    """Numbers that are missing between two files, as sentences."""
    notes: tuple[str, ...] = ()
    """Files that are no migrations, as sentences."""


def read(target: str, section: MigrateSection | None = None) -> Folder:
    """The migrations in the folder `target`; none in an empty one.

    Raises UsageError when there is no such folder, two files have one version, a file has none or is not text, or a down file has no up.
    """
    root, settings = Path(target).expanduser(), section or MigrateSection()
    if not root.is_dir():
        what = "is a file, not a folder" if root.exists() else "does not exist"
        raise UsageError(f"the folder of migrations {target} {what}", hint="pgcharter new <name> makes the first migration and its folder")
    found = [f for f in files_in(root, target) if not _ignored(f.path.relative_to(root), settings.ignore)]
    plan = sqitch_plan(root)
    if plan:
        return Folder(target, tuple(_sqitch(root, plan, found)))
    made, notes = _numbered(root, found)
    made.sort(key=_order)
    _refuse_twins(made)
    return Folder(target, tuple(made), tuple(_gaps(made)), tuple(notes))


def _ignored(path: PurePath, globs: Iterable[str]) -> bool:
    return any(pattern(glob).match(path.as_posix()) or pattern(glob).match(path.name) for glob in globs)


def checksum(text: str) -> str:
    """SHA-256 of a text, the same whatever its line ends are."""
    return hashlib.sha256(text.replace("\r\n", "\n").encode()).hexdigest()


def _order(m: Migration) -> tuple[object, ...]:
    return (not m.version, layouts.numbers(m.version), natural(m.name if m.version or m.layout == "liquibase" else m.file), m.line)


def _numbered(root: Path, found: Sequence[SqlFile]) -> tuple[list[Migration], list[str]]:
    """Migrations of files that carry their version in their name, or their changesets in their text; and what was passed over."""
    made: list[Migration] = []
    backs: list[tuple[SqlFile, Migration]] = []
    notes: list[str] = []
    for file in found:
        if file.direction == "verify":
            continue
        text = read_text(file.path, file.name)
        migrations = list(_of(file, file.path.relative_to(root), text))
        if not migrations:
            notes.append(_without_version(file))
        elif file.direction == "down" and migrations[0].layout != "liquibase":
            backs.append((file, migrations[0]))
        else:
            made += migrations
    return _paired(made, backs), notes


def _of(file: SqlFile, path: PurePath, text: str) -> Iterator[Migration]:
    """The migrations of one file; none when nothing in it is a version."""
    tool = layouts.by_text(text)
    if tool == "liquibase":
        yield from _changesets(file, path, text)
        return
    named = layouts.named(path)
    if named is None:
        return
    head = layouts.header(text)
    data = tool == "pgcharter" and layouts.says_data(text)
    kind = "data" if data and named.kind == "versioned" else named.kind
    layout = tool or named.layout
    yield Migration(
        named.version, named.name, kind, layout, file.path, file.name, checksum(text), text,
        description=head.get("description", ""), author=head.get("author", ""), date=head.get("date", ""),
    )  # fmt: skip


def _changesets(file: SqlFile, path: PurePath, text: str) -> Iterator[Migration]:
    """A migration for each changeset; one that runs when it changes is repeatable."""
    name = path.with_suffix("").as_posix()
    for c in liquibase.changesets(text, file.name):
        once = Migration(f"{c.author}:{c.id}", name, layout="liquibase", path=file.path, file=file.name, line=c.line, author=c.author)
        whole = replace(once, checksum=checksum(c.text.strip()), text=c.text, description=c.comment)
        again = c.says("runonchange", False)
        yield replace(whole, version="", name=f"{name}:{once.version}", kind="repeatable") if again else whole


def _without_version(file: SqlFile) -> str:
    if layouts.FLYWAY_CALLBACK.match(file.path.name):
        return f"{file.name} is a callback or baseline of Flyway's, which is not run"
    raise UsageError(
        f"{file.name} has no version in its name, so nothing says when it is to be run",
        place=file.name,
        hint=f'give it one as its neighbours have, or leave it out: [migrate] ignore = ["{file.path.name}"] in pgcharter.toml',
    )


def _paired(made: list[Migration], backs: Sequence[tuple[SqlFile, Migration]]) -> list[Migration]:
    """Migrations with the files that take them back; a file that only sounds like one (004_tear_down.sql) is a migration."""
    place = {layouts.identity(m.version, layouts.without_side(m.name)): number for number, m in enumerate(made)}
    by_version = {layouts.identity(m.version, ""): number for number, m in enumerate(made)}
    taken: dict[int, SqlFile] = {}
    for file, back in backs:
        bare = layouts.identity(back.version, layouts.without_side(back.name))
        number = place.get(bare, by_version.get(layouts.identity(back.version, "")) if len(bare) == 1 else None)
        sounds = layouts.sounds_down(file.path.stem)
        if sounds and (number is None or layouts.without_side(made[number].name) != layouts.without_side(back.name)):
            made.append(back)
            continue
        if number is None:
            raise UsageError(f"{file.name} takes version {back.version} back, which no file makes", place=file.name,
                             hint="add the file that goes forward, or delete this one")  # fmt: skip
        if number in taken:
            raise UsageError(f"{taken[number].name} and {file.name} both take version {back.version} back", place=file.name,
                             hint="delete one of them")  # fmt: skip
        taken[number] = file
        one = made[number]
        layout = "up-down" if one.layout in ("timestamp", "date", "number") else one.layout
        made[number] = replace(one, down_file=file.name, down_text=back.text, layout=layout)
    return made


def _refuse_twins(made: Sequence[Migration]) -> None:
    seen: dict[tuple[str, ...], Migration] = {}
    for m in made:
        other = seen.setdefault(layouts.identity(m.version, m.name), m)
        if other is not m:
            what = f"version {m.version}" if m.version else f"the name {m.name}"
            raise UsageError(
                f"{other.file} and {m.file} both have {what}, so nothing says which of them is meant",
                place=m.file,
                hint="give the younger one the next version; or leave files that are no migrations out: [migrate] ignore in pgcharter.toml",
            )


def _gaps(made: Sequence[Migration]) -> Iterator[str]:
    """Numbers that are missing where files are numbered one by one; where most steps are larger than one, nothing is."""
    plain = [m for m in made if m.version.isdigit() and len(m.version) < 8]
    steps = [(a, b, int(b.version) - int(a.version)) for a, b in pairwise(plain)]
    if sum(step == 1 for *_, step in steps) * 2 < len(steps):
        return
    for a, b, step in steps:
        if step > 1:
            missing = f"{int(a.version) + 1:0{len(a.version)}}"
            yield f"between {a.file} and {b.file} there is no {missing}" + (
                f" to {int(b.version) - 1:0{len(a.version)}}" if step > 2 else ""
            )


def _sqitch(root: Path, plan: Sequence[Change], found: Sequence[SqlFile]) -> Iterator[Migration]:
    files = {f.path.relative_to(root).with_suffix("").as_posix(): f for f in found}
    for change in plan:
        deploy, revert = files.get(f"deploy/{change.name}"), files.get(f"revert/{change.name}")
        if deploy is None:
            raise UsageError(f"the plan names {change.name}, and there is no deploy/{change.name}.sql", place=str(root / "sqitch.plan"),
                             hint="add the script, or take the line out of the plan")  # fmt: skip
        text = read_text(deploy.path, deploy.name)
        yield Migration(
            change.name, "", "versioned", "sqitch", deploy.path, deploy.name, checksum(text), text,
            down_file=revert.name if revert else "", down_text=read_text(revert.path, revert.name) if revert else "",
            description=change.note, author=change.planner, date=change.date,
        )  # fmt: skip
