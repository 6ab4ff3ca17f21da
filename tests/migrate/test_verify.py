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
