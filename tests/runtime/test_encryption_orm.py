"""Encrypted attributes under all that a session does with objects: copies, bulk statements, subclasses, aliases, several keys, async."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any, ClassVar

import pytest
from sqlalchemy import BigInteger, Engine, ForeignKey, insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, aliased, defer, make_transient, mapped_column
from tests.db.test_flows import url
from tests.runtime.test_encryption import DATA_KEY, INDEX_KEY, Fixed

from pgcharter.errors import UsageError
from pgcharter.policy.encryption_settings import EncryptedColumn
from pgcharter.runtime.encryption import Encryption, SubjectKey
from pgcharter.runtime.encryption_format import EncryptionError, MissingKeyError
from pgcharter.runtime.encryption_sqlalchemy import Encrypted, sealed

ENCRYPTION = Encryption(
    (
        EncryptedColumn("app.users", "email", search=("folded",), unique=True),
        EncryptedColumn("app.staff", "iban", search=("exact",)),
        EncryptedColumn("app.lines", "note", tenant="tenant_id"),
        EncryptedColumn("app.files", "body", scope="subject", subject="owner", subject_kind="user"),
    ),
    Fixed(DATA_KEY, INDEX_KEY),
)
APP = {"schema": "app"}


class Base(DeclarativeBase):
    pass


class HasEmail:
    """A mixin, as several classes may have the attribute."""

    email_encrypted: Mapped[bytes | None]
    email_folded: Mapped[bytes | None]
    email = Encrypted(ENCRYPTION, "app.users.email")


class User(HasEmail, Base):
    __tablename__, __table_args__ = "users", APP
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid.uuid4)
    kind: Mapped[str]
    __mapper_args__: ClassVar = {"polymorphic_on": "kind", "polymorphic_identity": "user"}


class Admin(User):
    __mapper_args__: ClassVar = {"polymorphic_identity": "admin"}


class Staff(User):
    __tablename__, __table_args__ = "staff", APP  # type: ignore[assignment]
    id: Mapped[uuid.UUID] = mapped_column(ForeignKey("app.users.id"), primary_key=True)
    iban_encrypted: Mapped[bytes | None]
    iban_exact: Mapped[bytes | None]
    iban = Encrypted(ENCRYPTION, "app.staff.iban")
    __mapper_args__: ClassVar = {"polymorphic_identity": "staff"}


class Line(Base):
    __tablename__, __table_args__ = "lines", APP
    order_id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    no: Mapped[int] = mapped_column(primary_key=True)
    tenant_id: Mapped[int]
    note_encrypted: Mapped[bytes | None]
    note = Encrypted(ENCRYPTION, "app.lines.note")


class File(Base):
    __tablename__, __table_args__ = "files", APP
    id: Mapped[int] = mapped_column(primary_key=True)
    owner: Mapped[str]
    body_encrypted: Mapped[bytes | None]
    body = Encrypted(ENCRYPTION, "app.files.body")


def test_a_value_goes_where_its_object_is_copied_to(engine: Engine) -> None:
    """merge into a row that is there and into none, detached and added again, rolled back and added again, made transient."""
    with Session(engine) as session:
        one = User(email="one@example.org")
        session.add(one)
        session.commit()
        key = one.id
    with Session(engine) as session:
        assert session.merge(User(id=key, email="two@example.org")).email == "two@example.org"
        other = session.merge(User(email="other@example.org"))
        session.commit()
        assert (session.get_one(User, key).email, other.email) == ("two@example.org", "other@example.org")
        assert session.scalars(select(User).where(User.email == "TWO@example.org")).one().id == key
        session.expunge(other)
        other.email = "detached@example.org"
        assert (other.email, "detached" in repr(other.__dict__)) == ("detached@example.org", False)
        session.add(other)
        session.commit()
        assert session.scalars(select(User).where(User.email == "detached@example.org")).one() is other
        late = User(email="late@example.org")
        session.add(late)
        session.flush()
        session.rollback()
        session.add(late)
        session.commit()
        assert late.email == "late@example.org"
        session.expunge(late)
        make_transient(late)
        late.id, late.email = uuid.uuid4(), "copy@example.org"
        session.add(late)
        session.commit()
        assert late.email == "copy@example.org"


def test_refresh_expire_and_deferred_columns(engine: Engine) -> None:
    with Session(engine) as session:
        one = User(email="one@example.org")
        session.add(one)
        session.commit()
        one.email = "changed@example.org"
        session.refresh(one)
        assert one.email == "one@example.org"
        session.expire(one)
        assert one.email == "one@example.org"
        session.expunge_all()
        found = session.scalars(select(User).options(defer(User.email_encrypted))).one()
        assert found.email == "one@example.org"


def test_bulk_statements_take_sealed_rows_and_no_clear_ones(engine: Engine) -> None:
    """SQLAlchemy leaves out what is no column without a word, so a clear value in a bulk statement is refused."""
    with Session(engine) as session:
        for statement, rows in (
            (insert(User), [{"kind": "user", "email": "lost@example.org"}]),
            (update(User), [{"id": uuid.uuid4(), "email": "lost@example.org"}]),
            (insert(User), {"kind": "user", "email": "lost@example.org"}),
        ):
            with pytest.raises(UsageError, match=r"was given User\.email in clear") as error:
                session.execute(statement, rows)
            assert "lost" not in str(error.value)
        with pytest.raises(TypeError, match="Waiting"):
            session.bulk_save_objects([User(email="lost@example.org")])
        session.rollback()
        made = sealed(User, [{"kind": "user", "email": f"u{n}@example.org"} for n in range(5)] + [{"kind": "user"}])
        assert "example" not in repr(made)
        session.execute(insert(User), made)
        session.execute(update(User), sealed(User, [{"id": made[0]["id"], "email": "changed@example.org"}]))
        session.commit()
        found = {user.id: user.email for user in session.scalars(select(User))}
        assert sorted(filter(None, found.values())) == ["changed@example.org", *(f"u{n}@example.org" for n in range(1, 5))]
        assert session.scalars(select(User).where(User.email == "CHANGED@example.org")).one().id == made[0]["id"]
        session.execute(insert(Line), sealed(Line, [{"order_id": 1, "no": 2, "tenant_id": 3, "note": "x"}]))
        assert session.get_one(Line, (1, 2)).note == "x"
        for rows in ([{"id": 1, "owner": "ada", "body": "x"}], [{"id": 2, "body": "x"}]):
            with pytest.raises((MissingKeyError, UsageError), match=r"is not loaded|none was given"):
                sealed(File, rows)
        ENCRYPTION.learn([SubjectKey(5, "user:ada", bytes(32))])
        assert sealed(File, [{"id": 1, "owner": "ada", "body": "x"}])[0]["body_encrypted"][:3] == b"\xfepg"


def test_lookups_of_all_kinds(engine: Engine) -> None:
    with Session(engine) as session:
        session.add_all([User(email="a@example.org"), User(email="b@example.org"), User(email="c@example.org"), User()])
        session.commit()

        def found(*conditions: Any) -> list[str]:
            return sorted(str(user.email)[0] for user in session.scalars(select(User).where(*conditions)))

        assert found(User.email == "A@example.org") == ["a"]
        assert found(User.email.in_(["A@example.org", "c@example.org", "nobody"])) == ["a", "c"]
        assert found(User.email.in_(["A@example.org", None])) == ["N", "a"]
        assert found(User.email.in_([])) == []
        assert found(User.email != "a@example.org") == ["b", "c"]
        assert found(~(User.email == "a@example.org")) == ["b", "c"]
        assert found(User.email == None) == found(User.email.is_(None)) == ["N"]  # noqa: E711
        assert found((User.email == "a@example.org") | (User.email == "b@example.org")) == ["a", "b"]
        assert session.scalars(select(User).filter_by(email="B@example.org")).one().email == "b@example.org"
        one, two = aliased(User), aliased(User)
        pairs = select(one.id, two.id).where(one.email == "a@example.org", two.email == "b@example.org", one.id != two.id)
        assert len(session.execute(pairs).all()) == 1
        done = session.execute(update(User).where(User.email == "a@example.org").values(kind="admin"))
        assert done.rowcount == 1  # type: ignore[attr-defined]


def test_subclasses_in_one_table_and_in_two(engine: Engine) -> None:
    with Session(engine) as session:
        session.add_all([Admin(email="admin@example.org"), Staff(email="staff@example.org", iban="DE1")])
        session.commit()
        assert session.scalars(select(Admin).where(Admin.email == "admin@example.org")).one().email == "admin@example.org"
        staff = session.scalars(select(Staff).where(Staff.email == "staff@example.org", Staff.iban == "DE1")).one()
        assert (staff.email, staff.iban) == ("staff@example.org", "DE1")
        assert session.scalars(select(User).where(User.email == "staff@example.org")).one() is staff
        staff.iban = "DE2"
        session.commit()
        assert (staff.email, staff.iban) == ("staff@example.org", "DE2")


def test_keys_of_several_columns(engine: Engine) -> None:
    with Session(engine) as session:
        line = Line(order_id=1, no=2, tenant_id=7, note="first")
        session.add(line)
        session.commit()
        line.no, line.tenant_id = 3, 8
        session.commit()
        assert (line.note, session.get_one(Line, (1, 3)).note) == ("first", "first")
        session.execute(text("UPDATE app.lines SET no = 4"))
        with pytest.raises(EncryptionError, match="was written for another row"):
            assert session.get_one(Line, (1, 4)).note


def test_async(engine: Engine, database: str) -> None:
    async def work() -> None:
        made = create_async_engine(url(database))
        async with AsyncSession(made, expire_on_commit=False) as session:
            user = Staff(email="a@example.org", iban="DE1")
            session.add(user)
            await session.commit()
            await session.refresh(user)
            user.email = "b@example.org"
            await session.flush()
            await session.refresh(user)
            assert (user.email, user.iban) == ("b@example.org", "DE1")
            assert (await session.scalars(select(User).where(User.email == "B@example.org"))).one() is user
            merged = await session.merge(Staff(id=user.id, email="c@example.org"))
            await session.execute(insert(User), sealed(User, [{"kind": "user", "email": "d@example.org"}]))
            await session.commit()
            assert merged.email == "c@example.org"
            assert len((await session.scalars(select(User).where(User.email.in_(["C@example.org", "D@example.org"])))).all()) == 2
            with pytest.raises(UsageError, match=r"was given User\.email in clear"):
                await session.execute(insert(User), [{"kind": "user", "email": "x"}])
        await made.dispose()

    asyncio.run(work())
