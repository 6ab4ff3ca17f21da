"""The server's time, standing still where it can.

PostgreSQL has no clock that could be set. What can be done is to put functions of the same names before its own: `now()` in a statement is
looked up by `search_path`, in which `pg_catalog` comes first only where it is not named. So

- frozen: `now()`, `transaction_timestamp()`, `statement_timestamp()` and `clock_timestamp()` in statements of this connection, in
  functions in PL/pgSQL and in SQL given as text, triggers among them; `func.now()` of SQLAlchemy; with `defaults=True` also defaults
  of columns;
- not frozen: `CURRENT_TIMESTAMP`, `CURRENT_DATE`, `LOCALTIMESTAMP` (they are keywords), `pg_catalog.now()`, views, policies, checks and
  generated columns, which were bound when they were made, functions with a `search_path` of their own (as SECURITY DEFINER must have) or
  with `BEGIN ATOMIC`, whatever other connections do, and Python.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from pgcharter.db.flows import sync_driver
from pgcharter.errors import UsageError
from pgcharter.names import literal, quote
from pgcharter.testing.rolledback import aside

if TYPE_CHECKING:
    import psycopg

SCHEMA = "pgcharter_clock"
_FUNCTIONS = ("now", "transaction_timestamp", "statement_timestamp", "clock_timestamp")
_READ = "SELECT pg_catalog.current_setting('pgcharter.now')::pg_catalog.timestamptz"
_MAKE = f"CREATE SCHEMA {SCHEMA}; GRANT USAGE ON SCHEMA {SCHEMA} TO PUBLIC; " + "; ".join(
    f"CREATE FUNCTION {SCHEMA}.{name}() RETURNS timestamptz LANGUAGE sql STABLE PARALLEL SAFE AS $${_READ}$$;"
    f" GRANT EXECUTE ON FUNCTION {SCHEMA}.{name}() TO PUBLIC"
    for name in _FUNCTIONS
)
_DEFAULTS = r"""
SELECT format('%I.%I', n.nspname, c.relname), a.attname, pg_get_expr(d.adbin, d.adrelid) FROM pg_catalog.pg_attrdef d
JOIN pg_catalog.pg_class c ON c.oid = d.adrelid AND c.relkind IN ('r', 'p') JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = d.adnum AND a.attgenerated = ''
WHERE pg_get_expr(d.adbin, d.adrelid) ~ '\m(now|transaction_timestamp|statement_timestamp|clock_timestamp)\(\)|CURRENT_TIMESTAMP'
ORDER BY 1, 2
"""


@dataclass
class Clock:
    """The time of one connection."""

    _conn: psycopg.Connection[Any]
    moment: datetime
    """What it shows, with a time zone."""

    def move(self, to: datetime | timedelta) -> datetime:
        """Set it to a moment, or on by a time; what it shows then."""
        self.moment = _zoned(self.moment + to if isinstance(to, timedelta) else to)
        with aside(self._conn):
            self._conn.execute(f"SET LOCAL pgcharter.now = {literal(self.moment.isoformat())}".encode())
        return self.moment


@contextmanager
def frozen_time(conn: object, moment: datetime, *, defaults: bool = False) -> Iterator[Clock]:
    """Inside, the server's time stands still for a connection, as far as the module's text says.

    `conn` is `pg_conn`, `pg_session`, or another connection or session (sync, on psycopg) in a transaction, whose role may make a schema.
    `defaults`: columns whose default is the time now get the frozen one; it alters their tables until the transaction is rolled back, so
    it is for databases of tests. Raises UsageError for a moment without a time zone.
    """
    driver = sync_driver(conn)
    clock = Clock(driver, _zoned(moment))
    with aside(driver):
        row = driver.execute("SELECT current_setting('search_path'), to_regnamespace(%s) IS NOT NULL", [SCHEMA]).fetchone()
        assert row is not None  # noqa: S101
        path, there = tuple(row)
        if not there:
            driver.execute(_MAKE.encode())
        if defaults:
            _rebind(driver)
        driver.execute(f"SET LOCAL search_path = {SCHEMA}, pg_catalog{', ' if path else ''}{path}".encode())
        clock.move(clock.moment)
    try:
        yield clock
    finally:
        if driver.info.transaction_status.name == "INTRANS":
            with aside(driver):
                driver.execute("SELECT set_config('search_path', %s, true)", [path])


def server_time(conn: object) -> datetime:
    """What `now()` gives on a connection or session."""
    row = sync_driver(conn).execute("SELECT now()").fetchone()
    assert row is not None  # noqa: S101  (the query has a row)
    moment: datetime = row[0]
    return moment


def _rebind(driver: psycopg.Connection[Any]) -> None:
    for table, column, default in driver.execute(_DEFAULTS).fetchall():
        text = str(default).replace("CURRENT_TIMESTAMP", f"{SCHEMA}.now()")
        for name in _FUNCTIONS:
            text = text.replace(f"pg_catalog.{name}()", f"{name}()").replace(f"{name}()", f"{SCHEMA}.{name}()")
        text = text.replace(f"{SCHEMA}.{SCHEMA}.", f"{SCHEMA}.")
        driver.execute(f"ALTER TABLE {table} ALTER COLUMN {quote(column)} SET DEFAULT {text}".encode())


def _zoned(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise UsageError(f"{moment.isoformat()} has no time zone, so it is no moment", hint="datetime(…, tzinfo=UTC)")
    return moment
