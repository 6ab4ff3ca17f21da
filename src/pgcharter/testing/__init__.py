"""The pytest plugin and what tests import: counting of statements, plans, factories, server time that stands still.

    from pgcharter.testing import assert_plan_uses_index, count_statements

Fixtures come by themselves where pgcharter is installed: `pg_server`, `pg_database`, `pg_dsn`, `pg_conn`, `pg_session`,
`pg_async_session`, `pg_make`. How to use them is in docs/how-to/testing.md. Nothing is imported before it is asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pgcharter.testing.clock import frozen_time, server_time
    from pgcharter.testing.databases import Clone
    from pgcharter.testing.factories import Factory, Make, sequence
    from pgcharter.testing.plans import assert_no_seq_scan, assert_plan_uses_index, plan_of
    from pgcharter.testing.servers import PgServer
    from pgcharter.testing.statements import Counted, assert_statements, count_statements

__all__ = [
    "Clone", "Counted", "Factory", "Make", "PgServer", "assert_no_seq_scan", "assert_plan_uses_index", "assert_statements",
    "count_statements", "frozen_time", "plan_of", "sequence", "server_time",
]  # fmt: skip

_HOMES = {
    "clock": ("frozen_time", "server_time"),
    "databases": ("Clone",),
    "factories": ("Factory", "Make", "sequence"),
    "plans": ("assert_no_seq_scan", "assert_plan_uses_index", "plan_of"),
    "servers": ("PgServer",),
    "statements": ("Counted", "assert_statements", "count_statements"),
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
