"""`pgcharter migrate verify --try`: what files lead to, what they bring, and how long each step would take with production's sizes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from tests.cli.conftest import Done, program

from pgcharter.servers.lifecycle import Server

__all__ = ["program"]
Run = Callable[..., Done]
UP = "-- pgcharter: up\n{}\n-- pgcharter: down\n{}\n"
START = UP.format(
    'CREATE SCHEMA "Shop ü";\n'
    'CREATE TABLE "Shop ü".customers (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, mail text NOT NULL UNIQUE);\n'
    'CREATE TABLE "Shop ü".log (what text);',
    'DROP SCHEMA "Shop ü" CASCADE;',
)
CHARTER = '[environments.dev]\ndsn_env = "SHOP_URL"\n'


@pytest.fixture(scope="module")
def own_database(server_of: Callable[[int | None], Server]) -> Iterator[str]:
    server = server_of(None)
    with psycopg.connect(server.dsn(), autocommit=True) as admin:
        admin.execute("CREATE DATABASE test_verify TEMPLATE template0 STRATEGY file_copy")
        yield server.dsn("test_verify")
        admin.execute("DROP DATABASE test_verify WITH (FORCE)")


@pytest.fixture
def shop(tmp_path: Path, own_database: str, monkeypatch: pytest.MonkeyPatch, program: Run) -> Path:
    """A project of which the first migration is applied."""
    with psycopg.connect(own_database) as conn:
        conn.execute('SET client_min_messages = error; DROP SCHEMA IF EXISTS pgcharter, public, "Shop ü" CASCADE; CREATE SCHEMA public')
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SHOP_URL", own_database)
    (tmp_path / "pgcharter.toml").write_text(CHARTER)
    (tmp_path / "migrations").mkdir()
    (tmp_path / "migrations/001_start.sql").write_text(START, "utf-8")
    assert program("migrate", "up").returncode == 0
    return tmp_path


@pytest.fixture
def verify(program: Run, major_server: Server) -> Callable[..., tuple[int, dict[str, object]]]:
    def call(*words: str) -> tuple[int, dict[str, object]]:
        done = program("migrate", "verify", "--try", *words, "--scratch-url", major_server.dsn(), "--format", "json")
        assert done.stdout, done.stderr
        return done.returncode, json.loads(done.stdout)

    return call


def add(shop: Path, name: str, up: str, down: str) -> None:
    (shop / "migrations" / name).write_text(UP.format(up, down), "utf-8")


def kinds(document: dict[str, object]) -> list[str]:
    return [p["kind"] for p in document["problems"]]  # type: ignore[attr-defined]


def test_what_is_declared_and_not_made_is_told(shop: Path, verify: Callable[..., tuple[int, dict[str, object]]]) -> None:
    (shop / "pgcharter.toml").write_text(CHARTER + '[plan]\nwanted = "schema.sql"\n')
    declared = START.partition("-- pgcharter: down")[0].replace("NOT NULL UNIQUE", "NOT NULL UNIQUE, phone text")
    (shop / "schema.sql").write_text(declared, "utf-8")
    code, document = verify()
    assert (code, kinds(document)) == (1, ["declared"]), "nothing is pending, and the files still lack the column"
    (problem,) = document["problems"]  # type: ignore[misc]
    assert problem["difference"] == ['+ column "Shop ü".customers.phone']
    assert "1 difference remains" in problem["message"]
    add(shop, "002_phone.sql", 'ALTER TABLE "Shop ü".customers ADD phone text;', 'ALTER TABLE "Shop ü".customers DROP phone;')
    assert kinds(verify()[1]) == []


def test_what_is_made_and_not_declared_is_told(shop: Path, verify: Callable[..., tuple[int, dict[str, object]]]) -> None:
    (shop / "pgcharter.toml").write_text(CHARTER + '[plan]\nwanted = "schema.sql"\n')
    (shop / "schema.sql").write_text(START.partition("-- pgcharter: down")[0], "utf-8")
    add(shop, "002_old.sql", 'CREATE TABLE "Shop ü".old (id bigint PRIMARY KEY);', 'DROP TABLE "Shop ü".old;')
    code, document = verify("--all")
    assert (code, kinds(document)) == (1, ["declared"])
    assert document["problems"][0]["difference"] == ['- table "Shop ü".old']  # type: ignore[index]


def test_only_findings_that_are_brought_are_told(shop: Path, verify: Callable[..., tuple[int, dict[str, object]]]) -> None:
    add(shop, "002_old.sql", 'CREATE TABLE "Shop ü".old (price real);', 'DROP TABLE "Shop ü".old;')
    code, document = verify()
    found = {(f["code"], f["object"]["name"], f["place"]["file"]) for f in document["findings"]}  # type: ignore[attr-defined]
    assert (code, kinds(document)) == (1, [])
    assert found == {("KEY01", "old", "migrations/002_old.sql"), ("TYP04", "old", "migrations/002_old.sql")}, "log has no key either"


def test_a_dropped_index_brings_a_finding_on_an_older_table(shop: Path, verify: Callable[..., tuple[int, dict[str, object]]]) -> None:
    add(
        shop,
        "002_key.sql",
        'ALTER TABLE "Shop ü".customers DROP CONSTRAINT customers_pkey;',
        'ALTER TABLE "Shop ü".customers ADD PRIMARY KEY (id);',
    )
    code, document = verify()
    assert (code, [(f["code"], f["severity"]) for f in document["findings"]]) == (0, [("KEY01", "info")])  # type: ignore[attr-defined]


def test_waivers_and_known_findings_hold(shop: Path, program: Run, verify: Callable[..., tuple[int, dict[str, object]]]) -> None:
    add(shop, "002_old.sql", 'CREATE TABLE "Shop ü".old (price real);', 'DROP TABLE "Shop ü".old;')
    waiver = """[[waiver]]\nrule = "TYP04"\nobject = '"Shop ü".old.price'\nreason = "no money"\nowner = "ada"\nexpires = 2999-01-31\n"""
    (shop / "pgcharter.toml").write_text(f"{waiver}{CHARTER}[check]\nknown = 'known.json'\n", "utf-8")
    assert program("check", "migrations", "--record").returncode == 0
    code, document = verify()
    assert (code, document["findings"], document["problems"]) == (0, [], [])


@pytest.fixture
def sized(shop: Path, own_database: str, program: Run) -> Path:
    """The project with 3,000 rows in one table and a shape that says a hundred times as many of another."""
    with psycopg.connect(own_database) as conn:
        conn.execute("INSERT INTO \"Shop ü\".customers (mail) SELECT 'secret' || i FROM generate_series(1, 3000) i")
        conn.execute("INSERT INTO \"Shop ü\".log SELECT CASE WHEN i % 2 = 0 THEN 'x' || i % 7 END FROM generate_series(1, 3000) i; ANALYZE")
    done = program("migrate", "shape", "--to", "shape.json")
    assert (done.returncode, done.stderr) == (0, "shape.json: 2 tables, about 6,000 rows\n")
    text = (shop / "shape.json").read_text("utf-8")
    assert "secret" not in text
    (shop / "shape.json").write_text(text.replace('log": {"rows": 3000', 'log": {"rows": 300000'), "utf-8")
    return shop


def steps(document: dict[str, object]) -> list[tuple[str, int, int, str, str | None]]:
    found: list[dict[str, object]] = document["steps"]  # type: ignore[assignment]
    return [(s["sql"][:20], s["rows"], s["production_rows"], s["sure"], s["lock"]) for s in found]  # type: ignore[index, misc]


CHANGES = """ALTER TABLE "Shop ü".customers ADD phone text;
CREATE INDEX ON "Shop ü".customers (mail, id);
CREATE INDEX CONCURRENTLY ON "Shop ü".log (what);
UPDATE "Shop ü".log SET what = 'y' WHERE what IS NULL;
CREATE TABLE "Shop ü".new (id int PRIMARY KEY);
CREATE INDEX ON "Shop ü".new (id);"""


def test_steps_are_timed_with_productions_sizes(sized: Path, verify: Callable[..., tuple[int, dict[str, object]]]) -> None:
    add(sized, "002_more.sql", CHANGES, 'DROP TABLE "Shop ü".new; ALTER TABLE "Shop ü".customers DROP phone;')
    _, document = verify("--shape", "shape.json", "--rows", "3000")
    assert steps(document) == [
        ('ALTER TABLE "Shop ü"', 0, 0, "measured", "ACCESS EXCLUSIVE"),
        ('CREATE INDEX ON "Sho', 3000, 3000, "measured", "SHARE"),
        ("CREATE INDEX CONCURR", 3000, 300_000, "rough", None),
        ('UPDATE "Shop ü".log ', 3000, 300_000, "rough", None),
        ('CREATE TABLE "Shop ü', 0, 0, "measured", None),
        ('CREATE INDEX ON "Sho', 0, 0, "unknown", None),
    ]
    found: list[dict[str, float]] = document["steps"]  # type: ignore[assignment]
    assert found[3]["estimated_ms"] > 20 * found[3]["measured_ms"] > 0
    assert "too long" not in kinds(document)
    assert document["unfilled"] == []


def test_a_lock_held_too_long_ends_in_1(sized: Path, verify: Callable[..., tuple[int, dict[str, object]]]) -> None:
    up = 'BEGIN;\nALTER TABLE "Shop ü".customers ADD phone text;\nUPDATE "Shop ü".log SET what = what || 1;\nCOMMIT;'
    add(sized, "002_phone.sql", up, 'ALTER TABLE "Shop ü".customers DROP phone;')
    (sized / "pgcharter.toml").write_text(CHARTER + '[migrate]\nshape = "shape.json"\nlongest = "100ms"\n', "utf-8")
    code, document = verify("--rows", "3000")
    (problem,) = [p for p in document["problems"] if p["kind"] == "too long"]  # type: ignore[attr-defined]
    assert code == 1
    assert problem["place"] == "migrations/002_phone.sql:3", "the lock of the first statement is kept while rows of another table change"
    assert 'reads and writes of "Shop ü".customers wait' in problem["message"]
    assert "too long" not in kinds(verify("--rows", "3000", "--longest", "10min")[1])


def test_what_only_fails_on_rows_is_told(sized: Path, verify: Callable[..., tuple[int, dict[str, object]]]) -> None:
    up = 'CREATE INDEX ON "Shop ü".log (what); ALTER TABLE "Shop ü".log ALTER what SET NOT NULL;'
    down = 'DROP INDEX "Shop ü".log_what_idx; ALTER TABLE "Shop ü".log ALTER what DROP NOT NULL;'
    add(sized, "002_filled.sql", up, down)
    assert "rows" not in kinds(verify()[1])
    code, document = verify("--shape", "shape.json", "--rows", "500")
    (problem,) = [p for p in document["problems"] if p["kind"] == "rows"]  # type: ignore[attr-defined]
    assert code == 1
    assert "fails on rows of production's shape" in problem["message"]
    assert "null values" in problem["message"]
    assert [s[0] for s in steps(document)] == ['CREATE INDEX ON "Sho'], "what ran before it keeps its time"


def test_a_table_that_the_shape_does_not_know_has_no_times(sized: Path, verify: Callable[..., tuple[int, dict[str, object]]]) -> None:
    text = (sized / "shape.json").read_text("utf-8")
    (sized / "shape.json").write_text(text.replace('\\"Shop \\u00fc\\".log', "other.log"), "utf-8")
    add(sized, "002_index.sql", 'CREATE INDEX ON "Shop ü".log (what);', 'DROP INDEX "Shop ü".log_what_idx;')
    code, document = verify("--shape", "shape.json", "--longest", "1h")
    assert (code, [s[3] for s in steps(document)]) == (1, ["unknown"])
    assert "too long" in kinds(document), "what nobody knows passes no gate"
    assert [u["why"] for u in document["unfilled"]] == ["the shape does not know it: take it anew"]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--longest", "5s"), "nothing says how large"),
        (("--shape", "pgcharter.toml"), "no shape of a database"),
        (("--shape", "gone.json"), "gone.json"),
        (("--shape", "shape.json", "--longest", "soon"), "no duration"),
    ],
)
def test_wrong_words_are_refused(sized: Path, program: Run, words: tuple[str, ...], message: str) -> None:
    done = program("migrate", "verify", *words)
    assert done.returncode == 2
    assert message in done.stderr.replace("\n       ", " ")


def test_rows_that_migrations_change_are_changed_in_the_trial(shop: Path, verify: Callable[..., tuple[int, dict[str, object]]]) -> None:
    add(shop, "002_wrong.sql", 'UPDATE "Shop ü".customers SET male = 1;', "SELECT 1;")
    code, document = verify()
    assert (code, kinds(document)) == (1, ["refused"])
    assert 'column "male"' in document["problems"][0]["message"]  # type: ignore[index]
