"""The small form of `python -m tests.stream.reconcile_damage`."""

from __future__ import annotations

from tests.stream.reconcile_damage import outcomes


def test_damage_in_every_store_is_found_and_repaired() -> None:
    found = {o.store: (o.found, o.repaired, o.others) for o in outcomes(150, 12)}
    assert found == dict.fromkeys(("postgresql", "jsonl", "parquet", "clickhouse", "redis hash", "redis json"), (12, 12, 142))
