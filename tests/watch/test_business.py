"""Business rules: guide cloudlab's two on a schema like the shop's, as a user measures them; what is hostile or broken is told and hides
nothing."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests.watch.ground import Ground, worst

from pgcharter.cli import failures
from pgcharter.policy.business_settings import RuleTable
from pgcharter.servers.lifecycle import Server
from pgcharter.servers.scratch import kept
from pgcharter.watch.business import Result, measure, says
from pgcharter.watch.model import Level

AT = datetime(2026, 11, 22, 8, tzinfo=UTC)
CHARTER = """
[environments.dev]
dsn_env = "BUSINESS_DB"

[evidence]

[business]

[[business.rule]]
id = "order_processing"
title = "orders are shipped within an hour"
sql = '''
SELECT avg(extract(epoch FROM s.at - o.created_at)) AS value, count(*) AS orders
  FROM sales.orders AS o
  JOIN LATERAL (SELECT min(t.created_at) AS at FROM sales.order_transitions AS t
                 WHERE t.order_id = o.order_id AND t.order_status = 'shipped') AS s ON s.at IS NOT NULL
 WHERE o.created_at >= now() - interval '24 hours'
'''
threshold = 3600
unit = "s"
window = "24 hours"
owner = "fulfilment"

[[business.rule]]
id = "inventory_propagation"
title = "changes of stock are known everywhere within a minute"
sql = '''
SELECT extract(epoch FROM avg(propagated_at - created_at)) AS value, count(*) AS changes
  FROM catalog.inventory_updates
 WHERE created_at >= now() - interval '1 hour'
'''
threshold = 60
unit = "s"
window = "1 hour"
"""
SCHEMA = """
CREATE SCHEMA sales;
CREATE SCHEMA catalog;
CREATE TABLE sales.orders (order_id int PRIMARY KEY, tenant_id int NOT NULL DEFAULT 1, created_at timestamptz NOT NULL);
CREATE TABLE sales.order_transitions (order_id int NOT NULL REFERENCES sales.orders, order_status text NOT NULL,
                                      created_at timestamptz NOT NULL);
CREATE TABLE catalog.inventory_updates (product_id int, created_at timestamptz NOT NULL, propagated_at timestamptz);
"""
TAKEN = """
TRUNCATE sales.orders, sales.order_transitions, catalog.inventory_updates;
INSERT INTO sales.orders SELECT i, 1, now() - interval '23 hours' FROM generate_series(1, 4) AS i;
INSERT INTO sales.orders VALUES (9, 1, now() - interval '3 days');
INSERT INTO sales.order_transitions SELECT order_id, 'shipped', created_at + interval '{orders} s' FROM sales.orders;
INSERT INTO sales.order_transitions SELECT order_id, 'paid', created_at FROM sales.orders;
UPDATE sales.order_transitions SET created_at = created_at + interval '9 days' WHERE order_id = 9;
INSERT INTO catalog.inventory_updates SELECT i, now() - interval '10 min', now() - interval '10 min' + interval '{stock} s'
  FROM generate_series(1, 3) AS i;
"""
Call = Callable[..., tuple[int, Any]]


@pytest.fixture(autouse=True, scope="module")
def one_scratch_server() -> Iterator[None]:
    with kept():
        yield


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, database: str) -> Call:
    (tmp_path / "pgcharter.toml").write_text(CHARTER)
    monkeypatch.setenv("BUSINESS_DB", database)
    monkeypatch.chdir(tmp_path)

    def run(*words: str) -> tuple[int, Any]:
        capsys.readouterr()
        code = failures.run(list(words))
        out = capsys.readouterr().out
        return code, json.loads(out) if "json" in words else out

    return run


def filled(database: str, *, orders: int, stock: int) -> None:
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute(TAKEN.format(orders=orders, stock=stock).encode())


def states(call: Call) -> tuple[int, dict[str, tuple[str, float | None]], dict[str, str | None]]:
    code, data = call("business", "check", "--format", "json")
    return code, {r["rule"]: (r["state"], r["value"]) for r in data["rules"]}, {r["rule"]: r["trend"] for r in data["rules"]}


@pytest.mark.parametrize("major", [15, 18])
def test_the_guides_two_rules(database: str, call: Call, major: int) -> None:
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute(SCHEMA.encode())
    assert states(call) == (
        0,
        {"order_processing": ("NO DATA", None), "inventory_propagation": ("NO DATA", None)},
        {"order_processing": None, "inventory_propagation": None},
    )
    assert call("business", "check", "--strict")[0] == 1
    assert call("policy", "apply", "--yes")[0] == 0
    filled(database, orders=3599, stock=61)
    good, late = ("COMPLIANT", 3599.0), ("NON_COMPLIANT", 61.0)
    assert states(call)[:2] == (1, {"order_processing": good, "inventory_propagation": late})
    filled(database, orders=3600, stock=30)
    code, found, trends = states(call)
    assert (code, found) == (1, {"order_processing": ("NON_COMPLIANT", 3600.0), "inventory_propagation": ("COMPLIANT", 30.0)})
    assert trends == {"order_processing": "steady", "inventory_propagation": "better"}
    code, text = call("business", "history", "order_processing")
    assert code == 0
    assert [line.split()[2] for line in text.splitlines()[1:]] == ["NON_COMPLIANT", "COMPLIANT"]
    assert "must be below 3,600 s" in text
    assert "ask fulfilment" in call("business", "check", "order_processing")[1]
    with psycopg.connect(database) as conn:
        rows = conn.execute("SELECT name, holds, seen FROM pgcharter.evidence ORDER BY proven_at, name").fetchall()
        facts = conn.execute("SELECT facts FROM pgcharter.business_results WHERE rule = 'order_processing' LIMIT 1").fetchall()
    assert [r[:2] for r in rows if r[0].startswith("business.")] == [
        ("business.order_processing", True),
        ("business.inventory_propagation", False),
        ("business.order_processing", False),
        ("business.inventory_propagation", True),
    ]
    assert ("business.order_processing", False, "3,600 s over 24 hours, must be below 3,600 s") in rows
    assert facts == [({"orders": 4},)]


def rule(sql: str, **more: Any) -> RuleTable:
    return RuleTable("r", "R", sql, **{"threshold": 1.0, **more})


NOT_MEASURED = [
    ("SELECT 1, 2", "it gives 2 columns, and not one of them is called value"),
    ("SELECT generate_series(1, 2)", "more than one row"),
    ("SELECT 'many'", "its value is no number: many"),
    ("SELECT true", "its value is no number"),
    ("SELECT 'NaN'::float8", "its value is no number"),
    ("SELECT 1 / 0", "division by zero"),
    ("SELECT * FROM nowhere", 'relation "nowhere" does not exist'),
    ("SELECT pg_sleep(30)", "it took longer than its 1 s"),
    ("SELECT count(*) FROM generate_series(1, 1e12::bigint)", "it took longer than its 1 s"),
    ("SELECT nextval('hidden_seq')", "read-only transaction"),
    ("SELECT spoil()", "read-only transaction"),
    ("SELECT ends()", ""),
]
GIVEN = [
    ("SELECT 0.5", "compliant", 0.5),
    ("SELECT interval '0.5 s'", "compliant", 0.5),
    ("SELECT 7::numeric AS value, 'x' AS other", "non_compliant", 7.0),
    ("SELECT NULL::int", "no_data", None),
    ("SELECT 1 WHERE false", "no_data", None),
    ("SELECT count(*) FROM hidden WHERE note LIKE '%x%'", "compliant", 0.0),
]


def test_a_rule_that_fails_says_so_and_hides_no_other(database: str) -> None:
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute("CREATE TABLE hidden (note text)")
        conn.execute("CREATE SEQUENCE hidden_seq")
        conn.execute("CREATE FUNCTION spoil() RETURNS int LANGUAGE sql AS 'INSERT INTO hidden VALUES (1) RETURNING 1'")
        conn.execute(
            "CREATE FUNCTION ends() RETURNS bool LANGUAGE plpgsql AS $$ BEGIN RETURN pg_terminate_backend(pg_backend_pid()); END $$"
        )
    rules = [rule(sql, timeout=1) for sql, _ in NOT_MEASURED] + [rule(sql) for sql, *_ in GIVEN]
    found = measure(database, rules, lambda: AT)
    for one, (sql, said) in zip(found, NOT_MEASURED, strict=False):
        assert one.state == "failed", sql
        assert one.problem, sql
        assert said in one.problem, sql
    assert [(r.state, r.value) for r in found[len(NOT_MEASURED) :]] == [(state, value) for _, state, value in GIVEN]


def test_rows_hidden_by_policies_are_not_passed_over_in_silence(database: str) -> None:
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute(SCHEMA.encode())
        conn.execute("CREATE ROLE bu_looker LOGIN; GRANT USAGE ON SCHEMA sales TO bu_looker; GRANT SELECT ON sales.orders TO bu_looker")
        conn.execute("ALTER TABLE sales.orders ENABLE ROW LEVEL SECURITY")
        try:
            count = "SELECT count(*) FROM sales.orders"
            dsn = psycopg.conninfo.make_conninfo(database, options="-c role=bu_looker")
            failed, part = measure(dsn, [rule(count), rule(count, filtered=True)], lambda: AT)
            assert (failed.state, part.state) == ("failed", "compliant")
            assert "BYPASSRLS" in failed.problem
        finally:
            conn.execute("DROP OWNED BY bu_looker; DROP ROLE bu_looker")


@pytest.mark.parametrize(
    ("direction", "holds"),
    [("below", (True, False, False)), ("at most", (True, True, False)), ("at least", (False, True, True)), ("above", (False, False, True))],
)
def test_directions_and_trends(database: str, direction: Any, holds: tuple[bool, ...]) -> None:
    found = measure(database, [rule(f"SELECT {n}", direction=direction) for n in (0.9, 1, 1.1)], lambda: AT)
    assert tuple(r.state == "compliant" for r in found) == holds
    up = Result(found[0].rule, AT, "compliant", 2.0, mean=1.0)
    assert up.trend == ("worse" if direction in ("below", "at most") else "better")
    assert says(found[0]) == f"0.9, must be {direction} 1"


def test_the_collector_tells_what_is_broken(database: str, major_server: Server, call: Call) -> None:
    assert call("policy", "apply", "--yes")[0] == 0
    add = "INSERT INTO pgcharter.business_results (rule, checked_at, state, value, threshold, direction, title, problem) VALUES "
    with psycopg.connect(database, autocommit=True) as conn:
        ground = Ground(major_server, conn, psycopg.conninfo.conninfo_to_dict(database)["dbname"] or "")  # type: ignore[arg-type]
        conn.execute(
            f"{add} ('a', now() - interval '1 h', 'compliant', 0.5, 1, 'below', 'A', NULL),"
            " ('old', now() - interval '9 d', 'non_compliant', 2, 1, 'below', 'O', NULL)".encode()
        )
        found, _ = ground.look("business.broken", "business.failed", "business.silent")
        assert found.worst is Level.OK
        conn.execute(
            f"{add} ('a', now(), 'non_compliant', 2, 1, 'below', 'A', NULL), ('b', now(), 'failed', NULL, 1, 'below', 'B', 'gone'),"
            " ('c', now() - interval '2 d', 'no_data', NULL, 1, 'below', 'C', NULL)".encode()
        )
        found, _ = ground.look("business.broken", "business.failed", "business.silent")
    told = {c: worst(found, f"business.{c}") for c in ("broken", "failed", "silent")}
    assert {c: r and (r.level, r.labels["rule"]) for c, r in told.items()} == {
        "broken": (Level.WARNING, "a"), "failed": (Level.WARNING, "b"), "silent": (Level.WARNING, "c"),
    }  # fmt: skip


def test_past_results_go_with_their_time(database: str, call: Call) -> None:
    assert call("policy", "apply", "--yes")[0] == 0
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute(SCHEMA.encode())
        add = "INSERT INTO pgcharter.business_results (rule, checked_at, state, threshold, direction, title) VALUES "
        old, young = (f"('a', now() - interval '{days} d', 'no_data', 1, 'below', 'A')" for days in (731, 729))
        conn.execute(f"{add} {old}, {young}".encode())
        assert call("business", "check")[0] == 0
        left = conn.execute("SELECT count(*) FROM pgcharter.business_results WHERE rule = 'a'").fetchall()
        assert left == [(1,)]
        assert call("business", "check", "--no-keep")[0] == 0
        assert conn.execute("SELECT count(*) FROM pgcharter.business_results").fetchall() == [(3,)]


def test_what_is_not_there_is_told(call: Call, capsys: pytest.CaptureFixture[str]) -> None:
    assert failures.run(["business", "check", "order_procesing"]) == 2
    assert "order_processing" in capsys.readouterr().err
    assert failures.run(["business", "history", "order_processing"]) == 3
    assert "pgcharter policy apply" in capsys.readouterr().err
    code, listed = call("business", "list")
    assert code == 0
    assert "below 3,600 s over 24 hours · fulfilment" in " ".join(listed.split())
    assert call("business", "list", "--format", "json")[1]["rules"][1]["id"] == "inventory_propagation"
    Path("pgcharter.toml").write_text("")
    assert failures.run(["business", "check"]) == 2


def test_evidence_of_a_rule_ends_after_a_day(database: str) -> None:
    from pgcharter.watch.business import evidence

    found = measure(database, [rule("SELECT 0"), rule("SELECT NULL::int"), rule("SELECT 1/0")], lambda: AT)
    [one] = evidence(found)
    assert (one.holds, one.until) == (True, AT + timedelta(days=1))
