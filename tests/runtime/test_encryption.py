"""The form of encrypted values: known answers that never change, what values are bound to, and how everything wrong is refused."""

from __future__ import annotations

import datetime
import os
import threading
import time
import uuid
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgcharter.errors import PgcharterError, RefusedError, UsageError
from pgcharter.policy.encryption_settings import HEADER, SHORTEST, EncryptedColumn
from pgcharter.runtime import encryption, encryption_cipher, encryption_format
from pgcharter.runtime.encryption import Encryption, SubjectKey
from pgcharter.runtime.encryption_cipher import Cipher, derive
from pgcharter.runtime.encryption_format import EncryptionError
from pgcharter.runtime.keys import DATA, INDEX, KeyRing, RingKey

DATA_KEY = RingKey(0x0123456789ABCDEF, "default", DATA, material=bytes(range(32)))
INDEX_KEY = RingKey(0x1122334455667788, "default", INDEX, material=bytes(range(32, 64)))
CANARY = "Canary-7f3a@example.org"


class Fixed:
    """A provider whose ring the test holds."""

    def __init__(self, *keys: RingKey) -> None:
        self.ring = KeyRing(keys)

    def read(self) -> KeyRing:
        return self.ring


def cipher(*keys: RingKey, **spec: Any) -> Cipher:
    column = EncryptedColumn(**{"table": "app.users", "column": "email", **spec})
    return Encryption([column], Fixed(*(keys or (DATA_KEY, INDEX_KEY)))).column("app.users.email")


# ── known answers: whoever changes one of these makes stored data unreadable ──


def test_derived_keys_never_change() -> None:
    assert derive(bytes(range(32)), "data", "app.users.email", "table", "").hex() == KNOWN["data key"]
    assert derive(bytes(range(32)), "data", "app.users.email", "tenant", "7").hex() == KNOWN["tenant's data key"]


@pytest.mark.parametrize("case", ["plain", "tenant", "padded", "two keys", "int"])
def test_values_of_version_1_never_change(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "urandom", lambda n: bytes(range(100, 100 + n)))
    spec, value, bound = CASES[case]
    made = cipher(**spec).encrypt(value, **bound)
    assert made is not None
    assert made.hex() == KNOWN[case]
    assert cipher(**spec).decrypt(bytes.fromhex(KNOWN[case]), **bound) == value


def test_blind_indexes_never_change() -> None:
    email = cipher(search=("exact", "folded", "last-four"))
    assert [(email.blind("Straße 4711", form) or b"").hex() for form in ("exact", "folded", "last-four")] == KNOWN_BLIND
    assert email.blind("STRASSE 4711", "folded") == email.blind("straße 4711", "folded")
    assert email.blind("4711", "last-four") == email.blind("0000-4711 ", "last-four")
    assert email.blind("e\u0301") == email.blind("é")
    assert email.blind("a") != email.blind("A")


CASES: dict[str, tuple[dict[str, Any], Any, dict[str, Any]]] = {
    "plain": ({}, "ada@example.org", {"row": 7}),
    "tenant": ({"tenant": "tenant_id", "scope": "tenant"}, "ada@example.org", {"row": 7, "tenant": 42}),
    "padded": ({"padding": 32}, "ada@example.org", {"row": 7}),
    "two keys": ({}, "", {"row": (7, "x")}),
    "int": ({"type": "int"}, -3, {"row": uuid.UUID(int=1)}),
}
KNOWN = {
    "data key": "71dc4fce85c16210d1588b0c360d0817ac265ba0bc58eba2b08fc7928c4b4605",
    "tenant's data key": "88772e0294a8004d1e25d7cf3d214514b1b26e01a5a24ab761d26ea4fb6003b6",
    "plain": "fe70670101000123456789abcdef6465666768696a6b6c6d6e6fb2cbd69b2ec2801bd3186574d1ab1f15a066db5870e60cf2264a66081c18e412",
    "tenant": "fe70670101000123456789abcdef6465666768696a6b6c6d6e6fc549f68fcc20d80c04382cb85b938f181f362850d4c7617257614eda5bc54e92",
    "padded": "fe70670101010123456789abcdef6465666768696a6b6c6d6e6fb2cbd69b"
    "2ec2801bd3186574d1ab1f15bf3d0a8e072ebe9829dcf82bc84c39364b02b9cc6ea096148d330c158fe3da7d",
    "two keys": "fe70670101000123456789abcdef6465666768696a6b6c6d6e6fb279947a11a40093d4c7bab35f903d9049",
    "int": "fe70670101000123456789abcdef6465666768696a6b6c6d6e6faf8781c1d14ae21d3e5b6e370ee8342a3c3172",
}
KNOWN_BLIND = [
    "1122334403eaa51690a744fe7ad36119c27f7678",
    "11223344f4bea61d00bf0799a4f8f7d49a369aa7",
    "112233440c4cdc3de9f29885a6184580be3bc4fc",
]

# ── what goes in comes out ──

VALUES: list[tuple[str, Any]] = [
    ("text", ""), ("text", "ä\0\U0001f600"), ("text", "\x80"), ("bytes", b""), ("bytes", b"\0\x80\0"), ("int", 0), ("int", -(10**30)),
    ("float", 0.1), ("numeric", Decimal("1.50")), ("numeric", Decimal("-1E+10")), ("date", datetime.date(2026, 2, 28)),
    ("timestamp", datetime.datetime(2026, 1, 1, 12, 30, 1, 5)),
    ("timestamp", datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone(datetime.timedelta(hours=2)))),
    ("bool", True), ("bool", False), ("uuid", uuid.UUID(int=5)), ("json", {"a": [1, None, "é"]}), ("json", "text"), ("json", []),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "value"), VALUES)
@pytest.mark.parametrize("padding", [0, 1, 16])
def test_typed_values_come_back(kind: str, value: Any, padding: int) -> None:
    column = cipher(type=kind, padding=padding)
    data = column.encrypt(value, row=1)
    back = column.decrypt(data, row=1)
    assert (back, type(back), str(back)) == (value, type(value), str(value))
    assert data is not None
    assert data[:4] == HEADER
    assert len(data) >= SHORTEST


@given(st.text(), st.integers(0, 64))
def test_any_text_comes_back_and_padding_hides_its_length(value: str, padding: int) -> None:
    column = cipher(padding=padding)
    data = column.encrypt(value, row="r") or b""
    assert column.decrypt(data, row="r") == value
    if padding:
        assert (len(data) - 42) % padding == 0


def test_a_row_whose_key_has_a_time_is_the_same_in_every_zone() -> None:
    here = datetime.datetime(2026, 1, 1, 12, tzinfo=datetime.timezone(datetime.timedelta(hours=2)))
    data = cipher().encrypt("x", row=(1, here))
    assert cipher().decrypt(data, row=(1, here.astimezone(datetime.UTC))) == "x"
    with pytest.raises(EncryptionError):
        cipher().decrypt(data, row=(1, here + datetime.timedelta(microseconds=1)))


def test_nothing_stays_nothing_and_is_not_the_empty_text() -> None:
    email = cipher(search=("exact",))
    assert email.encrypt(None, row=1) is None
    assert email.decrypt(None, row=1) is None
    assert email.blind(None) is None
    assert email.decrypt(email.encrypt("", row=1), row=1) == ""
    assert email.encrypt("same", row=1) != email.encrypt("same", row=1)


# ── what is refused ──


def test_a_value_is_refused_anywhere_else() -> None:
    spec = {"tenant": "tenant_id"}
    data = cipher(**spec).encrypt(CANARY, row=7, tenant="a")
    assert cipher(**spec).decrypt(data, row=7, tenant="a") == CANARY
    other = [
        lambda: cipher(**spec).decrypt(data, row=8, tenant="a"),
        lambda: cipher(**spec).decrypt(data, row=(7, 7), tenant="a"),
        lambda: cipher(**spec).decrypt(data, row=7, tenant="b"),
        lambda: cipher(**spec, bound_as="app.users.name").decrypt(data, row=7, tenant="a"),
        lambda: cipher(**spec, bound_as="app.people.email").decrypt(data, row=7, tenant="a"),
        lambda: cipher(RingKey(DATA_KEY.id, "default", DATA, material=bytes(32)), **spec).decrypt(data, row=7, tenant="a"),
    ]
    for attempt in other:
        with pytest.raises(EncryptionError, match="0123456789abcdef is damaged, or was written for another row, column or tenant") as error:
            attempt()
        assert_silent(error.value)


@given(st.integers(0, 57), st.integers(1, 255))
def test_one_changed_byte_anywhere_is_refused(at: int, change: int) -> None:
    data = bytearray(cipher().encrypt(CANARY, row=7) or b"")
    data[at] ^= change
    with pytest.raises(EncryptionError) as error:
        cipher().decrypt(bytes(data), row=7)
    assert_silent(error.value)


@given(st.integers(0, 64))
def test_a_value_cut_off_anywhere_is_refused(length: int) -> None:
    data = cipher().encrypt(CANARY, row=7) or b""
    with pytest.raises(EncryptionError):
        cipher().decrypt(data[:length], row=7)


def test_each_wrong_thing_has_its_own_sentence() -> None:
    data = cipher().encrypt(CANARY, row=7) or b""
    wrong = {
        "no encrypted value": (cipher(), CANARY.encode()),
        "version 2 of the format": (cipher(), data[:3] + b"\x02" + data[4:]),
        "was cut off: the shortest has 43": (cipher(), data[:30]),
        "under algorithm 9": (cipher(), data[:4] + b"\x09" + data[5:]),
        "key 0123456789abcdef, which is not in the key ring": (cipher(INDEX_KEY), data),
        "which is retired": (cipher(RingKey(DATA_KEY.id, "default", DATA, "retired", material=bytes(32))), data),
        "which is destroyed": (cipher(RingKey(DATA_KEY.id, "default", DATA, "destroyed")), data),
        "is encrypted with cards": (cipher(key="cards"), data),
        "which is not of its scope": (cipher(scope="subject", subject="id", subject_kind="user"), data[:5] + b"\x00" + data[6:]),
    }
    for sentence, (column, value) in wrong.items():
        with pytest.raises(EncryptionError, match=sentence) as error:
            column.decrypt(value, row=7, subject="x")
        assert_silent(error.value)


def test_wrong_use_is_told_without_the_value() -> None:
    uses = {
        "holds text, and was given a value of type int": lambda: cipher().encrypt(5, row=1),
        "holds int, and was given a value of type bool": lambda: cipher(type="int").encrypt(True, row=1),
        "holds date, and was given a value of type datetime": lambda: cipher(type="date").encrypt(datetime.datetime.min, row=1),
        "cannot be written: TypeError": lambda: cipher(type="json").encrypt({"a": {CANARY}}, row=1),
        "cannot be bound to nothing": lambda: cipher().encrypt(CANARY, row=None),
        "bound to a value of type float": lambda: cipher().encrypt(CANARY, row=1.5),
        "is bound to no tenant, and one was given": lambda: cipher().encrypt(CANARY, row=1, tenant=1),
        "is bound to a tenant, and none was given": lambda: cipher(tenant="t").encrypt(CANARY, row=1),
        "key for each tenant, and none": lambda: cipher(tenant="t", scope="tenant").encrypt(CANARY, row=1),
        "cannot be looked up": lambda: cipher().blind(CANARY),
        "cannot be looked up by folded": lambda: cipher(search=("exact",)).blind(CANARY, "folded"),
        "is no encrypted column": lambda: cipher().encryption.column("app.users.name"),
        "2 values of app.users.email were given with 1 rows": lambda: cipher().encrypt_many(["a", "b"], [1]),
    }
    for sentence, use in uses.items():
        with pytest.raises(UsageError, match=sentence) as error:
            use()
        assert_silent(error.value)


def assert_silent(error: BaseException | None) -> None:
    """Neither the value nor a key is in an error, its causes, or what they were called with."""
    while error is not None:
        said = repr(error) + str(error) + getattr(error, "hint", "")
        assert CANARY not in said
        assert DATA_KEY.material.hex() not in said
        error = error.__cause__


def test_nothing_secret_is_in_a_repr() -> None:
    column = cipher()
    column.encrypt(CANARY, row=1)
    said = repr([column, column.encryption, column.encryption.ring, column._writers, DATA_KEY, SubjectKey(1, "s", b"secret" * 6)])
    assert "secret" not in said
    assert "AESGCM" not in said
    assert repr(DATA_KEY.material)[2:-1] not in said


def test_more_values_than_one_key_may_have_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encryption_cipher, "MOST", 3)
    email = cipher()
    email.encrypt_many(["a"] * 3, [1, 2, 3])
    with pytest.raises(RefusedError, match=f"has encrypted {encryption_format.MOST:,} values of app.users.email"):
        email.encrypt("a", row=4)


# ── keys that change ──


def test_a_key_that_was_made_elsewhere_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    newer = RingKey(0x99, "default", DATA, material=os.urandom(32))
    writer, reader = cipher(newer), cipher()
    data = writer.encrypt("x", row=1)
    assert reader.decrypt(reader.encrypt("y", row=1), row=1) == "y"
    provider = reader.encryption._provider
    assert isinstance(provider, Fixed)
    provider.ring = KeyRing((DATA_KEY, INDEX_KEY, newer)).activate(newer.id)
    with pytest.raises(EncryptionError, match="0000000000000099, which is not in the key ring"):
        reader.decrypt(data, row=1)
    monkeypatch.setattr(encryption, "RELOAD", 0.0)
    assert reader.decrypt(data, row=1) == "x"
    assert (reader.encrypt("z", row=1) or b"")[6:14] == newer.id.to_bytes(8, "big")


def test_a_rotated_ring_is_written_with_before_long(monkeypatch: pytest.MonkeyPatch) -> None:
    email = cipher(search=("exact",))
    email.encrypt("x", row=1)
    old = email.blind("x")
    assert email.where("x") == ("email_exact IN (%s)", [old])
    provider = email.encryption._provider
    assert isinstance(provider, Fixed)
    provider.ring, data = provider.ring.rotate("default", DATA)
    provider.ring, index = provider.ring.rotate("default", INDEX)
    assert email.blind("x") == old
    monkeypatch.setattr(encryption, "REFRESH", 0.0)
    monkeypatch.setattr(encryption, "RELOAD", 0.0)
    assert (email.encrypt("x", row=1) or b"")[6:14] == data.id.to_bytes(8, "big")
    assert (email.blind("x") or b"")[:4] == index.mark
    assert email.lookups("x") == [email.blind("x"), old]
    assert email.where("x") == ("email_exact IN (%s, %s)", email.lookups("x"))


def test_a_ring_that_cannot_be_read_again_is_not_asked_for_by_every_value(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    email, asked = cipher(), []
    email.encrypt("x", row=1)

    def read() -> KeyRing:
        asked.append(1)
        raise EncryptionError("the key service does not answer")

    monkeypatch.setattr(email.encryption._provider, "read", read)
    email.encryption._read -= encryption.REFRESH + 1
    for n in range(20):
        email.encrypt("x", row=n)
    assert len(asked) == 1
    assert [r.message for r in caplog.records if r.name == "pgcharter.encryption"] == [
        "the key ring could not be read again, so the one of before stays in use: the key service does not answer"
    ]


def test_nobody_waits_for_a_slow_provider(monkeypatch: pytest.MonkeyPatch) -> None:
    email = cipher()
    email.encrypt("x", row=1)
    provider, answers, asked = email.encryption._provider, threading.Event(), []
    assert isinstance(provider, Fixed)
    new, key = provider.ring.rotate("default", DATA)

    def read() -> KeyRing:
        asked.append(1)
        assert answers.wait(10)
        return new

    monkeypatch.setattr(provider, "read", read)
    monkeypatch.setattr(provider, "slow", True, raising=False)
    email.encryption._read -= encryption.REFRESH + 1
    for n in range(10):
        assert (email.encrypt("x", row=n) or b"")[6:14] == DATA_KEY.id.to_bytes(8, "big")
    answers.set()
    until = time.monotonic() + 10
    while (email.encrypt("x", row=1) or b"")[6:14] != key.id.to_bytes(8, "big") and time.monotonic() < until:
        time.sleep(0.01)
    assert (email.encrypt("x", row=1) or b"")[6:14] == key.id.to_bytes(8, "big")
    assert len(asked) == 1


def test_a_key_derived_while_the_ring_changes_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a thread that was late would have this process write with the key before for as long as it lives."""
    email, real = cipher(search=("exact",)), encryption_cipher.derive
    provider = email.encryption._provider
    assert isinstance(provider, Fixed)

    def rotated_meanwhile(material: bytes, *info: str) -> bytes:
        purpose = INDEX if info[0] == "index" else DATA
        provider.ring, _ = provider.ring.rotate("default", purpose)
        email.encryption._read -= 100
        assert email.encryption.reload()
        return real(material, *info)

    for attempt in (lambda: email.blind("x"), lambda: email.where("x"), lambda: email.encrypt("x", row=1)):
        with monkeypatch.context() as patched:
            patched.setattr(encryption_cipher, "derive", rotated_meanwhile)
            attempt()
    assert (email.blind("x") or b"")[:4] == provider.ring.active("default", INDEX).mark
    assert email.where("x")[1] == email.lookups("x")
    assert (email.encrypt("x", row=1) or b"")[6:14] == provider.ring.active("default", DATA).id.to_bytes(8, "big")


def test_an_expired_key_writes_nothing_and_reads_on() -> None:
    from dataclasses import replace

    data = cipher().encrypt("x", row=1)
    late = cipher(replace(DATA_KEY, expires="2020-01-01"))
    assert late.decrypt(data, row=1) == "x"
    with pytest.raises(EncryptionError, match="expired on 2020-01-01"):
        late.encrypt("x", row=1)


def test_subjects_have_their_own_keys() -> None:
    email = cipher(scope="subject", subject="id", subject_kind="user")
    email.encryption.learn([SubjectKey(5, "user:ada", os.urandom(32)), SubjectKey(6, "user:bob", os.urandom(32))])
    data = email.encrypt(CANARY, row=1, subject="ada")
    assert email.decrypt(data, row=1, subject="ada") == CANARY
    with pytest.raises(EncryptionError, match="another subject's"):
        email.decrypt(data, row=1, subject="bob")
    with pytest.raises(EncryptionError, match="is not loaded"):
        email.decrypt(data, row=1, subject="eve")
    email.encryption.learn([SubjectKey(5, "user:ada", b"")])
    for attempt in (lambda: email.decrypt(data, row=1, subject="ada"), lambda: email.encrypt(CANARY, row=1, subject="ada")):
        with pytest.raises(EncryptionError, match=r"0000000000000005 of the subject .* was destroyed"):
            attempt()


def test_a_charter_is_read(tmp_path: Path) -> None:
    (tmp_path / "pgcharter.toml").write_text(
        '[encryption]\nkeys = "env:RING"\n[[encryption.column]]\ntable = "app.users"\ncolumn = "email"\nsearch = ["folded"]\n'
    )
    found = Encryption.from_charter(tmp_path / "pgcharter.toml")
    assert found.column("app.users.email").spec.search == ("folded",)
    with pytest.raises(EncryptionError, match="RING, which is not set"):
        found.column("app.users.email").encrypt("x", row=1)
    (tmp_path / "pgcharter.toml").write_text('[encryption]\n[[encryption.column]]\ntable = "app.users"\ncolumn = "email"\nbits = 7\n')
    with pytest.raises(PgcharterError, match="blind index of 7 bits"):
        Encryption.from_charter(tmp_path / "pgcharter.toml")
