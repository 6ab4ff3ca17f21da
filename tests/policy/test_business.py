"""`[business]` on real servers: the table comes and goes, writers add and change nothing; wrong charters are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests.policy.by_hand import lose
from tests.policy.planned import applied, catalog

from pgcharter import charter
from pgcharter.catalog.compare import compare
from pgcharter.errors import CharterError
from pgcharter.migrate import planning
from pgcharter.migrate.planning import Planned, Wish
from pgcharter.migrate.policies import Chosen
from pgcharter.policy import business
from pgcharter.policy.business_settings import SECTION, BusinessSection


def planned(dsn: str, *chosen: Any) -> Planned:
    return planning.make(Wish("", dsn, chosen=Chosen(chosen)))


@pytest.mark.parametrize("major", [15, 18])
def test_come_and_gone(database: str, major: int) -> None:
    before = catalog(database)
    wish = business.policy(BusinessSection())
    assert applied(database, planned(database, wish)).proof
    assert planned(database, wish).plan.empty
    assert lose(database, planned(database))
    applied(database, planned(database))
    assert [d for d in compare(before, catalog(database)) if "pgcharter" not in (d.object.schema, d.object.name)] == []


def test_writers_add_and_change_nothing(database: str) -> None:
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute("CREATE ROLE bu_writer; CREATE ROLE bu_reader")
        try:
            applied(database, planned(database, business.policy(BusinessSection(writers=("bu_writer",), readers=("bu_reader",)))))
            add = (
                "INSERT INTO pgcharter.business_results (rule, checked_at, state, threshold, direction, title)"
                " VALUES ('a', now(), 'no_data', 1, 'below', 'A')"
            )
            conn.execute("SET ROLE bu_writer")
            conn.execute(add.encode())
            for forbidden in ("UPDATE pgcharter.business_results SET value = 1", "DELETE FROM pgcharter.business_results"):
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    conn.execute(forbidden.encode())
            conn.execute("SET ROLE bu_reader")
            assert conn.execute("SELECT count(*) FROM pgcharter.business_results").fetchall() == [(1,)]
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                conn.execute(add.encode())
        finally:
            conn.execute("RESET ROLE; DROP OWNED BY bu_writer, bu_reader; DROP ROLE bu_writer, bu_reader")


RULE = '[[business.rule]]\nid = "a"\ntitle = "A"\nthreshold = 1\n'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f'{RULE}sql = "SELECT 1; SELECT 2"', "it holds 2 statements"),
        (f'{RULE}sql = "DELETE FROM a RETURNING 1"', "it is a delete statement"),
        (f'{RULE}sql = "WITH gone AS (DELETE FROM a RETURNING 1) SELECT count(*) FROM gone"', "it holds DELETE"),
        (f'{RULE}sql = "SELECT 1 INTO b"', "it makes a table"),
        (f'{RULE}sql = "SELECT 1 FROM a FOR UPDATE"', "it locks rows"),
        (f'{RULE}sql = "SELECT pg_terminate_backend(1)"', "no rollback takes back"),
        (f'{RULE}sql = "SELEC 1"', "syntax error"),
        (f'{RULE}sql = ""', "it holds 0 statements"),
        (f'{RULE}sql = "SELECT 1"\ntimeout = 601', "between 1 and 600"),
        (f'{RULE}sql = "SELECT 1"\ndirection = "under"', '"direction" must be'),
        (f'{RULE}sql = "SELECT 1"\n{RULE}sql = "SELECT 1"', "two business rules are called a"),
        ('[[business.rule]]\nid = "A b"\ntitle = "A"\nthreshold = 1\nsql = "SELECT 1"', "no id of a rule"),
        ('[[business.rule]]\nid = "a"\ntitle = "A"\nsql = "SELECT 1"', 'has no "threshold"'),
        ('[[business.rule]]\nid = "a"\ntitle = "A"\nsql = "SELECT 1"\nthreshold = nan', "must be a number"),
        ('[business]\nkeep = "1h"', "less than a day"),
    ],
)
def test_wrong_charters_are_refused(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "pgcharter.toml"
    path.write_text(text)
    with pytest.raises(CharterError, match=said):
        charter.read(path, sections=[SECTION])
