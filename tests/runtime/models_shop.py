"""Mapped classes that tests of models share: owners with orders, lines and notes, a tree, and a class in two tables."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ForeignKey, MetaData
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from pgcharter.runtime.models import IdentityKey, Timestamps, UUIDKey, Versioned
from pgcharter.runtime.models_soft_delete import SoftDelete, living_key


class Base(DeclarativeBase):
    metadata = MetaData(schema="app")


class Owner(UUIDKey, Timestamps, SoftDelete, Versioned, Base):
    __tablename__ = "owners"
    name: Mapped[str]
    orders: Mapped[list[Order]] = relationship(back_populates="owner", cascade="all, delete-orphan")
    notes: Mapped[list[Note]] = relationship(cascade="all, delete-orphan")
    __table_args__ = (living_key("idx_owners_name", "name"),)


class Order(UUIDKey, Timestamps, SoftDelete, Versioned, Base):
    __tablename__ = "orders"
    no: Mapped[int]
    owner_id: Mapped[Any] = mapped_column(ForeignKey("app.owners.id"))
    owner: Mapped[Owner] = relationship(back_populates="orders")
    lines: Mapped[list[Line]] = relationship(cascade="all")


class Line(IdentityKey, SoftDelete, Base):
    __tablename__ = "lines"
    text: Mapped[str]
    order_id: Mapped[Any] = mapped_column(ForeignKey("app.orders.id", ondelete="CASCADE"))


class Note(IdentityKey, Base):
    __tablename__ = "notes"
    text: Mapped[str]
    owner_id: Mapped[Any] = mapped_column(ForeignKey("app.owners.id", ondelete="CASCADE"))


class Place(IdentityKey, SoftDelete, Base):
    __tablename__ = "places"
    name: Mapped[str]
    kind: Mapped[str] = mapped_column(default="place")
    above_id: Mapped[int | None] = mapped_column(ForeignKey("app.places.id"))
    below: Mapped[list[Place]] = relationship(cascade="all", lazy="joined", join_depth=2)
    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "place"}  # noqa: RUF012


class Town(Place):
    __tablename__ = "towns"
    id: Mapped[int] = mapped_column(ForeignKey("app.places.id"), primary_key=True, comment="The place that it is")
    people: Mapped[int]
    __mapper_args__ = {"polymorphic_identity": "town"}  # noqa: RUF012
