"""Sagas on real servers: all steps come to be done, or all that were done are taken back; whoever dies, waits or is slow meanwhile."""

from __future__ import annotations

import asyncio
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from tests.runtime.sagas_ground import QUICK, RETRY, World, install, named, simple

from pgcharter.errors import UnavailableError, UsageError
from pgcharter.runtime.context import context as around
from pgcharter.runtime.database import AsyncDatabase, Database
from pgcharter.runtime.outcomes import Retry
from pgcharter.runtime.pools import PoolSize
from pgcharter.runtime.sagas import (
    AbortError,
    Alarm,
    AsyncSagaWorker,
    Child,
    Context,
    Ended,
    Parallel,
    Retrying,
    Saga,
    SagaSettings,
    SagaWorker,
    Sleep,
    Status,
    Step,
    UncertainError,
    UnknownSagaError,
    Wait,
    ask,
    cancel,
    found,
    history,
    purge,
    signal,
    signals,
    start,
    status,
    steps,
    wakes,
)


@pytest.fixture
def db(database: str) -> Iterator[Database]:
    install(database, tables=True)
    with Database(database) as made:
        yield made


def begun(db: Database, saga: Saga[Any], data: Any = None, **more: Any) -> uuid.UUID:
    return db.run(lambda w: start(w.conn, saga, {} if data is None else data, **more)).saga_id


def idle(db: Database, *sagas: Saga[Any], settings: SagaSettings = QUICK, **more: Any) -> SagaWorker:
    worker = SagaWorker(db, sagas, settings, **more)
    worker.run(until_idle=True)
    return worker


def state(db: Database, saga: Any) -> Status:
    return db.run(lambda w: status(w.conn, saga))


def events(db: Database, saga: uuid.UUID) -> list[str]:
    return [e["event"] for e in db.run(lambda w: history(w.conn, saga))]


def states(db: Database, saga: uuid.UUID) -> dict[str, str]:
    return {s["step"]: s["status"] for s in db.run(lambda w: steps(w.conn, saga))}


def until(true: Callable[[], Any], seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


@contextmanager
def running(db: Database, *sagas: Saga[Any], settings: SagaSettings = QUICK, **more: Any) -> Iterator[SagaWorker]:
    worker = SagaWorker(db, sagas, settings, **more)
    thread = threading.Thread(target=worker.run)
    thread.start()
    try:
        yield worker
    finally:
        worker.stop()
        thread.join(20)
        assert not thread.is_alive()


@pytest.mark.parametrize("major", [15, 18])
def test_all_steps_are_done(db: Database, major: int) -> None:
    world = World()
    saga = simple("o", *named("one", "two", "three", world=world))
    made = begun(db, saga, key="k", correlation="c-1")
    idle(db, saga)
    now = state(db, made)
    assert (now.status, now.result, now.step, now.correlation, now.worker, now.next_at) == (
        "completed",
        "three",
        "three",
        "c-1",
        None,
        None,
    )
    assert world.order == ["one", "two", "three"]
    assert set(world.asked.values()) == {1}
    assert set(states(db, made).values()) == {"completed"}
    assert events(db, made) == []


def test_a_key_is_started_once_and_by_whom_it_was_committed(db: Database) -> None:
    world = World()
    saga = simple("o", *named("one", world=world))

    def rolled_back(work: Any) -> None:
        start(work.conn, saga, {}, key="k")
        raise ValueError

    with pytest.raises(ValueError):
        db.run(rolled_back)
    first = db.run(lambda w: start(w.conn, saga, {}, key="k"))
    again = db.run(lambda w: start(w.conn, saga, {}, key="k"))
    assert (first.new, again.new, again.saga_id) == (True, False, first.saga_id)
    assert db.run(lambda w: start(w.conn, simple("other", *saga.steps), {}, key="k")).new
    idle(db, saga)
    assert world.order == ["one"]
    assert state(db, ("o", "k")).status == "completed"


@dataclass
class Basket:
    items: list[str]
    total: int = 0


def test_data_is_typed_and_a_failed_attempt_leaves_none(db: Database) -> None:
    seen: list[Any] = []

    def add(context: Context[Basket]) -> dict[str, int]:
        context.data.items.append(f"attempt {context.attempt}")
        context.data.total += 5
        if context.attempt < 3:
            raise ValueError("not yet")
        return {"n": len(context.data.items)}

    def look(context: Context[Basket]) -> None:
        seen.append((context.data, dict(context.results)))

    saga = Saga("b", [Step("add", add, retry=RETRY), Step("look", look)], data=Basket)
    made = begun(db, saga, Basket(["first"]))
    idle(db, saga)
    assert seen == [(Basket(["first", "attempt 3"], 5), {"add": {"n": 2}})]
    assert events(db, made) == ["failed", "failed"]
    with pytest.raises(UsageError, match="is a Basket, and this is a dict"):
        begun(db, saga, {})


def test_models_of_pydantic(db: Database) -> None:
    from decimal import Decimal

    from pydantic import BaseModel

    class Bill(BaseModel):
        total: Decimal
        paid: bool = False

    def pay(context: Context[Bill]) -> Decimal:
        context.data.paid = True
        return context.data.total

    saga = Saga("bill", [Step("pay", pay)], data=Bill)
    made = begun(db, saga, Bill(total=Decimal("2.50")))
    idle(db, saga)
    assert state(db, made).result == Decimal("2.50")
    assert state(db, made).data["paid"] is True


def test_failing_takes_back_what_was_done_the_latest_first(db: Database) -> None:
    world = World()
    saga = simple("o", *named("one", "two", "three", "four", world=world, fail={"three": -1}))
    made = begun(db, saga)
    idle(db, saga)
    assert world.order == ["one", "two", "two:undo", "one:undo"]
    now = state(db, made)
    assert (now.status, now.error) == ("failed", "step three: ValueError: three does not want to")
    assert states(db, made) == {"one": "compensated", "two": "compensated", "three": "failed"}
    assert events(db, made) == ["failed"] * 3 + ["turned"]


@pytest.mark.parametrize("how", ["abort", "never"])
def test_errors_that_are_not_tried_again(db: Database, how: str) -> None:
    world = World()

    def fail(_context: Context[Any]) -> None:
        world.order.append("tried")
        raise AbortError("no") if how == "abort" else KeyError("no")

    saga = simple("o", *named("one", world=world), Step("two", fail, retry=Retrying(never=(LookupError,))))
    made = begun(db, saga)
    idle(db, saga)
    assert world.order == ["one", "tried", "one:undo"]
    assert state(db, made).status == "failed"


def test_what_may_have_been_done_is_taken_back_too(db: Database) -> None:
    seen: list[bool] = []

    def ask_(_context: Context[Any]) -> None:
        raise UncertainError("no answer")

    saga = simple("o", Step("one", ask_, undo=lambda c: seen.append(c.certain), retry=Retrying(attempts=1)))
    made = begun(db, saga)
    idle(db, saga)
    assert seen == [False]
    assert states(db, made) == {"one": "compensated"}


def test_a_step_that_takes_too_long(db: Database) -> None:
    undone: list[bool] = []
    saga = simple(
        "o", Step("slow", lambda c: time.sleep(1), undo=lambda c: undone.append(c.certain), timeout=0.05, retry=Retrying(attempts=1))
    )  # fmt: skip
    made = begun(db, saga)
    idle(db, saga)
    assert state(db, made).error == "step slow: TimeoutError: no answer in 0.05 s"
    assert undone == [False]


def test_inside_is_done_once_with_the_checkpoint(db: Database) -> None:
    def move(context: Context[Any], cents: int = 5) -> None:
        context.work.conn.execute("UPDATE money SET cents = cents - %s WHERE account = 'ann'", (cents,))
        context.work.conn.execute("UPDATE money SET cents = cents + %s WHERE account = 'shop'", (cents,))
        if context.attempt < 3:
            raise ValueError("rolled back")

    def slow(context: Context[Any]) -> None:
        context.work.conn.execute("UPDATE money SET cents = 0")
        context.work.conn.execute("SELECT pg_sleep(5)")

    once = Retrying(attempts=1)
    good = simple("good", Step("a", move, inside=True, retry=RETRY), Step("b", move, inside=True, retry=RETRY))
    bad = simple(
        "bad", Step("a", move, undo=lambda c: move(c, -5), inside=True, retry=RETRY),
        Step("slow", slow, inside=True, timeout=0.05, retry=once),
    )  # fmt: skip
    one, other = begun(db, good), begun(db, bad)
    idle(db, good, bad)
    assert (state(db, one).status, state(db, other).status) == ("completed", "failed")
    assert "QueryCanceled" in (state(db, other).error or "")
    assert db.run(lambda w: w.conn.execute("SELECT cents FROM money ORDER BY account").fetchall()) == [(99990,), (10,)]
    assert events(db, other).count("undo failed") == 2


def test_past_the_pivot_there_is_only_forward(db: Database) -> None:
    world, alarms = World(), list[Alarm]()
    pivot = named("two", world=world, pivot=True)
    saga = simple("o", *named("one", world=world), *pivot, *named("three", world=world, fail={"three": 6}))
    made = begun(db, saga)
    idle(db, saga, on_alarm=alarms.append)
    assert world.order == ["one", "two", "three"]
    assert state(db, made).status == "completed"
    assert state(db, made).stuck_at is None
    assert [(a.saga_id, "three" in a.message) for a in alarms] == [(str(made), True)]
    assert events(db, made).count("stuck") == 1


def test_a_compensation_is_tried_for_ever_with_an_alarm(db: Database) -> None:
    world, alarms = World(), list[Alarm]()
    saga = simple("o", *named("one", "two", "three", world=world, fail={"three": -1, "two:undo": 9}))
    made = begun(db, saga)
    idle(db, saga, on_alarm=alarms.append)
    assert world.order == ["one", "two", "two:undo", "one:undo"]
    assert state(db, made).status == "failed"
    assert len(alarms) == 1
    assert events(db, made).count("undo failed") == 9


def test_who_is_stuck_is_listed_and_a_person_may_take_over(db: Database) -> None:
    world = World()
    saga = simple("o", *named("one", "two", "three", world=world, fail={"three": -1, "two:undo": -1}))
    made = begun(db, saga)
    with running(db, saga):
        until(lambda: db.run(lambda w: found(w.conn, stuck=True)))
        (listed,) = db.run(lambda w: found(w.conn, stuck=True))
        assert (listed.saga_id, listed.status) == (made, "compensating")
        db.run(lambda w: ask(w.conn, made, "skip", step="nine", actor="ann", reason="wrong"))
        db.run(lambda w: ask(w.conn, made, "skip", step="two", actor="ann", reason="done by hand"))
        until(lambda: state(db, made).ended)
    assert world.order == ["one", "two", "one:undo"]
    asked = [(e["event"], e["actor"], e["message"]) for e in db.run(lambda w: history(w.conn, made)) if e["actor"]]
    assert asked == [
        ("refused", "ann", "skip nine: wrong; it has no such step under way"), ("asked", "ann", "skip two: done by hand")
    ]  # fmt: skip


def test_a_failed_saga_is_resumed_with_other_keys(db: Database) -> None:
    world = World()
    saga = simple("o", *named("one", "two", world=world, fail={"two": 3}), deadline=3600)
    made = begun(db, saga)
    idle(db, saga)
    assert state(db, made).status == "failed"
    db.run(lambda w: w.conn.execute("UPDATE pgcharter.saga_instances SET deadline = now()"))
    db.run(lambda w: ask(w.conn, made, "resume", actor="ann", reason="mended"))
    idle(db, saga)
    assert state(db, made).status == "completed"
    assert list(world.asked) == [f"{made}:one", f"{made}:one:undo", f"{made}:one:1", f"{made}:two:1"]


def test_retry_does_not_wait_and_counts_anew(db: Database) -> None:
    world = World()
    slow = named("one", world=world, fail={"one": 2})[0]
    step = Step("one", slow.action, retry=Retrying(attempts=2, base=60, longest=60))
    saga = simple("o", step)
    made = begun(db, saga)
    with running(db, saga):
        for n in (1, 2):
            until(lambda n=n: events(db, made).count("failed") == n)
            assert state(db, made).waiting == "another attempt at one"
            db.run(lambda w: ask(w.conn, made, "retry", actor="ann", reason="mended"))
        until(lambda: state(db, made).ended)
    assert state(db, made).status == "completed"


@pytest.mark.parametrize("early", [True, False])
def test_signals_before_and_after_waiting(db: Database, early: bool) -> None:
    world = World()
    saga = simple("o", *named("one", world=world), Wait("paid"), *named("two", world=world))
    made = begun(db, saga, key="k")
    payment = uuid.uuid4()

    def tell() -> None:
        for _ in range(2):
            db.run(lambda w: signal(w.conn, ("o", "k"), "paid", {"cents": 5}, id=payment))

    tell() if early else None
    with running(db, saga):
        if not early:
            until(lambda: state(db, made).waiting == "signal paid")
            assert state(db, made).worker is None
            tell()
        until(lambda: state(db, made).ended)
    assert world.order == ["one", "two"]
    (told,) = db.run(lambda w: signals(w.conn, made))
    assert told["payload"] == {"cents": 5}
    assert told["taken_at"] is not None
    with pytest.raises(UnknownSagaError):
        db.run(lambda w: signal(w.conn, ("o", "other"), "paid"))


def test_many_signals_while_it_runs_wake_it_each(db: Database) -> None:
    """The moment between looking for a signal and going to wait is met again and again."""
    saga = simple("o", *(Wait(f"w{i}", "go") for i in range(30)))
    made = [begun(db, saga) for _ in range(4)]
    with running(db, saga, settings=SagaSettings(concurrency=4, poll_least=0.001, poll_most=0.002)):
        for _ in range(30):
            for one in made:
                db.run(lambda w, one=one: signal(w.conn, one, "go"))
        until(lambda: all(state(db, one).ended for one in made))


@pytest.mark.parametrize(("otherwise", "ended"), [("compensate", "failed"), ("go on", "completed")])
def test_waiting_ends(db: Database, otherwise: Any, ended: str) -> None:
    world = World()
    saga = simple("o", *named("one", world=world), Wait("paid", timeout=0.1, otherwise=otherwise), *named("two", world=world))
    made = begun(db, saga)
    idle(db, saga)
    assert state(db, made).status == ended
    assert world.order == (["one", "one:undo"] if ended == "failed" else ["one", "two"])


def test_sleeping_is_on_the_servers_clock(db: Database) -> None:
    saga = simple("o", Sleep("short", 0.3), Sleep("told", lambda data: data["seconds"]))
    began = time.monotonic()
    made = begun(db, saga, {"seconds": 0.2})
    idle(db, saga)
    assert 0.5 <= time.monotonic() - began < 5
    assert state(db, made).status == "completed"


def test_conditions(db: Database) -> None:
    world = World()
    (two,) = named("two", world=world)
    no = Step("two", two.action, undo=two.undo, when=lambda data: data["wanted"])
    broken = Step("three", two.action, when=lambda data: data["missing"])
    saga, other = simple("o", no, *named("one", world=world)), simple("p", *named("one", world=world), broken)
    made, failed = begun(db, saga, {"wanted": False}), begun(db, other, {})
    idle(db, saga, other)
    assert states(db, made) == {"one": "completed", "two": "skipped"}
    assert state(db, failed).error == "step three: KeyError: 'missing'"
    assert state(db, failed).status == "failed"


def test_branches_run_side_by_side(db: Database) -> None:
    met = threading.Barrier(3)

    def meet(context: Context[Any]) -> str:
        met.wait(10)
        context.data[context.step] = True
        return context.step

    def insert(context: Context[Any]) -> None:
        meet(context)
        context.work.conn.execute("INSERT INTO parcels VALUES (%s)", (context.saga_id,))

    seen: list[Any] = []
    saga = simple(
        "o", Parallel([Step("a", meet), [Step("b", meet), Step("b2", lambda c: seen.append("b2"))], Step("c", insert, inside=True)]),
        Step("end", lambda c: seen.append((dict(c.data), sorted(c.results)))),
    )  # fmt: skip
    made = begun(db, saga)
    idle(db, saga)
    assert state(db, made).status == "completed", events(db, made)
    assert seen == ["b2", ({"a": True, "b": True, "c": True}, ["a", "b", "b2", "c"])]
    assert db.run(lambda w: w.conn.execute("SELECT saga FROM parcels").fetchall()) == [(made,)]


def test_a_branch_that_fails_takes_back_the_others(db: Database) -> None:
    world = World()
    one, two, slow, bad = named("one", "two", "slow", "bad", world=world, fail={"bad": -1})

    def wait(context: Context[Any]) -> None:
        time.sleep(0.3)
        slow.action(context)

    saga = simple("o", one, Parallel([[two, Wait("never")], Step("slow", wait, undo=slow.undo), bad]))
    made = begun(db, saga)
    idle(db, saga)
    assert state(db, made).status == "failed"
    assert sorted(world.order[:3]) == ["one", "slow", "two"]
    assert sorted(world.order[3:5]) == ["slow:undo", "two:undo"]
    assert world.order[5:] == ["one:undo"]


def test_sagas_inside(db: Database) -> None:
    world = World()
    inner = simple("inner", *named("i1", "i2", world=world))
    good = simple("good", *named("one", world=world), Child("sub", inner, lambda data: {"from": data["n"]}), *named("two", world=world))
    bad = simple("bad", Child("sub", inner, lambda data: {}), *named("three", world=world, fail={"three": -1}))
    one = begun(db, good, {"n": 7})
    idle(db, good)
    assert world.order == ["one", "i1", "i2", "two"]
    (child,) = db.run(lambda w: found(w.conn, type="inner"))
    assert (child.parent_id, child.data) == (one, {"from": 7})
    world.order.clear()
    other = begun(db, bad)
    idle(db, bad)
    assert world.order == ["i1", "i2", "i2:undo", "i1:undo"]
    assert state(db, other).status == "failed"
    assert states(db, other) == {"sub": "compensated", "three": "failed"}


def test_a_saga_inside_that_fails_and_one_that_is_cancelled(db: Database) -> None:
    world = World()
    failing = simple("failing", *named("i1", "i2", world=world, fail={"i2": -1}))
    waiting = simple("waiting", *named("i3", world=world), Wait("never"))
    saga = simple("o", *named("one", world=world), Child("sub", failing, lambda data: {}))
    other = simple("p", Child("sub", waiting, lambda data: {}))
    made, cancelled = begun(db, saga), begun(db, other)
    with running(db, saga, other):
        until(lambda: state(db, made).ended)
        assert world.order.index("i1:undo") < world.order.index("one:undo")
        until(lambda: any(s.waiting == "signal never" for s in db.run(lambda w: found(w.conn, type="waiting"))))
        db.run(lambda w: cancel(w.conn, cancelled, "no longer wanted"))
        until(lambda: state(db, cancelled).ended)
    assert "i3:undo" in world.order
    assert state(db, cancelled).error == "cancelled: no longer wanted"
    assert {s.status for s in db.run(lambda w: found(w.conn))} == {"failed"}


def test_a_completed_saga_is_taken_back_unless_it_passed_a_pivot(db: Database) -> None:
    world = World()
    saga = simple("o", *named("one", world=world))
    fixed = simple("p", *named("two", world=world, pivot=True))
    made, other = begun(db, saga), begun(db, fixed)
    idle(db, saga, fixed)
    for each in (made, other):
        db.run(lambda w, each=each: ask(w.conn, each, "compensate", actor="ann", reason="returned"))
    idle(db, saga, fixed)
    assert (state(db, made).status, state(db, other).status) == ("failed", "completed")
    assert world.order == ["one", "two", "one:undo"]
    assert events(db, other) == ["refused"]


def test_deadline(db: Database) -> None:
    world = World()
    saga = Saga("o", [*named("one", world=world), Wait("never")], deadline=0.2)
    made = begun(db, saga)
    idle(db, saga)
    assert (state(db, made).status, state(db, made).error) == ("failed", "its deadline has passed")
    assert world.order == ["one", "one:undo"]


def test_versions(db: Database) -> None:
    """Who is under way goes on with its version; without it, it says what it waits for, and is not lost."""
    world = World()
    old = simple("o", *named("one", world=world), Wait("go"), *named("old", world=world))
    new = simple("o", *named("new", world=world), version=2)
    made = begun(db, old)
    idle(db, old)
    db.run(lambda w: signal(w.conn, made, "go"))
    latest = begun(db, new)
    with running(db, new):
        until(lambda: state(db, latest).ended)
        time.sleep(0.2)
    with running(db, new):
        until(lambda: state(db, made).waiting == "definition o v1")
        assert [s.saga_id for s in db.run(lambda w: found(w.conn, stuck=True))] == [made]
    idle(db, new, old)
    assert (state(db, made).status, state(db, made).waiting) == ("completed", None)
    assert world.order == ["one", "new", "old"]
    with pytest.raises(UsageError, match="two definitions of saga o v1"):
        SagaWorker(db, [old, simple("o", Wait("x"))])


def test_a_definition_that_was_changed_under_way_is_noticed(db: Database) -> None:
    world = World()
    saga = simple("o", *named("one", world=world), Wait("go"))
    made = begun(db, saga)
    idle(db, saga)
    db.run(lambda w: signal(w.conn, made, "go"))
    changed, alarms = simple("o", *named("other", world=world), Wait("go")), list[Alarm]()
    with running(db, changed, on_alarm=alarms.append):
        until(lambda: alarms)
    assert state(db, made).waiting == "definition o v1 as it was: step 1 was one and is other now"
    assert state(db, made).status == "started"
    assert world.order == ["one"]


def test_a_result_that_cannot_be_kept_is_a_failure_that_says_so(db: Database) -> None:
    undone: list[Any] = []
    saga = simple("o", Step("one", lambda c: object(), undo=lambda c: undone.append(c.certain)))
    text = simple("p", Step("one", lambda c: "nul \0"))
    made, other = begun(db, saga), begun(db, text)
    idle(db, saga, text)
    assert "a object cannot be kept as JSON" in (state(db, made).error or "")
    assert undone == [False]
    assert "NUL" in (state(db, other).error or "")


def test_a_worker_that_stops_gives_back_what_it_had(db: Database) -> None:
    begun_, go = threading.Event(), threading.Event()

    def slow(_context: Context[Any]) -> None:
        begun_.set()
        go.wait(10)

    world = World()
    saga = simple("o", Step("slow", slow), *named("two", world=world))
    made = begun(db, saga)
    with running(db, saga) as worker:
        assert begun_.wait(10)
        worker.stop()
        go.set()
    now = state(db, made)
    assert (now.status, now.worker, world.order) == ("started", None, [])
    idle(db, saga)
    assert state(db, made).status == "completed"
    assert events(db, made) == []


def test_who_lost_its_lease_writes_nothing_and_does_no_more(db: Database) -> None:
    began, go = threading.Event(), threading.Event()
    order: list[str] = []

    def slow(context: Context[Any]) -> None:
        order.append(f"slow {context.attempt}")
        if context.attempt == 1:
            began.set()
            go.wait(10)

    saga = simple("o", Step("slow", slow), Step("two", lambda c: order.append("two")))
    made = begun(db, saga)
    with running(db, saga) as worker:
        assert began.wait(10)
        db.run(lambda w: w.conn.execute("UPDATE pgcharter.saga_instances SET lease_until = now(), next_at = now() - interval '1 s'"))
        idle(db, saga)
        before = db.run(lambda w: w.conn.execute("SELECT fencing_token, updated_at FROM pgcharter.saga_instances").fetchall())
        go.set()
        until(lambda: worker.counts.lost)
        assert db.run(lambda w: w.conn.execute("SELECT fencing_token, updated_at FROM pgcharter.saga_instances").fetchall()) == before
    assert order == ["slow 1", "slow 2", "two"]
    assert state(db, made).status == "completed"
    assert events(db, made) == ["lost"]


def test_a_long_step_keeps_its_lease(db: Database) -> None:
    saga = simple("o", Step("slow", lambda c: time.sleep(1.2)))
    made = begun(db, saga)
    short = SagaSettings(lease=0.4, poll_least=0.01, poll_most=0.02)
    with running(db, saga, settings=short), running(db, saga, settings=short):
        until(lambda: state(db, made).ended)
    assert state(db, made).status == "completed"
    assert events(db, made) == []


def test_two_workers_never_run_one_saga_at_a_time(db: Database) -> None:
    inside: dict[str, int] = {}
    worst: list[int] = []

    def step(context: Context[Any]) -> None:
        name = str(context.saga_id)
        inside[name] = inside.get(name, 0) + 1
        worst.append(inside[name])
        time.sleep(0.001)
        inside[name] -= 1

    saga = simple("o", *(Step(f"s{i}", step) if i % 3 else Sleep(f"s{i}", 0.06) for i in range(9)))
    made = [begun(db, saga) for _ in range(30)]
    with running(db, saga), running(db, saga), running(db, saga):
        until(
            lambda: db.run(lambda w: found(w.conn, status="completed")) and len(db.run(lambda w: found(w.conn, status="completed"))) == 30
        )
    assert max(worst) == 1
    assert len(worst) == 30 * 6
    assert all(events(db, one) == [] for one in made[:5])


def test_in_tasks(database: str) -> None:
    install(database, tables=True)
    order: list[str] = []

    async def one(context: Context[Any]) -> str:
        await asyncio.sleep(0.001)
        order.append(f"one {context.attempt}")
        if context.attempt == 1:
            raise ValueError("again")
        return "done"

    async def inside(context: Context[Any]) -> None:
        await context.work.conn.execute("INSERT INTO parcels VALUES (%s)", (context.saga_id,))

    async def slow(_context: Context[Any]) -> None:
        await asyncio.sleep(30)

    async def undo(context: Context[Any]) -> None:
        order.append(f"undo {context.step} {context.certain}")

    saga = simple(
        "o", Step("one", one, retry=RETRY), Step("plain", lambda c: order.append("plain")), Step("inside", inside, inside=True),
        Parallel([Step("a", one, retry=RETRY), Step("b", inside, inside=True)]), Sleep("nap", 0.1), Wait("go", timeout=5),
    )  # fmt: skip
    late = simple("late", Step("slow", slow, undo=undo, timeout=0.05, retry=Retrying(attempts=1)))

    async def main() -> tuple[Status, Status]:
        async with AsyncDatabase(database) as db:
            made = (await db.run(lambda w: start.aio(w.conn, saga, {}))).saga_id
            other = (await db.run(lambda w: start.aio(w.conn, late, {}))).saga_id
            await db.run(lambda w: signal.aio(w.conn, made, "go"))
            await AsyncSagaWorker(db, [saga, late], QUICK).run(until_idle=True)
            return await db.run(lambda w: status.aio(w.conn, made)), await db.run(lambda w: status.aio(w.conn, other))

    good, bad = asyncio.run(main())
    assert (good.status, bad.status) == ("completed", "failed")
    assert order.count("plain") == 1
    assert "undo slow False" in order
    with psycopg.connect(database) as conn:
        assert conn.execute("SELECT count(*) FROM parcels").fetchone() == (2,)


def test_coroutines_in_threads(db: Database) -> None:
    async def one(_context: Context[Any]) -> str:
        await asyncio.sleep(0)
        return "done"

    saga = simple("o", Step("one", one))
    made = begun(db, saga)
    idle(db, saga)
    assert state(db, made).result == "done"
    wrong = simple("p", Step("one", one, inside=True, retry=Retrying(attempts=1)))
    other = begun(db, wrong)
    idle(db, wrong)
    assert "needs an AsyncSagaWorker" in (state(db, other).error or "")


def test_tenants(db: Database) -> None:
    seen: list[Any] = []

    def look(context: Context[Any]) -> None:
        row = context.work.conn.execute("SELECT current_setting('pgcharter.tenant', true), current_setting('pgcharter.correlation', true)")
        seen.append((context.tenant, row.fetchone()))

    saga = simple("o", Step("look", look, inside=True))
    for tenant in ("a", "b"):
        with around(tenant=tenant, correlation=f"c-{tenant}"):
            assert db.run(lambda w: start(w.conn, saga, {}, key="k")).new
    with around(tenant="a"):
        mine = db.run(lambda w: start(w.conn, saga, {}, key="k"))
        assert not mine.new
    with around(tenant="b"), pytest.raises(UnknownSagaError):
        db.run(lambda w: cancel(w.conn, mine.saga_id, "not mine"))
    idle(db, saga)
    assert sorted(seen) == [("a", ("a", "c-a")), ("b", ("b", "c-b"))]


def test_old_ones_are_purged_with_those_inside(db: Database) -> None:
    world = World()
    saga = simple("o", Child("sub", simple("inner", *named("one", world=world)), lambda data: {}))
    begun(db, saga)
    waiting = begun(db, simple("w", Wait("x")))
    idle(db, saga)
    assert db.run(lambda w: purge(w.conn, timedelta(hours=1))) == 0
    assert db.run(lambda w: purge(w.conn, timedelta(0))) == 1
    assert [s.saga_id for s in db.run(lambda w: found(w.conn))] == [waiting]
    assert db.run(lambda w: w.conn.execute("SELECT count(*) FROM pgcharter.saga_steps").fetchone()) == (0,)


def test_without_tables(database: str) -> None:
    with Database(database) as db:
        with pytest.raises(UnavailableError, match="the tables of sagas are not there"):
            begun(db, simple("o", Wait("x")))
        with pytest.raises(UnavailableError, match="the tables of sagas are not there"):
            db.run(lambda w: found(w.conn))
        with pytest.raises(UnavailableError, match="the tables of sagas are not there"):
            idle(db, simple("o", Wait("x")))


def test_a_database_that_has_no_connection_left_is_no_attempt(database: str) -> None:
    install(database)
    saga = simple("o", Step("one", lambda c: time.sleep(0.6), inside=True, retry=Retrying(attempts=1)))
    with Database(database, size=PoolSize(1, 1, wait=0.4), retry=Retry(attempts=1)) as db:
        made = [begun(db, saga) for _ in range(3)]
        idle(db, saga)
        assert [state(db, one).status for one in made] == ["completed"] * 3
        assert [events(db, one) for one in made] == [[]] * 3


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: simple("o"), lambda: simple("", Wait("x")), lambda: simple("o", Wait("x"), Wait("x")),
        lambda: simple("o", Wait("x"), version=0),
        lambda: simple("o", Step("a", print, pivot=True), Step("b", print, pivot=True)), lambda: simple("o", Wait("x"), data=int),
        lambda: simple("o", Parallel([Step("a", print, pivot=True), Wait("x")])),
        lambda: Retrying(attempts=0), lambda: SagaSettings(lease=0),
        lambda: simple("o", Child("c", simple("i", Step("p", print, pivot=True)), dict)), lambda: simple("o", Wait("x" * 201)),
    ],
)  # fmt: skip
def test_definitions_that_cannot_work(wrong: Callable[[], Any]) -> None:
    with pytest.raises(UsageError):
        wrong()


def test_who_listens_is_woken_after_the_commit(db: Database) -> None:
    ended: list[Ended] = []
    saga = simple("o", Step("one", lambda c: 7), Wait("go"))
    slow = SagaSettings(listen=True, poll_least=5.0)
    waker = wakes(db)
    try:
        with running(db, saga, settings=slow, on_end=ended.append):
            made = begun(db, saga, key="k")
            until(lambda: waker.poke() or state(db, made).waiting == "signal go")
            began = time.monotonic()
            db.run(lambda w: signal(w.conn, made, "go", "now"))
            until(lambda: ended)
            assert time.monotonic() - began < 4
    finally:
        waker.close()
    assert [(e.saga_id, e.status, e.result) for e in ended] == [(str(made), "completed", "now")]


def test_tasks_that_listen(database: str) -> None:
    install(database)
    saga = simple("o", Step("one", lambda c: 7))
    ended: list[Ended] = []

    async def main() -> float:
        async with AsyncDatabase(database) as db:
            waker = wakes(db)
            worker = AsyncSagaWorker(db, [saga], SagaSettings(listen=True, poll_least=5.0), on_end=ended.append)
            running = asyncio.create_task(worker.run())
            await db.run(lambda w: start.aio(w.conn, saga, {}))
            while not ended:
                waker.poke()
                await asyncio.sleep(0.02)
            began = time.monotonic()
            await db.run(lambda w: start.aio(w.conn, saga, {}))
            while len(ended) < 2:
                await asyncio.sleep(0.01)
            took = time.monotonic() - began
            worker.stop()
            await running
            waker.close()
            return took

    assert asyncio.run(main()) < 4
