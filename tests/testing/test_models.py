"""Objects of models that call and keep things otherwise than their tables do."""

from __future__ import annotations

import enum
from typing import Any

import pytest
from sqlalchemy import JSON, Enum, ForeignKey, create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship
from sqlalchemy.pool import StaticPool

from pgcharter.db import connect
from pgcharter.errors import UsageError
from pgcharter.testing.factories import Make
from pgcharter.testing.recipes import Recipes


class Colour(enum.Enum):
    RED = 1
    BLUE = 2


class Base(DeclarativeBase):
    type_annotation_map = {dict[str, Any]: JSON}  # noqa: RUF012


class Thing(Base):
    __tablename__ = "things"
    key: Mapped[int] = mapped_column("id", primary_key=True)
    colour: Mapped[Colour] = mapped_column(Enum(Colour, native_enum=False, length=8))
    facts: Mapped[dict[str, Any] | None]
    kind: Mapped[str]
    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "thing"}  # noqa: RUF012


class Special(Thing):
    __mapper_args__ = {"polymorphic_identity": "special"}  # noqa: RUF012


class Deep(Thing):
    __tablename__ = "deep"
    key: Mapped[int] = mapped_column("id", ForeignKey("things.id"), primary_key=True)
    __mapper_args__ = {"polymorphic_identity": "deep"}  # noqa: RUF012


class Swap(Base):
    __tablename__ = "swaps"
    key: Mapped[int] = mapped_column("id", primary_key=True)
    giver_id: Mapped[int] = mapped_column(ForeignKey("things.id"))
    taker_id: Mapped[int] = mapped_column(ForeignKey("things.id"))
    giver: Mapped[Thing] = relationship(foreign_keys=[giver_id])
    taker: Mapped[Thing] = relationship(foreign_keys=[taker_id])


def test_names_and_types_of_their_own(database: str) -> None:
    with connect(database) as conn:
        engine = create_engine("postgresql+psycopg://", creator=lambda: conn, poolclass=StaticPool, isolation_level="AUTOCOMMIT")
        Base.metadata.create_all(engine)
        with Session(engine) as session:
            make = Make(conn, Recipes(lambda: conn), session=session)
            red = make(Thing, key=5, colour=Colour.RED, facts={"a": 1})
            assert (red.key, red.colour, red.facts, red.kind) == (5, Colour.RED, {"a": 1}, "thing")
            special = make(Special, colour=Colour.BLUE)
            assert type(special) is Special
            swap = make(Swap, giver=red, taker=special)
            assert swap.giver is red
            assert swap.taker is special
            with pytest.raises(UsageError, match="Deep is kept in several tables"):
                make(Deep)
            with pytest.raises(UsageError, match="neither the name of a table nor a model"):
                make(Colour)
        engine.dispose()
