"""`pgcharter saga` as an operator calls it, on a real server."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.runtime.sagas_ground import QUICK, World, install, named, simple

from pgcharter.render.saga import State, mermaid
from pgcharter.runtime.database import Database
from pgcharter.runtime.sagas import Saga, SagaWorker, Wait, signal, start, status

Program = Callable[..., Any]
SAGAS = """
from pgcharter.runtime.database import Database
from pgcharter.runtime.messaging import Messaging
from pgcharter.runtime.sagas import Child, Parallel, Saga, Sleep, Step, Wait

bill = Saga("bill", [Step("send", print, undo=print)])
order = Saga("order", [
    Step("reserve: \\"all\\"", print, undo=print), Parallel([Step("charge", print, undo=print), [Step("pack", print), Sleep("dry", 5)]]),
    Wait("paid", when=lambda data: True), Child("billing", bill, dict), Step("ship", print, pivot=True), Step("tell", print, undo=print),
])
messaging = Messaging(database=Database, sagas=[order])
"""


@pytest.fixture
def db(database: str) -> Iterator[Database]:
    install(database)
    with Database(database) as made:
        yield made


def idle(db: Database, *sagas: Saga[Any]) -> None:
    SagaWorker(db, sagas, QUICK).run(until_idle=True)


def test_listed_shown_and_asked(db: Database, database: str, program: Program) -> None:
    world = World()
    saga = simple("order", *named("reserve", "charge", world=world, fail={"charge": -1}))
    waiting = simple("wait", *named("one", world=world), Wait("paid"))
    made = db.run(lambda w: start(w.conn, saga, {"sku": "a"}, key="o-1")).saga_id
    other = db.run(lambda w: start(w.conn, waiting, {}, key="o-2")).saga_id
    on = ("--on", database)
    assert program("saga", "list", "--stuck", *on).stdout == "no saga is stuck\n"
    idle(db, saga, waiting)
    db.run(lambda w: signal(w.conn, other, "early", 1))
    said = program("saga", "list", *on)
    assert said.returncode == 0
    text = " ".join(said.stdout.split())
    assert f"{other} wait v1 o-2 started at paid, waiting for signal paid" in text
    assert f"{made} order v1 o-1 failed: step charge: ValueError: charge does not want to" in text
    data = json.loads(program("saga", "list", "--type", "order", "--format", "json", *on).stdout)
    assert (data["format"], data["sagas"][0]["status"], data["sagas"][0]["data"]) == ("pgcharter-sagas", "failed", {"sku": "a"})
    shown = program("saga", "show", "order", "o-1", *on).stdout
    order = ["started", "reserve completed", "charge failed (attempt 1)", "charge failed (attempt 3)", "turned", "reserve compensated"]
    places = [shown.index(text) for text in order]
    assert places == sorted(places)
    assert shown.splitlines()[-1].endswith(" failed")
    data = json.loads(program("saga", "show", str(other), "--format", "json", *on).stdout)
    assert (data["format"], data["signals"][0]["name"], data["steps"][1]["status"]) == ("pgcharter-saga", "early", "running")
    assert "nothing has waited for it yet" in " ".join(program("saga", "show", str(other), *on).stdout.split())
    assert program("saga", "skip-step", "wait", "o-2", "--step", "paid", "--reason", "cash", "--actor", "ann", *on).returncode == 0
    assert program("saga", "resume", str(made), "--reason", "mended", *on).stdout.startswith(f"asked: the next worker that has saga {made}")
    idle(db, simple("order", *named("reserve", "charge", world=world)), waiting)
    assert {db.run(lambda w, s=s: status(w.conn, s)).status for s in (made, other)} == {"completed"}
    assert "asked by ann: skip paid: cash" in " ".join(program("saga", "show", str(other), *on).stdout.split())


def test_who_is_stuck_ends_in_one(db: Database, database: str, program: Program) -> None:
    db.run(lambda w: start(w.conn, simple("gone", Wait("x")), {}))
    db.run(lambda w: w.conn.execute("UPDATE pgcharter.saga_instances SET next_at = now() - interval '1 h'"))
    said = program("saga", "list", "--stuck", "--on", database)
    assert said.returncode == 1
    assert "taken by nobody" in " ".join(said.stdout.split())


def test_what_is_not_there(db: Database, database: str, program: Program) -> None:
    for words in (("show", "nonsense"), ("show", "a", "b", "c"), ("cancel", "x y", "--reason", "r")):
        assert program("saga", *words, "--on", database).returncode == 2
    for words in (("show", "order", "none"), ("show", "7f0c3f6e-0b8e-4b57-9f0e-8a4f7f1c2d3e")):
        said = program("saga", *words, "--on", database)
        assert said.returncode == 3
        assert "there is no saga" in said.stderr


def test_without_tables(database: str, program: Program) -> None:
    said = program("saga", "list", "--on", database)
    assert said.returncode == 3
    assert "the tables of sagas are not there" in said.stderr


def test_diagram(program: Program, tmp_path: Path) -> None:
    (tmp_path / "flows_of_the_shop.py").write_text(SAGAS)
    text = program("saga", "diagram", "flows_of_the_shop:order", cwd=tmp_path).stdout
    assert program("saga", "diagram", "order", "--app", "flows_of_the_shop:messaging", cwd=tmp_path).stdout == text
    assert text.startswith("---\ntitle: order v1\n---\nstateDiagram-v2\n")
    for line in (
        'state "reserve#58; #34;all#34;" as s1_0_0', "[*] --> s1_0_0", "s1_0_0 --> fork2", "fork2 --> s2_0_0", "s2_1_1 --> join2",
        's2_0_0 --> u1: fails', 'state "compensate charge" as u2', "u2 --> u1", "u1 --> failed", 'state "wait for paid (maybe)" as s3_0_0',
        'state "saga billing" as s4_0_0', 'state "ship (pivot)" as s5_0_0', "s5_0_0 --> u4: fails", "s6_0_0 --> completed",
        "completed --> [*]", "failed --> [*]",
    ):  # fmt: skip
        assert f"    {line}\n" in text, line
    assert "s6_0_0 --> u" not in text
    data = json.loads(program("saga", "diagram", "flows_of_the_shop:order", "--format", "json", cwd=tmp_path).stdout)
    assert (data["format"], data["mermaid"]) == ("pgcharter-saga-diagram", text)
    assert program("saga", "diagram", "flows_of_the_shop:messaging", cwd=tmp_path).returncode == 2


def test_a_saga_of_one_step() -> None:
    assert mermaid("one", [State("a")]).count("-->") == 5
