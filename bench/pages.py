"""Page 18,001 of a million rows: by place with the pager, by hand, with sqlakeyset, and by OFFSET, in the same run.

`python -m bench.pages [rows] [rounds]`. A page has 20 rows. Forms run in turn; printed are medians of one page, and how many times what the
form by hand costs. By hand is the statement alone: no cursor is read, checked or made.
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import psycopg
from sqlalchemy import BigInteger, DateTime, Integer, Text, and_, create_engine, or_, select, tuple_
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from pgcharter.runtime.pages import Listing, Pager
from pgcharter.servers import binaries, lifecycle

ROWS, ROUNDS, PAGE, SIZE = 1_000_000, 200, 18_000, 20
SETTINGS: dict[str, lifecycle.Setting] = {"shared_buffers": "512MB", "jit": False, "max_parallel_workers_per_gather": 0}
try:
    from sqlakeyset import select_page
except ImportError:
    select_page = None  # type: ignore[assignment]


class Base(DeclarativeBase):
    pass


class Event(Base):
    __tablename__ = "events"
    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    at: Mapped[Any] = mapped_column(DateTime(timezone=True))
    kind: Mapped[int] = mapped_column(Integer)
    score: Mapped[int | None] = mapped_column(Integer)
    customer: Mapped[int] = mapped_column(Integer)
    note: Mapped[str] = mapped_column(Text)


Forms = dict[str, Callable[[], Any]]


def prepare(dsn: str, rows: int) -> None:
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute(
            "CREATE TABLE events (id bigint PRIMARY KEY, at timestamptz NOT NULL, kind int NOT NULL, score int, customer int, note text)"
        )
        conn.execute(
            b"INSERT INTO events SELECT i, '2020-01-01'::timestamptz + i / 3 * interval '1 min', i %% 5, "
            b"nullif(i::bigint * 7919 %% 1000, 0), i %% 9973, repeat('x', 60) FROM generate_series(1, %d) i" % rows
        )
        for columns in ("at, id", "kind, at DESC, id DESC", "score, id"):
            conn.execute(f"CREATE INDEX ON events ({columns})".encode())
        conn.execute("VACUUM ANALYZE events")


def measure(title: str, forms: Forms, rounds: int, slow: frozenset[str] = frozenset()) -> None:
    taken: dict[str, list[float]] = {name: [] for name in forms}
    for n in range(-10, rounds):
        for name, form in forms.items():
            if name in slow and n % 20:
                continue
            began = time.perf_counter()
            form()
            if n >= 0:
                taken[name].append(time.perf_counter() - began)
    medians = {name: statistics.median(times) * 1000 for name, times in taken.items()}
    first = next(iter(medians.values()))
    for name, median in medians.items():
        print(f"{title:>22}  {name:<34} {median:>9.3f} ms {median / first:>9.2f}")


def far(pager: Pager, conn: Any, query: Any) -> str:
    """The cursor of page 18,001."""
    page = pager.offset_page(conn, query, PAGE * SIZE - SIZE, limit=SIZE)
    assert page.next
    return page.next


def plain(conn: psycopg.Connection[Any], pager: Pager, rounds: int) -> None:
    query = Listing("SELECT * FROM events", ["at not null"], ["id"])
    cursor = far(pager, conn, query)
    last = pager.offset_page(conn, query, PAGE * SIZE - SIZE, limit=SIZE).items[-1]
    sql = "SELECT * FROM events WHERE (at, id) > (%s, %s) ORDER BY at, id LIMIT 21"
    assert pager.page(conn, query, cursor, limit=SIZE).items == conn.execute(sql, (last[1], last[0])).fetchall()[:SIZE]
    forms: Forms = {
        "row comparison by hand": lambda: conn.execute(sql, (last[1], last[0])).fetchall(),
        "pager": lambda: pager.page(conn, Listing("SELECT * FROM events", ["at not null"], ["id"]), cursor, limit=SIZE),
        "OFFSET": lambda: conn.execute("SELECT * FROM events ORDER BY at, id LIMIT 21 OFFSET %s", (PAGE * SIZE,)).fetchall(),
    }
    measure("psycopg: at", forms, rounds, frozenset({"OFFSET"}))


def orm(session: Session, pager: Pager, rounds: int) -> None:
    for title, order, index in (
        ("ORM: at", lambda: (Event.at,), (Event.at, Event.id)),
        ("ORM: kind, at desc", lambda: (Event.kind, Event.at.desc()), (Event.kind, Event.at.desc(), Event.id.desc())),
        ("ORM: score (NULLs)", lambda: (Event.score,), (Event.score, Event.id)),
    ):
        query = select(Event).order_by(*order())
        cursor = far(pager, session, query)
        last = session.scalars(select(Event).order_by(*index).limit(1).offset(PAGE * SIZE - 1)).one()
        at, kind, key = last.at, last.kind, last.id

        def by_hand(title: str = title, at: Any = at, kind: int = kind, key: int = key, score: Any = last.score, index: Any = index) -> Any:
            if title == "ORM: at":
                after = tuple_(Event.at, Event.id) > tuple_(at, key)
            elif title == "ORM: score (NULLs)":
                after = or_(tuple_(Event.score, Event.id) > tuple_(score, key), Event.score.is_(None))
            else:
                after = and_(Event.kind >= kind, or_(Event.kind > kind, tuple_(Event.at, Event.id) < tuple_(at, key)))
            return session.scalars(select(Event).where(after).order_by(*index).limit(SIZE + 1)).all()

        def paged(order: Any = order, cursor: str = cursor) -> Any:
            return pager.page(session, select(Event).order_by(*order()), cursor, limit=SIZE)

        def skipped(index: Any = index) -> Any:
            return session.scalars(select(Event).order_by(*index).limit(SIZE + 1).offset(PAGE * SIZE)).all()

        assert [e.id for e in paged()] == [e.id for e in skipped()[:SIZE]]
        forms: Forms = {"by hand": by_hand, "pager": paged, "OFFSET": skipped}
        if select_page is not None and "NULL" not in title:
            place = ((at, key), False) if title == "ORM: at" else ((kind, at, key), False)
            forms["sqlakeyset"] = lambda index=index, place=place: select_page(session, select(Event).order_by(*index), SIZE, page=place)
            assert [row[0].id for row in forms["sqlakeyset"]()] == [e.id for e in paged()]
        measure(title, forms, rounds, frozenset({"OFFSET"} if title == "ORM: at" else {"OFFSET", "by hand"}))


def run(rows: int = ROWS, rounds: int = ROUNDS) -> None:
    """All forms, on one server."""
    with lifecycle.start_ephemeral(binaries.choose(None), settings=SETTINGS) as server:
        prepare(server.dsn(), rows)
        pager = Pager(["0123456789abcdef0123456789abcdef"], offset=rows)
        print(f"machine load {os.getloadavg()[0]:.1f}, {rows:,} rows{'' if select_page else '; sqlakeyset is not installed'}")
        engine = create_engine(server.dsn().replace("postgresql://", "postgresql+psycopg://", 1))
        with psycopg.connect(server.dsn()) as conn:
            plain(conn, pager, rounds)
        with Session(engine) as session:
            orm(session, pager, rounds)
        engine.dispose()


if __name__ == "__main__":
    run(*(int(argument) for argument in sys.argv[1:]))
