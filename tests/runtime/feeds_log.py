"""A small log with the barrier, for tests of feeds that need no event store: `app.things`, read as log 'events'."""

from __future__ import annotations

from typing import Any, NamedTuple

import psycopg
from tests.runtime.own_tables import install

from pgcharter.runtime.feeds import Log

TABLE = """
CREATE SCHEMA IF NOT EXISTS app;
CREATE SEQUENCE IF NOT EXISTS pgcharter.events_position;
CREATE TABLE app.things (
    position bigint PRIMARY KEY, key text NOT NULL, number int NOT NULL, created_at timestamptz NOT NULL DEFAULT now());
CREATE TABLE app.done (consumer text, position bigint, key text, number int, nth bigserial);
CREATE FUNCTION app.append(of_key text, num int) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE at bigint;
BEGIN
    IF coalesce(current_setting('pgcharter.events_in', true), '') = '' THEN
        PERFORM pg_advisory_xact_lock_shared(1885824357, (coalesce(pg_sequence_last_value('pgcharter.events_position'), 0)::bit(32))::int);
        PERFORM set_config('pgcharter.events_in', '1', true);
    END IF;
    at := nextval('pgcharter.events_position');
    INSERT INTO app.things (position, key, number) VALUES (at, of_key, num);
    RETURN at;
END $$
"""


class Thing(NamedTuple):
    position: int
    key: str
    number: int


LOG: Log[Thing] = Log("events", "app.things", "l.key", ("l.position", "l.key", "l.number"), Thing)


def made(dsn: str) -> str:
    """A database with the log in it."""
    install(dsn, "messaging")
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute(TABLE)
    return dsn


def append(conn: Any, *things: tuple[str, int]) -> list[int]:
    """Append in one transaction; positions."""
    with conn.transaction():
        return [conn.execute("SELECT app.append(%s, %s)", thing).fetchone()[0] for thing in things]


def keep(consumer: str) -> Any:
    """A handler for feeds inside a transaction: notes what it is given in app.done."""

    def handle(work: Any, things: Any) -> None:
        rows = [(consumer, *thing) for thing in things]
        work.conn.cursor().executemany("INSERT INTO app.done (consumer, position, key, number) VALUES (%s, %s, %s, %s)", rows)

    return handle


def done(conn: Any, consumer: str) -> list[tuple[str, int]]:
    """What was noted, in that order."""
    query = "SELECT key, number FROM app.done WHERE consumer = %s ORDER BY nth"
    return [tuple(row) for row in conn.execute(query, (consumer,)).fetchall()]
