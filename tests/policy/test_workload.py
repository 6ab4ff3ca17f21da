"""`[workload]` on real servers: the tables come and go."""

from __future__ import annotations

from typing import Any

import pytest
from tests.policy.by_hand import lose
from tests.policy.planned import applied, catalog

from pgcharter.catalog.compare import compare
from pgcharter.migrate import planning
from pgcharter.migrate.planning import Planned, Wish
from pgcharter.migrate.policies import Chosen
from pgcharter.policy import workload
from pgcharter.policy.workload_settings import WorkloadSection


def planned(dsn: str, *chosen: Any) -> Planned:
    return planning.make(Wish("", dsn, chosen=Chosen(chosen)))


@pytest.mark.parametrize("major", [15, 18])
def test_come_and_gone(database: str, major: int) -> None:
    before = catalog(database)
    wish = workload.policy(WorkloadSection())
    assert applied(database, planned(database, wish)).proof
    assert planned(database, wish).plan.empty
    assert lose(database, planned(database))
    applied(database, planned(database))
    assert [d for d in compare(before, catalog(database)) if "pgcharter" not in (d.object.schema, d.object.name)] == []


def test_numbers_that_mean_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match="top is between"):
        WorkloadSection(top=1)
