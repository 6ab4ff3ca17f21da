"""Courts for the law of plans, one for each server of the session."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from tests.plan.court import Court

from pgcharter.servers.lifecycle import Server


@pytest.fixture(scope="session")
def court_of(server_of: Callable[[int | None], Server]) -> Iterator[Callable[[int | None], Court]]:
    with ExitStack() as stack:
        courts: dict[int, Court] = {}

        def get(major: int | None) -> Court:
            server = server_of(major)
            if server.major not in courts:
                courts[server.major] = Court(server)
                stack.callback(courts[server.major].close)
            return courts[server.major]

        yield get
