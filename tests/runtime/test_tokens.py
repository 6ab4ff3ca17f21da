"""Tokens: what survives the way through a client, what is refused, who shares a scope."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pgcharter.errors import UsageError
from pgcharter.runtime.tokens import Seen, Token, current_seen, ended, lsn_of, seen, token_text
from pgcharter.runtime.tokens_asgi import ReadYourWrites

SECRET, OTHER = b"s" * 32, b"o" * 32
TOKENS = st.builds(
    Token,
    system=st.integers(0, 2**64 - 1).map(str),
    lsn=st.integers(0, 2**64 - 1),
    timeline=st.integers(1, 2**32 - 1),
)


def sent(tokens: list[Token], secret: Any = None) -> str:
    scope = Seen(secret)
    for token in tokens:
        scope.note(token)
    return scope.text()


@given(st.lists(TOKENS, max_size=4, unique_by=lambda t: t.system), st.sampled_from([None, SECRET, (OTHER, SECRET)]))
@settings(max_examples=200, deadline=None)
def test_what_is_sent_is_seen_again(tokens: list[Token], secret: Any) -> None:
    text = sent(tokens, secret)
    assert all(c.isalnum() or c in "._~-" for c in text)
    with seen(text, secret=secret) as scope:
        assert not scope.refused
        assert [scope.of(t.system) for t in tokens] == tokens


@given(st.text(max_size=80) | st.text("0123456789abcdef.~", max_size=80))
@settings(max_examples=300, deadline=None)
def test_no_text_raises_and_none_is_taken_without_its_signature(text: str) -> None:
    with seen(text, secret=SECRET) as scope:
        assert bool(scope.refused) == bool(text)
        assert scope.text() == ""
    with seen(text) as scope:
        assert bool(scope.refused) != bool(scope.text()) or not text


@given(TOKENS, st.data())
@settings(max_examples=200, deadline=None)
def test_a_signed_token_that_is_changed_is_refused(token: Token, data: st.DataObject) -> None:
    text = sent([token], SECRET)
    place = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(st.sampled_from([c for c in "0123456789abcdef.~-_ü" if c != text[place]]))
    with seen(text[:place] + other + text[place + 1 :], secret=SECRET) as scope:
        assert scope.refused == "its signature is not ours"
        assert scope.of(token.system) is None


def test_refusals_say_why() -> None:
    token = Token("7", 16)
    cases = [
        (str(token), SECRET, "its signature is not ours"),
        (sent([token], OTHER), SECRET, "its signature is not ours"),
        (sent([token], SECRET), None, "it has not the form of a token"),
        ("x" * 1001, None, "it has more than 1000 characters"),
        ("7.1", None, "it has not the form of a token"),
        ("~".join(f"{n}.1.1" for n in range(9)), None, "it has not the form of a token"),
    ]
    for text, secret, why in cases:
        with seen(text, secret=secret) as scope:
            assert scope.refused == why


def test_a_secret_can_be_changed_and_has_to_be_long() -> None:
    old = sent([Token("7", 16)], OTHER)
    with seen(old, secret=(SECRET, OTHER)) as scope:
        assert scope.of("7") == Token("7", 16)
        assert scope.text() == sent([Token("7", 16)], SECRET)
    for weak in (b"", b"short", (), (SECRET, b"short")):
        with pytest.raises(UsageError, match="at least 16 bytes"):
            Seen(weak)


def test_the_newest_of_a_system_stays() -> None:
    scope = Seen()
    for token in (Token("7", 5), Token("7", 3), Token("8", 1), Token("7", 4, timeline=2), Token("7", 9)):
        scope.note(token)
    assert scope.of("7") == Token("7", 4, timeline=2)
    assert scope.of("8") == Token("8", 1)
    assert scope.of("9") is None


def test_who_belongs_to_a_scope() -> None:
    def write(lsn: int) -> None:
        if scope := current_seen():
            scope.note(Token("7", lsn))

    async def tasks() -> None:
        await asyncio.gather(asyncio.to_thread(write, 2), asyncio.to_thread(write, 3))

    assert token_text() == ""
    with seen("7.1.1") as scope:
        write(2)
        assert token_text() == "7.1.2"
        outside = threading.Thread(target=write, args=(9,))
        inside = threading.Thread(target=contextvars.copy_context().run, args=(write, 4))
        for thread in (outside, inside):
            thread.start()
            thread.join()
        assert scope.of("7") == Token("7", 4)
        with seen("7.1.7") as inner:
            assert scope.of("7") == Token("7", 4), "what an inner one was shown is its own"
            write(6)
            assert inner.of("7") == Token("7", 7)
        assert scope.of("7") == Token("7", 6), "what is written in an inner one is written in this one"
    assert current_seen() is None
    with seen() as scope:
        asyncio.run(tasks())
        assert scope.of("7") == Token("7", 3)


def test_the_end_of_the_last_record_is_not_behind_a_page_header() -> None:
    page, segment = 8192, 1 << 20
    assert lsn_of("16/B374D848") == 0x16B374D848
    assert ended(5 * page + 24, page, segment) == 5 * page
    assert ended(segment + 40, page, segment) == segment
    assert ended(5 * page + 40, page, segment) == 5 * page + 40
    assert ended(segment + 24, page, segment) == segment + 24
    assert ended(5 * page + 24, 0, 0) == 5 * page + 24
    assert ended(5 * page + 24, 16384, segment) == 5 * page + 24


def served(app: ReadYourWrites, headers: list[tuple[bytes, bytes]], kind: str = "http", scheme: str = "https") -> dict[bytes, bytes]:
    """The headers of the response."""
    answers: list[Any] = []

    async def receive() -> Any:
        raise AssertionError

    async def send(message: Any) -> None:
        answers.append(message)

    asyncio.run(app({"type": kind, "headers": headers, "scheme": scheme}, receive, send))
    return dict(answers[0].get("headers", ()))


def test_a_middleware_takes_and_gives_the_token() -> None:
    asked: list[Token | None] = []
    writes: list[Token] = []

    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        scope = current_seen()
        asked.append(scope.of("7") if scope else None)
        for token in writes:
            assert scope
            scope.note(token)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"x", b"y")]})

    wrapped = ReadYourWrites(app, secret=SECRET, header="X-Seen")
    assert served(wrapped, []) == {b"x": b"y"}
    writes.append(Token("7", 5))
    told = served(wrapped, [(b"cookie", b"a=b; broken")])
    cookie = told[b"set-cookie"].decode()
    assert cookie.startswith(f"pgcharter_seen={told[b'x-seen'].decode()}; Path=/; Max-Age=3600; HttpOnly; SameSite=Lax; Secure")
    writes.clear()
    assert served(wrapped, [(b"Cookie", b"a=b; " + cookie.partition(";")[0].encode())]) == {b"x": b"y"}
    assert served(wrapped, [(b"x-seen", told[b"x-seen"]), (b"cookie", b"pgcharter_seen=bad")]) == {b"x": b"y"}
    served(wrapped, [(b"x-seen", b"\xff\xfe made up")])
    served(wrapped, [], kind="lifespan")
    assert asked == [None, None, Token("7", 5), Token("7", 5), None, None]
    with pytest.raises(UsageError, match="at least 16 bytes"):
        ReadYourWrites(app, secret=b"short")
