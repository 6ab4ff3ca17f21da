"""The charter: finds and reads `pgcharter.toml`, and validates each section against the model its owner hands in.

A charter lives in `pgcharter.toml`, in `.pgcharter.toml`, or under `[tool.pgcharter]` in `pyproject.toml`; one of them a folder.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Generic, Literal, Protocol, TypeVar

from pgcharter.errors import CharterError
from pgcharter.paths import PathSetting, read_paths
from pgcharter.tomlfile import TomlFile, build, quoted, reject_unknown, remark, shown
from pgcharter.waivers import Waived, Waiver, WaiverProblem, waive

__all__ = [
    "CHECK", "Charter", "CheckSection", "Environment", "PathSetting", "Section", "Waived", "Waiver", "WaiverProblem",
    "dump_default", "find", "read", "waive",
]  # fmt: skip

T = TypeVar("T")
NAMES = ("pgcharter.toml", ".pgcharter.toml")
PYPROJECT = "pyproject.toml"
DEFAULT_GUIDE = "core"


@dataclass(frozen=True)
class Environment:
    """A database the project runs on."""

    name: str = field(default="", metadata={"in_file": False})
    dsn_env: str = ""
    """Name of the environment variable that holds the DSN."""
    dsn: str = ""
    """The DSN itself, only without a password."""
    production: bool = False
    """Commands that could hurt ask for a flag here."""


@dataclass(frozen=True)
class CheckSection:
    """`[check]`: what `pgcharter check` does when the command line does not say."""

    targets: tuple[str, ...] = ()
    """What to check: DSNs, files, folders, `module:attribute`."""
    fail_on: Literal["error", "warning", "info", "never"] = "warning"
    """Lowest severity that ends in exit code 1."""
    only: tuple[str, ...] = ()
    """Codes of the only rules to run."""
    skip: tuple[str, ...] = ()
    """Codes of rules not to run."""
    known: str = ""
    """File of known findings, which do not count; from the charter's folder."""


@dataclass(frozen=True)
class Section(Generic[T]):
    """A table of the charter: its name, and the dataclass (all fields with defaults) that says what may stand in it."""

    name: str
    model: type[T]


CHECK = Section("check", CheckSection)
_OWN_KEYS = ("guide", "options", "severity", "waiver", "path", "environments", CHECK.name)


@dataclass(frozen=True)
class Charter:
    """A project's charter. `Charter()` is that of a project without one."""

    guide: str = DEFAULT_GUIDE
    """Id of a built-in guide, or path of a TOML file."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """House options over the guide's, as written; `guides.effective` validates them."""
    severity: Mapping[str, Any] = field(default_factory=dict)
    """Code → word, as written; `guides.effective` validates them."""
    waivers: tuple[Waiver, ...] = ()
    paths: tuple[PathSetting, ...] = ()
    """What differs for some of the project's files."""
    environments: Mapping[str, Environment] = field(default_factory=dict)
    path: Path | None = None
    file: TomlFile | None = field(default=None, repr=False)
    root: tuple[str, ...] = ()
    """Where the charter begins in its file: `("tool", "pgcharter")` in pyproject.toml."""
    sections: Mapping[str, object] = field(default_factory=dict, repr=False)

    def section(self, wanted: Section[T]) -> T:
        """The values of one section; its defaults when the charter does not have it."""
        found = self.sections.get(wanted.name)
        return found if isinstance(found, wanted.model) else wanted.model()

    @property
    def check(self) -> CheckSection:
        """The `[check]` section."""
        return self.section(CHECK)

    @property
    def folder(self) -> Path:
        """The folder that relative paths in the charter start from."""
        return self.path.parent if self.path else Path()


def find(start: Path) -> Path | None:
    """Return the charter that holds for `start` (a file or folder): in its folder or above, up to the repository's root or the home folder.

    Raises CharterError when one folder has two.
    """
    here = start.resolve()
    folder = here if here.is_dir() else here.parent
    home = Path.home()
    for candidate in (folder, *folder.parents):
        found = [candidate / name for name in NAMES if (candidate / name).is_file()]
        if _in_pyproject(candidate / PYPROJECT):
            found.append(candidate / PYPROJECT)
        if len(found) > 1:
            names = " and ".join(p.name for p in found)
            raise CharterError(f"two charters in one folder: {names}", hint="keep one and move its sections together", place=str(candidate))
        if found:
            return found[0]
        if candidate == home or (candidate / ".git").exists():
            return None
    return None


def _in_pyproject(path: Path) -> bool:
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return re.search(r"^\s*\[\[?\s*tool\s*\.\s*pgcharter\b", text, re.MULTILINE) is not None


def read(path: Path, *, sections: Iterable[Section[Any]] = (), name: str = "", others: bool = False) -> Charter:
    """Read the charter at `path`; `sections` are those that packages add to the charter's own. `name` is the path as messages show it.

    With `others` it may have further sections, which are passed over.

    Raises CharterError with file and line for whatever is wrong in it.
    """
    file = TomlFile.read(path, name=name)
    root = ("tool", "pgcharter") if path.name == PYPROJECT else ()
    data: Any = file.data
    for step in root:
        data = data.get(step, {}) if isinstance(data, Mapping) else {}
    known = {s.name: s for s in (CHECK, *sections)}
    if not isinstance(data, Mapping):
        raise CharterError(f"[tool.pgcharter] must be a table, not {shown(data)}", place=file.place(*root))
    if not others:
        reject_unknown(file, data, (*_OWN_KEYS, *known), root, where="the charter")
    made = {n: build(file, data[n], s.model, (*root, n), where=f"[{n}]") for n, s in known.items() if n in data}
    for target in getattr(made.get(CHECK.name), "targets", ()):
        _refuse_password(target, "a target has a password in its DSN", "DATABASE_URL", file.place(*root, CHECK.name, "targets"))
    return Charter(
        guide=_guide(file, data, root, path.parent),
        options=_table(file, data, "options", root),
        severity=_table(file, data, "severity", root),
        waivers=_waivers(file, data, root),
        paths=read_paths(file, data.get("path", []), (*root, "path")),
        environments=_environments(file, data, root),
        path=path,
        file=file,
        root=root,
        sections=made,
    )


def _guide(file: TomlFile, data: Mapping[str, Any], root: tuple[str, ...], folder: Path) -> str:
    word = data.get("guide", DEFAULT_GUIDE)
    if not isinstance(word, str) or not word:
        hint = 'write guide = "core", or the path of a TOML file'
        raise CharterError(f'key "guide" must be text in quotes, not {shown(word)}', hint=hint, place=file.place(*root, "guide"))
    return str(folder / word) if word.endswith(".toml") else word


def _table(file: TomlFile, data: Mapping[str, Any], name: str, root: tuple[str, ...]) -> Mapping[str, Any]:
    value = data.get(name, {})
    if not isinstance(value, Mapping):
        raise CharterError(f"[{name}] must be a table, not {shown(value)}", place=file.place(*root, name))
    return value


def _waivers(file: TomlFile, data: Mapping[str, Any], root: tuple[str, ...]) -> tuple[Waiver, ...]:
    written = data.get("waiver", [])
    if not isinstance(written, list):
        raise CharterError("waivers are written [[waiver]], with two brackets", place=file.place(*root, "waiver"))
    return tuple(_waiver(file, item, (*root, "waiver", index)) for index, item in enumerate(written))


def _waiver(file: TomlFile, data: object, path: tuple[str | int, ...]) -> Waiver:
    made = build(file, data, Waiver, path, where="the waiver")
    if not made.reason.strip():
        raise CharterError(f"the waiver of {made.rule} gives no reason", hint='say why: reason = "…"', place=file.place(*path, "reason"))
    if bool(made.object) == bool(made.key):
        sentence = f'the waiver of {made.rule} must name either an "object" or a "key"'
        hint = f'name one: object = "app.users", or object = "legacy.*"; to drop the rule altogether: [severity] {made.rule} = "off"'
        raise CharterError(sentence, hint=hint, place=file.place(*path))
    return replace(made, place=file.place(*path))


def _environments(file: TomlFile, data: Mapping[str, Any], root: tuple[str, ...]) -> Mapping[str, Environment]:
    tables = _table(file, data, "environments", root)
    return {name: _environment(file, name, table, (*root, "environments", name)) for name, table in tables.items()}


def _environment(file: TomlFile, name: str, data: object, path: tuple[str, ...]) -> Environment:
    made = replace(build(file, data, Environment, path, where=f"environment {name}"), name=name)
    variable = f"{re.sub(r'[^A-Za-z0-9]', '_', name).upper()}_DATABASE_URL"
    if made.dsn:
        _refuse_password(made.dsn, f"environment {name} has a password in its dsn", variable, file.place(*path, "dsn"))
    if made.dsn_env and not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", made.dsn_env):
        sentence = f"dsn_env of environment {name} is not the name of an environment variable"
        raise CharterError(
            sentence, hint=f'write dsn_env = "{variable}" and put the DSN into that variable', place=file.place(*path, "dsn_env")
        )
    if bool(made.dsn) == bool(made.dsn_env):
        sentence = f'environment {name} must say either "dsn_env" or "dsn"'
        raise CharterError(sentence, hint='write dsn_env = "DATABASE_URL"', place=file.place(*path))
    return made


def _refuse_password(dsn: str, sentence: str, variable: str, place: str) -> None:
    """Raise CharterError when a URI or a libpq keyword string carries a password (`user:secret@`, `password=`, `sslpassword=`)."""
    if re.search(r"://[^/?#@]*:[^/?#]*@|(?i:\b(?:ssl)?password\s*=)", dsn):
        sentence += ", and a charter is read by everyone who reads the repository"
        hint = f'change that password, put the DSN into an environment variable and write dsn_env = "{variable}" in an environment'
        raise CharterError(sentence, hint=hint, place=place)


class Described(Protocol):
    """What a new charter says of its guide (see `guides.model.Guide`)."""

    @property
    def id(self) -> str:
        """Its id."""
        ...

    @property
    def title(self) -> str:
        """Its title."""
        ...

    @property
    def options(self) -> Any:
        """Its house options, a dataclass."""
        ...


def dump_default(guide: Described) -> str:
    """Return the text of a new charter for `guide`: what it promises, and everything else one may say, as comments."""
    style = "\n".join(f"# {item.name} = {_toml(value)}" for item in fields(guide.options) if (value := getattr(guide.options, item.name)))
    return _STARTER.format(guide=quoted(guide.id), title=remark(guide.title), style=style)


def _toml(value: object) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(_toml(v) for v in value)}]"
    return quoted(value) if isinstance(value, str) else shown(value)


_STARTER = """\
# What this project promises about its database. `pgcharter check` holds it to that.

# {title}. `pgcharter guides list` shows the others; the path of a TOML file names your own.
guide = {guide}

# House style, as the guide has it. Uncomment what you do differently; "any" means that you do not care.
[options]
{style}

# How much a rule matters here: "error", "warning", "info" or "off". `pgcharter rules list` shows all rules.
[severity]
# DOC01 = "off"

[check]
# What `pgcharter check` looks at when it is given nothing: SQL files or folders, a DSN, module:attribute, an Alembic project.
# targets = ["migrations"]
# The lowest severity that fails the check: "error", "warning", "info" or "never".
fail_on = "warning"
# Findings recorded here once (`pgcharter check --record`) do not count: only new ones do.
# known = "pgcharter-known.json"

# What differs for some files, from this folder; `*` stays within a name, `**` takes any folders.
# [[path]]
# match = ["legacy/**", "db/seeds/*"]
# skip = ["DOC01"]
# severity = {{ KEY01 = "info" }}

# The databases this project runs on. The DSN stays in an environment variable, so no password gets into this file.
# [environments.production]
# dsn_env = "DATABASE_URL"
# production = true

# What the database shall be, for `pgcharter plan`, and what only a person can know about the way there. Renames are never guessed.
# [plan]
# wanted = "db/schema.sql"
# renames = {{ "column app.users.mail" = "email" }}
# zone = "UTC"

# Where migrations are, for `pgcharter migrate`, and on what terms they run.
# [migrate]
# folder = "migrations"
# lock_timeout = "2s"

# A finding that is accepted, why, on whose word and until when. After that day it counts again, and the check fails until one decides.
# [[waiver]]
# rule = "KEY01"
# object = "legacy.*"
# reason = "goes away with the old importer"
# owner = "data team"
# expires = 2027-06-30
"""
