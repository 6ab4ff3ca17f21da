"""A list of 1,000 rows: Repository, SQLAlchemy's ORM by hand, and advanced-alchemy, in the same run; what it costs to watch for repeats.

`python -m bench.repository [rounds]`. Forms run in turn; printed are medians, and how many times what the form by hand costs.
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, DateTime, Integer, Text, create_engine, func, insert, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from pgcharter.runtime.repeats import watching
from pgcharter.runtime.repository import Repository
from pgcharter.servers import binaries, lifecycle

ROUNDS = 100
try:
    from advanced_alchemy.repository import SQLAlchemySyncRepository
except ImportError:
    SQLAlchemySyncRepository = None  # type: ignore[assignment,misc]


class Base(DeclarativeBase):
    pass


class Order(Base):
    __tablename__ = "orders"
    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    state: Mapped[str] = mapped_column(Text)
    total: Mapped[int] = mapped_column(Integer)
    note: Mapped[str | None] = mapped_column(Text)
    at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())


class Orders(Repository[Order]):
    pass


def measure(title: str, forms: dict[str, Callable[[], Any]], rounds: int) -> None:
    taken: dict[str, list[float]] = {name: [] for name in forms}
    for n in range(-10, rounds):
        for name, form in forms.items():
            began = time.perf_counter()
            form()
            if n >= 0:
                taken[name].append(time.perf_counter() - began)
    medians = {name: statistics.median(times) * 1000 for name, times in taken.items()}
    first = next(iter(medians.values()))
    for name, median in medians.items():
        print(f"{title:>22}  {name:<28} {median:>9.3f} ms {median / first:>7.2f}")


def run(rounds: int = ROUNDS) -> None:
    """All forms, each with a session of its own, so that nothing is found in it."""
    with lifecycle.start_ephemeral(binaries.choose(None)) as server:
        engine = create_engine(server.dsn().replace("postgresql://", "postgresql+psycopg://", 1))
        Base.metadata.create_all(engine)
        with Session(engine) as session:
            session.execute(insert(Order), [{"id": n, "state": "ox"[n % 2], "total": n, "note": None} for n in range(2000)])
            session.commit()
        peer = "" if SQLAlchemySyncRepository else "; advanced-alchemy is not installed"
        print(f"machine load {os.getloadavg()[0]:.1f}{peer}")

        def each(work: Callable[[Session], Any]) -> Callable[[], Any]:
            def once() -> Any:
                with Session(engine) as session:
                    return work(session)

            return once

        lists: dict[str, Callable[[Session], Any]] = {
            "ORM by hand": lambda s: s.scalars(select(Order).where(Order.state == "o").order_by(Order.total, Order.id)).all(),
            "Repository.list": lambda s: Orders(s).list(state="o", order_by="total"),
        }
        gets: dict[str, Callable[[Session], Any]] = {"ORM by hand": lambda s: s.get(Order, 7), "Repository.get": lambda s: Orders(s).get(7)}
        if SQLAlchemySyncRepository is not None:
            theirs: Any = type("Theirs", (SQLAlchemySyncRepository,), {"model_type": Order})
            lists["advanced-alchemy"] = lambda s: theirs(session=s).list(state="o", order_by=("total", False))
            gets["advanced-alchemy"] = lambda s: theirs(session=s).get(7, auto_expunge=False)
        assert len({len(each(form)()) for form in lists.values()} | {1000}) == 1
        measure("list of 1,000 rows", {name: each(form) for name, form in lists.items()}, rounds)
        measure("one row", {name: each(form) for name, form in gets.items()}, rounds * 5)
        with Session(engine) as session:
            asked = select(Order.id).where(Order.id == 7)

            def watched() -> None:
                with watching(engine):
                    for _ in range(50):
                        session.execute(asked).all()

            def unwatched() -> None:
                for _ in range(50):
                    session.execute(asked).all()

            measure("50 statements", {"not watched": unwatched, "watched for repeats": watched}, rounds)
        engine.dispose()


if __name__ == "__main__":
    run(*(int(argument) for argument in sys.argv[1:]))
