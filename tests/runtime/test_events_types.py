"""Typed events: what comes back, what is brought up to date, refused, or erased with its person's key; aggregates made of them."""

from __future__ import annotations

import dataclasses
import datetime
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from typing import Any, ClassVar

import psycopg
import pytest
from pydantic import BaseModel
from tests.runtime.events_store import install
from tests.runtime.test_encryption import DATA_KEY, INDEX_KEY, Fixed

from pgcharter.errors import UsageError
from pgcharter.runtime.aggregates import Aggregate, load, save
from pgcharter.runtime.aggregates_testing import given
from pgcharter.runtime.encryption import Encryption
from pgcharter.runtime.encryption_format import MissingKeyError
from pgcharter.runtime.events import New, VersionConflictError, append, read_aggregate
from pgcharter.runtime.events_snapshots import forget_snapshots, keep_snapshot, read_snapshot
from pgcharter.runtime.events_types import ERASED, Erased, EventSchemaError, Personal, Types, UnknownEventError, values
from pgcharter.runtime.keys_subjects import destroy_subject

SUBJECTS = """
CREATE TABLE pgcharter.subject_keys (subject text PRIMARY KEY, key_id bigint NOT NULL, wrapped bytea, made_at timestamptz DEFAULT now(),
                                     destroyed_at timestamptz)
"""


class Mood(Enum):
    GOOD = "good"


@dataclass(frozen=True)
class Line:
    sku: str
    price: Decimal


@dataclass(frozen=True)
class Placed:
    id: uuid.UUID
    lines: tuple[Line, ...]
    at: datetime.datetime
    mood: Mood
    raw: bytes
    ratio: float
    note: str | None = None


class Shipped(BaseModel):
    carrier: str
    weight: Decimal


@dataclass(frozen=True)
class Registered:
    customer: int
    email: str | Erased
    address: dict[str, str] | Erased | None
    plan: str


@pytest.fixture
def store(database: str) -> Iterator[Any]:
    install(database)
    with psycopg.connect(database) as conn:
        conn.execute(SUBJECTS)
        yield conn


def known() -> Types:
    types = Types()
    types.event("placed")(Placed)
    types.event("shipped", formerly=("sent",))(Shipped)
    return types


def placed(**said: Any) -> Placed:
    usual: dict[str, Any] = {
        "id": uuid.uuid4(), "lines": (Line("a'\"\n", Decimal("12.50")),), "at": datetime.datetime.now(datetime.UTC), "mood": Mood.GOOD,
        "raw": b"\xff\x00", "ratio": 0.1,
    }  # fmt: skip
    return Placed(**{**usual, **said})


def test_they_come_back_as_they_went_in(store: Any) -> None:
    types, own = known(), [placed(), Shipped(carrier="é", weight=Decimal("0.10")), placed(note="n")]
    append(store, "order", "1", own, types=types)
    found = read_aggregate(store, "order", "1")
    assert values(store, types, found) == own
    assert [e.type for e in found] == ["placed", "shipped", "placed"]


@pytest.mark.parametrize("wrong", [{"ratio": float("nan")}, {"ratio": "x"}, {"note": 7}, {"note": "\0"}])
def test_what_is_not_of_its_type_is_refused(store: Any, wrong: Any) -> None:
    with pytest.raises(UsageError, match="placed"):
        append(store, "order", "1", [placed(**wrong)], types=known())


def test_classes_that_cannot_be_events() -> None:
    types = known()
    for kind, name in ((int, "x"), (Line, "placed"), (Placed, "again"), (Line, "sent")):
        with pytest.raises(UsageError):
            types.event(name)(kind)
    with pytest.raises(UsageError, match="Line is no type of events"):
        types.new(Line("a", Decimal(1)))


def test_unknown_types(store: Any) -> None:
    append(store, "order", "1", [New("odd", {"a": 1})])
    found = read_aggregate(store, "order", "1")
    with pytest.raises(UnknownEventError, match=r"event odd \(order 1, version 1, position 1\) is of a type"):
        values(store, known(), found)
    assert values(store, Types(unknown="raw"), found) == found


def test_old_forms_are_brought_up_to_date(store: Any) -> None:
    append(
        store,
        "a",
        "1",
        [New("priced", {"cents": 1250}), New("priced", {"amount": "13"}, 2), New("priced", {"amount": "1", "currency": "EUR"}, 3)],
    )
    found = read_aggregate(store, "a", "1")
    types = Types()

    @types.event("priced", schema=3)
    @dataclass(frozen=True)
    class Priced:
        amount: Decimal
        currency: str

    types.upcaster("priced", 1)(lambda d: {"amount": str(Decimal(d["cents"]) / 100)})
    with pytest.raises(EventSchemaError, match=r"version 1, position 1.* is in schema 1, and no upcaster leads from 2 to 3"):
        values(store, types, found)
    types.upcaster("priced", 2)(lambda d: {**d, "currency": "USD"})
    assert values(store, types, found) == [
        Priced(Decimal("12.5"), "USD"), Priced(Decimal(13), "USD"), Priced(Decimal(1), "EUR"),
    ]  # fmt: skip
    with pytest.raises(UsageError, match="already"):
        types.upcaster("priced", 1)(lambda d: d)


def test_an_application_that_is_older_than_its_data_says_so(store: Any) -> None:
    append(store, "a", "1", [New("shipped", {}, 9)])
    with pytest.raises(EventSchemaError, match="is in schema 9, and this application knows 1 at most: it is older"):
        values(store, known(), read_aggregate(store, "a", "1"))


def test_what_does_not_fit_is_named_without_its_values(store: Any) -> None:
    append(store, "a", "1", [New("shipped", {"carrier": {"secret": 1}, "weight": "1"})])
    with pytest.raises(EventSchemaError, match="does not fit Shipped: carrier: ") as e:
        values(store, known(), read_aggregate(store, "a", "1"))
    assert "secret" not in str(e.value)


def personal() -> tuple[Types, Encryption]:
    encryption = Encryption((), Fixed(DATA_KEY, INDEX_KEY))
    types = Types(encryption)
    types.event("registered", personal=Personal("customer", "customer", ("email", "address")))(Registered)
    return types, encryption


def test_personal_fields_go_with_their_key(store: Any) -> None:
    types, encryption = personal()
    own = [Registered(7, "ada@example.org", {"city": "Graz"}, "gold"), Registered(8, "bob@example.org", None, "free")]
    append(store, "customers", "all", own, types=types)
    found = read_aggregate(store, "customers", "all")
    assert "ada@" not in found[0].body
    assert "Graz" not in found[0].body
    assert values(store, types, found) == own
    assert destroy_subject(store, encryption, "customer", 7)
    erased = values(store, types, found)
    assert erased == [Registered(7, ERASED, ERASED, "gold"), own[1]]
    assert not erased[0].email
    elsewhere, _ = personal()
    assert values(store, elsewhere, found) == erased, "another process sees the same"
    with pytest.raises(MissingKeyError):
        personal()[0].value(found[1])
    with pytest.raises(Exception, match="was destroyed"):
        append(store, "customers", "all", [own[0]], types=types)


def test_a_personal_value_moved_to_another_event_is_refused(store: Any) -> None:
    types, _ = personal()
    append(store, "c", "1", [Registered(7, "a", None, "x"), Registered(7, "b", None, "x")], types=types)
    one, two = read_aggregate(store, "c", "1")
    with pytest.raises(Exception, match="was written for another row"):
        values(store, types, [one._replace(body=two.body)])


def test_personal_fields_must_have_a_word_for_what_is_erased() -> None:
    @dataclass
    class Plain:
        who: int
        email: str

    types, _ = personal()
    with pytest.raises(UsageError, match=r"Plain\.email is personal, and its type has no word"):
        types.event(personal=Personal("who", "customer", ("email",)))(Plain)
    with pytest.raises(UsageError, match="nobody is no field"):
        types.event(personal=Personal("nobody", "customer", ("email",)))(Plain)
    with pytest.raises(UsageError, match="need keys"):
        Types().event(personal=Personal("who", "customer", ("email",)))(
            dataclasses.make_dataclass("X", [("who", int), ("email", str | Erased)])
        )


# ── aggregates ──


@dataclass(frozen=True)
class Opened:
    owner: str


@dataclass(frozen=True)
class Moved:
    amount: int


@dataclass(frozen=True)
class State:
    balance: int


class BrokeError(Exception):
    pass


class Account(Aggregate):
    category: ClassVar[str] = "account"
    snapshot_every: ClassVar[int] = 3

    def __init__(self, id: Any) -> None:  # noqa: A002
        super().__init__(id)
        self.balance = 0
        self.applied = 0

    def apply(self, event: Any) -> None:
        self.applied += 1
        if isinstance(event, Moved):
            self.balance += event.amount

    def move(self, amount: int) -> None:
        if self.balance + amount < 0:
            raise BrokeError(f"{self.balance} is not enough")
        self.record(Moved(amount))

    def state(self) -> State:
        return State(self.balance)

    def restore(self, state: State) -> None:
        self.balance = state.balance


def bank() -> Types:
    types = Types()
    for kind in (Opened, Moved, State):
        types.event()(kind)
    return types


def test_aggregates_are_loaded_saved_and_kept_in_snapshots(store: Any) -> None:
    types = bank()
    account = load(store, Account, "1", types)
    assert account.version == 0
    assert save(store, account, types) is None
    account.record(Opened("ada"))
    account.move(5)
    assert save(store, account, types).version == 2  # type: ignore[union-attr]
    assert read_snapshot(store, types, "account", "1") is None
    account.move(7)
    account.move(-2)
    save(store, account, types, causation="c")
    found = read_snapshot(store, types, "account", "1")
    assert found is not None
    assert (found.version, found.state) == (4, State(10))
    again = load(store, Account, "1", types)
    assert (again.version, again.balance, again.applied) == (4, 10, 0)
    again.move(1)
    save(store, again, types)
    assert (load(store, Account, "1", types).applied, load(store, Account, "1", types, version=3).balance) == (1, 12)
    account.move(1)
    with pytest.raises(VersionConflictError, match="account 1 is at version 5, and the append expected 4"):
        save(store, account, types)
    keep_snapshot(store, types, "account", "1", 2, State(0))
    assert read_snapshot(store, types, "account", "1").version == 4  # type: ignore[union-attr]
    forget_snapshots(store, "account")
    assert load(store, Account, "1", types).applied == 5


def test_given_when_then() -> None:
    given(Account, Opened("a"), Moved(3)).when(lambda a: a.move(-2)).then(Moved(-2))
    given(Account).when(lambda a: a.move(-2)).raises(BrokeError, "not enough")
    with pytest.raises(AssertionError, match="what was to happen"):
        given(Account).when(lambda a: a.move(1)).then(Moved(2))
    with pytest.raises(AssertionError, match="was done"):
        given(Account).when(lambda a: a.move(1)).raises(BrokeError)
    with pytest.raises(AssertionError, match="it raised"):
        given(Account).when(lambda a: a.move(-1)).then()
