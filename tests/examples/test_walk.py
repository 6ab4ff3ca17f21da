"""The walk through the shop tells what is so: each promise that is broken stops it; what it changes for its attempts is put back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.examples.conftest import oldest_and_newest, one

from pgcharter import examples
from pgcharter.cli.project import open_project
from pgcharter.db import connect
from pgcharter.errors import PgcharterError
from pgcharter.examples import fill
from pgcharter.examples import walk as walks
from pgcharter.examples.shop import cards, walk
from pgcharter.examples.shop import fill as shop_fill
from pgcharter.examples.walk import Ground, UntrueError
from pgcharter.migrate import key_status
from pgcharter.servers.lifecycle import Server

BROKEN = {
    "ALTER TABLE sales.orders DISABLE ROW LEVEL SECURITY": "counts|sees",
    "DROP POLICY pgcharter_tenant ON sales.orders; ALTER POLICY pgcharter_rows ON sales.orders USING (true)": "sees",
    "ALTER POLICY pgcharter_tenant ON sales.orders WITH CHECK (true); ALTER POLICY pgcharter_rows ON sales.orders WITH CHECK (true); "
    "ALTER TABLE sales.orders DROP CONSTRAINT fk_orders_user_id": "INSERT for .* was let through",
    'ALTER TABLE catalog.products DISABLE TRIGGER "0_pgcharter_audit"': "recorded",
    "DO $$ BEGIN EXECUTE (SELECT format('ALTER TABLE %s DISABLE TRIGGER ALL', min(tableoid)::regclass) FROM pgcharter.audit_log); END $$":
        "DELETE of a record was let through",
    "ALTER TABLE sales.payment_cards DROP CONSTRAINT payment_cards_card_number_encrypted_sealed": "in clear was let through",
    "UPDATE sales.payment_cards SET card_number_exact = overlay(card_number_exact PLACING '\\x00000000' FROM 9)": "by its number",
    "CREATE FUNCTION doubled() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.amount := NEW.amount * 2; RETURN NEW; END';"
    "CREATE TRIGGER zz_doubled BEFORE INSERT ON sales.payments FOR EACH ROW EXECUTE FUNCTION doubled()": "and the books show",
}  # fmt: skip
"""What is done to the shop, and what the walk says of it."""


@pytest.fixture
def ground(shop: str, major_server: Server, tmp_path: Path) -> Iterator[Ground]:
    charter = open_project(examples.folder("shop")).charter
    database = shop.partition("?")[0].rpartition("/")[2]
    with connect(shop) as conn:
        fill.fill(conn, shop_fill, walk.LEAST + 50)
        found = walks.ground(conn, shop, lambda role, password: major_server.dsn(database, role, password), charter, tmp_path)
        assert walk.encrypt(found) == 55
        yield found


@oldest_and_newest
def test_it_holds_again_and_again_and_leaves_no_password(ground: Ground, major: int) -> None:
    assert walk.encrypt(ground) == 0
    stored = "SELECT string_agg(card_number_encrypted::text, '' ORDER BY payment_card_id) FROM sales.payment_cards"
    password = "SELECT rolpassword FROM pg_authid WHERE rolname = 'shop_api'"
    before, orders = one(ground.conn, stored), one(ground.conn, "SELECT md5(string_agg(o::text, '' ORDER BY order_id)) FROM sales.orders o")
    assert one(ground.conn, password) is None
    first = [*walk.parts(ground)]
    assert one(ground.conn, password) is None
    assert one(ground.conn, stored) != before
    assert one(ground.conn, "SELECT md5(string_agg(o::text, '' ORDER BY order_id)) FROM sales.orders o") == orders
    second = [*walk.parts(ground)]
    assert [p.title for p in first] == [p.title for p in second]
    assert first[3].seen[0].text != second[3].seen[0].text
    assert [k.state for k in ground.ring.read().keys] == ["retired"] * 4 + ["active"] * 2
    assert key_status.verify(ground.conn, ground.encryption(), cards.COLUMN).count == 0


@pytest.mark.parametrize(("damage", "says"), BROKEN.items(), ids=range(len(BROKEN)))
def test_a_broken_promise_stops_it(ground: Ground, damage: str, says: str) -> None:
    ground.conn.execute(damage.encode())
    with pytest.raises(UntrueError, match=says):
        list(walk.parts(ground))


def test_without_its_keys_nothing_is_read(ground: Ground) -> None:
    ground.ring.path.unlink()
    with pytest.raises(PgcharterError, match=r"ring\.json"):
        list(walk.parts(ground))


def test_a_password_that_was_set_is_put_back(ground: Ground) -> None:
    ground.conn.execute("ALTER ROLE shop_api PASSWORD 'somebody set this'")
    try:
        password = "SELECT rolpassword FROM pg_authid WHERE rolname = 'shop_api'"
        before = one(ground.conn, password)
        next(walk.parts(ground)).seen  # noqa: B018
        assert one(ground.conn, password) == before
    finally:
        ground.conn.execute("ALTER ROLE shop_api PASSWORD NULL")


def test_nobody_can_have_the_numbers_of_the_cards(ground: Ground) -> None:
    cipher = ground.encryption().column(cards.COLUMN)
    rows = ground.conn.execute("SELECT payment_card_id, tenant_id, card_number_encrypted FROM sales.payment_cards").fetchall()
    numbers = cipher.decrypt_many([r[2] for r in rows], [r[0] for r in rows], tenants=[r[1] for r in rows])
    assert cards.check_digit("7992739871") == 3  # the example of the algorithm's description
    assert len(set(numbers)) == len(numbers) == 55
    assert all(len(n) == 16 and n.isdigit() and int(n[-1]) != cards.check_digit(n[:-1]) for n in numbers)
