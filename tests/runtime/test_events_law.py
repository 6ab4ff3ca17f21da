"""The store against a list: expectations, savepoints, rollbacks, tenants. `python -m tests.runtime.test_events_law N` runs more."""

from __future__ import annotations

import itertools
import sys
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from tests.runtime.events_store import install

from pgcharter.runtime.events import (
    Append,
    New,
    VersionConflictError,
    append,
    append_many,
    read_aggregate,
    read_all,
    read_category,
    settled,
    version_of,
)

TENANTS, TYPES, IDS = ("", "t1", "t'2"), ("order", "Cart"), ("1", "2", "é\"'")
KEYS = st.tuples(st.sampled_from(TYPES), st.sampled_from(IDS))
EXPECTED = st.one_of(st.sampled_from(["any", "none", "exists"]), st.integers(0, 4))
COUNTS = st.integers(1, 3)
_runs = itertools.count()


def fits(expected: Any, version: int) -> bool:
    return {"any": True, "none": version == 0, "exists": version > 0}.get(expected, expected == version)


class Store(RuleBasedStateMachine):
    dsn = ""

    def __init__(self) -> None:
        super().__init__()
        self.conn = psycopg.connect(self.dsn)
        self.start = settled(self.conn)
        self.conn.commit()
        self.run = f"{next(_runs)} "
        self.committed: list[tuple[str, str, str, int, int]] = []
        self.own = list(self.committed)
        self.marks: list[tuple[list[Any], str]] = []
        self.tenant = ""
        self.number = 0

    def version(self, kind: str, id_: str) -> int:
        return sum(1 for t, k, i, *_ in self.own if (t, k, i) == (self.tenant, kind, id_))

    def happened(self, kind: str, id_: str, count: int) -> list[New]:
        made = []
        version = self.version(kind, id_)
        for n in range(count):
            self.number += 1
            self.own.append((self.tenant, kind, id_, version + n + 1, self.number))
            made.append(New("e", self.number))
        return made

    @rule(key=KEYS, expected=EXPECTED, count=COUNTS)
    def appends(self, key: tuple[str, str], expected: Any, count: int) -> None:
        key = key[0], self.run + key[1]
        if fits(expected, self.version(*key)):
            done = append(self.conn, *key, self.happened(*key, count), expected=expected)
            assert done.version == self.version(*key)
        else:
            with pytest.raises(VersionConflictError) as error:
                append(self.conn, *key, [New("never", 0)] * count, expected=expected)
            assert error.value.conflict.actual == self.version(*key)

    @rule(wanted=st.dictionaries(KEYS, st.tuples(EXPECTED, COUNTS), min_size=1, max_size=4))
    def appends_many(self, wanted: dict[Any, Any]) -> None:
        wanted = {(kind, self.run + id_): said for (kind, id_), said in wanted.items()}
        bad = [k for k, (expected, _) in wanted.items() if not fits(expected, self.version(*k))]
        if bad:
            with pytest.raises(VersionConflictError) as error:
                append_many(self.conn, [Append(*k, [New("never", 0)] * n, e) for k, (e, n) in wanted.items()])
            assert [(c.aggregate_type, c.aggregate_id) for c in error.value.conflicts] == bad
        else:
            append_many(self.conn, [Append(*k, self.happened(*k, n), e) for k, (e, n) in wanted.items()])

    @rule()
    def savepoint(self) -> None:
        self.conn.execute(f"SAVEPOINT s{len(self.marks)}".encode())
        self.marks.append((list(self.own), self.tenant))

    @precondition(lambda self: self.marks)
    @rule()
    def rolls_back_to(self) -> None:
        self.own, self.tenant = self.marks.pop()
        self.conn.execute(f"ROLLBACK TO s{len(self.marks)}".encode())

    @rule()
    def commits(self) -> None:
        self.conn.commit()
        self.committed, self.marks, self.tenant = list(self.own), [], ""

    @rule()
    def rolls_back(self) -> None:
        self.conn.rollback()
        self.own, self.marks, self.tenant = list(self.committed), [], ""

    @rule(tenant=st.sampled_from(TENANTS))
    def works_for(self, tenant: str) -> None:
        self.conn.execute("SELECT set_config('pgcharter.tenant', %s, true)", (tenant,))
        self.tenant = tenant

    @rule(key=KEYS, after=st.integers(0, 3), upto=st.one_of(st.none(), st.integers(0, 5)), backwards=st.booleans())
    def reads_an_aggregate(self, key: tuple[str, str], after: int, upto: int | None, backwards: bool) -> None:
        key = key[0], self.run + key[1]
        mine = [e for e in self.own if e[:3] == (self.tenant, *key) and after < e[3] <= (99 if upto is None else upto)]
        found = read_aggregate(self.conn, *key, after=after, upto=upto, backwards=backwards)
        assert [(e.tenant, e.aggregate_type, e.aggregate_id, e.version, e.data) for e in found] == mine[:: -1 if backwards else 1]
        assert version_of(self.conn, *key) == self.version(*key)

    @invariant()
    def all_is_read_in_order(self) -> None:
        if self.own == self.committed and not self.marks:
            self.conn.rollback()
            self.tenant = ""
        found = [(e.tenant, e.aggregate_type, e.aggregate_id, e.version, e.data) for e in read_all(self.conn, after=self.start)]
        assert found == self.committed
        assert len(read_category(self.conn, "order", after=self.start)) == sum(e[1] == "order" for e in self.committed)

    def teardown(self) -> None:
        self.conn.close()


def prove(dsn: str, examples: int) -> None:
    install(dsn)
    machine = type("Store", (Store,), {"dsn": dsn})
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        machine,
        settings=settings(max_examples=examples, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)),
    )


@pytest.mark.parametrize("major", [15, 18])
def test_the_store_is_a_list(database: str, major: int) -> None:
    prove(database, 15)


if __name__ == "__main__":
    from pgcharter.servers import binaries, lifecycle

    with lifecycle.start_ephemeral(binaries.choose(None)) as server:
        prove(server.dsn(), int(sys.argv[1]))
