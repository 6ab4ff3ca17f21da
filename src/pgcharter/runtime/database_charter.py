"""What the charter says of a `Database`: `[database]`, the environment it runs in, and `[tenancy]`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from pgcharter import charter as charters
from pgcharter.charter import Charter
from pgcharter.errors import UsageError
from pgcharter.measures import seconds, size
from pgcharter.policy.tenancy_settings import SECTION as TENANCY
from pgcharter.runtime.database_settings import SECTION, KindTable, RoutingTable, TimeoutTable
from pgcharter.runtime.database_timeouts import Timeouts
from pgcharter.runtime.placement import Schemas
from pgcharter.runtime.pools import PoolSize
from pgcharter.runtime.replicas import Routing


def options(environment: str = "", start: Path | None = None) -> dict[str, Any]:
    """Arguments of a `Database`, from the charter that holds for a folder. Raises CharterError, UsageError."""
    path = charters.find(start or Path())
    if path is None:
        raise UsageError(f"there is no charter in {(start or Path()).resolve()} or above", hint="pgcharter init writes one")
    charter = charters.read(path, sections=(SECTION, TENANCY), name=path.name, others=True)
    said = charter.section(SECTION)
    pool = said.pool
    times = {name: seconds(getattr(pool, name)) for name in ("wait", "idle", "lifetime", "leak")}
    return {
        "dsn": _dsn(charter, environment),
        "application": said.application,
        "size": PoolSize(pool.min, pool.max, waiting=pool.waiting, check=pool.check, **times),
        "timeouts": _limits(said.timeouts),
        "kinds": {kind.name: _limits(kind) for kind in said.kind},
        "replicas": tuple(_of_variable(name) for name in said.replicas),
        "routing": _routing(said.routing),
        **_tenants(charter),
    }


def _routing(table: RoutingTable) -> Routing:
    wait, poll, lag = (seconds(text) for text in (table.wait, table.poll, table.max_lag))
    return Routing(wait, poll, lag, size(table.max_bytes), silent=max(Routing().silent, 2 * poll))


def _tenants(charter: Charter) -> dict[str, Any]:
    if TENANCY.name not in charter.sections:
        return {}
    found = charter.section(TENANCY)
    if found.placement == "schemas":
        return {"placement": Schemas(found.place)}
    return {"tenants": found.placement == "rows"}


def _limits(table: TimeoutTable | KindTable) -> Timeouts:
    return Timeouts(*(seconds(text) if text else None for text in (table.statement, table.lock, table.idle)))


def _dsn(charter: Charter, environment: str) -> str:
    known = charter.environments
    if not environment and len(known) == 1:
        environment = next(iter(known))
    if not environment:
        return _of_variable("DATABASE_URL")
    if environment not in known:
        raise UsageError(f"there is no environment {environment!r}; there are {', '.join(sorted(known)) or 'none'}")
    found = known[environment]
    return found.dsn or _of_variable(found.dsn_env)


def _of_variable(name: str) -> str:
    value = os.environ.get(name, "")
    if not value:
        raise UsageError(f"environment variable {name} is not set, and it should hold a DSN", hint=f"export {name}=postgresql://…")
    return value
