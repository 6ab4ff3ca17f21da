"""Payment cards of the shop's customers: numbers that nobody has, encrypted in bulk as an application would do it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from random import Random
from typing import TYPE_CHECKING
from uuid import UUID

if TYPE_CHECKING:
    from pgcharter.db import Connection
    from pgcharter.runtime.encryption import Encryption

COLUMN = "sales.payment_cards.card_number"
STEP = 5_000
"""Cards that are loaded in one transaction."""
_WITHOUT = """
SELECT u.user_id, u.tenant_id FROM identity.users AS u
WHERE u.user_role = 'customer' AND NOT EXISTS (
    SELECT FROM sales.payment_cards AS c WHERE c.tenant_id = u.tenant_id AND c.user_id = u.user_id
)
ORDER BY u.user_id
"""
_COPY = """
COPY sales.payment_cards
    (payment_card_id, tenant_id, user_id, card_brand, card_number_encrypted, card_number_exact, card_number_last4, valid_until)
FROM STDIN
"""
_BRANDS = {"visa": "4000", "mastercard": "5100", "maestro": "5018"}


def load(conn: Connection, encryption: Encryption) -> int:
    """Give every customer without a card one; return how many got one now. Interrupted, it goes on where it was."""
    waiting = conn.execute(_WITHOUT).fetchall()
    for start in range(0, len(waiting), STEP):
        with conn.transaction():
            _copy(conn, encryption, waiting[start : start + STEP])
    if waiting:
        conn.execute("ANALYZE sales.payment_cards")
    return len(waiting)


def _copy(conn: Connection, encryption: Encryption, customers: Sequence[tuple[UUID, UUID]]) -> None:
    cipher = encryption.column(COLUMN)
    drawn = [Random(user.int) for user, _ in customers]  # noqa: S311 (not for secrets: the same every time is the point)
    cards = [UUID(int=rng.getrandbits(128), version=4) for rng in drawn]
    brands = [rng.choice(tuple(_BRANDS)) for rng in drawn]
    numbers = [_number(rng, brand) for rng, brand in zip(drawn, brands, strict=True)]
    until = [date(2027 + rng.randrange(4), 1 + rng.randrange(12), 1) for rng in drawn]
    tenants = [tenant for _, tenant in customers]
    values = cipher.encrypt_many(numbers, cards, tenants=tenants)
    exact, last = (cipher.blind_many(numbers, form, tenants=tenants) for form in cipher.spec.search)
    with conn.cursor().copy(_COPY) as copy:
        for (user, tenant), *more in zip(customers, cards, brands, values, exact, last, until, strict=True):
            card, *rest = more
            copy.write_row((card, tenant, user, *rest))


def _number(rng: Random, brand: str) -> str:
    """Sixteen digits whose check digit is wrong, so that no bank can have given them to anybody."""
    digits = _BRANDS[brand] + f"{rng.randrange(10**11):011d}"
    return digits + str((check_digit(digits) + 1 + rng.randrange(9)) % 10)


def check_digit(digits: str) -> int:
    """The digit that would make a card number right (Luhn, ISO/IEC 7812-1)."""
    doubled = [int(d) * (2 if n % 2 == 0 else 1) for n, d in enumerate(reversed(digits))]
    return -sum(d // 10 + d % 10 for d in doubled) % 10
