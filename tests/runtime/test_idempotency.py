"""A request that comes again gets the first answer: whatever becomes of the first, whoever else asks at the same time."""

from __future__ import annotations

import asyncio
import sys
import threading
import uuid
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from psycopg import IsolationLevel
from sqlalchemy import create_engine
from sqlalchemy.orm import Session
from tests.runtime.own_tables import install

from pgcharter.errors import UnavailableError, UsageError
from pgcharter.runtime.idempotency import (
    SQL,
    Answer,
    AnswerTooLargeError,
    Claimed,
    InProgressError,
    Key,
    OtherRequestError,
    answer,
    claim,
    purge,
    settled,
)
from pgcharter.runtime.idempotency_codec import decode, encode

KEY = Key("place-order", "k-1", request={"sku": "a", "n": 2})
LEVELS = [None, IsolationLevel.REPEATABLE_READ, IsolationLevel.SERIALIZABLE]


@pytest.fixture
def keyed(database: str) -> str:
    install(database, "idempotency")
    return database


def once(dsn: str, key: Key = KEY, value: Any = "first") -> Any:
    """One attempt: the answer, new or old."""
    with psycopg.connect(dsn) as conn:
        found = claim(conn, key)
        if isinstance(found, Answer):
            return found.value
        answer(conn, key, value)
        return value


@pytest.mark.parametrize("major", [15, 18])
def test_the_first_answer_comes_again(keyed: str, major: int) -> None:
    assert once(keyed) == "first"
    assert once(keyed, value="second") == "first"
    assert once(keyed, Key("cancel-order", "k-1"), "other operation") == "other operation"
    assert once(keyed, Key("place-order", "k-2"), "other key") == "other key"
    with pytest.raises(OtherRequestError, match="key k-1 of place-order was used for another request"):
        once(keyed, Key("place-order", "k-1", request={"sku": "a", "n": 3}))
    assert once(keyed, Key("place-order", "k-1", request={"n": 2, "sku": "a"})) == "first"


def test_what_was_rolled_back_leaves_nothing(keyed: str) -> None:
    with psycopg.connect(keyed) as conn:
        assert isinstance(claim(conn, KEY), Claimed)
        answer(conn, KEY, 1)
        conn.rollback()
        with conn.transaction(force_rollback=True):
            assert isinstance(claim(conn, KEY), Claimed)
        assert isinstance(claim(conn, KEY), Claimed)
        answer(conn, KEY, 2)
    assert once(keyed) == 2


def test_without_an_answer_it_was_done_all_the_same(keyed: str) -> None:
    with psycopg.connect(keyed) as conn:
        claim(conn, KEY)
        with pytest.raises(UsageError, match="claimed by this very transaction"):
            claim(conn, KEY)
    assert once(keyed) is None


def test_within_its_transaction_an_answer_is_one(keyed: str) -> None:
    with psycopg.connect(keyed) as conn:
        claim(conn, KEY)
        answer(conn, KEY, 1)
        answer(conn, KEY, 2)
        found = claim(conn, KEY)
        assert isinstance(found, Answer)
        assert found.value == 2


def test_an_answer_needs_a_claim_and_has_a_size(keyed: str) -> None:
    with psycopg.connect(keyed) as conn:
        with pytest.raises(UsageError, match="is not claimed by this transaction"):
            answer(conn, KEY, 1)
        claim(conn, KEY)
        with pytest.raises(AnswerTooLargeError, match="has 1001 bytes, and 1000 is the most"):
            answer(conn, KEY, "x" * 999)
        answer(conn, KEY, "x" * 998)
        conn.commit()
        with pytest.raises(UsageError, match="is not claimed by this transaction"):
            answer(conn, KEY, 1)


class Colour(Enum):
    RED = "red"


@dataclass
class Line:
    sku: str
    colour: Colour | None = None


@dataclass
class Placed:
    id: uuid.UUID
    total: Decimal
    lines: list[Line]
    after: tuple[Line, ...] = ()
    because: Placed | None = None


PLACED = Placed(
    uuid.UUID(int=1), Decimal("1.10"), [Line("a", Colour.RED), Line("ä\0")], (Line("z"),), Placed(uuid.UUID(int=2), Decimal(1), [])
)
VALUES = [
    None, True, 0, -1, 10**30, 1.5, float("inf"), "", "a\0b", "\ud800", "ä€😀", b"\0\xff", Decimal("1.10"), Decimal("NaN"),
    uuid.UUID(int=3), date(2027, 1, 31), datetime(2027, 1, 31, 1, 2, 3, 4, UTC), datetime(1, 1, 1),
    timedelta(-1, 2, 3), (1, (2,)), [1, [2]],
    {"a": 1, "b": {"$": 1}}, {1: 2, (3,): 4}, {"$": "uuid", "v": 1}, {"z": 1, "a": 2}, PLACED, Colour.RED,
]  # fmt: skip


@pytest.mark.parametrize("value", VALUES, ids=lambda v: type(v).__name__)
def test_answers_keep_their_types(keyed_once: str, value: Any) -> None:
    key = Key("keep", uuid.uuid4(), answers=type(value) if isinstance(value, Placed | Colour) else None)
    once(keyed_once, key, value)
    found = once(keyed_once, key)
    assert type(found) is type(value)
    assert repr(found) == repr(value)
    if isinstance(value, dict):
        assert list(found) == list(value)


_PLAIN = [
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(), st.binary(), st.decimals(allow_nan=False), st.uuids(),
    st.datetimes(timezones=st.none() | st.just(UTC)).map(lambda t: t.replace(fold=0)), st.dates(), st.timedeltas(),
    st.times().map(lambda t: t.replace(fold=0)),
]  # fmt: skip


def _containers(inside: Any) -> Any:
    keys = st.text() | st.integers() | st.tuples(st.text(), st.integers()) | st.just("$")
    return st.lists(inside) | st.lists(inside).map(tuple) | st.dictionaries(keys, inside)


VALUES_LAW = st.recursive(st.one_of(_PLAIN), _containers, max_leaves=20)


@settings(max_examples=int(sys.argv[1]) if __name__ == "__main__" and len(sys.argv) > 1 else 150, deadline=None)
@given(VALUES_LAW)
def test_what_is_decoded_is_what_was_encoded(value: Any) -> None:
    """`python -m tests.runtime.test_idempotency 20000` tries more."""
    text = encode(value)
    assert text.isascii()
    assert repr(decode(text)) == repr(value)


@pytest.fixture(scope="module")
def keyed_once(server_of: Any) -> Any:
    server = server_of(None)
    with psycopg.connect(server.dsn(), autocommit=True) as admin:
        admin.execute("CREATE DATABASE keyed_once TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'")
        install(server.dsn("keyed_once"), "idempotency")
        yield server.dsn("keyed_once")
        admin.execute("DROP DATABASE keyed_once WITH (FORCE)")


@pytest.mark.parametrize("value", [object(), {1}, Line("a"), [Line("a")], Colour.RED, bytearray(b"x")], ids=lambda v: type(v).__name__)
def test_what_cannot_be_kept_is_refused(keyed_once: str, value: Any) -> None:
    with pytest.raises(UsageError, match="cannot be kept as JSON"):
        once(keyed_once, Key("keep", uuid.uuid4()), value)


def test_depth_and_circles_are_refused(keyed_once: str) -> None:
    value: list[Any] = []
    value.append(value)
    with pytest.raises(UsageError, match="cannot be kept as JSON"):
        once(keyed_once, Key("keep", uuid.uuid4()), value)


def test_models_of_pydantic(keyed_once: str) -> None:
    from pydantic import BaseModel

    class Reply(BaseModel):
        id: uuid.UUID
        total: Decimal

    reply = Reply(id=uuid.uuid4(), total=Decimal("2.50"))
    key = Key("keep", uuid.uuid4(), request=reply, answers=Reply)
    once(keyed_once, key, reply)
    assert once(keyed_once, key) == reply


@pytest.mark.parametrize(
    "wrong",
    [
        {"key": ""}, {"key": "a\0"}, {"key": "\ud800"}, {"key": "x" * 1001}, {"key": None}, {"key": True}, {"operation": ""},
        {"operation": "ä" * 101}, {"wait": -1}, {"wait": float("nan")}, {"wait": float("inf")},
    ],
    ids=repr,
)  # fmt: skip
def test_what_is_no_key(wrong: Any) -> None:
    with pytest.raises(UsageError):
        Key(**{"operation": "o", "key": "k", **wrong})


def test_the_longest_key_fits_the_index(keyed: str) -> None:
    noise = "".join(chr(0x4E00 + i * 37 % 20000) for i in range(333))
    key = Key(noise[:66], noise)
    with psycopg.connect(keyed) as conn:
        conn.execute("SELECT set_config('pgcharter.tenant', %s, true)", (noise,))
        claim(conn, key)
        answer(conn, key, 1)


@pytest.mark.parametrize("level", LEVELS, ids=str)
def test_two_at_once_one_does_it(keyed: str, level: Any) -> None:
    """The second waits for the first; with a snapshot that is older than the answer it is to be tried again."""
    with psycopg.connect(keyed) as first, psycopg.connect(keyed) as second:
        first.isolation_level = second.isolation_level = level
        if level:
            second.execute("SELECT 1")
        claim(first, KEY)
        answer(first, KEY, "first")
        found: list[Any] = []

        def other() -> None:
            try:
                found.append(claim(second, KEY))
            except psycopg.Error as error:
                found.append(error)

        thread = threading.Thread(target=other)
        thread.start()
        waiting(keyed, second)
        first.commit()
        thread.join(10)
        if level:
            assert isinstance(found[0], psycopg.errors.SerializationFailure)
            second.rollback()
            found[0] = claim(second, KEY)
        assert found[0].value == "first"


def waiting(dsn: str, conn: psycopg.Connection[Any]) -> None:
    with psycopg.connect(dsn, autocommit=True) as admin:
        blocked = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND cardinality(pg_blocking_pids(pid)) > 0"
        while admin.execute(blocked).fetchone() == (0,):
            assert not conn.closed


def test_two_at_once_and_the_first_is_rolled_back(keyed: str) -> None:
    with psycopg.connect(keyed) as first, psycopg.connect(keyed) as second:
        claim(first, KEY)
        found: list[Any] = []
        thread = threading.Thread(target=lambda: found.append(claim(second, KEY)))
        thread.start()
        waiting(keyed, second)
        first.rollback()
        thread.join(10)
        assert isinstance(found[0], Claimed)


@pytest.mark.parametrize("wait", [0, 0.05])
def test_who_does_not_wait_is_told(keyed: str, wait: float) -> None:
    with psycopg.connect(keyed) as first, psycopg.connect(keyed) as second:
        claim(first, KEY)
        with pytest.raises(InProgressError, match="still at work"):
            claim(second, Key("place-order", "k-1", wait=wait))
        second.rollback()
        second.execute("SET LOCAL lock_timeout = '20ms'")
        with pytest.raises(InProgressError, match="still at work"):
            claim(second, Key("place-order", "k-1"))
        second.rollback()
        second.execute("SET LOCAL lock_timeout = '7s'")
        claim(second, Key("place-order", "k-2", wait=wait))
        assert second.execute("SHOW lock_timeout").fetchone() == ("7s",)


def test_many_at_once(keyed: str) -> None:
    """Eight workers, five requests each from all of them: each is done once, and all get one answer."""
    with psycopg.connect(keyed, autocommit=True) as admin:
        admin.execute("CREATE TABLE done (key text, worker int)")
    answers: list[tuple[str, Any]] = []

    def work(worker: int) -> None:
        with psycopg.connect(keyed) as conn:
            for name in map(str, range(5)):
                key = Key("o", name)
                found = claim(conn, key)
                if isinstance(found, Claimed):
                    conn.execute("INSERT INTO done VALUES (%s, %s)", (name, worker))
                    answer(conn, key, worker)
                answers.append((name, found.value if isinstance(found, Answer) else worker))
                conn.commit()

    threads = [threading.Thread(target=work, args=(w,)) for w in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(30)
    with psycopg.connect(keyed) as conn:
        done = dict(conn.execute("SELECT key, worker FROM done").fetchall())
        assert conn.execute("SELECT count(*) FROM done").fetchone() == (5,)
    assert len(answers) == 40
    assert {(k, v) for k, v in answers} == set(done.items())


def expire(dsn: str) -> None:
    with psycopg.connect(dsn) as conn:
        conn.execute("UPDATE pgcharter.idempotency_keys SET expires_at = now() - interval '1 s'")


def test_what_has_expired_is_free_again(keyed: str) -> None:
    once(keyed)
    expire(keyed)
    with psycopg.connect(keyed) as one, psycopg.connect(keyed) as two:
        assert isinstance(claim(one, Key("place-order", "k-1", request="another")), Claimed)
        with pytest.raises(InProgressError):
            claim(two, Key("place-order", "k-1", wait=0))
        two.rollback()
        found: list[Any] = []
        thread = threading.Thread(target=lambda: found.append(claim(two, Key("place-order", "k-1", request="another"))))
        thread.start()
        waiting(keyed, two)
        answer(one, KEY, "anew")
        one.commit()
        thread.join(10)
        assert found[0].value == "anew"


def test_purge_takes_what_has_expired_and_nobody_is_at(keyed: str) -> None:
    for n in range(5):
        once(keyed, Key("o", n))
    expire(keyed)
    once(keyed, Key("o", "fresh"))
    with psycopg.connect(keyed) as busy, psycopg.connect(keyed) as conn:
        claim(busy, Key("o", 0))
        assert [purge(conn, 3), purge(conn, 3), purge(conn)] == [3, 1, 0]
        with pytest.raises(UsageError):
            purge(conn, 0)
        conn.commit()
        busy.commit()
        assert conn.execute("SELECT count(*) FROM pgcharter.idempotency_keys").fetchone() == (2,)


def test_a_commit_without_answer_is_settled(keyed: str) -> None:
    with psycopg.connect(keyed) as conn:
        assert settled(conn, KEY) is None
        assert conn.execute("SELECT count(*) FROM pgcharter.idempotency_keys").fetchone() == (0,)
        conn.rollback()
        once(keyed)
        found = settled(conn, KEY)
        assert found is not None
        assert found.value == "first"
        with pytest.raises(OtherRequestError):
            settled(conn, Key("place-order", "k-1"))


@pytest.mark.parametrize("end", ["commit", "rollback"])
@pytest.mark.parametrize("old", [False, True])
def test_settling_waits_for_a_transaction_that_is_still_open(keyed: str, end: str, old: bool) -> None:
    if old:
        once(keyed)
        expire(keyed)
    with psycopg.connect(keyed) as first, psycopg.connect(keyed) as second:
        claim(first, KEY)
        answer(first, KEY, "late")
        found: list[Any] = []
        thread = threading.Thread(target=lambda: found.append(settled(second, KEY)))
        thread.start()
        waiting(keyed, second)
        getattr(first, end)()
        thread.join(10)
        assert (found[0].value if found[0] else None) == ("late" if end == "commit" else None)


def test_tenants_have_keys_of_their_own(keyed: str) -> None:
    for value in ("", "a", "b"):
        with psycopg.connect(keyed) as conn:
            conn.execute("SELECT set_config('pgcharter.tenant', %s, true)", (value,))
            assert isinstance(claim(conn, KEY), Claimed)
            answer(conn, KEY, value)
    for value in ("", "a", "b"):
        with psycopg.connect(keyed) as conn:
            conn.execute("SELECT set_config('pgcharter.tenant', %s, true)", (value,))
            found = claim(conn, KEY)
            assert isinstance(found, Answer)
            assert found.value == value


def test_async_and_sessions(keyed: str) -> None:
    async def go() -> Any:
        async with await psycopg.AsyncConnection.connect(keyed) as conn:
            found = await claim.aio(conn, KEY)
            assert isinstance(found, Claimed)
            await answer.aio(conn, KEY, [1])
            await conn.commit()
            assert (await settled.aio(conn, KEY)).value == [1]  # type: ignore[union-attr]

    asyncio.run(go())
    engine = create_engine("postgresql+psycopg://" + keyed.partition("://")[2])
    with Session(engine) as session, session.begin():
        found = claim(session, KEY)
        assert isinstance(found, Answer)
        assert found.value == [1]
    engine.dispose()


def test_where_the_table_is_not(database: str) -> None:
    with psycopg.connect(database) as conn, pytest.raises(UnavailableError, match="idempotency_keys is not there"):
        claim(conn, KEY)


@pytest.mark.parametrize("name", ["found", "again", "answer", "limit"])
def test_statements_use_the_key(keyed: str, name: str) -> None:
    with psycopg.connect(keyed) as conn:
        conn.execute(
            "INSERT INTO pgcharter.idempotency_keys (operation, key, fingerprint, expires_at)"
            " SELECT 'o', n::text, '', now() + (n - 10000) * interval '1 s' FROM generate_series(1, 20000) n"
        )
        conn.execute("ANALYZE pgcharter.idempotency_keys")
        named = {"operation": "o", "key": "7", "answer": "1"}
        values: Any = named if "%(" in SQL[name] else ("o", "7") if name != "again" else (b"", "o", "7")
        plan = "\n".join(row[0] for row in conn.execute(f"EXPLAIN {SQL[name]}".encode(), values))
        assert "idempotency_keys_pkey" in plan
        assert "Index Cond: ((tenant =" in plan


def test_purge_uses_the_index_of_expiry(keyed: str) -> None:
    with psycopg.connect(keyed) as conn:
        conn.execute(
            "INSERT INTO pgcharter.idempotency_keys (operation, key, fingerprint, expires_at)"
            " SELECT 'o', n::text, '', now() + n * interval '1 s' FROM generate_series(-100, 20000) n"
        )
        conn.execute("ANALYZE pgcharter.idempotency_keys")
        plan = "\n".join(row[0] for row in conn.execute(f"EXPLAIN {SQL['purge']}".encode(), (50,)))
        assert "idempotency_keys_expires_at" in plan
        assert "Tid Scan" in plan
        assert purge(conn) == 101


if __name__ == "__main__":
    test_what_is_decoded_is_what_was_encoded()
