"""Folders: order, up and down, includes."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.sources.conftest import Read
from tests.sources.test_files import tables

from pgcharter import sources
from pgcharter.sources.layout import find


def lay(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, "utf-8")
    return folder


def test_numbers_order_by_value_and_hidden_folders_are_left_alone(tmp_path: Path) -> None:
    lay(
        tmp_path,
        dict.fromkeys(["10_b.sql", "2_a.sql", "1_z.sql", ".git/0.sql", "node_modules/0.sql", "readme.txt", "sub/1.sql"], "SELECT 1;"),
    )
    names = [f.path.relative_to(tmp_path).as_posix() for f in find(str(tmp_path))[1]]
    assert names == ["1_z.sql", "2_a.sql", "10_b.sql", "sub/1.sql"]


def test_flyway_order_and_undo_files(tmp_path: Path) -> None:
    lay(tmp_path, dict.fromkeys(["V1_10__c.sql", "V1_2__b.sql", "R__views.sql", "V1__a.sql", "U1__a.sql"], "SELECT 1;"))
    found = find(str(tmp_path))[1]
    assert [f.path.name for f in found if f.direction == "up"] == ["V1__a.sql", "V1_2__b.sql", "V1_10__c.sql", "R__views.sql"]
    assert [f.path.name for f in found if f.direction == "down"] == ["U1__a.sql"]


@pytest.mark.parametrize("down", ["1_a.down.sql", "down/1_a.sql", "1_a_down.sql", "revert/1_a.sql", "1_a.rollback.sql", "1/down.sql"])
def test_files_that_lead_back_are_read_but_not_run(down: str, tmp_path: Path, read: Read) -> None:
    lay(tmp_path, {"1_a.up.sql": "CREATE TABLE t (x int);", down: "DROP TABLE t;"})
    reading = read(tmp_path)
    assert tables(reading) == ["public.t"]
    assert sorted(s.direction for s in reading.statements) == ["down", "up"]


def test_sections_that_lead_back_are_read_but_not_run(tmp_path: Path, read: Read) -> None:
    lay(tmp_path, {"1.sql": "-- +goose Up\nCREATE TABLE t (x int);\n-- +goose Down\nDROP TABLE t;\n",
                   "2.sql": "-- migrate:up\nCREATE TABLE u (x int);\n-- migrate:down\nDROP TABLE u;\n"})  # fmt: skip
    assert tables(read(tmp_path)) == ["public.t", "public.u"]


def test_sqitch_runs_deploy_in_the_order_of_its_plan(tmp_path: Path, read: Read) -> None:
    lay(tmp_path, {
        "sqitch.plan": "%project=x\n\nzebra 2026-01-01T00:00:00Z A <a@b> # first\napple [zebra] 2026-01-02T00:00:00Z A <a@b> # second\n",
        "deploy/zebra.sql": "CREATE TABLE zebra (x int PRIMARY KEY);", "deploy/apple.sql": "CREATE TABLE apple (x int REFERENCES zebra);",
        "revert/zebra.sql": "DROP TABLE zebra;", "verify/zebra.sql": "SELECT x FROM zebra WHERE false;",
    })  # fmt: skip
    reading = read(tmp_path)
    assert tables(reading) == ["public.apple", "public.zebra"]
    assert reading.findings == ()


def test_includes_run_in_their_place_and_only_once(tmp_path: Path, read: Read) -> None:
    lay(tmp_path, {
        "a_main.sql": "CREATE TABLE one (x int PRIMARY KEY);\n\\ir parts/two.sql\nCREATE TABLE three (x int REFERENCES two);\n",
        "parts/two.sql": "CREATE TABLE two (x int PRIMARY KEY REFERENCES one);\n\\i parts/deep.sql\n",
        "parts/deep.sql": "CREATE TABLE deep (x int REFERENCES two);\n",
    })  # fmt: skip
    reading = read(tmp_path)
    assert reading.findings == ()
    assert tables(reading) == ["public.deep", "public.one", "public.three", "public.two"]
    places = {str(p.file).rpartition("/")[2] for p in reading.places.values()}
    assert places == {"a_main.sql", "two.sql", "deep.sql"}


def test_a_single_file_includes_its_neighbours(tmp_path: Path, read: Read) -> None:
    lay(tmp_path, {"main.sql": "\\i two.sql\nCREATE TABLE one (x int);", "two.sql": "CREATE TABLE two (x int);"})
    assert tables(read(tmp_path / "main.sql")) == ["public.one", "public.two"]


def test_includes_never_leave_the_folder_and_never_loop(tmp_path: Path, read: Read) -> None:
    lay(
        tmp_path,
        {
            "secret.sql": "CREATE TABLE secret (x int);",
            "in/a.sql": "\\i ../secret.sql\n\\i /etc/passwd\n\\i gone.sql\n\\i a.sql\nSELECT 1;",
        },
    )
    reading = read(tmp_path / "in" / "a.sql")
    assert tables(reading) == []
    assert [g.why.split(",")[0] for g in reading.gaps] == ["not included: it lies outside the folder"] * 2 + [
        "not included: there is no such file"
    ]


def test_a_symlink_out_of_the_folder_is_not_included(tmp_path: Path, read: Read) -> None:
    lay(tmp_path, {"secret.sql": "CREATE TABLE secret (x int);", "in/a.sql": "\\i link.sql\nCREATE TABLE t (x int);"})
    (tmp_path / "in" / "link.sql").symlink_to(tmp_path / "secret.sql")
    assert tables(read(tmp_path / "in" / "a.sql")) == ["public.t"]


def test_files_are_shown_as_the_user_named_the_target(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lay(tmp_path, {"m/1.sql": "SELECT 1;"})
    monkeypatch.chdir(tmp_path)
    assert sources.read("m", server=False).statements[0].place.file == "m/1.sql"
    assert sources.read("./m/1.sql", server=False).statements[0].place.file == "./m/1.sql"
