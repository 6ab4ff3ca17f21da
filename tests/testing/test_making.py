"""Rows made up: whole, unique, the same for the same seed; what cannot be made up is said."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from pgcharter.db import connect
from pgcharter.errors import PgcharterError, UsageError
from pgcharter.testing.factories import Make, sequence
from pgcharter.testing.recipes import Recipes

Making = Callable[..., Make]

SHOP = Path(__file__).with_name("odd.sql").read_text()
ODD = '"Odd Names"."Order ""100%"' + '""'


@pytest.fixture
def making(database: str) -> Iterator[Making]:
    with connect(database) as conn:
        conn.execute(SHOP.encode())
        recipes = Recipes(lambda: conn)
        yield lambda seed=0: Make(conn, recipes, seed)


@pytest.fixture
def make(making: Making) -> Make:
    return making()


def test_every_table_but_those_that_cannot(make: Make) -> None:
    for table in make.recipes.catalog.tables:
        if table.name not in ("hens", "eggs", "trees", "sealed", "events_2026"):
            assert len(make.many(table.id.sql(), 30)) == 30, table.id
    found = make.conn.execute(f"SELECT DISTINCT tax = total / 5, (cheque IS NULL) <> (card IS NULL) FROM {ODD}".encode()).fetchall()
    assert found == [(True, True)]


def test_parents_go_together(make: Make) -> None:
    order = make(ODD)
    person = make.conn.execute("SELECT tenant_id FROM people WHERE id = %s", [order.person_id]).fetchone()
    assert person == (order.tenant_id,)
    assert make.conn.execute("SELECT count(*) FROM tenants").fetchone() == (1,)
    tenant = make("tenants")
    assert make(ODD, tenant_id=tenant.id).tenant_id == tenant.id
    own = make.within(tenant_id=tenant.id)
    assert {own(ODD).tenant_id, own("people").tenant_id, own("profiles").tenant_id} == {tenant.id}
    assert make.conn.execute("SELECT count(*) FROM tenants").fetchone() == (2,)
    assert own("people", boss=own("people")).boss_id is not None


def test_one_to_one_has_parents_of_its_own(make: Make) -> None:
    assert len({row.person_id for row in make.many("profiles", 5)}) == 5
    person = make("people")
    with pytest.raises(PgcharterError, match=r"no row of public\.profiles could be made: duplicate key"):
        make.many("profiles", 2, tenant_id=person.tenant_id, person_id=person.id)


def test_the_same_seed_makes_the_same_rows(making: Making) -> None:
    def rows(seed: int) -> list[tuple[object, ...]]:
        make = making(seed)
        with make.conn.transaction(force_rollback=True):
            return [(r.id, r.code, r.name) for r in make.many("tenants", 5)]

    assert rows(7) == rows(7)
    assert not {*rows(7)} & {*rows(300)}


def test_rows_that_are_there_are_gone_round(make: Make) -> None:
    first = Make(make.conn, make.recipes).many("accounts", 40)
    assert {r.id for r in first}.isdisjoint(r.id for r in Make(make.conn, make.recipes).many("accounts", 40))
    assert all(r.minus < r.plus for r in first)


def test_values_may_be_asked_for(make: Make) -> None:
    names = sequence("n{n:02}", start=4)
    assert [t.name for t in make.many("tenants", 3, name=names)] == ["n04", "n05", "n06"]
    row = make(ODD, body={"a": [1]}, tags=["x", "50%"])
    assert (row["body"], row.tags) == ({"a": [1]}, ["x", "50%"])
    assert make("people", id=77).id == 77


def test_what_cannot_be_made_up_is_said(make: Make) -> None:
    with pytest.raises(UsageError, match=r"the foreign keys of public\.hens → public\.eggs → public\.hens must all have a value"):
        make("hens")
    with pytest.raises(UsageError, match=r"public\.trees refers to itself by root_id"):
        make("trees")
    assert make("trees", id=5, root_id=5).root_id == 5
    with pytest.raises(PgcharterError, match=r"no row of public\.sealed could be made: .*check constraint.*no rows were found"):
        make("sealed")
    assert make("sealed", body="hello").body == "hello"
    with pytest.raises(UsageError, match="there is no table nothing"):
        make("nothing")
    with pytest.raises(UsageError, match=r"public\.tenants has no column nothing"):
        make("tenants", nothing=1)
    with pytest.raises(PgcharterError, match="value too long"):
        make("tenants", name="longer than seven")
    with pytest.raises(AttributeError, match="has no column nothing"):
        make("tenants").nothing  # noqa: B018


def test_rows_that_a_trigger_keeps_out(make: Make) -> None:
    make.conn.execute("CREATE FUNCTION kept_out() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'")
    make.conn.execute("CREATE TRIGGER kept_out BEFORE INSERT ON accounts FOR EACH ROW EXECUTE FUNCTION kept_out()")
    with pytest.raises(PgcharterError, match=r"2 of 2 rows of public\.accounts were kept out by a trigger or rule"):
        make.many("accounts", 2)
    assert make.many("accounts", 0) == []


def test_a_failed_row_leaves_the_transaction_whole(database: str) -> None:
    with connect(database) as admin:
        admin.execute(SHOP.encode())
        with psycopg.connect(database) as conn:
            make = Make(conn, Recipes(lambda: admin))
            make("tenants")
            with pytest.raises(PgcharterError):
                make("tenants", name="longer than seven")
            assert conn.execute("SELECT count(*) FROM tenants").fetchone() == (1,)
