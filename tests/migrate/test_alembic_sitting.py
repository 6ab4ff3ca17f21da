"""Many revisions in one run of env.py: each commits by itself, with limits, retries and record of its own, however env.py is written."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.cli.conftest import Done, program
from tests.later import later
from tests.migrate.test_alembic import Run, alembic, change, database, env, heads, own_database, rows, shop, short, states

from pgcharter.db import connect

__all__ = ["Done", "database", "own_database", "program", "shop"]
COUNTED = "        context.configure(connection=connection, **OPTIONS)"
COUNT = "        with open('runs', 'a') as counted:\n            counted.write('x')\n"
SHOW = "op.execute(\"INSERT INTO seen SELECT current_setting('lock_timeout'), pg_backend_pid(), current_setting('search_path')\")"
SEEN = "op.execute('CREATE TABLE seen (lock_timeout text, pid int, path text)')"


def said(done: Done) -> str:
    return " ".join(done.stderr.split())


def runs(folder: Path) -> int:
    """How often env.py has connected since the last look."""
    path = folder / "runs"
    found = len(path.read_text()) if path.exists() else 0
    path.unlink(missing_ok=True)
    return found


def test_one_connection_does_many_revisions_and_keeps_the_limits(shop: Path, program: Run, database: str) -> None:
    env(shop, COUNTED, COUNT + COUNTED)
    short(shop, SEEN + "\n" + SHOW + "\nop.execute('SET lock_timeout = 0')", SHOW, "op.execute('RESET lock_timeout')", SHOW)
    done = program("migrate", "up", "--lock-timeout", "1234ms")
    assert done.returncode == 0, done.stderr
    assert runs(shop) == 2  # one look, one run
    assert rows(database, "SELECT lock_timeout, count(DISTINCT pid) FROM seen GROUP BY 1") == [("1234ms", 1)]
    assert rows(database, "SELECT count(DISTINCT xmin::text) FROM pgcharter.schema_migrations") == [(4,)]


def test_limits_of_env_py_are_its_own(shop: Path, program: Run, database: str) -> None:
    env(
        shop,
        "        connection.commit()\n",
        "        connection.execute(text(\"SET lock_timeout = '7s'\"))\n        connection.commit()\n",
    )
    short(shop, SEEN + "\n" + SHOW + "\nop.execute('SET lock_timeout = 0')", SHOW)
    assert program("migrate", "up").returncode == 0
    assert rows(database, "SELECT DISTINCT lock_timeout FROM seen") == [("7s",)]


PATH = "            context.execute('SET LOCAL search_path = public, pg_catalog')\n"


def test_what_env_py_says_in_its_transaction_holds_for_every_revision(shop: Path, program: Run, database: str) -> None:
    env(shop, COUNTED, COUNT + COUNTED)
    env(
        shop,
        "pool.NullPool)\n",
        "pool.NullPool)\n",
    )
    path = shop / "app_migrations" / "env.py"
    before, _, after = path.read_text().rpartition("            context.run_migrations()")
    path.write_text(before + PATH + "            context.run_migrations()" + after)
    short(shop, SEEN + "\n" + SHOW, SHOW, SHOW)
    assert program("migrate", "up").returncode == 0
    assert runs(shop) == 4
    assert rows(database, "SELECT path, count(*) FROM seen GROUP BY 1") == [("public, pg_catalog", 3)]


def test_a_lock_in_the_middle_is_tried_again(shop: Path, program: Run, database: str) -> None:
    short(shop, "op.execute('CREATE TABLE t (id int)')")
    assert program("migrate", "up").returncode == 0
    bodies = ["op.execute('CREATE TABLE a ()')", "op.add_column('t', sa.Column('n', sa.Integer))", "op.execute('CREATE TABLE b ()')"]
    short(shop, "op.execute('CREATE TABLE t (id int)')", *bodies)
    with connect(database) as other:
        other.execute("BEGIN; LOCK TABLE t IN ACCESS SHARE MODE")
        with later(1.2, lambda: other.execute("COMMIT")):
            done = program("migrate", "up", "--lock-timeout", "150ms", "--deadline", "20s")
    assert (done.returncode, "0003 step_3 gave way" in said(done)) == (0, True), done.stderr
    assert heads(database) == ["0004"]
    assert rows(database, "SELECT DISTINCT outcome FROM pgcharter.schema_migrations") == [("done",)]


@pytest.mark.parametrize("fault", ["in transaction:3", "before commit:3", "after commit:3"])
def test_a_runner_killed_in_the_middle_goes_on(shop: Path, program: Run, database: str, fault: str) -> None:
    short(shop, *(f"op.execute('CREATE TABLE t{n} ()')" for n in range(5)))
    killed = subprocess.run(
        [sys.executable, "-m", "pgcharter", "migrate", "up"], cwd=shop, capture_output=True, text=True, check=False,
        env={**os.environ, "PGCHARTER_FAULT": fault},
    )  # fmt: skip
    assert killed.returncode == -9, killed.stderr
    assert heads(database) == [f"000{3 if fault.startswith('after') else 2}"]
    done = program("migrate", "up")
    assert done.returncode == 0, done.stderr
    assert rows(database, "SELECT count(*), count(DISTINCT version), min(outcome) FROM pgcharter.schema_migrations") == [(5, 5, "done")]


@pytest.mark.parametrize("body", ["op.execute('SELECT pg_sleep(60)')", "for _ in range(6000):\n    op.execute('SELECT pg_sleep(0.01)')"])
def test_ctrl_c_ends_the_revision_at_work(shop: Path, program: Run, database: str, body: str) -> None:
    short(shop, "op.execute('CREATE TABLE a ()')", "op.execute('CREATE TABLE b ()')\n" + body)
    with subprocess.Popen([sys.executable, "-m", "pgcharter", "migrate", "up"], cwd=shop, stderr=subprocess.PIPE, text=True) as runner:
        active = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%' AND datname = current_database()"
        began = time.monotonic()
        while rows(database, active) == [(0,)] and time.monotonic() - began < 20:
            time.sleep(0.1)
        runner.send_signal(signal.SIGINT)
        error = runner.communicate(timeout=20)[1]
    assert (runner.returncode, "was interrupted" in " ".join(error.split())) == (130, True), error
    assert heads(database) == ["0001"]
    assert rows(database, "SELECT to_regclass('b')") == [(None,)]
    assert rows(database, active.replace("count(*)", "count(*) FILTER (WHERE state = 'active')")) == [(0,)]


def test_env_py_that_fails_after_its_revisions(shop: Path, program: Run, database: str) -> None:
    short(shop, "op.execute('CREATE TABLE a ()')", "op.execute('CREATE TABLE b ()')")
    env(shop, "else:\n    run_migrations_online()",
        "else:\n    run_migrations_online()\n    if context.get_context()._migrations_fn and not config.attributes.get('looked'):\n"
        "        config.attributes['looked'] = True\n    else:\n        raise ValueError('after all')")  # fmt: skip
    done = program("migrate", "up")
    assert (done.returncode, heads(database)) == (0, ["0002"]), done.stderr
    assert "0002 step_2 is done, and after it env.py failed at app_migrations/env.py:" in said(done)
    assert "ValueError: after all" in said(done)


def test_what_alembic_did_is_told_and_its_words_are_understood(shop: Path, program: Run, database: str) -> None:
    short(shop, *("pass" for _ in range(7)))
    assert program("migrate", "to", "0002").returncode == 0
    alembic(shop, database, "upgrade", "0007")
    assert "Alembic has applied 0003 step_3, 0004 step_4, 0005 step_5, 0006 step_6 and 1 more; the ledger" in said(
        program("migrate", "status")
    )
    alembic(shop, database, "downgrade", "0001")
    done = program("migrate", "to", "head")
    assert (done.returncode, "Alembic has taken back 0002 step_2" in said(done)) == (0, True)
    assert set(states(program).values()) == {"applied"}
    assert re.search("Alembic has", said(program("migrate", "status"))) is None


def test_a_gate_in_a_revision_is_waited_for(shop: Path, program: Run, database: str) -> None:
    short(
        shop,
        "op.execute('CREATE TABLE a ()')",
        '"""Upgrade schema."""\n\n# more\n'
        + "# pgcharter: gate release 7 runs\nop.execute('CREATE TABLE b ()')\n---\nop.execute('DROP TABLE b')",
        "op.execute('CREATE TABLE c ()')",
    )
    done = program("migrate", "up")
    assert (done.returncode, "0002 step_2 is a gate: release 7 runs" in said(done), heads(database)) == (4, True, ["0001"]), done.stderr
    alembic(shop, database, "upgrade", "0002")
    assert program("migrate", "up").returncode == 0
    assert program("migrate", "to", "0001").returncode == 0
    change(database, "DROP TABLE c")
    assert program("migrate", "up", "--gate", "release 7 runs").returncode == 0
    assert heads(database) == ["0003"]


def test_an_event_loop_of_the_old_kind(shop: Path, program: Run, database: str) -> None:
    short(shop, "op.execute('CREATE TABLE a ()')")
    env(shop, "else:\n    run_migrations_online()", "else:\n    import asyncio\n    async def online():\n        run_migrations_online()\n"
        "    asyncio.get_event_loop().run_until_complete(online())")  # fmt: skip
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)  # as in a new process, whatever tests before have left
    try:
        assert program("migrate", "up").returncode == 0
    finally:
        asyncio.set_event_loop(None)
        loop.close()


def test_settings_of_a_connection_string_reach_every_driver() -> None:
    from pgcharter.migrate.alembic_env import _parameters
    from pgcharter.migrate.home import at

    dsn = at("postgresql://me@here:5/db", 'a "b')
    assert "search_path" in _parameters("psycopg", dsn)["options"]
    assert _parameters("asyncpg", dsn) == {
        "host": "here", "port": "5", "user": "me", "database": "db",
        "server_settings": {"search_path": '"a ""b", public', "pgcharter.schema": 'a "b'},
    }  # fmt: skip
