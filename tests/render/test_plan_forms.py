"""Plans in words: who waits, what is lost, and a migration file that says the same."""

from __future__ import annotations

import pytest

from pgcharter.catalog.effect import Effect, Lock, Mode
from pgcharter.catalog.model import RelationStats, Stats
from pgcharter.names import ObjectId
from pgcharter.plan.model import Backfill, Grade, Phase, Plan, Step
from pgcharter.render import plan as text
from pgcharter.render import plan_forms
from pgcharter.render.effects import in_bytes, waits
from pgcharter.render.page import Page, Screen
from pgcharter.render.plan import Story

ORDERS = ObjectId("table", "app", "orders")
SIZES = Stats(relations={ORDERS: RelationStats(rows=4_200_000, bytes=12 * 2**30)})


def effect(mode: Mode, **facts: tuple[ObjectId, ...]) -> Effect:
    return Effect((Lock(ORDERS, mode),), **facts)


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (Effect(), "nobody waits"),
        (Effect((Lock(ObjectId("view", "app", "v"), Mode.ACCESS_EXCLUSIVE),)), "who uses app.v waits ≤ 2 s"),
        (effect(Mode.SHARE_UPDATE_EXCLUSIVE), "nobody waits"),
        (effect(Mode.SHARE_UPDATE_EXCLUSIVE, scans=(ORDERS,)), "nobody waits · 12 GB of app.orders are read"),
        (effect(Mode.SHARE_ROW_EXCLUSIVE), "reads go on, writes wait ≤ 2 s"),
        (effect(Mode.SHARE, scans=(ORDERS,)), "reads go on, writes wait while 12 GB of app.orders are read"),
        (effect(Mode.ACCESS_EXCLUSIVE), "reads and writes wait ≤ 2 s"),
        (effect(Mode.ACCESS_EXCLUSIVE, rewrites=(ORDERS,)), "reads and writes wait while 12 GB of app.orders are rewritten"),
    ],
)
def test_who_waits(found: Effect, said: str) -> None:
    assert waits(found, SIZES).text == said


def test_without_sizes_nothing_is_invented() -> None:
    assert waits(effect(Mode.ACCESS_EXCLUSIVE, rewrites=(ORDERS,))).text == "reads and writes wait while app.orders is rewritten"


def test_what_no_server_has_shown_is_said_to_be_uncertain() -> None:
    unknown = Effect((Lock(ORDERS, Mode.ACCESS_EXCLUSIVE),), rewrites=(ORDERS,), known=False)
    assert "perhaps" in waits(unknown).text


@pytest.mark.parametrize(
    ("size", "said"), [(0, "0 bytes"), (1023, "1023 bytes"), (1536, "1.5 kB"), (12 * 2**30, "12 GB"), (3 * 2**40, "3.0 TB")]
)
def test_bytes(size: int, said: str) -> None:
    assert in_bytes(size) == said


def step(sql: str, **facts: object) -> Step:
    return Step(sql, f"do {sql[:12]}", ORDERS, **facts)  # type: ignore[arg-type]


PLAN = Plan(
    major=18,
    steps=(
        step("ALTER TABLE app.orders ADD COLUMN total numeric", block=1, effect=effect(Mode.ACCESS_EXCLUSIVE)),
        step("ALTER TABLE app.orders ADD CHECK (total > 0) NOT VALID", block=1, effect=effect(Mode.ACCESS_EXCLUSIVE)),
        step("UPDATE app.orders SET total = 0 WHERE total IS NULL", phase=Phase.BACKFILL,
             backfill=Backfill(ORDERS, ("id", "Order No"), "total = 0", "total IS NULL")),
        Step("", "", ORDERS, Phase.CONTRACT, gate="no release before 42 runs"),
        step("ALTER TABLE app.orders DROP COLUMN note", phase=Phase.CONTRACT, grade=Grade.LOSSY, loses="about 4.2 million values"),
    ),
    reverse=(step("ALTER TABLE app.orders DROP COLUMN total"),),
)  # fmt: skip


def test_the_page_tells_transactions_phases_and_losses() -> None:
    page = Page(Screen(width=100))
    text.write(page, Story(PLAN, "wanted", "now\x1b[2J"))
    said = page.text()
    assert "\x1b" not in said
    assert "5 steps in 1 transaction, 1 backfill, 1 gate" in said
    assert "1 ┌ do" in said
    assert "2 └ do" in said
    assert "wait until no release before 42 runs" in said
    assert "lost for good: about 4.2 million values" in said
    assert "1 step cannot be taken back without loss" in said


def test_the_file_says_what_the_runner_must_know() -> None:
    said = plan_forms.migration(Story(PLAN, "wanted", "now"), description="add total", author="Ada", date="2026-11-21")
    assert said.index("BEGIN;") < said.index("ADD COLUMN total") < said.index("COMMIT;") < said.index("UPDATE app.orders")
    assert '-- pgcharter: batched key=id, "Order No"\nUPDATE app.orders' in said
    assert "-- pgcharter: gate no release before 42 runs" in said
    assert said.rstrip().endswith("ALTER TABLE app.orders DROP COLUMN total;")


def test_what_cannot_be_taken_back_is_marked() -> None:
    gone = Plan(steps=(step("DROP TABLE app.orders", grade=Grade.IMPOSSIBLE, loses="all\nrows"),), reverse=())
    said = plan_forms.migration(Story(gone, "wanted", "now"), description="x", author="", date="")
    assert "-- pgcharter: one-way all rows" in said
    assert "pgcharter: down" not in said


def test_markdown_cannot_be_broken_out_of() -> None:
    evil = Plan(steps=(step("SELECT '```'", loses="| <b>x</b>"),))
    said = "".join(plan_forms.markdown(Story(evil, "<script>", "now")))
    assert "<script>" not in said
    assert "<b>x" not in said.partition("````sql")[0]
    assert "SELECT '```';\n````\n" in said
