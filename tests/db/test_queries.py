"""Named queries: found, chosen by version, and each of the package's own fit for every supported version."""

from __future__ import annotations

import re

import pytest
from tests.conftest import every_major

from pgcharter.db import Connection
from pgcharter.db.queries import load, query

FILES = ("live.sql", "live_relations.sql", "live_objects.sql", "live_cluster.sql")
OWN = [(file, name) for file in FILES for name in load("pgcharter.sources", file)]


def test_the_newest_version_reached_is_chosen() -> None:
    text = {major: query("pgcharter.sources", "live_objects.sql", "database", major) for major in (14, 15, 16, 17, 18, 19)}
    assert "null, d.datacl" in text[14].replace("\n", "").replace("       ", " ")
    assert "d.daticulocale" in text[15]
    assert text[15] == text[16]
    assert "d.datlocale" in text[17]
    assert text[17] == text[18] == text[19]


@pytest.mark.parametrize("major", [14, 15, 16, 17, 18, 19])
def test_no_choice_is_left_open(major: int) -> None:
    for file, name in OWN:
        assert "{{" not in query("pgcharter.sources", file, name, major)


def test_every_relation_is_named_with_its_schema() -> None:
    for file, name in OWN:
        for relation in re.findall(r"\b(?:from|join)\s+(?:only\s+)?(pg_\w+(?:\.\w+)?)", query("pgcharter.sources", file, name, 18)):
            assert relation.startswith("pg_catalog."), f"{file} {name}: {relation}"


@every_major
def test_every_query_can_be_planned(conn: Connection, major: int) -> None:
    for file, name in OWN:
        conn.execute(f"EXPLAIN {query('pgcharter.sources', file, name, major)}")
