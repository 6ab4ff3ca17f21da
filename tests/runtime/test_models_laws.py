"""Soft delete and versions against a plain model: whatever is done in whatever order, every kind of query says what the model says.

A longer run: `python -m tests.runtime.test_models_laws 500`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule, run_state_machine_as_test
from sqlalchemy import create_engine, delete, exists, func, select, text, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, aliased, joinedload, selectinload, sessionmaker
from tests.db.test_flows import url
from tests.runtime.models_shop import Base, Order, Owner

from pgcharter.runtime.models_purge import purge
from pgcharter.runtime.models_session import serve_models
from pgcharter.runtime.models_soft_delete import only_deleted, restore, showing_deleted, with_deleted
from pgcharter.runtime.models_versions import StaleVersionError, update_versioned


@dataclass
class Row:
    """What the model knows of an order, or of an owner (`owner` is None)."""

    name: Any
    owner: Any = None
    version: int = 1
    deleted: int = 0
    """Number of the transaction that deleted it; 0: it is alive."""


NAMES, PICK = st.integers(0, 5), st.integers(0, 1000)
FAR = timedelta(days=-1)


def machine(dsn: str) -> type[RuleBasedStateMachine]:
    """The state machine on one database, which every run empties first."""
    engine = create_engine(url(dsn))
    sessions = serve_models(sessionmaker(engine))

    class Models(RuleBasedStateMachine):
        def __init__(self) -> None:
            super().__init__()
            with engine.begin() as conn:
                conn.execute(text("TRUNCATE app.owners, app.orders CASCADE"))
            self.owners: dict[Any, Row] = {}
            self.orders: dict[Any, Row] = {}
            self.step = 0
            self.held = sessions()  # a session with objects from before, as services have

        def teardown(self) -> None:
            self.held.close()

        def pick(self, rows: dict[Any, Row], n: int, *, deleted: bool = False) -> Any:
            keys = sorted(key for key, row in rows.items() if bool(row.deleted) == deleted)
            return keys[n % len(keys)] if keys else None

        def work(self, what: Callable[[Session], Any]) -> Any:
            """In the session that is held, or in a new one, by turns."""
            self.step += 1
            if self.step % 2:
                found = what(self.held)
                self.held.commit()
                return found
            with sessions.begin() as session:
                return what(session)

        @initialize()
        def begin(self) -> None:
            """Two owners with orders, so that there is something to do from the start."""
            for n in range(2):
                self.insert_owner(n)
            for n in range(6):
                self.insert_order(n % 4, n)

        @rule(name=NAMES)
        def insert_owner(self, name: int) -> None:
            """A deleted row's name can be used again, a living one's not."""
            taken = any(row.name == str(name) and not row.deleted for row in self.owners.values())
            owner = Owner(name=str(name))
            with sessions() as session:
                session.add(owner)
                if taken:
                    with pytest.raises(IntegrityError):
                        session.flush()
                    return
                session.commit()
                self.owners[owner.id] = Row(str(name))

        @rule(no=NAMES, n=PICK)
        def insert_order(self, no: int, n: int) -> None:
            owner = self.pick(self.owners, n)
            if owner is not None:
                made = Order(no=no, owner_id=owner)

                def add(session: Session) -> None:
                    session.add(made)
                    session.flush()
                    self.orders[made.id] = Row(no, owner)

                self.work(add)

        @rule(n=PICK, no=NAMES, plain=st.booleans())
        def change(self, n: int, no: int, plain: bool) -> None:
            key = self.pick(self.orders, n)
            if key is None or self.orders[key].name == no:
                return
            row = self.orders[key]
            if plain:
                with psycopg.connect(dsn) as conn:
                    assert update_versioned(conn, "app.orders", {"id": key}, {"no": no}, row.version) == row.version + 1
            else:
                self.work(lambda session: setattr(session.get_one(Order, key), "no", no))
            row.name, row.version = no, row.version + 1

        @rule(n=PICK, gone=st.booleans())
        def stale(self, n: int, gone: bool) -> None:
            """Two have read a row; the second to write learns what the first has made of it."""
            key = self.pick(self.orders, n)
            if key is None:
                return
            row = self.orders[key]
            with sessions() as first, sessions() as second:
                one, two = first.get_one(Order, key), second.get_one(Order, key)
                self.step += 1
                if gone:
                    first.delete(one)
                else:
                    one.no = row.name = row.name + 10
                first.commit()
                row.version, row.deleted = row.version + 1, self.step if gone else 0
                two.no = 77
                with pytest.raises(StaleVersionError) as raised:
                    second.commit()
                assert (raised.value.expected, raised.value.found) == (row.version - 1, row.version)

        @rule(n=PICK)
        def delete_order(self, n: int) -> None:
            key = self.pick(self.orders, n)
            if key is not None:
                self.work(lambda session: session.delete(session.get_one(Order, key)))
                self.orders[key].deleted, self.orders[key].version = self.step, self.orders[key].version + 1

        @rule(n=PICK)
        def delete_owner(self, n: int) -> None:
            key = self.pick(self.owners, n)
            if key is None:
                return
            self.work(lambda session: session.delete(session.get_one(Owner, key)))
            for row in (self.owners[key], *(o for o in self.orders.values() if o.owner == key and not o.deleted)):
                row.deleted, row.version = self.step, row.version + 1

        @rule(n=PICK)
        def let_go(self, n: int) -> None:
            """By delete-orphan, and the order keeps its owner."""
            key = self.pick(self.orders, n)
            if key is None or self.owners[self.orders[key].owner].deleted:
                return
            owner = self.orders[key].owner

            def remove(session: Session) -> None:
                held = session.get_one(Owner, owner)
                held.orders.remove(next(o for o in held.orders if o.id == key))
                session.flush()

            self.work(remove)
            self.orders[key].deleted, self.orders[key].version = self.step, self.orders[key].version + 1

        @rule(no=NAMES)
        def bulk_delete(self, no: int) -> None:
            found = [row for row in self.orders.values() if row.name == no and not row.deleted]
            assert self.work(lambda session: session.execute(delete(Order).where(Order.no == no))).rowcount == len(found)
            for row in found:
                row.deleted, row.version = self.step, row.version + 1

        @rule(no=NAMES)
        def bulk_update(self, no: int) -> None:
            found = [row for row in self.orders.values() if row.name == no and not row.deleted]
            assert self.work(lambda session: session.execute(update(Order).where(Order.no == no).values(no=no + 1))).rowcount == len(found)
            for row in found:
                row.name, row.version = no + 1, row.version + 1

        @rule(n=PICK)
        def restore_owner(self, n: int) -> None:
            key = self.pick(self.owners, n, deleted=True)
            if key is None:
                return
            owner = self.owners[key]
            together = [owner, *(o for o in self.orders.values() if o.owner == key and o.deleted == owner.deleted)]
            taken = any(row.name == owner.name and not row.deleted for row in self.owners.values())
            with sessions() as session:
                one = session.get_one(Owner, key, options=[with_deleted()])
                if taken:
                    one.deleted_at = None
                    with pytest.raises(IntegrityError):
                        session.flush()
                    return
                assert restore(session, one) == len(together)
                session.commit()
            for row in together:
                row.deleted, row.version = 0, row.version + 1

        @precondition(lambda self: any(row.deleted for row in self.orders.values()))
        @rule(limit=st.integers(1, 3))
        def purge_some(self, limit: int) -> None:
            with psycopg.connect(dsn) as conn:
                gone = purge(conn, "app.orders", FAR, limit=limit)
                left = {row[0] for row in conn.execute("SELECT id FROM app.orders")}
            due = [key for key, row in self.orders.items() if row.deleted]
            assert gone == min(limit, len(due))
            self.orders = {key: row for key, row in self.orders.items() if key in left}
            assert len(due) - gone == sum(bool(row.deleted) for row in self.orders.values())
            self.held.expire_all()

        @rule()
        def purge_owners(self) -> None:
            """Only those that no order needs."""
            with psycopg.connect(dsn) as conn:
                gone = purge(conn, "app.owners", datetime.now(UTC) - FAR)
            needed = {row.owner for row in self.orders.values()}
            due = [key for key, row in self.owners.items() if row.deleted and key not in needed]
            assert gone == len(due)
            for key in due:
                del self.owners[key]
            self.held.expire_all()

        @invariant()
        def every_query_agrees(self) -> None:
            living = sorted((row.name, row.version) for row in self.orders.values() if not row.deleted)
            dead = sorted((row.name, row.version) for row in self.orders.values() if row.deleted)
            owned = sorted(row.name for row in self.orders.values() if not row.deleted and not self.owners[row.owner].deleted)
            with_any = {
                k for k, o in self.owners.items() if not o.deleted and any(r.owner == k and not r.deleted for r in self.orders.values())
            }
            alias = aliased(Order)
            for session in (self.held, sessions()):
                assert sorted(tuple(r) for r in session.execute(select(Order.no, Order.version))) == living
                assert sorted((o.no, o.version) for o in session.scalars(select(alias))) == living
                assert sorted(session.scalars(select(Order.no).join(Order.owner))) == owned
                assert session.scalar(select(func.count()).select_from(select(Order).subquery())) == len(living)
                assert set(session.scalars(select(Owner.id).where(Owner.orders.any()))) == with_any
                assert set(session.scalars(select(Owner.id).where(exists().where(Order.owner_id == Owner.id)))) == with_any
                asked = select(Order).options(only_deleted(Order)).execution_options(populate_existing=True)
                assert sorted((o.no, o.version) for o in session.scalars(asked)) == dead
                for load in (selectinload, joinedload):
                    loaded = session.scalars(select(Owner).options(load(Owner.orders)).execution_options(populate_existing=True)).unique()
                    assert sorted(o.no for owner in loaded for o in owner.orders) == owned
                with showing_deleted(session):
                    assert session.scalar(select(func.count(Order.id))) == len(self.orders)
                kept = [*session.scalars(select(Order).options(with_deleted())), *session.scalars(select(Owner).options(with_deleted()))]
                assert len(kept) == len(self.orders) + len(self.owners)  # what is held on to is in the session's own objects
                for key, row in (*self.orders.items(), *self.owners.items()):
                    kind = Order if row.owner else Owner
                    assert (session.get(kind, key) is None) == bool(row.deleted)
                session.commit()
                if session is not self.held:
                    session.close()

    return Models


def run(dsn: str, examples: int, steps: int, *, derandomize: bool = False) -> None:
    """Empty tables, and as many runs as are wanted."""
    engine = create_engine(url(dsn))
    with engine.begin() as conn:
        conn.execute(text("CREATE SCHEMA app"))
        Base.metadata.create_all(conn)
    engine.dispose()
    chosen = settings(
        max_examples=examples, stateful_step_count=steps, deadline=None, suppress_health_check=list(HealthCheck), database=None
    )
    run_state_machine_as_test(machine(dsn), settings=chosen)  # type: ignore[no-untyped-call]


def test_every_query_agrees_with_the_model(database: str) -> None:
    run(database, 6, 20, derandomize=True)


if __name__ == "__main__":
    from pgcharter.servers import binaries, lifecycle

    with lifecycle.start_ephemeral(binaries.choose(None)) as server:
        run(server.dsn(), int(sys.argv[1]), 40)
