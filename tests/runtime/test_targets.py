"""Targets on real servers: Redis, Valkey and NATS as private processes, an HTTP server in a thread."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
import redis
from tests.runtime.outbox_messages import Web, message, web
from tests.sinks import servers

from pgcharter.errors import UsageError
from pgcharter.runtime.targets import AsyncCall, Call, Failed, FailedError, Message, Outcome, PartlyDownError, TargetDownError, waves
from pgcharter.runtime.targets_nats import AsyncNatsStream, NatsStream
from pgcharter.runtime.targets_redis import AsyncRedisStream, RedisStream
from pgcharter.runtime.targets_signing import SignatureError, verify_webhook
from pgcharter.runtime.targets_webhook import AsyncWebhook, Webhook

COLOURS = ("sync", "async")
both = pytest.mark.parametrize("colour", COLOURS)
SECRETS = {"2026-11": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "2026-05": "another secret of 16 bytes and more"}


def given(colour: str, make: tuple[Callable[..., Any], Callable[..., Any]], *batches: Sequence[Message], **more: Any) -> list[Any]:
    """What a target says of batches; an error where it raises one."""
    if colour == "sync":
        target = make[0](**more)
        try:
            return [_said(lambda b=b: target.deliver(b)) for b in batches]
        finally:
            target.close()
            target.close()

    async def run() -> list[Any]:
        target = make[1](**more)
        try:
            found: list[Any] = []
            for batch in batches:
                try:
                    found.append(await target.deliver(batch))
                except TargetDownError as error:
                    found.append(error)
            return found
        finally:
            await target.close()
            await target.close()

    return asyncio.run(run())


def _said(call: Callable[[], Any]) -> Any:
    try:
        return call()
    except TargetDownError as error:
        return error


def test_waves_have_no_key_twice_and_keep_their_order() -> None:
    messages = [message(key=k) for k in ("a", "b", "a", None, None, "a", "b")]
    assert waves(messages) == [[0, 1, 3, 4], [2, 6], [5]]
    assert waves([]) == []


# functions


@both
def test_a_function_that_fails_holds_up_its_key_only(colour: str) -> None:
    called: list[Any] = []

    def send(m: Message) -> None:
        called.append(m.payload)
        if m.payload == 2:
            raise ValueError("no")
        if m.payload == 4:
            raise FailedError(Failed("later", after=7.0))

    async def asend(m: Message) -> None:
        send(m)

    batch = [message(n, key) for n, key in ((1, "a"), (2, "a"), (3, "a"), (4, "b"), (5, None))]
    (said,) = given(colour, (lambda: Call(send), lambda: AsyncCall(asend)), batch)
    assert called == [1, 2, 4, 5]
    assert said[0] is None
    assert said[1] == Failed("ValueError: no")
    assert said[3] == Failed("later", after=7.0)
    assert said[4] is None


def test_a_function_that_says_all_is_down_says_what_was_done() -> None:
    def send(m: Message) -> None:
        if m.payload == 3:
            raise TargetDownError("away")

    batch = [message(n) for n in range(1, 6)]
    with pytest.raises(PartlyDownError) as raised:
        Call(send).deliver(batch)
    assert raised.value.done == {m.position for m in batch[:2]}


def test_a_coroutine_function_where_nothing_awaits() -> None:
    async def send(_m: Message) -> None:
        raise AssertionError

    with pytest.raises(UsageError, match="coroutine"):
        Call(send).deliver([message()])


# Redis


@pytest.fixture(scope="module", params=["redis-server", "valkey"])
def store(request: pytest.FixtureRequest) -> Iterator[servers.Store]:
    with servers.running(request.param) as server:
        yield server


_streams = itertools.count()


@pytest.fixture
def entries(store: servers.Store) -> Iterator[Callable[[str], list[dict[str, str]]]]:
    with redis.Redis.from_url(store.url, decode_responses=True) as client:
        yield lambda stream: [fields for _, fields in client.xrange(stream)]


REDIS = (RedisStream, AsyncRedisStream)


@both
def test_a_stream_gets_each_message_once(store: servers.Store, entries: Callable[[str], list[dict[str, str]]], colour: str) -> None:
    stream = f"s{next(_streams)}"
    batch = [message({"n": n, "ä": "€"}, f"k{n % 3}", tenant="acme", headers={"h": "1"}) for n in range(250)]
    assert given(colour, REDIS, batch[:200], batch[100:], batch, url=store.url, stream=stream) == [None] * 3
    found = entries(stream)
    assert [e["id"] for e in found] == [str(m.id) for m in batch], "in order, none twice"
    assert found[7] == {
        "id": str(batch[7].id), "topic": "t.a", "key": "k1", "body": batch[7].text, "tenant": "acme", "headers": '{"h": "1"}',
    }  # fmt: skip


@both
def test_streams_by_message_bounded_and_binary(store: servers.Store, entries: Callable[[str], list[dict[str, str]]], colour: str) -> None:
    name = f"s{next(_streams)}"
    batch = [message(n, topic=f"x.{n % 2}") for n in range(60)]
    given(colour, REDIS, batch, url=store.url, stream=lambda m: f"{name}.{m.topic}", maxlen=10, exact=True)
    assert [json.loads(e["body"]) for e in entries(f"{name}.x.1")] == list(range(41, 60, 2))
    assert len(entries(f"{name}.x.0")) == 10
    given(colour, REDIS, [message(b"\0\xff")], url=store.url, stream=f"{name}.b")
    with redis.Redis.from_url(store.url) as raw:
        assert raw.xrange(f"{name}.b")[0][1][b"body"] == b"\0\xff"


def test_a_stream_that_forgets(store: servers.Store, entries: Callable[[str], list[dict[str, str]]]) -> None:
    stream = f"s{next(_streams)}"
    batch = [message(1)]
    given("sync", REDIS, batch, batch, url=store.url, stream=stream, remember=0)
    assert len(entries(stream)) == 2
    given("sync", REDIS, batch, url=store.url, stream=stream, remember=0.02)
    time.sleep(0.05)
    given("sync", REDIS, batch, url=store.url, stream=stream, remember=0.02)
    assert len(entries(stream)) == 4


@both
def test_redis_that_is_down_full_or_something_else(store: servers.Store, colour: str) -> None:
    nowhere = f"redis://127.0.0.1:{servers.free_port()}"
    (said,) = given(colour, REDIS, [message()], url=nowhere, stream="x")
    assert isinstance(said, TargetDownError)
    with redis.Redis.from_url(store.url) as client:
        client.set("no-stream", "1")
        (said,) = given(colour, REDIS, [message()], url=store.url, stream="no-stream")
        assert isinstance(said, TargetDownError)
        assert "WRONGTYPE" in str(said)
        client.config_set("maxmemory", "1")
        try:
            (said,) = given(colour, REDIS, [message()], url=store.url, stream="full")
        finally:
            client.config_set("maxmemory", "0")
        assert "OOM" in str(said) or "maxmemory" in str(said)


def test_redis_that_comes_back(entries: Any, store: servers.Store) -> None:
    stream, batch = f"s{next(_streams)}", [message(1)]
    target = RedisStream(store.url, stream, timeout=0.3)
    target.deliver(batch)
    store.freeze()
    try:
        with pytest.raises(TargetDownError):
            target.deliver([message(2)])
    finally:
        store.thaw()
    target.deliver([message(3)])
    target.close()
    found = [e["body"] for e in entries(stream)]
    assert (found[0], found[-1]) == ("1", "3")


# NATS


@pytest.fixture(scope="module")
def nats_server() -> Iterator[servers.Store]:
    with servers.running("nats-server") as server:
        yield server


NATS = (NatsStream, AsyncNatsStream)


def jetstream(url: str, work: Callable[[Any], Any]) -> Any:
    """Do something with the JetStream of a server."""
    import nats

    async def run() -> Any:
        client = await nats.connect(url)
        try:
            return await work(client.jetstream())
        finally:
            await client.close()

    return asyncio.run(run())


def subjects(server: servers.Store, stream: str) -> list[tuple[str, bytes, dict[str, str]]]:
    async def read(js: Any) -> list[tuple[str, bytes, dict[str, str]]]:
        state = (await js.stream_info(stream)).state
        found = [await js.get_msg(stream, seq) for seq in range(state.first_seq, state.last_seq + 1)] if state.messages else []
        return [(m.subject, m.data, m.headers) for m in found]

    found: list[tuple[str, bytes, dict[str, str]]] = jetstream(server.url, read)
    return found


@both
def test_nats_gets_each_message_once_and_a_key_in_order(nats_server: servers.Store, colour: str) -> None:
    name = f"s{next(_streams)}"
    jetstream(nats_server.url, lambda js: js.add_stream(name=name, subjects=[f"{name}.>"]))
    batch = [message(n, f"k{n % 7}", topic=f"{name}.t", headers={"h": "1"}, tenant="ä") for n in range(200)]
    said = given(colour, NATS, batch[:150], batch, url=nats_server.url)
    assert said == [[None] * 150, [None] * 200]
    found = subjects(nats_server, name)
    assert sorted(int(data) for _, data, _ in found) == list(range(200))
    for key in range(7):
        assert [n for n in (int(data) for _, data, _ in found) if n % 7 == key] == list(range(key, 200, 7))
    assert found[0][0] == f"{name}.t"
    assert found[0][2]["Nats-Msg-Id"] == str(batch[0].id)
    assert found[0][2]["h"] == "1"
    assert found[0][2]["Pgcharter-Tenant"] == "%C3%A4"


@both
def test_what_nats_does_not_take(nats_server: servers.Store, colour: str) -> None:
    name = f"s{next(_streams)}"
    jetstream(nats_server.url, lambda js: js.add_stream(name=name, subjects=[f"{name}.>"]))
    large = message(b"x" * 1_100_000, "k", topic=f"{name}.t")
    batch = [large, message(1, "k", topic=f"{name}.t"), message(2, topic=f"{name}.t")]
    (said,) = given(colour, NATS, batch, url=nats_server.url)
    assert said[0].final
    assert said[2] is None
    assert [data for _, data, _ in subjects(nats_server, name)] == [b"2"], "what follows a failure of its key is left out"
    (said,) = given(colour, NATS, [message(topic=f"nobody.{name}")], url=nats_server.url)
    assert isinstance(said, TargetDownError)
    (said,) = given(colour, NATS, [message(topic=f"{name}.t")], url=f"nats://127.0.0.1:{servers.free_port()}", timeout=1.0)
    assert isinstance(said, TargetDownError)


@both
def test_a_nats_stream_that_is_full(nats_server: servers.Store, colour: str) -> None:
    from nats.js.api import DiscardPolicy

    name = f"s{next(_streams)}"
    jetstream(nats_server.url, lambda js: js.add_stream(name=name, subjects=[f"{name}.>"], max_msgs=3, discard=DiscardPolicy.NEW))
    batch = [message(n, "k", topic=f"{name}.t") for n in range(5)]
    (said,) = given(colour, NATS, batch, url=nats_server.url)
    assert isinstance(said, PartlyDownError)
    assert said.done == {m.position for m in batch[:3]}


def test_nats_that_comes_back() -> None:
    with servers.running("nats-server") as server:
        jetstream(server.url, lambda js: js.add_stream(name="s", subjects=["s.>"]))
        target = NatsStream(server.url, timeout=0.5)
        assert target.deliver([message(1, topic="s.t")]) == [None]
        server.kill()
        late = [message(2, topic="s.t")]
        with pytest.raises(TargetDownError):
            target.deliver(late)
        server.start()
        deadline = time.monotonic() + 15
        while True:
            try:
                assert target.deliver(late) == [None]
                break
            except TargetDownError:
                assert time.monotonic() < deadline
        target.close()
        assert [data for _, data, _ in subjects(server, "s")] == [b"1", b"2"]


# webhooks


@pytest.fixture
def there() -> Iterator[Web]:
    with web() as made:
        yield made


WEBHOOK = (Webhook, AsyncWebhook)


@both
def test_a_webhook_is_signed_and_says_what_it_is(there: Web, colour: str) -> None:
    batch = [message({"a": "ä"}, "k 1", headers={"X-Kind": "ü", "Host": "evil"}, tenant="acme"), message(b"\0\xff")]
    assert given(colour, WEBHOOK, batch, url=there.url, secrets=SECRETS, headers={"Authorization": "Bearer t"}) == [[None, None]]
    got = {h["webhook-id"]: (path, h, body) for path, h, body in there.got}
    path, headers, body = got[str(batch[0].id)]
    assert (path, body) == ("/in", b'{"a":"\\u00e4"}')
    assert headers["content-type"] == "application/json"
    assert headers["webhook-topic"] == "t.a"
    assert headers["webhook-key"] == "k 1"
    assert headers["webhook-tenant"] == "acme"
    assert headers["authorization"] == "Bearer t"
    assert "evil" not in headers["host"]
    assert verify_webhook(body, headers, SECRETS) == str(batch[0].id)
    assert verify_webhook(body, headers, {"2026-05": SECRETS["2026-05"]}) == str(batch[0].id)
    _, headers, body = got[str(batch[1].id)]
    assert (body, headers["content-type"]) == (b"\0\xff", "application/octet-stream")
    verify_webhook(body, headers, SECRETS)


def test_the_example_of_standard_webhooks() -> None:
    """From the specification's libraries: this id, time, body and secret have this signature."""
    headers = {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek", "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }  # fmt: skip
    secrets = {"k": SECRETS["2026-11"]}
    assert verify_webhook(b'{"test": 2432232314}', headers, secrets, now=1614265330) == "msg_p5jXN8AQM9LWM0D4loKWxJek"


@pytest.mark.parametrize(
    "change",
    [
        {"webhook-id": "other"}, {"webhook-timestamp": "1614265331"}, {"webhook-signature": "v1,AAAA"}, {"webhook-signature": ""},
        {"webhook-signature": "v1,ü"}, {"webhook-timestamp": "x"}, {"webhook-key-id": "unknown"},
        {"body": "x"}, {"late": "301"}, {"late": "-301"},
    ],
    ids=str,
)  # fmt: skip
def test_what_is_not_right_is_refused(change: dict[str, str]) -> None:
    headers = {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek", "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }  # fmt: skip
    body, late = change.pop("body", '{"test": 2432232314}').encode(), int(change.pop("late", "0"))
    with pytest.raises(SignatureError) as raised:
        verify_webhook(body, headers | change, SECRETS, now=1614265330 + late)
    assert SECRETS["2026-11"] not in str(raised.value)


@pytest.mark.parametrize(
    ("status", "headers", "outcome"),
    [
        (204, {}, None), (503, {}, Failed("127.0.0.1 answered 503")),
        (429, {"retry-after": "7"}, Failed("127.0.0.1 answered 429", after=7.0)),
        (500, {"retry-after": "never"}, Failed("127.0.0.1 answered 500")),
        (500, {"retry-after": "9" * 30}, Failed("127.0.0.1 answered 500", after=86_400.0)),
        (410, {}, Failed("127.0.0.1 answered 410", final=True)),
        (302, {"location": "/elsewhere"}, Failed("127.0.0.1 answered 302, and redirects are not followed", final=True)),
    ],
)  # fmt: skip
@both
def test_what_a_status_means(there: Web, colour: str, status: int, headers: dict[str, str], outcome: Outcome) -> None:
    there.answer = lambda _h, _b: (status, headers)
    assert given(colour, WEBHOOK, [message()], url=there.url) == [[outcome]]
    assert len(there.got) == 1


def test_retry_after_as_a_date(there: Web) -> None:
    there.answer = lambda _h, _b: (503, {"retry-after": format_datetime(datetime.now(UTC) + timedelta(seconds=100), usegmt=True)})
    ((said,),) = given("sync", WEBHOOK, [message()], url=there.url)
    assert said.after == pytest.approx(100, abs=3)


@both
def test_keys_one_after_the_other_others_beside(there: Web, colour: str) -> None:
    order: list[int] = []

    def slow(_headers: dict[str, str], body: bytes) -> tuple[int, dict[str, str]]:
        time.sleep(0.02)
        order.append(int(body))
        return (500 if body == b"5" else 200), {}

    there.answer = slow
    batch = [message(n, f"k{n % 4}") for n in range(16)]
    (said,) = given(colour, WEBHOOK, batch, url=there.url)
    assert there.most > 1
    for key in range(4):
        assert [n for n in order if n % 4 == key] == ([1, 5] if key == 1 else list(range(key, 16, 4)))
    assert said[5] == Failed("127.0.0.1 answered 500")


@both
def test_a_host_that_is_away_or_slow(there: Web, colour: str) -> None:
    nowhere = f"http://user:secret@127.0.0.1:{servers.free_port()}/token-in-path"
    (said,) = given(colour, WEBHOOK, [message()], url=nowhere)
    assert isinstance(said, TargetDownError)
    assert "secret" not in str(said)
    assert "token" not in str(said)
    there.answer = lambda _h, _b: (time.sleep(0.5), (200, {}))[1]
    ((said,),) = given(colour, WEBHOOK, [message()], url=there.url, timeout=0.1)
    assert said == Failed("127.0.0.1 did not answer in time: ReadTimeout")


@pytest.mark.parametrize(
    "wrong",
    [{"url": "ftp://x"}, {"url": "nonsense"}, {"concurrency": 0},
     {"secrets": {"a": "short"}}, {"secrets": {"a b": "x" * 20}}, {"secrets": {"a": "whsec_%"}}]
)  # fmt: skip
def test_webhooks_that_are_none(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        Webhook(**{"url": "http://x/", **wrong})
