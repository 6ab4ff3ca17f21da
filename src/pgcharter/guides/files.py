"""Guides from TOML files: the built-in ones beside this module and a team's own, validated with file and line."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Collection, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from pgcharter.errors import CharterError
from pgcharter.findings import Severity
from pgcharter.guides.evidence import YIELDS
from pgcharter.guides.model import Clause, Guide
from pgcharter.guides.options import Options
from pgcharter.guides.own_sql import wrong_check
from pgcharter.guides.style import ReadsOptions, asked, contradiction
from pgcharter.tomlfile import TomlFile, build, nearest, reject_unknown, shown

FOLDER = Path(__file__).parent
OFF = "off"
"""Written as a severity to switch a rule off."""
DEEPEST = 50
"""Guides that may extend each other in a row."""
Codes = Collection[str] | Mapping[str, ReadsOptions]
"""The codes of rules, or better the rules themselves by code."""
_KEYS = ("id", "title", "version", "source", "extends", "options", "severity", "clause")
_CLAUSE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]*\Z")
_SOURCE_CODE = re.compile(r"SRC\d\d\Z")
_ROW = re.compile(r"[A-Z]{2}\d{1,2}\Z")
_EVIDENCE = re.compile(rf"({'|'.join(YIELDS)})\.(\*|[a-z0-9_]+(\.[a-z0-9_]+)*)\Z")


def available() -> tuple[str, ...]:
    """Ids of the built-in guides, `core` first."""
    names = sorted(p.stem for p in FOLDER.glob("*.toml"))
    return tuple(sorted(names, key=lambda n: n != "core"))


def load(word: str, *, codes: Codes | None = None) -> Guide:
    """Return the built-in guide called `word`, or the one in the TOML file at that path, with everything it extends.

    `codes` are the rules that exist (`rules.engine.load()`); when given, a clause or severity that names another is refused,
    and house options bring the rules that read them.
    Raises CharterError, with file and line, for whatever is wrong in the file.
    """
    guide = _load(word, ()) if _is_path(word) else _built_in(word)
    if codes is not None:
        _check_codes(word, guide, codes)
    return with_asked(guide, codes)


def with_asked(guide: Guide, codes: Codes | None) -> Guide:
    """`guide` with the rules that its options call for, as far as `codes` tells which rules read which."""
    return dataclasses.replace(guide, asked=asked(guide.options, codes)) if isinstance(codes, Mapping) else guide


@cache
def _built_in(word: str) -> Guide:
    return _load(word, ())


def _is_path(word: str) -> bool:
    return word.endswith(".toml") or "/" in word


def _path(word: str, folder: Path) -> Path:
    if _is_path(word):
        return folder / word
    if word not in available():
        hint = nearest(word, available(), "{}") or f"built in are {', '.join(available())}; a path ending in .toml names your own"
        raise CharterError(f'there is no guide "{word}"', hint=hint)
    return FOLDER / f"{word}.toml"


def _load(word: str, chain: tuple[Path, ...], folder: Path = Path()) -> Guide:
    path = _path(word, folder)
    return _read(TomlFile.read(path, name=_name(path)), path, chain)


def _name(path: Path) -> str:
    return f"guide {path.stem}" if path.parent == FOLDER else str(path)


def _read(file: TomlFile, path: Path, chain: tuple[Path, ...]) -> Guide:
    data = file.data
    reject_unknown(file, data, _KEYS, (), where="a guide")
    head = {key: _text(file, key, needed=key in ("id", "title")) for key in _KEYS[:5]}
    parent = _parent(file, head["extends"], path, chain)
    severities, off = severities_of(file, data.get("severity", {}), ("severity",))
    if parent and head["id"] in {parent.id, *(c.guide for c in parent.clauses)}:
        sentence = f"the guide calls itself {head['id']}, like one that it extends, so nobody could tell their clauses apart"
        raise CharterError(sentence, hint=f'write id = "our-{head["id"]}"', place=file.place("id"))
    clauses = (*_clauses(file, head["id"]), *(parent.clauses if parent else ()))
    _check_unique(file, clauses, head["id"])
    return Guide(
        id=head["id"],
        title=head["title"],
        version=head["version"],
        source=head["source"],
        extends=head["extends"],
        clauses=clauses,
        options=options_of(file, data.get("options", {}), ("options",), parent.options if parent else Options()),
        severities={**(parent.severities if parent else {}), **severities},
        off=((parent.off if parent else frozenset()) | off).difference(severities),
    )


def _text(file: TomlFile, key: str, *, needed: bool) -> str:
    value = file.data.get(key, "")
    if not isinstance(value, str):
        raise CharterError(f'key "{key}" must be text in quotes, not {shown(value)}', place=file.place(key))
    if needed and not value:
        raise CharterError(f'the guide has no "{key}", which it needs', hint=f'write {key} = "…" at the top', place=file.place())
    return value


def _parent(file: TomlFile, word: str, path: Path, chain: tuple[Path, ...]) -> Guide | None:
    if not word:
        return None
    chain = (*chain, path.resolve())
    try:
        wanted = _path(word, path.parent).resolve()
        if not wanted.is_file():
            TomlFile.read(path.parent / word)
    except CharterError as error:
        raise CharterError(error.message, hint=error.hint, place=file.place("extends")) from None
    except (OSError, RuntimeError, ValueError):
        raise CharterError(f"there can be no file {shown(word)}", place=file.place("extends")) from None
    if len(chain) > DEEPEST:
        raise CharterError(f"more than {DEEPEST} guides extend each other", place=file.place("extends"))
    if wanted in chain:
        names = " → ".join(p.stem for p in (*chain[chain.index(wanted) :], wanted))
        raise CharterError(f"the guide extends itself: {names}", hint="take one of them out of the circle", place=file.place("extends"))
    return _load(word, chain, path.parent)


def options_of(file: TomlFile, data: object, path: tuple[str, ...], base: Options) -> Options:
    """`base` with the house options of the table `data`; a value `"any"` takes an option back.

    Raises CharterError for an unknown option, a wrong value, or options that contradict each other.
    """
    options = build(file, data, Options, path, noun="option", base=base)
    if found := contradiction(options):
        names, sentence, hint = found
        blamed = next((n for n in reversed(names) if isinstance(data, Mapping) and n in data), names[0])
        raise CharterError(sentence, hint=hint, place=file.place(*path, blamed))
    return options


def severities_of(file: TomlFile, data: object, path: tuple[str, ...]) -> tuple[dict[str, Severity], frozenset[str]]:
    """The table of severities: code → severity, and the codes that are switched off.

    Raises CharterError for a word that is no severity.
    """
    if not isinstance(data, Mapping):
        raise CharterError(f"[severity] must be a table, not {shown(data)}", place=file.place(*path))
    words = [OFF, *(s.word for s in Severity)]
    for code, word in data.items():
        if word not in words:
            hint = nearest(word, words) if isinstance(word, str) else ""
            sentence = f'severity of {code} must be "error", "warning", "info" or "off", not {shown(word)}'
            raise CharterError(sentence, hint=hint, place=file.place(*path, code))
    chosen = {code: Severity[word.upper()] for code, word in data.items() if word != OFF}
    return chosen, frozenset(data).difference(chosen)


def _clauses(file: TomlFile, guide_id: str) -> tuple[Clause, ...]:
    written = file.data.get("clause", [])
    if not isinstance(written, list):
        raise CharterError("clauses are written [[clause]], with two brackets", place=file.place("clause"))
    made = []
    for index, data in enumerate(written):
        where = f"clause {data.get('id', index + 1)}" if isinstance(data, dict) else "a clause"
        clause = build(file, data, Clause, ("clause", index), where=where)
        _check_clause(file, clause, index)
        made.append(dataclasses.replace(clause, guide=guide_id, rules=(clause.code,) if clause.sql else clause.rules))
    return tuple(made)


def _check_clause(file: TomlFile, clause: Clause, index: int) -> None:
    wrong: tuple[str, str] | None = None
    if not _CLAUSE_ID.match(clause.id):
        wrong = ("id", f'"{clause.id}" is no clause id, which is letters, digits, dots and dashes')
    elif not clause.text.strip():
        wrong = ("text", f"clause {clause.id} has no text, so its findings would say nothing")
    elif clause.proof == "rule" and not clause.rules:
        wrong = ("proof", f"clause {clause.id} is proven by rule but names no rules")
    elif clause.sql or clause.proof == "sql":
        wrong = wrong_check(clause)
    elif clause.proof == "document" and not clause.reason:
        wrong = ("proof", f'clause {clause.id} is document only but gives no "reason"')
    elif clause.proof in ("probe", "drill") and not (clause.evidence or clause.requirement):
        wrong = ("proof", f'clause {clause.id} is proven by a {clause.proof} but names no "evidence"')
    elif clause.proof == "later" and not clause.requirement:
        wrong = ("proof", f'clause {clause.id} waits for a feature to come but names no "requirement"')
    elif unknown := [name for name in clause.evidence if not _EVIDENCE.match(name)]:
        wrong = ("evidence", f'"{unknown[0]}" is no evidence, whose name begins with one of {", ".join(YIELDS)} and a dot')
    elif clause.requirement and not _ROW.match(clause.requirement):
        wrong = ("requirement", f'"{clause.requirement}" is no requirement row, which is two letters and a number such as MG3')
    if wrong:
        raise CharterError(wrong[1], place=file.place("clause", index, wrong[0]))


def _check_unique(file: TomlFile, clauses: tuple[Clause, ...], guide_id: str) -> None:
    own = [c.id for c in clauses if c.guide == guide_id]
    inherited = {c.id: c.guide for c in clauses if c.guide != guide_id}
    for index, clause_id in enumerate(own):
        where = f"on line {file.line('clause', own.index(clause_id))}" if clause_id in own[:index] else ""
        where = where or (f"in guide {inherited[clause_id]}" if clause_id in inherited else "")
        if where:
            raise CharterError(f"clause id {clause_id} is already used {where}", place=file.place("clause", index, "id"))


def _check_codes(word: str, guide: Guide, codes: Codes) -> None:
    named = {code for clause in guide.clauses for code in clause.rules} | guide.severities.keys() | guide.off
    codes = {*codes, *guide.own}
    if all(code in codes or _SOURCE_CODE.match(code) for code in named):
        return
    path = _path(word, Path())
    file = TomlFile.read(path, name=_name(path))
    for index, data in enumerate(file.data.get("clause", [])):
        check_codes(file, data.get("rules", ()), codes, ("clause", index, "rules"))
    for code in file.data.get("severity", {}):
        check_codes(file, (code,), codes, ("severity", code))
    if guide.extends:
        parent = guide.extends
        load(str(path.parent / parent) if _is_path(parent) else parent, codes=codes)


def check_codes(file: TomlFile, wanted: Collection[str], codes: Codes, path: tuple[Any, ...]) -> None:
    """Raise CharterError for the first code in `wanted` that is none of `codes`, suggesting the nearest.

    Codes of the sources' own findings (`SRC01`) belong to no rule and pass.
    """
    for code in wanted:
        if code not in codes and not _SOURCE_CODE.match(code):
            hint = nearest(code, codes, "{}") or "`pgcharter rules list` shows all"
            raise CharterError(f'there is no rule "{code}"', hint=hint, place=file.place(*path))
