"""The charter: found, read, refused with file, line and remedy; and what a fresh one says."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pytest

from pgcharter import charter, guides
from pgcharter.errors import CharterError, Exit
from pgcharter.migrate.settings import MIGRATE
from pgcharter.plan.settings import PLAN, intents

WHOLE = """\
guide = "cloudlab"

[options]
table_number = "singular"

[severity]
KEY01 = "error"

[check]
targets = ["migrations", "shop.models:metadata"]
fail_on = "error"
skip = ["DOC01"]

[environments.production]
dsn_env = "DATABASE_URL"
production = true

[environments.local]
dsn = "postgresql://localhost/shop"

[[waiver]]
rule = "KEY01"
object = "legacy.*"
reason = "goes with the importer"
owner = "data team"
expires = 2027-06-30

[[waiver]]
rule = "TYP02"
key = "TYP02:column:app.users.age"
reason = "measured"
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".git").mkdir()
    return tmp_path


def wrote(folder: Path, text: str, name: str = "pgcharter.toml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_everything_that_may_stand_in_it(folder: Path) -> None:
    path = wrote(folder, WHOLE)
    read = charter.read(path, name="pgcharter.toml")
    assert (read.guide, read.path, read.folder) == ("cloudlab", path, folder)
    assert read.options == {"table_number": "singular"}
    assert read.severity == {"KEY01": "error"}
    assert read.check == charter.CheckSection(targets=("migrations", "shop.models:metadata"), fail_on="error", skip=("DOC01",))
    assert read.environments == {
        "production": charter.Environment("production", dsn_env="DATABASE_URL", production=True),
        "local": charter.Environment("local", dsn="postgresql://localhost/shop"),
    }
    first, second = read.waivers
    assert first == charter.Waiver("KEY01", "goes with the importer", object="legacy.*", owner="data team", expires=date(2027, 6, 30))
    assert (second.key, second.expires, second.place) == ("TYP02:column:app.users.age", None, "pgcharter.toml:28")
    assert first.place == "pgcharter.toml:21"


def test_an_empty_charter_means_the_defaults(folder: Path) -> None:
    read = charter.read(wrote(folder, ""))
    assert (read.guide, read.waivers, read.check, read.environments) == ("core", (), charter.CheckSection(), {})
    assert charter.Charter().check.fail_on == "warning"


def test_in_pyproject(folder: Path) -> None:
    text = '[project]\nname = "shop"\n[tool.pgcharter]\nguide = "cloudlab"\n[tool.pgcharter.check]\nfail_on = "never"\n'
    read = charter.read(wrote(folder, text, "pyproject.toml"))
    assert (read.guide, read.check.fail_on, read.root) == ("cloudlab", "never", ("tool", "pgcharter"))
    wrote(folder, text + 'fial_on = "never"\n', "pyproject.toml")
    with pytest.raises(CharterError) as caught:
        charter.read(folder / "pyproject.toml", name="pyproject.toml")
    assert str(caught.value) == 'pyproject.toml:7: there is no key "fial_on" in [check]'


def test_a_guide_of_ones_own_is_found_from_the_charter(folder: Path) -> None:
    (folder / "db").mkdir()
    wrote(folder, 'id = "ours"\ntitle = "Ours"\nextends = "core"\n', "ours.toml")
    read = charter.read(wrote(folder / "db", 'guide = "../ours.toml"\n'))
    assert guides.of(read).id == "ours"


@dataclass(frozen=True)
class Tenancy:
    column: str = "tenant_id"
    strict: bool = False


TENANCY = charter.Section("tenancy", Tenancy)


def test_a_package_adds_its_own_section(folder: Path) -> None:
    path = wrote(folder, '[tenancy]\ncolumn = "org_id"\n')
    read = charter.read(path, sections=[TENANCY])
    assert read.section(TENANCY) == Tenancy(column="org_id")
    assert charter.Charter().section(TENANCY) == Tenancy()
    with pytest.raises(CharterError, match=r'there is no key "tenancy" in the charter'):
        charter.read(path)
    with pytest.raises(CharterError) as caught:
        charter.read(wrote(folder, "[tenancy]\nstrict = 1\n"), sections=[TENANCY], name="pgcharter.toml")
    assert str(caught.value) == 'pgcharter.toml:2: key "strict" must be true or false, not 1'


WRONG = [
    ('giude = "core"\n', ":1", 'there is no key "giude" in the charter', 'did you mean "guide"?'),
    ("[chekc]\n", ":1", 'there is no key "chekc" in the charter', 'did you mean "check"?'),
    ("guide = 7\n", ":1", 'key "guide" must be text in quotes, not 7', 'write guide = "core", or the path of a TOML file'),
    ('# so\n\n[check]\nfail_on = "eror"\n', ":4", 'key "fail_on" must be "error", "warning", "info" or "never", not "eror"',
     'did you mean "error"?'),
    ("[check]\ntargets = 'migrations'\n", ":2", 'key "targets" must be a list, not "migrations"', ""),
    ("check = 3\n", ":1", "[check] must be a table, not 3", ""),
    ("options = []\n", ":1", "[options] must be a table, not a list", ""),
    ("[waiver]\nrule = 'KEY01'\n", ":1", "waivers are written [[waiver]], with two brackets", ""),
    ("[[waiver]]\nrule = 'KEY01'\nobject = 'a'\n", ":1", 'the waiver has no "reason", which it needs', ""),
    ("[[waiver]]\nrule = 'KEY01'\nobject = 'a'\nreason = ' '\n", ":4", "the waiver of KEY01 gives no reason", 'say why: reason = "…"'),
    ("[[waiver]]\nrule = 'KEY01'\nreason = 'x'\n", ":1", 'the waiver of KEY01 must name either an "object" or a "key"',
     'name one: object = "app.users", or object = "legacy.*"; to drop the rule altogether: [severity] KEY01 = "off"'),
    ("[[waiver]]\nrule = 'KEY01'\nreason = 'x'\nobject = 'a'\nexpires = '2027-01-01'\n", ":5",
     'key "expires" must be a date without quotes such as 2027-03-31, not "2027-01-01"', ""),
    ("[[waiver]]\nrule = 'KEY01'\nreason = 'x'\nobject = 'a'\n[[waiver]]\nrule = 'KEY02'\nreasn = 'x'\n", ":7",
     'there is no key "reasn" in the waiver', 'did you mean "reason"?'),
    ("[environments]\nproduction = true\n", ":2", "environment production must be a table, not true", ""),
    ("[environments.live]\nproduction = true\n", ":1", 'environment live must say either "dsn_env" or "dsn"',
     'write dsn_env = "DATABASE_URL"'),
    ("[check]\nfail_on =\n", ":2:10", "the file is not valid TOML: invalid value", ""),
    ("guide = 'core\n", ":2:1", """the file is not valid TOML: expected "'\"""", ""),
    ("[check]\n[check]\n", ":2:7", "the file is not valid TOML: cannot declare ('check',) twice", ""),
]  # fmt: skip


@pytest.mark.parametrize(("text", "line", "message", "hint"), WRONG, ids=[w[2][:50] for w in WRONG])
def test_what_is_wrong_is_said_whole(folder: Path, text: str, line: str, message: str, hint: str) -> None:
    with pytest.raises(CharterError) as caught:
        charter.read(wrote(folder, text), name="pgcharter.toml")
    assert (caught.value.place, caught.value.message, caught.value.hint) == (f"pgcharter.toml{line}", message, hint)
    assert caught.value.exit_code is Exit.USAGE


SECRET = "hunter2"


@pytest.mark.parametrize(
    "dsn",
    [
        f"postgresql://app:{SECRET}@db.example/shop",
        f"postgres://app:{SECRET}@[::1]:5432/shop?sslmode=require",
        f"postgresql://db.example/shop?user=app&password={SECRET}",
        f"host=db.example user=app password={SECRET}",
        f"host=db.example user=app PASSWORD = '{SECRET}'",
        f"host=db.example sslpassword={SECRET}",
    ],
)
def test_a_password_in_the_file_is_refused_and_not_repeated(folder: Path, dsn: str) -> None:
    with pytest.raises(CharterError) as caught:
        charter.read(wrote(folder, f'[environments.live-eu]\ndsn = "{dsn}"\n'), name="pgcharter.toml")
    error = caught.value
    assert error.place == "pgcharter.toml:2"
    assert error.message == ("environment live-eu has a password in its dsn, and a charter is read by everyone who reads the repository")
    hint = 'change that password, put the DSN into an environment variable and write dsn_env = "LIVE_EU_DATABASE_URL" in an environment'
    assert error.hint == hint
    assert SECRET not in f"{error}{error.hint}{error.__cause__}{error.__context__}"


@pytest.mark.parametrize(
    "dsn", ["postgresql://app@db.example:5432/shop", "postgresql:///shop?host=/tmp", "host=db.example passfile=/x dbname=a"]
)
def test_a_dsn_without_password_may_stand_in_the_file(folder: Path, dsn: str) -> None:
    assert charter.read(wrote(folder, f'[environments.live]\ndsn = "{dsn}"\n')).environments["live"].dsn == dsn


def test_unreadable(folder: Path) -> None:
    with pytest.raises(CharterError) as caught:
        charter.read(folder / "pgcharter.toml", name="pgcharter.toml")
    assert str(caught.value) == "pgcharter.toml: pgcharter.toml cannot be read: no such file or directory"


def test_found_upwards_to_the_root_of_the_repository(folder: Path) -> None:
    deep = folder / "app" / "db"
    deep.mkdir(parents=True)
    (deep / "schema.sql").touch()
    assert charter.find(deep) is None
    path = wrote(folder, "")
    assert charter.find(deep) == charter.find(deep / "schema.sql") == charter.find(folder) == path
    nearer = wrote(folder / "app", "", ".pgcharter.toml")
    assert charter.find(deep) == nearer


def test_not_found_outside_the_repository(folder: Path) -> None:
    wrote(folder, "")
    inner = folder / "vendored"
    (inner / ".git").mkdir(parents=True)
    assert charter.find(inner) is None


def test_not_found_above_home(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wrote(folder, "")
    home = folder / "home"
    (home / "work").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    assert charter.find(home / "work") is None


def test_a_pyproject_counts_only_with_our_table(folder: Path) -> None:
    path = wrote(folder, "[project]\nname = 'tool.pgcharter'\n", "pyproject.toml")
    assert charter.find(folder) is None
    wrote(folder, "[tool.pgcharter.check]\n", "pyproject.toml")
    assert charter.find(folder) == path


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (("pgcharter.toml", ".pgcharter.toml"), "pgcharter.toml and .pgcharter.toml"),
        (("pgcharter.toml", "pyproject.toml"), "pgcharter.toml and pyproject.toml"),
        ((".pgcharter.toml", "pyproject.toml"), ".pgcharter.toml and pyproject.toml"),
    ],
)
def test_two_charters_in_one_folder(folder: Path, names: tuple[str, str], said: str) -> None:
    for name in names:
        wrote(folder, "[tool.pgcharter]\n" if name == "pyproject.toml" else "", name)
    with pytest.raises(CharterError) as caught:
        charter.find(folder)
    assert caught.value.message == f"two charters in one folder: {said}"
    assert caught.value.hint == "keep one and move its sections together"
    assert caught.value.place == str(folder)


@pytest.mark.parametrize("guide", guides.available())
def test_a_fresh_charter_reads_back_and_changes_nothing(folder: Path, guide: str) -> None:
    chosen = guides.load(guide)
    read = charter.read(wrote(folder, charter.dump_default(chosen)))
    assert guides.of(read) == chosen
    assert read == charter.Charter(guide=guide, path=read.path, file=read.file, sections=read.sections)


@pytest.mark.parametrize("guide", guides.available())
def test_everything_a_fresh_charter_offers_in_comments_is_right(folder: Path, guide: str) -> None:
    lines = charter.dump_default(guides.load(guide)).splitlines()
    offered = "\n".join(line.removeprefix("# ") if " = " in line or line.startswith("# [") else line for line in lines)
    read = charter.read(wrote(folder, offered), sections=(PLAN, MIGRATE))
    assert guides.of(read).options == guides.load(guide).options
    assert [i.name for i in intents(read)] == ["email"]
    assert read.section(MIGRATE).folder == "migrations"
    assert (read.environments["production"].production, read.check.targets) == (True, ("migrations",))
    assert read.waivers[0].expires == date(2027, 6, 30)
