"""Runs a job's SQL: in one transaction that commits only while the job is still its scheduler's, or statement by statement."""

from __future__ import annotations

import os
import sys
from contextlib import suppress

import psycopg

from pgcharter.db import connect
from pgcharter.errors import PgcharterError

DSN, SQL, WHOLE, NAME, TOKEN = "PGCHARTER_JOB_DSN", "PGCHARTER_JOB_SQL", "PGCHARTER_JOB_WHOLE", "PGCHARTER_JOB", "PGCHARTER_JOB_TOKEN"
_MINE = "SELECT FROM pgcharter.jobs WHERE name = %s AND fencing_token = %s FOR SHARE"


def main() -> int:
    """Run it; says what came of each statement."""
    try:
        with connect(os.environ[DSN], application_name=f"pgcharter job {os.environ[NAME]}") as conn:
            with suppress(psycopg.Error):  # where its system can: a session whose client has gone ends
                conn.execute("SET client_connection_check_interval = '1s'")
            conn.add_notice_handler(lambda notice: _say(f"{notice.severity}: {notice.message_primary}"))
            whole = os.environ[WHOLE] == "1"
            return _in_one(conn) if whole else _one_by_one(conn)
    except (psycopg.Error, PgcharterError) as error:
        _say(f"error: {' '.join(str(error).split())}")
        return 3


def _in_one(conn: psycopg.Connection[tuple[object, ...]]) -> int:
    with conn.transaction() as transaction:
        _tell(conn.execute(os.environ[SQL].encode()))
        mine = conn.execute(_MINE, (os.environ[NAME], int(os.environ[TOKEN]))).fetchone() is not None
        if not mine:
            _say("error: another scheduler has taken the job meanwhile, so nothing was committed")
            raise psycopg.Rollback(transaction)
    return 0 if mine else 3


def _one_by_one(conn: psycopg.Connection[tuple[object, ...]]) -> int:
    from pgcharter.sqltext import parse

    for statement in parse(os.environ[SQL], "sql").statements:
        _tell(conn.execute(statement.text.encode()))
    return 0


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _tell(cursor: psycopg.Cursor[tuple[object, ...]]) -> None:
    while True:
        _say(cursor.statusmessage or "")
        if not cursor.nextset():
            break


if __name__ == "__main__":
    sys.exit(main())
