"""Mixins: what their tables are, in ordinary classes and dataclasses, with encrypted and tenant columns, and what guides say of them."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any, ClassVar

import pytest
from sqlalchemy import Engine, MetaData, create_engine, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, MappedAsDataclass, Session, mapped_column, sessionmaker
from tests.db.test_flows import url
from tests.runtime.models_shop import Base, Owner
from tests.runtime.test_encryption import DATA_KEY, INDEX_KEY, Fixed

from pgcharter.policy.encryption_settings import EncryptedColumn
from pgcharter.policy.tenancy_tables import context as tenancy_context
from pgcharter.runtime import models_uuid
from pgcharter.runtime.context import context
from pgcharter.runtime.encryption import Encryption
from pgcharter.runtime.encryption_sqlalchemy import Encrypted
from pgcharter.runtime.engines import bind
from pgcharter.runtime.models import IdentityKey, TenantRow, Timestamps, UUIDKey, Versioned, tenant_column, uuid7, uuid_key
from pgcharter.runtime.models_session import serve_models
from pgcharter.runtime.models_soft_delete import SoftDelete, with_deleted

ENCRYPTION = Encryption((EncryptedColumn("app.people", "email", search=("folded",), tenant="tenant_id"),), Fixed(DATA_KEY, INDEX_KEY))


class Data(MappedAsDataclass, DeclarativeBase):
    metadata = MetaData(schema="app")


class Item(UUIDKey, Timestamps, Versioned, SoftDelete, Data):
    __tablename__ = "items"
    name: Mapped[str]
    price: Mapped[int] = mapped_column(default=7)


class Numbered(IdentityKey, Versioned, Data):
    __tablename__ = "numbered"
    name: Mapped[str]
    kind: Mapped[str] = mapped_column(default="plain")
    __mapper_args__: ClassVar = {"polymorphic_on": "kind", "polymorphic_identity": "plain"}


class Other(DeclarativeBase):
    metadata = MetaData(schema="app")


class Person(UUIDKey, TenantRow, Timestamps, Versioned, SoftDelete, Other):
    """All mixins together, with an encrypted attribute that is bound to the tenant."""

    __tablename__ = "people"
    email_encrypted: Mapped[bytes | None]
    email_folded: Mapped[bytes | None]
    email = Encrypted(ENCRYPTION, "app.people.email")


class Random(Other):
    __tablename__ = "random"
    id: Mapped[uuid.UUID] = uuid_key("random")
    tenant_id: Mapped[int] = tenant_column("bigint")


@pytest.fixture
def engine(database: str) -> Iterator[Engine]:
    made = create_engine(url(database))
    with made.begin() as conn:
        conn.execute(text("CREATE SCHEMA app"))
        for base in (Data, Other, Base):
            base.metadata.create_all(conn)
    yield made
    made.dispose()


def test_uuids_grow_whatever_the_clock_does(monkeypatch: pytest.MonkeyPatch) -> None:
    made = [uuid7() for _ in range(20_000)]
    assert made == sorted(set(made))
    assert {(one.version, one.variant) for one in made} == {(7, uuid.RFC_4122)}
    assert abs((made[-1].int >> 80) / 1000 - time.time()) < 5
    with ThreadPoolExecutor(4) as pool:
        several = list(pool.map(lambda _: [uuid7() for _ in range(2000)], range(4)))
    assert all(one == sorted(one) for one in several)
    assert len({u for one in several for u in one}) == 8000
    last = uuid7()
    monkeypatch.setattr(models_uuid.time, "time_ns", lambda: 1_000_000_000)
    assert uuid7() > last


def test_the_server_orders_its_uuids_among_ours(database: str) -> None:
    """uuidv7() of PostgreSQL 18 has the same fraction of a millisecond after its time."""
    made = create_engine(url(database))
    with made.connect() as conn:
        before, there, after = uuid7(), conn.scalar(text("SELECT uuidv7()")), uuid7()
    made.dispose()
    assert before < there < after


def test_a_dataclass_has_no_field_of_a_mixin(engine: Engine) -> None:
    with serve_models(sessionmaker(engine))() as session:
        item, numbered = Item(name="x"), Numbered(name="n")
        session.add_all([item, numbered])
        session.flush()
        assert (item.price, item.version, item.deleted_at, numbered.id, numbered.version) == (7, 1, None, 1, 1)
        assert item.id.version == 7
        assert item.created_at == item.updated_at == session.scalar(text("SELECT now()"))
        numbered.name = "other"
        session.flush()
        assert numbered.version == 2  # although the class has mapper arguments of its own
        session.delete(item)
        session.flush()
        assert session.scalars(select(Item)).all() == []
        assert session.execute(
            text("INSERT INTO app.items (name, price) VALUES ('raw', 1) RETURNING version, updated_at = now()")
        ).one() == (1, True)


def test_times_are_the_servers_and_known_after_a_flush(engine: Engine, database: str) -> None:
    with Session(engine) as session:
        owner = Owner(name="x")
        session.add(owner)
        session.commit()
        made = owner.created_at
        owner.name = "y"
        session.flush()
        assert "updated_at" in owner.__dict__
        assert owner.created_at == made < owner.updated_at <= datetime.now(UTC)
        session.commit()
        before = owner.updated_at
        session.execute(update(Owner).values(name="z"))
        session.commit()
        assert owner.updated_at > before

    async def work() -> None:
        other = create_async_engine(url(database))
        async with AsyncSession(other, expire_on_commit=False) as asynchronous:
            found = (await asynchronous.scalars(select(Owner))).one()
            found.name = "async"
            await asynchronous.commit()
            assert found.updated_at > before  # and nothing is asked for it, which an attribute could not await
        await other.dispose()

    asyncio.run(work())


def test_the_tenant_comes_from_the_transaction_and_all_mixins_go_together(engine: Engine) -> None:
    for kind in ("uuid", "bigint", "text"):
        assert str(tenant_column(kind).column.server_default.arg) == tenancy_context("tenant", kind)  # type: ignore[arg-type, union-attr]
    made, one = serve_models(sessionmaker(bind(engine))), uuid.uuid4()
    with context(tenant=one), made() as session:
        person = Person(email="ada@example.org")
        session.add(person)
        session.commit()
        assert person.tenant_id == one
        assert session.scalars(select(Person).where(Person.email.matches("ADA@example.org", tenant=one))).one() is person
        person.email = "eve@example.org"
        session.commit()
        assert (person.version, person.email) == (2, "eve@example.org")
        session.delete(person)
        session.commit()
        assert session.scalars(select(Person).where(Person.email.matches("eve@example.org", tenant=one))).all() == []
        assert session.scalars(select(Person).options(with_deleted())).one().email == "eve@example.org"
    with context(tenant=5), made.begin() as session:
        session.add(Random())
        session.flush()
        assert session.execute(text("SELECT tenant_id FROM app.random")).one() == (5,)


@pytest.mark.parametrize("guide", ["core", "thinkalike", "blueprint"])
def test_what_guides_say_of_them(guide: str) -> None:
    """Nothing about what the mixins make: keys, times, versions, marks and the key of living rows. Triggers (DES07) models cannot say."""
    from pgcharter import guides
    from pgcharter.charter import Charter
    from pgcharter.rules import engine as rules
    from pgcharter.sources import models

    codes = rules.load()
    effective = guides.effective(guides.load(guide, codes=codes), Charter(), codes=codes)
    found = rules.run(models.read("tests.runtime.models_shop:Base"), effective)
    ours = ("id", "created_at", "updated_at", "deleted_at", "version", "idx_owners_name")
    about: list[Any] = [f for f in found.findings if f.object is not None and f.object.sql().rpartition(".")[2] in ours]
    assert [(f.code, f.message) for f in about if f.code != "DES07"] == []
