"""Per-path settings: what the charter says about findings in some of its files. Pure; paths are texts with `/`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache

from pgcharter.errors import CharterError
from pgcharter.findings import Finding, Severity
from pgcharter.tomlfile import TomlFile, build, nearest, shown


@dataclass(frozen=True)
class PathSetting:
    """`[[path]]`: what holds for findings in the files that match; later ones win over earlier ones."""

    match: tuple[str, ...] = ()
    """Paths from the charter's folder: `*` and `?` match within a name, `**` any folders; a folder means everything below it."""
    only: tuple[str, ...] = ()
    """Codes of the only rules whose findings count there."""
    skip: tuple[str, ...] = ()
    """Codes of rules whose findings do not count there."""
    severity: Mapping[str, Severity | None] = field(default_factory=dict, hash=False)
    """Code → severity there; None: off."""
    place: str = field(default="", metadata={"in_file": False}, compare=False)
    """`file:line` where it is written."""

    def holds_for(self, path: str) -> bool:
        """Whether it speaks of the file at `path`."""
        return any(pattern(glob).match(path) for glob in self.match)

    def takes(self, code: str) -> bool:
        """Whether findings of this rule count; what a source itself found (SRC01 and on) is no rule that `only` could name."""
        wanted = not self.only or code in self.only or code.startswith("SRC")
        return wanted and code not in self.skip and self.severity.get(code, Severity.INFO) is not None


@dataclass(frozen=True, slots=True)
class Settled:
    """What became of findings under per-path settings."""

    kept: tuple[Finding, ...]
    left_out: tuple[tuple[Finding, PathSetting], ...]


@cache
def pattern(glob: str) -> re.Pattern[str]:
    """The expression for a glob: matches the whole path, or a folder above it."""
    parts = [p for p in glob.strip("/").split("/") if p not in ("", ".")]
    made = ""
    for number, part in enumerate(parts):
        last = number == len(parts) - 1
        if part == "**":
            made += ".+" if last else "(?:[^/]+/)*"
        else:
            made += "".join("[^/]*" if c == "*" else "[^/]" if c == "?" else re.escape(c) for c in re.sub(r"\*+", "*", part))
            made += "" if last else "/"
    return re.compile(rf"{made}(?:/.*)?\Z", re.DOTALL)


def settle(found: Iterable[Finding], settings: Sequence[PathSetting], where: Callable[[str], str | None]) -> Settled:
    """Apply `settings` to findings that are at a file; `where` gives its path from the charter's folder, None outside of it."""
    if not settings:
        return Settled(tuple(found), ())
    holding = cache(lambda file: tuple(s for s in settings if (path := where(file)) is not None and s.holds_for(path)))
    kept: list[Finding] = []
    left_out: list[tuple[Finding, PathSetting]] = []
    for item in found:
        mine = holding(item.place.file) if item.place else ()
        verdict = _last_word(item.code, mine)
        if verdict is None:
            kept.append(_levelled(item, mine))
        else:
            left_out.append((item, verdict))
    return Settled(tuple(sorted(kept, key=lambda f: -f.severity)), tuple(left_out))


def _last_word(code: str, settings: Sequence[PathSetting]) -> PathSetting | None:
    """The setting that leaves findings of `code` out; None when a later one gives them a severity again."""
    out: PathSetting | None = None
    for setting in settings:
        if not setting.takes(code):
            out = setting
        elif code in setting.severity or code in setting.only:
            out = None
    return out


def _levelled(found: Finding, settings: Sequence[PathSetting]) -> Finding:
    level = next((s.severity[found.code] for s in reversed(settings) if s.severity.get(found.code)), None)
    return found if level is None else replace(found, severity=level)


_LEVELS: Mapping[str, Severity | None] = {"off": None, **{s.word: s for s in Severity}}


def read_paths(file: TomlFile, written: object, path: tuple[str | int, ...]) -> tuple[PathSetting, ...]:
    """The settings that a charter has at `path`. Raises CharterError with file and line for whatever is wrong in them."""
    if not isinstance(written, list):
        raise CharterError("settings for some paths are written [[path]], with two brackets", place=file.place(*path))
    return tuple(_path_setting(file, item, (*path, index)) for index, item in enumerate(written))


def _path_setting(file: TomlFile, data: object, path: tuple[str | int, ...]) -> PathSetting:
    rest = {k: v for k, v in data.items() if k != "severity"} if isinstance(data, Mapping) else data
    made = build(file, rest, PathSetting, path, where="[[path]]")
    severity = data.get("severity", {}) if isinstance(data, Mapping) else {}
    if not isinstance(severity, Mapping):
        hint = 'write severity = { DOC01 = "off" }'
        raise CharterError(f'key "severity" must be a table, not {shown(severity)}', hint=hint, place=file.place(*path, "severity"))
    for code, word in severity.items():
        if word not in _LEVELS:
            sentence = f'severity of {code} must be "error", "warning", "info" or "off", not {shown(word)}'
            hint = nearest(word, _LEVELS) if isinstance(word, str) else ""
            raise CharterError(sentence, hint=hint, place=file.place(*path, "severity", code))
    if not made.match:
        raise CharterError('[[path]] has no "match", which it needs', hint='write match = ["legacy/**"]', place=file.place(*path))
    if not (made.only or made.skip or severity):
        hint = 'write skip = ["DOC01"], only = [...] or severity = { DOC01 = "info" }'
        raise CharterError("[[path]] says nothing about its files", hint=hint, place=file.place(*path))
    for glob in made.match:
        _check_glob(glob, file.place(*path, "match"))
    return replace(made, severity={code: _LEVELS[word] for code, word in severity.items()}, place=file.place(*path))


def _check_glob(glob: str, place: str) -> None:
    """Raise CharterError for a pattern that can match nothing below the charter's folder."""
    if not glob.strip("/ "):
        raise CharterError(f"{shown(glob)} in match names no path", hint='every file of the project is match = ["**"]', place=place)
    if "\\" in glob:
        slashed = glob.replace("\\", "/")
        raise CharterError(f"{shown(glob)} in match has backslashes, which match nothing", hint=f'write "{slashed}"', place=place)
    if glob.startswith(("/", "~")) or re.match(r"[A-Za-z]:", glob) or ".." in glob.split("/"):
        sentence = f"{shown(glob)} in match leads out of the charter's folder, where its paths start"
        raise CharterError(sentence, hint='write it as seen from there, such as "db/legacy/**"', place=place)
