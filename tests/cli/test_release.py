"""Two releases of one application at once: their recorded queries at every stage, and both writing while the plan runs."""

from __future__ import annotations

import itertools
import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests.plan.walk import Runner

from pgcharter.catalog.model import Catalog
from pgcharter.migrate.planning import Planned, Wish, make
from pgcharter.names import address
from pgcharter.plan.model import Phase, Plan, Step
from pgcharter.plan.releases import Releases
from pgcharter.plan.renames import Intent
from pgcharter.plan.safe_ground import Safe
from pgcharter.servers.scratch import kept
from pgcharter.sources.live import read_catalog

Program = Callable[..., Any]
both_ends = pytest.mark.parametrize("major", [15, 18], ids=lambda m: f"pg{m}")

ROLES = """CREATE ROLE shop_app; GRANT USAGE ON SCHEMA app TO shop_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA app TO shop_app;
"""
BEFORE = """\
CREATE SCHEMA app;
CREATE TYPE app.state AS ENUM ('open', 'paid');
CREATE TABLE app.customers (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, mail text NOT NULL UNIQUE, phone text NOT NULL);
CREATE TABLE app.orders (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    customer_id bigint NOT NULL REFERENCES app.customers,
    quantity integer NOT NULL DEFAULT 1 CHECK (quantity > 0),
    state app.state NOT NULL DEFAULT 'open',
    note varchar(20)
);
CREATE TABLE app.legacy (id integer PRIMARY KEY, body text);
"""
AFTER = """\
CREATE SCHEMA app;
CREATE TYPE app.state AS ENUM ('open', 'paid', 'refunded');
CREATE TABLE app.customers (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, email text NOT NULL UNIQUE);
CREATE TABLE app.orders (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    customer_id bigint NOT NULL REFERENCES app.customers,
    quantity bigint NOT NULL DEFAULT 1 CHECK (quantity > 0),
    state app.state NOT NULL DEFAULT 'open',
    note varchar(40),
    channel text NOT NULL
);
CREATE TABLE app.refunds (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, order_id bigint NOT NULL REFERENCES app.orders);
"""
ROWS = """\
INSERT INTO customers (mail, phone) SELECT 'c' || g || '@example.org', g::text FROM generate_series(1, 20) g;
INSERT INTO orders (customer_id, quantity) SELECT 1 + g % 20, 1 + g % 5 FROM generate_series(1, 300) g;
"""
FILLED = "UPDATE app.orders SET channel = 'web' WHERE channel IS NULL"
QUERIES = {
    "v1": """\
-- values: 'ada@example.org', '1'
-- values: 'bob@example.org', '2'
INSERT INTO customers (mail, phone) VALUES ($1, $2) RETURNING id, mail;
INSERT INTO customers (mail, phone) VALUES ('ada@example.org', '3') ON CONFLICT (mail) DO UPDATE SET phone = excluded.phone;
INSERT INTO orders (customer_id, note) VALUES (1, 'new');
-- values: 3, 'paid'
UPDATE orders SET quantity = $1, state = $2 WHERE id = 1 RETURNING quantity;
DELETE FROM orders WHERE id = 2;
SELECT o.id, o.quantity, c.mail, c.phone FROM orders o JOIN customers c ON c.id = o.customer_id;
INSERT INTO legacy VALUES (2, 'y');
""",
    "v2": """\
INSERT INTO customers (email) VALUES ('eve@example.org') RETURNING id, email;
INSERT INTO customers (email) VALUES ('eve@example.org') ON CONFLICT (email) DO NOTHING;
INSERT INTO orders (customer_id, quantity, channel) VALUES (1, 5000000000, 'web') RETURNING state;
UPDATE orders SET note = repeat('x', 40), state = 'refunded' WHERE id = 3;
INSERT INTO refunds (order_id) VALUES (1);
""",
}
WORDS = ("--rename", "column app.customers.mail=email", "--dropped", "column app.customers.phone")
PAIR = ("release", "check", "v1", "v2", "new.sql")


@pytest.fixture(autouse=True, scope="module")
def one_scratch_server() -> Iterator[None]:
    with kept():
        yield


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "old.sql").write_text(BEFORE + ROLES)
    (tmp_path / "new.sql").write_text(AFTER + ROLES)
    (tmp_path / "pgcharter.toml").write_text('guide = "core"\n[releases]\nschema = "app"\n')
    queries = tmp_path / "queries"
    for release, text in QUERIES.items():
        (queries / release).mkdir(parents=True)
        (queries / release / "shop.sql").write_text(text)
    (queries / "rows.sql").write_text(ROWS)
    (queries / "gate.sql").write_text(FILLED)
    return tmp_path


def test_both_work_when_they_must(program: Program, project: Path) -> None:
    done = program(*PAIR, "--on", "old.sql", *WORDS, "--role", "shop_app", "--format", "json", cwd=project)
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(done.stdout)
    assert told["works"]
    stages = told["stages"]
    must = [tuple(stage["releases"][r]["must_work"] for r in ("v1", "v2")) for stage in stages]
    assert [k for k, _ in itertools.groupby(must)] == [(True, False), (True, True), (False, True)]
    assert all(not stage["releases"]["v1"]["failures"] for stage in stages if stage["phase"] != "contract")
    assert len(stages[0]["releases"]["v2"]["failures"]) == len(QUERIES["v2"].splitlines())
    assert len(stages[-1]["releases"]["v1"]["failures"]) > 3


def test_without_views_a_release_fails_and_that_is_told(program: Program, project: Path) -> None:
    done = program(*PAIR, "--on", "old.sql", *WORDS, "--no-views", cwd=project, COLUMNS="120")
    assert done.returncode == 1, done.stderr
    assert 'column "mail" of relation "customers" does not exist (queries/v1/shop.sql:3:1)' in " ".join(done.stdout.split())
    assert "FAILS" in done.stdout


def test_without_views_compatible_releases_work(program: Program, project: Path) -> None:
    (project / "queries/v2/shop.sql").write_text("INSERT INTO customers (mail, phone, city) VALUES ('x', '1', 'Bern')")
    (project / "queries/gate.sql").unlink()
    (project / "new.sql").write_text(BEFORE.replace("phone text NOT NULL", "phone text NOT NULL, city text") + ROLES)
    done = program(*PAIR, "--on", "old.sql", "--no-views", cwd=project)
    assert done.returncode == 0, done.stdout + done.stderr
    assert [line.split()[:2] for line in done.stdout.splitlines()[1:]] == [["works", "fails"], ["works", "works"]]


def test_where_nothing_is_to_be_done_both_must_work_at_once(program: Program, project: Path) -> None:
    arguments = ("release", "check", "v1", "v2", "old.sql", "--on", "old.sql", "--no-views", "--format", "json")
    done = program(*arguments, cwd=project)
    assert done.returncode == 1, done.stderr
    (stage,) = json.loads(done.stdout)["stages"]
    assert not stage["releases"]["v1"]["failures"]
    assert {f["sqlstate"] for f in stage["releases"]["v2"]["failures"]} == {"42703", "42P01", "22P02"}
    nobody = program(*arguments, "--role", "nobody_else", cwd=project)
    assert nobody.returncode == 1
    assert {f["message"] for f in json.loads(nobody.stdout)["stages"][0]["releases"]["v1"]["failures"]} <= {
        'relation "customers" does not exist', 'relation "orders" does not exist', 'relation "legacy" does not exist',
        "permission denied for schema app",
    }  # fmt: skip


def test_the_plan_is_told_with_both_gates(program: Program, project: Path) -> None:
    done = program("plan", "new.sql", "--on", "old.sql", *WORDS, "--releases", "v1", "v2", "--format", "json", cwd=project)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert [s["gate"] for s in told["steps"] if s["gate"]] == [
        "every session of release v1 has search_path = app_v1, app",
        "no release v1 runs any more, and no running release uses rows without column app.orders.channel, the former column "
        "app.orders.quantity, column app.customers.phone, table app.legacy",
    ]
    assert any("release v1 sees column app_v1.orders.quantity as bigint" in note for note in told["notes"])
    assert told["proven"]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("release", "check", "v1", "v1", "new.sql", "--on", "old.sql"), 2, "both releases are called"),
        (("release", "check", "v1", "v3", "new.sql", "--on", "old.sql"), 2, "no queries of release v3"),
        (("release", "check", "v1", "bad", "new.sql", "--on", "old.sql"), 2, "transaction control"),
        (("release", "check", "v1", "asks", "new.sql", "--on", "old.sql"), 2, "no sample values"),
        ((*PAIR, "--on", "old.sql"), 4, "questions that only a person can answer"),
        (("plan", "new.sql", "--on", "old.sql", "--plain", "--releases", "v1", "v2"), 2, "nobody else uses"),
    ],
)
def test_bad_input(program: Program, project: Path, arguments: tuple[str, ...], code: int, said: str) -> None:
    for name, text in (("bad", "BEGIN"), ("asks", "SELECT $1::int")):
        (project / "queries" / name).mkdir()
        (project / "queries" / name / "x.sql").write_text(text)
    done = program(*arguments, cwd=project)
    assert done.returncode == code, done.stdout + done.stderr
    assert said in " ".join((done.stdout + done.stderr).split())


NAMES = Releases("v1", "v2", "app", "app_")


def planned(folder: Path, dsn: str) -> Planned:
    apart = frozenset({address("column app.customers.phone")})
    intents = (Intent(address("column app.customers.mail"), "email"),)
    return make(Wish(str(folder), dsn, intents=intents, apart=apart, releases=NAMES, prove=False))


class Writer(threading.Thread):
    """One session of a release that writes until it is stopped."""

    def __init__(self, dsn: str, release: str, statements: tuple[str, ...]) -> None:
        super().__init__(daemon=True)
        self.dsn, self.release, self.statements = dsn, release, statements
        self.done, self.error, self.stopped = 0, "", threading.Event()

    def run(self) -> None:
        with psycopg.connect(self.dsn, autocommit=True, options=f"-c search_path={NAMES.path(self.release).replace(' ', '')}") as conn:
            while not self.stopped.is_set():
                try:
                    with conn.transaction():
                        for sql in self.statements:
                            conn.execute(sql.encode(), [self.done], prepare=True)
                except psycopg.Error as error:
                    self.error = f"{type(error).__name__}: {error}"
                    return
                self.done += 1
                time.sleep(0.001)

    def end(self) -> int:
        self.stopped.set()
        self.join()
        assert not self.error, f"{self.release} after {self.done}: {self.error}"
        assert self.done > 5
        return self.done


V1 = (
    "INSERT INTO customers (mail, phone) VALUES ('old-' || %s::int, '1')",
    "INSERT INTO orders (customer_id, quantity, note) VALUES (1, 1 + %s::int, 'v1')",
    "UPDATE orders SET quantity = quantity + 1 WHERE id = 1 + %s::int %% 300",
)
V2 = (
    "INSERT INTO customers (email) VALUES ('new-' || %s::int)",
    "INSERT INTO orders (customer_id, quantity, note, channel) VALUES (2, 1 + %s::int, 'v2', 'web')",
    "UPDATE orders SET quantity = quantity + 1 WHERE id = 300 - %s::int %% 300",
)
SEEN = "SELECT id, customer_id, quantity, state::text, note FROM {}.orders ORDER BY id"


@both_ends
def test_both_write_while_the_plan_runs(major: int, database: str, tmp_path: Path) -> None:
    assert major in (15, 18)
    (tmp_path / "new.sql").write_text(AFTER)
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute(BEFORE.encode())
        conn.execute(b"SET search_path = app; " + ROWS.encode() + b" RESET search_path")
        total = conn.execute("SELECT sum(quantity) FROM app.orders").fetchone()
        plan = planned(tmp_path / "new.sql", database).plan
        old, new = Writer(database, "v1", V1), Writer(database, "v2", V2)
        _until_the_gate(conn, plan, old, new)
        time.sleep(0.3)
        ones = old.end()
        twos = new.end()
        assert conn.execute(SEEN.format("app_v1").encode()).fetchall() == conn.execute(SEEN.format("app_v2").encode()).fetchall()
        mails = [conn.execute(f"SELECT {c} FROM app_v{n}.customers ORDER BY 1".encode()).fetchall() for n, c in ((1, "mail"), (2, "email"))]
        assert mails[0] == mails[1]
        assert len(mails[0]) == 20 + ones + twos
        assert conn.execute("SELECT sum(quantity) FROM app.orders").fetchone() == (_expected(int(str(total[0])), ones, twos),)  # type: ignore[index]
        conn.execute(FILLED.encode())
        Runner(conn).run(tuple(s for s in plan.steps if s.phase is Phase.CONTRACT))
        found = read_catalog(conn)
        assert _homes(found) == ["app_v2"]
        assert conn.execute(SEEN.format("app_v2").encode()).fetchall()[-1][0] == 300 + ones + twos
        again = make(Wish(str(tmp_path / "new.sql"), database, releases=Releases("v2", "v3", "app", "app_"), prove=False)).plan
        assert [s.gate for s in again.steps if s.gate] == ["no release v2 runs any more"]
        assert not [s for s in again.steps if "app_v2" in s.sql and s.phase is not Phase.CONTRACT]
        assert again.notes == ()


def _until_the_gate(conn: psycopg.Connection[Any], plan: Plan, old: Writer, new: Writer) -> None:
    runner = Runner(conn)
    for block in Plan(tuple(s for s in plan.steps if s.phase is not Phase.CONTRACT)).blocks():
        if block[0].gate:
            old.start()
        runner.run(block)
        time.sleep(0.05)
    new.start()


def _expected(total: int, ones: int, twos: int) -> int:
    """Quantities: every insert of number n brings 1 + n, every update 1."""
    return total + sum(n * (n - 1) // 2 + 2 * n for n in (ones, twos))


def _homes(catalog: Catalog) -> list[str]:
    return sorted({v.schema for v in catalog.views})


@both_ends
def test_there_and_back_on_a_live_database(major: int, database: str, tmp_path: Path) -> None:
    assert major in (15, 18)
    (tmp_path / "new.sql").write_text(AFTER)
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute(BEFORE.encode())
        plan = planned(tmp_path / "new.sql", database).plan
        before = read_catalog(conn)
        steps: tuple[Step, ...] = (*plan.steps, *plan.reverse)
        Runner(conn).run(steps)
        after = read_catalog(conn)
    assert (after.schemas, [t.id for t in after.tables], after.views) == (before.schemas, [t.id for t in before.tables], before.views)


TYPED = """CREATE SCHEMA app;
CREATE TABLE app.t (id int PRIMARY KEY, code text NOT NULL DEFAULT '7' UNIQUE, at timestamp, "Doc" json, day date, big int);"""
RETYPED = TYPED.replace("code text NOT NULL DEFAULT '7'", "code int NOT NULL DEFAULT 7").replace("timestamp", "timestamptz")
RETYPED = RETYPED.replace("json", "jsonb").replace("day date", "day timestamp").replace("big int", "big bigint")
TWO_TYPES = "SELECT pg_typeof(code)::text, pg_typeof(at)::text, pg_typeof(day)::text, code::text, at::timestamp::text, day::text FROM {}.t"


@both_ends
def test_each_release_keeps_its_types_until_the_old_one_is_gone(major: int, database: str, tmp_path: Path) -> None:
    assert major in (15, 18)
    (tmp_path / "new.sql").write_text(RETYPED)
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute("SET TimeZone = 'UTC'")
        conn.execute(TYPED.encode())
        conn.execute("INSERT INTO app.t VALUES (1, '5', '2026-03-29 02:30', '{}', '2026-01-01')")
        made = make(Wish(str(tmp_path / "new.sql"), database, releases=NAMES, style=Safe(zone="Europe/Berlin")))
        plan = made.plan
        assert plan.questions == ()
        (told,) = (note for note in plan.notes if "release v1 sees" in note)
        assert "app_v1.t.big as bigint instead of integer" in told
        assert "not every bigint has a place in integer" in told
        Runner(conn).run(tuple(s for s in plan.steps if s.phase is not Phase.CONTRACT))
        old = conn.execute(TWO_TYPES.format("app_v1").encode()).fetchall()
        assert old == [("text", "timestamp without time zone", "date", "5", "2026-03-29 02:30:00", "2026-01-01")]
        assert conn.execute(TWO_TYPES.format("app_v2").encode()).fetchall() == [
            ("integer", "timestamp with time zone", "timestamp without time zone", "5", "2026-03-29 01:30:00", "2026-01-01 00:00:00")
        ]
        conn.execute("INSERT INTO app_v1.t (id) VALUES (2); INSERT INTO app_v2.t (id, code, day) VALUES (3, 9, '2026-02-02 12:34')")
        conn.execute("UPDATE app_v1.t SET at = '2026-05-05 12:00' WHERE id IN (1, 3); UPDATE app_v2.t SET code = 6 WHERE id = 1")
        conn.execute("INSERT INTO app_v2.t (id, code) VALUES (4, 7) ON CONFLICT (code) DO UPDATE SET id = 5")
        seen = "SELECT id, code::text, day::text, at IS NULL FROM {}.t ORDER BY id"
        assert conn.execute(seen.format("app_v1").encode()).fetchall() == [
            (1, "6", "2026-01-01", False), (3, "9", "2026-02-02", False), (5, "7", None, True),
        ]  # fmt: skip
        new = conn.execute(seen.format("app_v2").encode()).fetchall()
        assert new == [(1, "6", "2026-01-01 00:00:00", False), (3, "9", "2026-02-02 12:34:00", False), (5, "7", None, True)]
        Runner(conn).run(tuple(s for s in plan.steps if s.phase is Phase.CONTRACT))
        assert conn.execute(seen.format("app").encode()).fetchall() == new
        assert conn.execute(seen.format("app_v2").encode()).fetchall() == new
        Runner(conn).run(plan.reverse)
        assert conn.execute("SELECT id, code FROM app.t ORDER BY id").fetchall() == [(1, "6"), (3, "9"), (5, "7")]
