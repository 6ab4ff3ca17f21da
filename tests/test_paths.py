"""Settings for some paths: which files a pattern means, and what becomes of findings there."""

from __future__ import annotations

from pathlib import Path

import pytest

from pgcharter import charter
from pgcharter.errors import CharterError
from pgcharter.findings import Finding, Place, Severity
from pgcharter.names import ObjectId
from pgcharter.paths import PathSetting, pattern, settle


@pytest.mark.parametrize(
    ("glob", "yes", "no"),
    [
        ("legacy", ["legacy/a.sql", "legacy/x/b.sql", "legacy"], ["db/legacy/a.sql", "legacy2/a.sql"]),
        ("legacy/", ["legacy/a.sql"], ["legacy2.sql"]),
        ("./legacy/**", ["legacy/a.sql", "legacy/x/y.sql"], ["legacy", "other/a.sql"]),
        ("db/seeds/*", ["db/seeds/a.sql", "db/seeds/x/a.sql"], ["db/seeds", "db/a.sql"]),
        ("*.sql", ["a.sql"], ["db/a.sql", "a.sqlx"]),
        ("**/*.sql", ["a.sql", "db/x/a.sql"], ["a.md"]),
        ("db/**/old/*.sql", ["db/old/a.sql", "db/x/y/old/a.sql"], ["db/older/a.sql", "old/a.sql"]),
        ("**", ["a.sql", "db/a.sql"], []),
        ("V?__*.sql", ["V1__init.sql"], ["V12__x.sql"]),
        ("a[1]+(b).sql", ["a[1]+(b).sql"], ["a1b.sql"]),
        ("größe/*.sql", ["größe/ß.sql"], ["groesse/a.sql"]),
        ("Legacy", ["Legacy/a.sql"], ["legacy/a.sql"]),
        ("***", ["a.sql"], []),
    ],
)
def test_which_files_a_pattern_means(glob: str, yes: list[str], no: list[str]) -> None:
    assert [path for path in (*yes, *no) if pattern(glob).match(path)] == yes


def at(file: str, code: str = "KEY01", severity: Severity = Severity.WARNING) -> Finding:
    return Finding(code, "x", ObjectId("table", "app", "t"), Place(file, 1), severity)


def where(file: str) -> str | None:
    return None if file.startswith("../") else file


LEGACY = PathSetting(("legacy",), skip=("DOC01",), severity={"KEY01": Severity.INFO, "TYP01": None})


@pytest.mark.parametrize(
    ("settings", "item", "severity"),
    [
        ((LEGACY,), at("legacy/a.sql"), Severity.INFO),
        ((LEGACY,), at("db/a.sql"), Severity.WARNING),
        ((LEGACY,), at("../legacy/a.sql"), Severity.WARNING),
        ((LEGACY,), Finding("KEY01", "x", ObjectId("table", "app", "t")), Severity.WARNING),
        ((LEGACY,), at("legacy/a.sql", "DOC01"), None),
        ((LEGACY,), at("legacy/a.sql", "TYP01"), None),
        ((LEGACY, PathSetting(("**",), severity={"DOC01": Severity.ERROR})), at("legacy/a.sql", "DOC01"), Severity.ERROR),
        ((PathSetting(("**",), severity={"KEY01": Severity.ERROR}), LEGACY), at("legacy/a.sql"), Severity.INFO),
        ((PathSetting(("**",), only=("KEY01",)),), at("a.sql"), Severity.WARNING),
        ((PathSetting(("**",), only=("KEY02",)),), at("a.sql"), None),
        ((PathSetting(("**",), only=("KEY02",)),), at("a.sql", "SRC02"), Severity.WARNING),
        ((PathSetting(("**",), only=("KEY02",)), PathSetting(("a.sql",), only=("KEY01",))), at("a.sql"), Severity.WARNING),
    ],
)
def test_what_becomes_of_a_finding(settings: tuple[PathSetting, ...], item: Finding, severity: Severity | None) -> None:
    settled = settle([item], settings, where)
    assert [f.severity for f in settled.kept] == ([] if severity is None else [severity])
    assert [f for f, _ in settled.left_out] == ([item] if severity is None else [])


def test_gravest_first_after_the_settings() -> None:
    findings = [at("legacy/a.sql"), at("db/a.sql")]
    assert [f.place.file for f in settle(findings, (LEGACY,), where).kept if f.place] == ["db/a.sql", "legacy/a.sql"]


def read(folder: Path, text: str) -> charter.Charter:
    path = folder / "pgcharter.toml"
    path.write_text(text, encoding="utf-8")
    return charter.read(path, name="pgcharter.toml")


def test_as_the_charter_says(tmp_path: Path) -> None:
    (setting,) = read(tmp_path, '[[path]]\nmatch = ["a/**"]\nskip = ["DOC01"]\n[path.severity]\nKEY01 = "off"\nKEY02 = "error"\n').paths
    assert (setting.match, setting.skip, setting.place) == (("a/**",), ("DOC01",), "pgcharter.toml:1")
    assert setting.severity == {"KEY01": None, "KEY02": Severity.ERROR}


@pytest.mark.parametrize(
    ("text", "place", "message", "hint"),
    [
        ("path = 1", 1, "two brackets", ""),
        ("[path]\nmatch = ['a']", 1, "two brackets", ""),
        ("[[path]]\nmatch = 'a'", 2, "must be a list", ""),
        ("[[path]]\nskip = ['DOC01']", 1, 'no "match"', "legacy/**"),
        ("[[path]]\nmatch = ['a']", 1, "says nothing", "skip"),
        ("[[path]]\nmatch = ['a']\nskp = ['DOC01']", 3, 'no key "skp"', 'did you mean "skip"?'),
        ("[[path]]\nmatch = ['a']\nseverity = 'off'", 3, "must be a table", "DOC01"),
        ("[[path]]\nmatch = ['a']\nseverity = { DOC01 = 'of' }", 3, "severity of DOC01", 'did you mean "off"?'),
        ("[[path]]\nmatch = ['a']\nskip = ['X']\n[[path]]\nmatch = ['']\nskip = ['X']", 5, "names no path", "**"),
        ("[[path]]\nmatch = ['/srv/a']\nskip = ['X']", 2, "leads out", "db/legacy"),
        ("[[path]]\nmatch = ['~/a']\nskip = ['X']", 2, "leads out", "db/legacy"),
        ("[[path]]\nmatch = ['C:/a']\nskip = ['X']", 2, "leads out", "db/legacy"),
        ("[[path]]\nmatch = ['../a']\nskip = ['X']", 2, "leads out", "db/legacy"),
        ("[[path]]\nmatch = ['db\\old']\nskip = ['X']", 2, "backslashes", '"db/old"'),
    ],
)
def test_what_is_refused(tmp_path: Path, text: str, place: int, message: str, hint: str) -> None:
    with pytest.raises(CharterError) as error:
        read(tmp_path, text)
    assert error.value.place == f"pgcharter.toml:{place}"
    assert message in error.value.message
    assert hint in error.value.hint
