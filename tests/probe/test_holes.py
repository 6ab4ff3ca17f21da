"""Every hole of the corpus is found by an attack, and right schemas are let alone."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pgcharter import examples, sources
from pgcharter.probe.run import probe
from pgcharter.servers.lifecycle import Server
from pgcharter.servers.scratch import Scratch
from pgcharter.sources import live

sys.path.insert(0, str(Path(__file__).parent))

import cases

NEWEST, OLDEST = 18, 15
QUICK = (
    "check_true", "definer_json", "definer_writes", "history_open", "immutable_context", "leakproof", "notify_tells", "null_is_all",
    "policy_temp_table", "shared_rows_open", "trigger_constant_key", "unique_email", "view_no_barrier",
)  # fmt: skip
"""Holes that are looked for in every run; the others are in the slow one."""

Servers = Callable[[int | None], Server]
Scratches = Callable[[int | None], Scratch]


def every(folder: list[Path]) -> list[object]:
    return [
        pytest.param(case, major, id=f"{case.stem}-pg{major}", marks=() if major == NEWEST and case.stem in QUICK else pytest.mark.slow)
        for major in (NEWEST, OLDEST)
        for case in folder
        if cases.concerns(case, major)
    ]


@pytest.mark.parametrize(("case", "major"), every(cases.HOLES))
def test_hole_is_found(case: Path, major: int, server_of: Servers, scratch_of: Scratches) -> None:
    found = cases.probed(case, server_of(major), scratch_of(major))
    assert cases.wanted(case), "the case says what must be found"
    assert cases.wanted(case) <= cases.said(found.holes)
    assert not found.gaps


@pytest.mark.parametrize("major", [NEWEST, OLDEST])
@pytest.mark.parametrize("case", cases.RIGHT, ids=lambda case: case.stem)
def test_right_is_let_alone(case: Path, major: int, server_of: Servers, scratch_of: Scratches) -> None:
    found = cases.probed(case, server_of(major), scratch_of(major))
    assert cases.said(found.holes) == set()
    assert found.guarded
    assert any("SELECT" in c.verbs for c in found.cells), "somebody sees rows of the own tenant, else silence says nothing"
    assert not found.gaps


def test_the_corpus_is_large_enough() -> None:
    assert len(cases.HOLES) >= 90


@pytest.mark.parametrize("name", ["clinic", "teams", pytest.param("shop", marks=pytest.mark.slow)])
def test_examples_are_let_alone(name: str, scratch_of: Scratches) -> None:
    folder = Path(examples.__file__).parent / name / "migrations"
    catalog = sources.read(str(folder)).catalog
    assert catalog is not None
    found = probe(scratch_of(NEWEST), catalog)
    assert cases.said(found.holes) == set()
    assert found.guarded


def test_a_function_that_never_ends_is_let_alone_after_the_first_call(server_of: Servers, scratch_of: Scratches) -> None:
    endless = """
    CREATE ROLE prb_api LOGIN; CREATE SCHEMA app; GRANT USAGE ON SCHEMA app TO prb_api;
    CREATE FUNCTION app.endless() RETURNS integer LANGUAGE plpgsql AS $$ BEGIN LOOP END LOOP; END $$;
    CREATE FUNCTION app.escapes() RETURNS text LANGUAGE plpgsql AS $$ BEGIN
        SET SESSION AUTHORIZATION DEFAULT; RETURN (SELECT rolname FROM pg_roles WHERE rolname = current_user AND rolsuper); END $$;
    GRANT USAGE ON SCHEMA app TO PUBLIC;
    """
    with cases.built(server_of(NEWEST), [endless]) as conn:
        catalog, cluster = live.read_catalog(conn), live.read_cluster(conn)
    found = probe(scratch_of(NEWEST), catalog, cluster)
    assert [g.what for g in found.gaps] == ["function app.endless()"]
    assert found.attacks < 30
