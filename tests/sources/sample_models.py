"""Models that test_models.py reads."""

import enum
from datetime import datetime

from sqlalchemy import CheckConstraint, Column, DateTime, Enum, ForeignKey, Index, Integer, MetaData, String, Table
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Status(enum.Enum):
    new = 1
    paid = 2


class Base(DeclarativeBase):
    metadata = MetaData(schema="app")


class Stamped:
    created_at: Mapped[datetime] = mapped_column(DateTime())


class User(Stamped, Base):
    __tablename__ = "users"
    __table_args__ = (CheckConstraint("email <> ''", name="email_given"), Index("ix_both", "email", "created_at"))
    id: Mapped[int] = mapped_column(primary_key=True)
    mail: Mapped[str] = mapped_column("email", String(255), index=True, comment="login")
    status: Mapped[Status] = mapped_column(Enum(Status, name="status", schema="app"))


class Order(Base):
    __tablename__ = "orders"
    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("app.users.id"))


tags = Table(
    "tags",
    Base.metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String),
)


def factory() -> MetaData:
    return Base.metadata


def failing() -> MetaData:
    raise RuntimeError("no configuration")


empty = MetaData()
