"""Every example keeps its own guide and `core` on every version, as files and live, and gets another verdict from every other guide."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import cache

import pytest
from tests.conftest import every_major
from tests.examples.conftest import Copy, Open, Template, Up, files_of, finish, oldest_and_newest, one

from pgcharter import examples, guides, sources
from pgcharter.catalog.reading import Reading
from pgcharter.cli.project import open_project
from pgcharter.db import connect
from pgcharter.examples import build
from pgcharter.rules import engine
from pgcharter.servers.lifecycle import Server
from pgcharter.servers.scratch import Scratch
from pgcharter.sources import files, script

PROMISING = [name for name in examples.names() if (examples.folder(name) / "pgcharter.toml").is_file()]
"""The examples that promise something: that have a charter."""
every_example = pytest.mark.parametrize("example", PROMISING)
LEAST = 100
"""So many rules have to look at an example, whatever the guide."""
LOOK = {
    "clinic": {"CON30", "CST03", "CST04", "CST05", "DOC02", "DOC04", "DOC05", "NRM01", "SEC33", "TYP20", "TYP21"},
}
"""Rules that have to be among those, under the example's own guide."""
SEEDED = {
    "blog": {"users", "roles", "user_roles", "sessions", "posts", "comments", "donations", "events", "audit_entries"},
    "stock": {"users", "exchanges", "instruments", "stock_data", "orders", "watchlists", "watchlist_items"},
}
"""All the tables of these examples."""
EMPTY = {"teams": {"app.identity_documents"}}
"""Tables without a seed: what they hold is encrypted by an application, and there is none."""
Read = Callable[[str, int], Reading]

_script = cache(lambda example: script.load(str(examples.folder(example))))


@pytest.fixture(scope="session")
def built_files(scratch_of: Callable[[int | None], Scratch]) -> Read:
    """`built_files("blog", 17)`: what the files of the example lead to on that version."""

    @cache
    def read(example: str, major: int) -> Reading:
        with scratch_of(major).database() as database:
            return files.build_on(database, str(examples.folder(example)), _script(example))

    return read


def held(example: str, reading: Reading, guide: str) -> engine.Result:
    result = engine.run(reading, open_project(examples.folder(example), guide).guide)
    assert len(result.ran) >= LEAST, result.not_run
    assert not result.suppressed
    return result


def told(example: str, reading: Reading) -> list[str]:
    """All that the example's own guide and `core` say about it."""
    own = open_project(examples.folder(example)).guide.id
    assert own != "core"
    return [f"{guide} {f.code} {f.message}" for guide in (own, "core") for f in held(example, reading, guide).findings]


def test_every_guide_but_core_has_an_example_that_promises_it() -> None:
    assert set(examples.names()) - set(PROMISING) == {"legacy"}
    assert {open_project(examples.folder(name)).guide.id for name in PROMISING} == set(guides.available()) - {"core"}


@every_major
@every_example
def test_it_passes_as_files(built_files: Read, example: str, major: int) -> None:
    assert told(example, built_files(example, major)) == []
    own = open_project(examples.folder(example)).guide.id
    assert LOOK.get(example, set()) <= set(held(example, built_files(example, major), own).ran)


@every_major
@every_example
def test_it_passes_live(template_of: Template, major_server: Server, example: str, major: int) -> None:
    reading = sources.read(major_server.dsn(template_of(example, major_server)))
    assert told(example, replace(reading, cluster=None)) == []  # the settings of the tests' server are not the example's


@every_example
def test_it_asks_for_no_mercy(example: str) -> None:
    charter = open_project(examples.folder(example)).charter
    assert (charter.waivers, charter.paths) == ((), ())
    assert (charter.check.only, charter.check.skip, charter.check.known) == ((), (), "")
    assert charter.check.fail_on == "info"
    assert "pgcharter: allow" not in "".join(p.read_text() for p in examples.folder(example).rglob("*.sql"))


@pytest.mark.parametrize("example", examples.names())
def test_every_guide_reads_it_and_gives_its_own_verdict(built_files: Read, majors: tuple[int, ...], example: str) -> None:
    reading = built_files(example, max(majors))
    own = open_project(examples.folder(example)).guide.id
    found = {guide: Counter(f.code for f in held(example, reading, guide).findings) for guide in guides.available()}
    others = [guide for guide in found if found[guide] and guide not in (own, "core")]
    assert len(others) >= 2, found
    assert len({frozenset(found[guide].items()) for guide in others}) >= 2, found


@pytest.mark.parametrize("example", [name for name in PROMISING if name != "shop"])  # the shop is filled by a program: test_fill.py
def test_its_seeds_are_a_few_hundred_rows_and_fill_every_table(opened: Open, example: str) -> None:
    conn = opened(example)
    tables = conn.execute(
        """
        SELECT CASE relnamespace::regnamespace::text WHEN 'public' THEN '' ELSE relnamespace::regnamespace || '.' END || relname
        FROM pg_class WHERE relkind IN ('r', 'p') AND NOT relispartition
        AND relnamespace::regnamespace::text NOT IN ('pg_catalog', 'information_schema', 'pgcharter')
        """
    ).fetchall()
    counts = {name: one(conn, f"SELECT count(*) FROM {name}") for (name,) in tables}
    assert set(counts) == SEEDED.get(example, set(counts))
    assert {name for name, count in counts.items() if not count} == EMPTY.get(example, set()), counts
    assert 300 <= sum(count for name, count in counts.items() if "audit" not in name) < 1000, counts


UNDONE = "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'i', 'S', 'v')"


@oldest_and_newest
@pytest.mark.parametrize("example", ["blog", "stock"])
def test_every_file_can_be_undone_and_done_again(copy: Copy, example: str, major: int) -> None:
    all_files = files_of(example)
    with connect(copy(example)) as conn:
        whole = one(conn, UNDONE)
        for file in reversed(all_files):
            back = [s for s in file.parsed.statements if s.direction == "down" and s.kind != "transaction_stmt"]
            assert back, file.shown
            with conn.transaction():
                for statement in back:
                    conn.execute(statement.text.encode())
        assert one(conn, UNDONE) == 0
        assert one(conn, "SELECT count(*) FROM pg_proc WHERE pronamespace = 'public'::regnamespace") == 0
        assert one(conn, "SELECT count(*) FROM pg_default_acl") == 0
        conn.execute("DELETE FROM pgcharter.schema_migrations")
        assert build.build(conn, all_files) == len(all_files)
        assert one(conn, UNDONE) == whole > 0


@pytest.mark.parametrize("example", [name for name in PROMISING if name != "shop"])  # the shop comes up with its rows in test_up.py
def test_it_comes_up_with_its_own_server_and_is_fine(up: Up, example: str) -> None:
    out, _ = finish(up("--example", example, "--once", "--format", "json"), 0)
    document = json.loads(out)
    assert document["example"] == document["database"] == example
    assert document["build"]["applied"] == document["build"]["files"] == len(files_of(example))
    (target,) = document["check"]["targets"]
    assert target["guide"]["id"] == open_project(examples.folder(example)).guide.id
    assert (target["verdict"], target["findings"]) == ("fine", [])
