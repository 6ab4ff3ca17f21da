"""Advice on indexes on real servers: what is proposed works and can be taken back; nothing is called unused that a node, a constraint, a
foreign key or another proposal needs."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests.conftest import installation
from tests.runtime import standby as standbys
from tests.watch.ground import until

from pgcharter.cli import failures
from pgcharter.errors import UsageError
from pgcharter.names import ObjectId
from pgcharter.servers import lifecycle
from pgcharter.sources import live
from pgcharter.watch import advise_nodes
from pgcharter.watch.advise_indexes import Advised, advise
from pgcharter.watch.advise_nodes import Node, same_cluster, unseen

HOUR, LONG = timedelta(hours=1), timedelta(days=90)
SCHEMA = """
CREATE SCHEMA "Shop";
CREATE TABLE "Shop".users (user_id int PRIMARY KEY, email text NOT NULL UNIQUE, name text, city text, note text);
CREATE TABLE "Shop".orders (order_id int PRIMARY KEY, user_id int NOT NULL REFERENCES "Shop".users, buyer_id int REFERENCES "Shop".users,
                            status text, created_at timestamptz);
CREATE TABLE "Shop".tiny (tiny_id int PRIMARY KEY, user_id int REFERENCES "Shop".users);
INSERT INTO "Shop".users SELECT i, 'u' || i, 'n' || i, 'c', 'x' FROM generate_series(1, 500) AS i;
INSERT INTO "Shop".orders SELECT i, i % 500 + 1, i % 500 + 1, 's', now() FROM generate_series(1, 12000) AS i;
CREATE INDEX "Größe" ON "Shop".users (city);
CREATE INDEX used ON "Shop".users (name);
CREATE INDEX again ON "Shop".users (email);
CREATE INDEX lowered ON "Shop".users (lower(name));
CREATE INDEX status ON "Shop".orders (status);
CREATE INDEX status_at ON "Shop".orders (status, created_at);
CREATE INDEX for_user ON "Shop".orders (user_id);
CREATE INDEX twin_a ON "Shop".orders (created_at);
CREATE INDEX twin_b ON "Shop".orders (created_at);
CREATE TABLE "Shop".logs (log_id int, at date NOT NULL, word text) PARTITION BY RANGE (at);
CREATE TABLE "Shop".logs_1 PARTITION OF "Shop".logs FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
CREATE TABLE "Shop".logs_2 PARTITION OF "Shop".logs FOR VALUES FROM ('2026-02-01') TO ('2026-03-01');
CREATE INDEX logs_word ON "Shop".logs (word);
CREATE INDEX logs_log_id ON "Shop".logs (log_id);
INSERT INTO "Shop".logs SELECT i, '2026-01-15', 'w' || i FROM generate_series(1, 3000) AS i;
"""
READS = ("SELECT * FROM \"Shop\".users WHERE name = 'n7'", 'SELECT * FROM "Shop".logs_1 WHERE log_id = 7')


@pytest.fixture
def shop(database: str) -> str:
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute(SCHEMA.encode())
        conn.execute("SET enable_seqscan = off")
        for sql in READS:
            conn.execute(sql.encode())
        broken = 'CREATE UNIQUE INDEX CONCURRENTLY broken ON "Shop".orders (status)'
        with pytest.raises(psycopg.errors.UniqueViolation):
            conn.execute(broken.encode())
        conn.execute("VACUUM ANALYZE")
        conn.execute("SELECT pg_stat_force_next_flush()")
    with psycopg.connect(database, autocommit=True) as conn:
        count = "SELECT sum(idx_scan) FROM pg_stat_user_indexes WHERE indexrelname IN ('used', 'logs_1_log_id_idx')"
        until(lambda: (conn.execute(count).fetchone() or (0,))[0] >= 2)
    return database


def looked(dsn: str, window: timedelta = HOUR, smallest: int = 0, *, counted: timedelta = LONG, **changes: Any) -> Advised:
    """Advice of a server whose counters are as old as that, since nobody waits for a month."""
    with psycopg.connect(dsn, autocommit=True) as conn:
        catalog = live.read_catalog(conn)
        node = advise_nodes.read(conn, "main")
        node = replace(node, **{"since": node.now - counted, "standbys": (), **changes})
        return advise(catalog, live.read_stats(conn, catalog), [node], window, smallest)


def told(found: Advised) -> dict[str, set[str]]:
    kinds: dict[str, set[str]] = {}
    for one in found.advice:
        kinds.setdefault(one.kind, set()).add(one.index.part or one.index.name)
    return kinds


@pytest.mark.parametrize("major", [15, 18])
def test_every_kind_is_proposed_and_nothing_that_is_needed(shop: str, major: int) -> None:
    found = looked(shop)
    assert found.gaps == ()
    assert told(found) == {
        "invalid": {"broken"},
        "duplicate": {"twin_b"},
        "redundant": {"again", "status"},
        "missing": {"orders_buyer_id_fkey"},
        "unused": {"Größe", "logs_word"},
    }
    assert found.small == 1
    [size] = [a for a in found.advice if a.index.name == "Größe"]
    assert size.sql == ('DROP INDEX CONCURRENTLY "Shop"."Größe"',)
    assert size.undo == ('CREATE INDEX CONCURRENTLY "Größe" ON "Shop".users USING btree (city)',)
    assert size.facts["writes"] == 500
    [parted] = [a for a in found.advice if a.index.name == "logs_word"]
    assert parted.sql == ('DROP INDEX "Shop".logs_word',)
    with psycopg.connect(shop, autocommit=True) as conn:
        for one in found.advice:
            if one.kind == "invalid":
                conn.execute('UPDATE "Shop".orders SET status = order_id::text')
            for sql in one.sql:
                conn.execute(sql.encode())
        conn.execute("VACUUM ANALYZE")
    after = looked(shop)
    assert "unused" not in told(after) or not told(after)["unused"] & {"Größe", "logs_word"}
    assert not {"invalid", "duplicate", "missing"} & told(after).keys()
    with psycopg.connect(shop, autocommit=True) as conn:
        for one in found.advice:
            for sql in one.undo:
                conn.execute(sql.encode())


def test_what_stays_for_another_is_not_called_unused(shop: str) -> None:
    found = looked(shop)
    names = {a.index.name for a in found.advice if a.sql}
    assert "twin_b" in names
    assert "twin_a" not in names
    assert "status" in names
    assert "status_at" not in names


def test_a_constraint_that_is_there_twice_comes_back_as_one(shop: str) -> None:
    with psycopg.connect(shop, autocommit=True) as conn:
        conn.execute('ALTER TABLE "Shop".users ADD CONSTRAINT "Again" UNIQUE (email)')
        [twice] = [a for a in looked(shop).advice if a.kind == "duplicate" and "email" in " ".join(a.undo)]
        for sql in (*twice.sql, *twice.undo):
            conn.execute(sql.encode())
        assert conn.execute("SELECT count(*) FROM pg_constraint WHERE conname = %s", [twice.index.name]).fetchall() == [(1,)]


def test_small_ones_are_left_alone(shop: str) -> None:
    assert "unused" not in told(looked(shop, smallest=1 << 20))


def test_without_enough_history_nothing_unused_is_proposed(shop: str) -> None:
    found = looked(shop, window=timedelta(days=35), counted=HOUR)
    unused = [a for a in found.advice if a.kind == "unused"]
    assert {a.index.name for a in unused} == {"Größe", "logs_word"}
    assert not any(a.sql for a in unused)
    assert "of 35 days only" in found.gaps[0].why


def node(called: str, *, standby: bool = False, scans: int = 0, last: datetime | None = None, **more: Any) -> Node:
    at = datetime(2026, 11, 22, tzinfo=UTC)
    one = Node(called, "1", standby, at, at - timedelta(days=90), {ObjectId("index", "s", "i"): (scans, last, 9)}, {}, frozenset(), ())
    return replace(one, **more)


DAY = 86400.0


def test_every_node_must_say_so() -> None:
    ids = [ObjectId("index", "s", "i")]
    primary = node("a", standbys=("b",))
    assert "node" in unseen([primary], 35 * DAY)[0].why
    assert unseen([primary, node("b", standby=True)], 35 * DAY) == []
    assert "primary was not asked" in unseen([node("b", standby=True)], 35 * DAY)[0].why
    assert "90.0 of 100 days" in unseen([node("a")], 100 * DAY)[0].why
    assert advise_nodes.quiet([primary, node("b", standby=True)], ids, DAY)
    assert not advise_nodes.quiet([primary, node("b", standby=True, scans=1)], ids, DAY)
    long_ago = node("a").now - timedelta(days=40)
    assert advise_nodes.quiet([node("a", scans=5, last=long_ago)], ids, 35 * DAY)
    assert not advise_nodes.quiet([node("a", scans=5, last=long_ago)], ids, 41 * DAY)
    assert not advise_nodes.quiet([primary, node("b", standby=True, indexes={})], ids, DAY)


def test_nodes_of_other_clusters_are_refused() -> None:
    with pytest.raises(UsageError, match="no node of the cluster"):
        same_cluster([node("a"), node("b", cluster="2")])
    with pytest.raises(UsageError, match="named twice"):
        same_cluster([node("a"), node("a")])


def test_what_a_concurrent_reindex_left_behind_is_dropped(shop: str) -> None:
    with psycopg.connect(shop, autocommit=True) as conn:
        conn.execute('ALTER INDEX "Shop".broken RENAME TO status_ccnew')
    [left] = [a for a in looked(shop).advice if a.kind == "invalid"]
    assert left.sql == ('DROP INDEX CONCURRENTLY "Shop".status_ccnew',)


def test_an_index_that_is_being_built_is_left_alone(shop: str) -> None:
    building = frozenset({ObjectId("index", "Shop", "broken")})
    assert "invalid" not in told(looked(shop, building=building))


Call = Callable[..., tuple[int, Any]]


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Call:
    monkeypatch.chdir(tmp_path)

    def run(*words: str) -> tuple[int, Any]:
        capsys.readouterr()
        code = failures.run(list(words))
        out = capsys.readouterr().out
        return code, json.loads(out) if "json" in words and out else out

    return run


def test_as_a_user_asks(shop: str, call: Call) -> None:
    code, text = call("advise", "indexes", "--on", shop, "--smallest", "0")
    assert code == 1
    assert "CREATE INDEX CONCURRENTLY" in text
    assert 'DROP INDEX CONCURRENTLY "Shop".twin_b;' in text
    assert "1 foreign key of small tables" in text
    code, data = call("advise", "indexes", "--on", shop, "--smallest", "0", "--window", "1s", "--format", "json")
    assert code == 1
    assert {a["kind"] for a in data["advice"]} == {"invalid", "duplicate", "redundant", "missing", "unused"}
    assert call("advise", "indexes", "--on", shop, "--node", shop)[0] == 2
    assert call("advise", "indexes", "--on", shop, "--window", "soon")[0] == 2


def test_an_empty_database(database: str, call: Call) -> None:
    code, text = call("advise", "indexes", "--on", database)
    assert code == 0
    assert "0 proposals" in text


def test_a_role_that_sees_little_is_told_so(shop: str) -> None:
    with psycopg.connect(shop, autocommit=True) as conn:
        conn.execute("CREATE ROLE ad_low")
        conn.execute("SET ROLE ad_low")
        try:
            low = advise_nodes.read(conn, "main")
        finally:
            conn.execute("RESET ROLE; DROP ROLE ad_low")
    assert "GRANT pg_monitor TO ad_low" in low.gaps[0].why


def test_an_index_that_only_a_standby_reads_stays(call: Call) -> None:
    with (
        lifecycle.start_ephemeral(installation(), settings={"max_wal_senders": 5}) as primary,
        psycopg.connect(primary.dsn(), autocommit=True) as admin,
    ):
        admin.execute("CREATE TABLE t (a int, b int)")
        admin.execute("INSERT INTO t SELECT i, i FROM generate_series(1, 1000) AS i")
        admin.execute("CREATE INDEX of_standby ON t (a)")
        admin.execute("CREATE INDEX of_nobody ON t (b)")
        with standbys.standby_of(primary) as copy:
            until(lambda: admin.execute("SELECT FROM pg_stat_replication WHERE state = 'streaming'").fetchone() is not None)
            standbys.caught_up(primary, copy)
            count = "SELECT idx_scan FROM pg_stat_user_indexes WHERE indexrelname = 'of_standby'"
            with psycopg.connect(copy.dsn(), autocommit=True, options="-c enable_seqscan=off") as there:
                there.execute("SELECT * FROM t WHERE a = 7")
                there.execute("SELECT pg_stat_force_next_flush()")
                until(lambda: (there.execute(count).fetchone() or (0,))[0])
            words = ("advise", "indexes", "--on", primary.dsn(), "--smallest", "0", "--format", "json")
            code, data = call(*words, "--window", "1s")
            assert (code, [a["sql"] for a in data["advice"]]) == (0, [[], []])
            assert "1 node streams from here" in data["not_seen"][0]["why"]
            time.sleep(1.1)
            code, data = call(*words, "--window", "1s", "--node", copy.dsn())
            proposed = {a["object"]["name"]: bool(a["sql"]) for a in data["advice"]}
            assert data["not_seen"] == []
            assert proposed["of_nobody"]
            code, data = call(*words, "--window", "1min", "--node", copy.dsn())
            assert "of_standby" not in {a["object"]["name"] for a in data["advice"]}
