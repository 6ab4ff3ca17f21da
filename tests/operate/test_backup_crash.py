"""A small part of `python -m tests.operate.backup_crash`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.operate import backup_crash
from tests.operate.backups import Ground


@pytest.fixture(scope="module")
def place() -> Iterator[Ground]:
    with backup_crash.place_of() as made:
        backup_crash.begin(made)
        yield made


@pytest.mark.parametrize("point", ["backup take doubled", "backup archive written", "backup restore unpacked", "backup prune removed"])
def test_killed(place: Ground, point: str) -> None:
    backup_crash.way(point)(place, point)
