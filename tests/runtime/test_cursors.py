"""Cursors: what is sealed comes back exactly, and everything else is refused by a class and a sentence of its own."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgcharter.errors import UsageError
from pgcharter.runtime.context import context
from pgcharter.runtime.cursors import (
    LONGEST,
    CursorError,
    Cursors,
    ExpiredCursorError,
    ForgedCursorError,
    GarbledCursorError,
    LongCursorError,
    OtherQueryCursorError,
    OtherTenantCursorError,
    Position,
)

KEY, OTHER = "0123456789abcdef", "fedcba9876543210"
QUERY = b"orders by date"
values = st.lists(st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=200), max_size=5).map(tuple)


@given(values, st.booleans(), st.booleans())
def test_a_place_comes_back_as_it_was(given_: tuple[str | None, ...], backward: bool, inclusive: bool) -> None:
    place = Position(given_, backward, inclusive)
    cursors = Cursors([KEY])
    assert cursors.open(cursors.seal(place, QUERY), QUERY) == place


@given(st.text(max_size=80) | st.binary(max_size=80).map(lambda data: urlsafe_b64encode(b"\1" + data).rstrip(b"=").decode()))
def test_what_was_never_sealed_is_refused(text: str) -> None:
    with pytest.raises((GarbledCursorError, ForgedCursorError)):
        Cursors([KEY]).open(text, QUERY)


def test_every_changed_bit_is_seen() -> None:
    cursors = Cursors([KEY])
    data = urlsafe_b64decode(cursors.seal(Position(("2026-01-01", None)), QUERY) + "==")
    for bit in range(len(data) * 8):
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises((GarbledCursorError, ForgedCursorError)):
            cursors.open(urlsafe_b64encode(changed).rstrip(b"=").decode(), QUERY)


def test_there_is_one_way_to_write_a_cursor() -> None:
    """Bits of base64 that mean nothing, padding and line ends would make many texts of one."""
    cursors = Cursors([KEY])
    text = next(t for n in range(3) if len(t := cursors.seal(Position(("x" * n,)), QUERY)) % 4)
    for other in (text + "=", text + "\n", text[:-1] + chr(ord(text[-1]) + 1), text[:-1]):
        with pytest.raises(CursorError):
            cursors.open(other, QUERY)


def test_a_cursor_expires() -> None:
    now = 1_000_000.0
    cursors = Cursors([KEY], lifetime=60, clock=lambda: now)
    text = cursors.seal(Position(("1",)), QUERY)
    now += 60
    assert cursors.open(text, QUERY) == Position(("1",))
    now += 1
    with pytest.raises(ExpiredCursorError, match="given out 61 s ago and is good for 60 s"):
        cursors.open(text, QUERY)
    assert Cursors([KEY], lifetime=None).open(text, QUERY)


def test_a_new_key_signs_and_the_old_one_is_believed_until_dropped() -> None:
    old, both, new = Cursors([KEY]), Cursors([OTHER, KEY]), Cursors([OTHER])
    text = old.seal(Position(("1",)), QUERY)
    assert both.open(text, QUERY) == Position(("1",))
    assert new.open(both.seal(Position(("2",)), QUERY), QUERY) == Position(("2",))
    with pytest.raises(ForgedCursorError):
        new.open(text, QUERY)


def test_a_cursor_is_of_one_query_and_one_tenant() -> None:
    cursors = Cursors([KEY])
    with context(tenant="acme"):
        text = cursors.seal(Position(("1",)), QUERY)
        with pytest.raises(OtherQueryCursorError):
            cursors.open(text, b"another")
    assert "acme" not in text
    with context(tenant="globex"), pytest.raises(OtherTenantCursorError):
        cursors.open(text, QUERY)
    with pytest.raises(OtherTenantCursorError):
        cursors.open(text, QUERY)


def test_too_long_is_said_on_both_ends() -> None:
    cursors = Cursors([KEY])
    with pytest.raises(UsageError, match="a cursor would have"):
        cursors.seal(Position(("x" * LONGEST,)), QUERY)
    with pytest.raises(LongCursorError, match="100,000 characters"):
        cursors.open("x" * 100_000, QUERY)


@pytest.mark.parametrize("keys", [[], ["short"], [b"x" * 15], ""])
def test_weak_keys_are_refused(keys: list[str]) -> None:
    with pytest.raises(UsageError):
        Cursors(keys)


def test_a_key_is_not_in_its_repr() -> None:
    assert KEY not in repr(Cursors([KEY]))


def test_what_is_no_text_is_no_cursor() -> None:
    for wrong in (5, b"abc", None):
        with pytest.raises(GarbledCursorError):
            Cursors(["0123456789abcdef"]).open(wrong, b"")  # type: ignore[arg-type]
