"""The event store on real servers: versions, conflicts, order, what is refused, and the plans of hot reads."""

from __future__ import annotations

import asyncio
import threading
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from tests.runtime.events_store import install

from pgcharter.errors import UnavailableError, UsageError
from pgcharter.runtime.events import (
    Append,
    ArchivedError,
    New,
    VersionConflictError,
    append,
    append_many,
    read_aggregate,
    read_all,
    read_category,
    settled,
    stream,
    version_of,
)
from pgcharter.runtime.events_archive import archive, store_status

both = pytest.mark.parametrize("major", [15, 18])
HOSTILE = ["o'x", 'a"b', "{a,b}", "\\", "ünïcødé 漢字", "a" * 63, "NULL", "%s", "a b", "x" * 1000, "$1", "a,b"]


@pytest.fixture
def store(database: str) -> Iterator[Any]:
    install(database)
    with psycopg.connect(database) as conn:
        yield conn


def news(*names: str) -> list[New]:
    return [New(n, {"n": n}) for n in names]


@both
def test_versions_and_what_is_expected(store: Any, major: int) -> None:
    assert append(store, "order", "1", news("a", "b"), expected="none").version == 2
    assert append(store, "order", "1", news("c"), expected=2).version == 3
    assert append(store, "order", "1", news("d")).version == 4
    assert append(store, "order", "1", news("e"), expected="exists").version == 5
    assert append(store, "cart", "1", news("x"), expected=0).version == 1
    for kind, id_, expected in (("order", "1", 4), ("order", "1", 0), ("order", "2", 1), ("order", "2", "exists")):
        with pytest.raises(VersionConflictError):
            append(store, kind, id_, news("z"), expected=expected)  # type: ignore[arg-type]
    assert version_of(store, "order", "1") == 5
    assert version_of(store, "order", "2") == 0
    found = read_aggregate(store, "order", "1")
    assert [(e.version, e.type, e.data) for e in found] == [(n, t, {"n": t}) for n, t in enumerate("abcde", 1)]
    assert [e.position for e in found] == sorted(e.position for e in found)
    assert read_all(store) == [], "what this transaction appended is not settled yet"
    store.commit()
    assert len({e.id for e in read_all(store)}) == 6


@both
def test_a_conflict_says_who_wrote_what(store: Any, major: int) -> None:
    store.execute("SET LOCAL pgcharter.actor = 'ada'")
    append(store, "order", "1", news("order-placed"))
    with pytest.raises(
        VersionConflictError, match=r"order 1 is at version 1, and the append expected none: ada appended order-placed at"
    ) as e:
        append(store, "order", "1", news("order-placed"), expected=0)
    assert (e.value.conflict.actual, e.value.conflict.actor, e.value.conflict.type) == (1, "ada", "order-placed")
    assert append(store, "order", "1", news("again"), expected=1).version == 2, "the transaction goes on"
    with pytest.raises(psycopg.Error, match="order 1 is at version 2, and the append expected 7; last was again by ada") as raw:
        store.execute("SELECT pgcharter.append_events('{order}', '{1}', '{7}', '{1}', '{x}', ARRAY['{}'::jsonb])")
    assert raw.value.sqlstate == "PC409"


@both
def test_many_aggregates_all_or_none(store: Any, major: int) -> None:
    done = append_many(store, [Append("a", "1", news("x", "y"), 0), Append("b", "1", news("z"), "none"), Append("a", "0", news("w"))])
    assert [d.version for d in done] == [2, 1, 1]
    store.commit()
    assert [(e.aggregate_type, e.aggregate_id, e.version, e.type) for e in read_all(store)] == [
        ("a", "1", 1, "x"), ("a", "1", 2, "y"), ("b", "1", 1, "z"), ("a", "0", 1, "w"),
    ]  # fmt: skip
    with pytest.raises(VersionConflictError, match="b 1 is at version 1") as e:
        append_many(store, [Append("a", "1", news("q"), 2), Append("b", "1", news("q"), 5), Append("c", "1", news("q"), 1)])
    assert len(e.value.conflicts) == 2
    assert [version_of(store, k, "1") for k in "abc"] == [2, 1, 0]
    store.commit()
    assert len(read_all(store)) == 4
    assert append_many(store, []) == ()
    with pytest.raises(UsageError, match="a 1 is in one call twice"):
        append_many(store, [Append("a", "1", news("q")), Append("a", "1", news("q"))])


def test_what_an_event_carries(store: Any) -> None:
    store.execute("SET LOCAL pgcharter.tenant = 't1'; SET LOCAL pgcharter.actor = 'ada'; SET LOCAL pgcharter.correlation = 'req-1'")
    own = uuid.uuid4()
    append(store, "order", "1", [New("a", [1, None, "é\n"], 3, {"k": "ü"}, own), New("b", "text")], causation="cmd-7")
    one, two = read_aggregate(store, "order", "1")
    assert (one.tenant, one.actor, one.correlation, one.causation) == ("t1", "ada", "req-1", "cmd-7")
    assert (one.id, one.data, one.metadata, one.schema_version) == (own, [1, None, "é\n"], {"k": "ü"}, 3)
    assert (two.data, two.metadata, two.schema_version) == ("text", None, 1)
    assert abs(one.at - datetime.now(UTC)) < timedelta(minutes=1)
    store.commit()
    assert read_all(store, tenant="t2") == []
    assert [e.version for e in read_all(store, tenant="t1", types=["b"], categories=["order", "cart"])] == [2]
    store.execute("SET LOCAL pgcharter.tenant = 't2'")
    assert read_aggregate(store, "order", "1") == []
    assert append(store, "order", "1", news("x"), expected=0).version == 1, "another tenant's order 1 is another one"


@pytest.mark.parametrize("id_", HOSTILE)
def test_hostile_names_come_back(store: Any, id_: str) -> None:
    kind = id_.encode()[:200].decode(errors="ignore")
    append_many(store, [Append(kind, id_, [New(kind, {id_: id_})]), Append("plain", id_, [New("x", None)], actor=id_)])
    (found,) = read_aggregate(store, kind, id_)
    assert (found.aggregate_type, found.aggregate_id, found.type, found.data) == (kind, id_, kind, {id_: id_})
    store.commit()
    assert read_category(store, "plain")[0].actor == id_
    with pytest.raises(VersionConflictError):
        append(store, kind, id_, news("x"), expected=0)


@pytest.mark.parametrize(
    ("kind", "id_", "new", "match"),
    [
        ("a\0", "1", New("x", 1), "NUL"),
        ("a", "1\0", New("x", 1), "NUL"),
        ("a", "1", New("x\0", 1), "NUL"),
        ("a", "1", New("x", {"k": "a\0b"}), "NUL character in its data"),
        ("a", "1", New("x", {"k\0": 1}), "NUL character in its data"),
        ("a", "1", New("x", {"k": "\ud800"}), "is no JSON"),
        ("a", "1", New("x", float("nan")), "is no JSON"),
        ("a", "1", New("x", {"k": {1, 2}}), "is no JSON"),
        ("a", "", New("x", 1), "not empty"),
        ("", "1", New("x", 1), "not empty"),
        ("a", "1", New("", 1), "not empty"),
        ("a" * 201, "1", New("x", 1), "201 bytes"),
        ("a", "é" * 501, New("x", 1), "1002 bytes"),
        ("a", "\ud800", New("x", 1), "surrogate"),
        ("a\nb", "1", New("x", 1), "control character"),
        ("a", "1", "no event", "is no event"),
    ],
)
def test_what_cannot_be_kept_is_refused_beforehand(store: Any, kind: str, id_: str, new: Any, match: str) -> None:
    with pytest.raises(UsageError, match=match):
        append(store, kind, id_, [new])
    assert append(store, "still", "fine", news("x")).version == 1


def test_what_looks_like_a_nul_is_none(store: Any) -> None:
    append(store, "a", "1", [New("x", "\\u0000")])
    assert read_aggregate(store, "a", "1")[0].data == "\\u0000"


@both
def test_uuid_ids(database: str, major: int) -> None:
    install(database, "uuid")
    own = uuid.uuid4()
    with psycopg.connect(database) as conn:
        append(conn, "order", own, news("a"), expected=0)
        assert read_aggregate(conn, "order", str(own))[0].aggregate_id == own
        conn.commit()
        with pytest.raises(UsageError, match="is no UUID"):
            append(conn, "order", "42", news("a"))


def test_no_events_or_a_version_that_none_has(store: Any) -> None:
    with pytest.raises(UsageError, match="no event"):
        append(store, "a", "1", [])
    with pytest.raises(UsageError, match="expects version -3"):
        append(store, "a", "1", news("x"), expected=-3)


def test_arrays_that_do_not_belong_together(store: Any) -> None:
    for given in ("'{a}', '{1}', '{0}', '{2}', '{x}'", "'{a,b}', '{1}', '{0}', '{1}', '{x}'", "'{a,b}', '{1,2}', '{0,0}', '{2,-1}', '{x}'"):
        with pytest.raises(psycopg.errors.ArraySubscriptError), store.transaction():
            store.execute(f"SELECT pgcharter.append_events({given}, ARRAY['1'::jsonb])".encode())
    assert read_all(store) == []


@both
def test_an_open_append_holds_back_what_comes_after(database: str, major: int) -> None:
    install(database)
    with psycopg.connect(database) as first, psycopg.connect(database) as second, psycopg.connect(database, autocommit=True) as reader:

        def seen() -> list[str]:
            with reader.transaction():
                return [e.type for e in read_all(reader)]

        append(first, "a", "0", news("before"))
        first.commit()
        append(first, "a", "1", news("slow"))
        append(second, "a", "2", news("quick"))
        second.commit()
        assert seen() == ["before"]
        append(first, "a", "3", news("slow too"))
        with reader.transaction():
            assert settled(reader) == 1
        first.commit()
        assert seen() == ["before", "slow", "quick", "slow too"]
        append(first, "a", "4", news("undone"))
        append(second, "a", "5", news("kept"))
        second.commit()
        first.rollback()
        assert seen()[-1] == "kept"


@both
def test_the_lock_goes_with_its_savepoint_and_comes_again(store: Any, major: int) -> None:
    held = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND classid = 1885824357 AND pid = pg_backend_pid()"

    def locks() -> int:
        return int(store.execute(held).fetchone()[0])

    store.execute("SAVEPOINT s")
    append(store, "a", "1", news("x"))
    assert locks() == 1
    store.execute("ROLLBACK TO s")
    assert locks() == 0
    append(store, "a", "1", news("y"), expected=0)
    append(store, "a", "1", news("z"), expected=1)
    assert locks() == 1, "once for a transaction"
    assert [e.type for e in read_aggregate(store, "a", "1")] == ["y", "z"]


def test_nobody_changes_what_has_happened(store: Any) -> None:
    append(store, "a", "1", news("x"))
    for sql in ("UPDATE pgcharter.events SET event_type = 'y'", "DELETE FROM pgcharter.events", "TRUNCATE pgcharter.events"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="what has happened stays"), store.transaction():
            store.execute(sql.encode())


@both
def test_rights(database: str, major: int) -> None:
    role = f"events_writer_{major}"
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute(f"CREATE ROLE {role}; CREATE ROLE {role}_no".encode())
        try:
            install(database, "text", role)
            with conn.transaction():
                conn.execute(f"SET LOCAL ROLE {role}".encode())
                append(conn, "a", "1", news("x"))
                assert len(read_aggregate(conn, "a", "1")) == 1
                assert read_all(conn) == []
                with pytest.raises(psycopg.errors.InsufficientPrivilege), conn.transaction():
                    conn.execute("INSERT INTO pgcharter.events SELECT * FROM pgcharter.events")
                with pytest.raises(psycopg.errors.InsufficientPrivilege), conn.transaction():
                    conn.execute("SELECT nextval('pgcharter.events_position')")
                with pytest.raises(psycopg.errors.InsufficientPrivilege), conn.transaction():
                    conn.execute("UPDATE pgcharter.event_heads SET version = 0")
            for do in (lambda: append(conn, "a", "1", news("x")), lambda: read_aggregate(conn, "a", "1"), lambda: read_all(conn)):
                conn.execute(f"SET ROLE {role}_no".encode())
                with pytest.raises(UnavailableError, match="may not append to or read"), conn.transaction():
                    do()
                conn.execute("RESET ROLE")
        finally:
            conn.execute(f"DROP OWNED BY {role}, {role}_no; DROP ROLE {role}; DROP ROLE {role}_no".encode())


def test_without_the_tables(database: str) -> None:
    with psycopg.connect(database) as conn, pytest.raises(UnavailableError, match="the event store is not there") as e:
        append(conn, "a", "1", news("x"))
    assert "policy apply" in e.value.hint


def test_reading_in_parts_and_backwards(store: Any) -> None:
    append(store, "a", "1", news(*"abcdefg"))
    append(store, "b", "1", news(*"hij"))
    store.commit()
    types = [e.type for e in read_all(store)]
    assert types == list("abcdefghij")
    for batch in (1, 2, 3, 10, 11):
        assert [e.type for e in stream(store, read_all, batch=batch)] == types
        assert [e.type for e in stream(store, read_all, batch=batch, backwards=True)] == types[::-1]
        assert [e.type for e in stream(store, read_aggregate, "a", "1", batch=batch)] == types[:7]
        assert [e.type for e in stream(store, read_aggregate, "a", "1", batch=batch, backwards=True)] == types[6::-1]
        assert [e.type for e in stream(store, read_category, "b", batch=batch)] == types[7:]
    assert [e.type for e in read_aggregate(store, "a", "1", after=2, upto=4)] == ["c", "d"]
    assert [e.type for e in read_aggregate(store, "a", "1", backwards=True, limit=2)] == ["g", "f"]
    assert [e.type for e in read_all(store, after=2, upto=4)] == ["c", "d"]
    assert read_category(store, "nothing") == []


def test_as_of(store: Any) -> None:
    append(store, "a", "1", news("x"))
    store.execute("SELECT pg_sleep(0.01)")
    (between,) = store.execute("SELECT clock_timestamp()").fetchone()
    append(store, "a", "1", news("y"))
    store.commit()
    for read in (
        lambda **s: read_aggregate(store, "a", "1", **s),
        lambda **s: read_all(store, **s),
        lambda **s: read_category(store, "a", **s),
    ):
        assert [e.type for e in read(as_of=between)] == ["x"]
        assert [e.type for e in read(as_of=between + timedelta(days=1))] == ["x", "y"]
        assert read(as_of=between - timedelta(days=1)) == []


def test_async_is_the_same(database: str) -> None:
    install(database)

    async def main() -> list[str]:
        async with await psycopg.AsyncConnection.connect(database) as conn:
            await append.aio(conn, "a", "1", news("x", "y"), expected=0)
            with pytest.raises(VersionConflictError):
                await append.aio(conn, "a", "1", news("x"), expected=0)
            await conn.commit()
            assert len(await read_aggregate.aio(conn, "a", "1")) == 2
            return [e.type async for e in stream(conn, read_all, batch=1)]

    assert asyncio.run(main()) == ["x", "y"]


@both
def test_concurrent_appends_make_one_history(database: str, major: int) -> None:
    install(database)
    lost = 0
    lock = threading.Lock()

    def work(number: int) -> None:
        nonlocal lost
        with psycopg.connect(database) as conn:
            for n in range(25):
                while True:
                    try:
                        ids = ["1", "2"][:: 1 if number % 2 else -1]
                        append_many(conn, [Append("a", i, news(f"{number}-{n}"), version_of(conn, "a", i)) for i in ids])
                        conn.commit()
                        break
                    except VersionConflictError:
                        conn.rollback()
                        with lock:
                            lost += 1

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    with psycopg.connect(database) as conn:
        one, two = read_aggregate(conn, "a", "1"), read_aggregate(conn, "a", "2")
    assert [e.version for e in one] == list(range(1, 101))
    assert [e.type for e in one] == [e.type for e in two], "the order of both is the order of commits"
    for found in (one, two):
        assert [e.position for e in found] == sorted(e.position for e in found)
        assert [e.at for e in found] == sorted(e.at for e in found)


@pytest.mark.direct("sessions of its own are prepared and killed")
def test_killed_before_and_after_commit(database: str) -> None:
    install(database)
    with psycopg.connect(database, autocommit=True) as admin:
        for n in range(2):
            victim = psycopg.connect(database)
            append(victim, "a", str(n), news("x"), expected=0)
            if n:
                victim.commit()
            admin.execute("SELECT pg_terminate_backend(%s, 5000)", (victim.info.backend_pid,))
            victim.close()
        with admin.transaction():
            assert [e.aggregate_id for e in read_all(admin)] == ["1"], "what was not committed is gone, and holds nobody back"
            assert version_of(admin, "a", "0") == 0


@both
def test_old_months_are_archived(database: str, major: int) -> None:
    install(database)
    with psycopg.connect(database, autocommit=True) as conn:
        with conn.transaction():
            append(conn, "a", "1", news("x", "y"))
            append(conn, "a", "2", news("z"))
        _age(conn)
        with conn.transaction():
            append(conn, "a", "1", news("later"), expected=2)
            with pytest.raises(UsageError, match="no month 1999-01"):
                archive(conn, datetime(1999, 1, 1).date())
        with conn.transaction():
            done = archive(conn, datetime(2020, 5, 1).date())
        assert (done.rows, done.aggregates, done.upto) == (3, 2, 3)
        with conn.transaction():
            with pytest.raises(ArchivedError, match=r"a 1 has events in archived months, up to version 2 of 3"):
                read_aggregate(conn, "a", "1")
            with pytest.raises(ArchivedError):
                read_aggregate(conn, "a", "2")
            with pytest.raises(ArchivedError):
                read_aggregate(conn, "a", "1", backwards=True)
            assert [e.type for e in read_aggregate(conn, "a", "1", after=2)] == ["later"]
            assert [e.type for e in read_aggregate(conn, "a", "1", backwards=True, limit=1)] == ["later"]
            assert [e.type for e in read_aggregate(conn, "a", "1", archived=True)] == ["x", "y", "later"]
            assert [e.type for e in read_all(conn)] == ["later"]
            assert append(conn, "a", "2", news("goes on"), expected=1).version == 2
            found = store_status(conn)
            assert [m.table for m in found.months if m.archived] == ["events_archive_2020_05"]
            assert found.kept_from == 3
            with pytest.raises(psycopg.errors.InsufficientPrivilege, match="what has happened stays"), conn.transaction():
                conn.execute("DELETE FROM pgcharter.events_archive_2020_05")


def _age(conn: Any) -> None:
    """Have all events be of May 2020: nobody may do that but who turns the guards off."""
    bound = "FOR VALUES FROM ('2020-05-01') TO ('2020-06-01')"
    conn.execute(f"CREATE TABLE pgcharter.events_2020_05 PARTITION OF pgcharter.events {bound}".encode())
    conn.execute("SET session_replication_role = replica; ALTER TABLE pgcharter.events DISABLE TRIGGER USER")
    conn.execute("UPDATE pgcharter.events SET month = '2020-05-01', created_at = '2020-05-15'")
    conn.execute("RESET session_replication_role; ALTER TABLE pgcharter.events ENABLE ALWAYS TRIGGER events_guard_rows")
    conn.execute("ALTER TABLE pgcharter.events ENABLE ALWAYS TRIGGER events_guard_whole")


def test_events_without_a_month_are_kept_apart(database: str) -> None:
    install(database)
    with psycopg.connect(database, autocommit=True) as conn:
        (month,) = conn.execute("SELECT 'pgcharter.events_' || to_char(now() AT TIME ZONE 'UTC', 'YYYY_MM')").fetchone()  # type: ignore[misc]
        conn.execute(f"DROP TABLE {month}".encode())
        with conn.transaction():
            append(conn, "a", "1", news("x"))
        with conn.transaction():
            assert [e.type for e in read_aggregate(conn, "a", "1")] == [e.type for e in read_all(conn)] == ["x"]
            assert store_status(conn).unplaced == 1


@both
def test_hot_reads_use_their_indexes(database: str, major: int) -> None:
    install(database)
    with psycopg.connect(database) as conn:
        for n in range(40):
            append_many(conn, [*(Append("order", f"{n}-{k}", news(*"abcde")) for k in range(20)), Append("rare", str(n), news("r"))])
        conn.execute("ANALYZE pgcharter.events")
        conn.commit()

        def plan(of: Any, *words: Any, **said: Any) -> str:
            seen: list[str] = []
            steps = of.steps(*words, **said)
            step = next(steps)
            try:
                while True:
                    text = "\n".join(r[0] for r in conn.execute(("EXPLAIN (COSTS OFF) " + step.sql).encode(), step.parameters))
                    seen.append(text)
                    step = steps.send(conn.execute(step.sql.encode(), step.parameters).fetchall())
            except StopIteration:
                return "\n".join(seen)

        here = datetime.now(UTC).strftime("events_%Y_%m")
        one, every = plan(read_aggregate, "order", "7-3"), plan(read_all, after=3000, limit=100)
        category = plan(read_category, "rare", after=1000, limit=100)
        for text, index in ((one, "pkey"), (every, "by_position"), (category, "by_category")):
            assert f"{here}_{index}" in text, text
            assert f"Seq Scan on {here}" not in text, text
        assert "->  Sort" not in every
