"""`pgcharter catalog export` and `catalog diff` from the outside."""

from __future__ import annotations

import json
from pathlib import Path

import psycopg
import pytest

from pgcharter.catalog import codec
from pgcharter.cli.failures import run
from pgcharter.errors import Exit
from pgcharter.sources import live

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def shop(database: str) -> str:
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute("CREATE TABLE items (id integer PRIMARY KEY, name text NOT NULL); CREATE VIEW names AS SELECT name FROM items")
    return database


def change(dsn: str, sql: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute(sql.encode())


def test_export_to_stdout_is_a_snapshot(shop: str, capsys: Capture) -> None:
    assert run(["catalog", "export", shop]) == Exit.FINE
    assert codec.loads(capsys.readouterr().out) == live.read(shop).catalog


def test_export_to_a_file_says_what_it_wrote(shop: str, tmp_path: Path, capsys: Capture) -> None:
    file = tmp_path / "shop.json"
    assert run(["catalog", "export", shop, "-o", str(file), "--cluster"]) == Exit.FINE
    out = capsys.readouterr()
    assert out.out == ""
    assert f"{file}: 1 table, 1 view of " in out.err
    snapshot = codec.load_snapshot(file.read_text("utf-8"))
    assert snapshot.cluster is not None
    assert snapshot.cluster.setting["server_version"]


def test_export_where_nothing_can_be_written(shop: str, capsys: Capture) -> None:
    assert run(["catalog", "export", shop, "-o", "/nonexistent/shop.json"]) == Exit.FAILED
    assert "/nonexistent/shop.json cannot be written: No such file or directory" in capsys.readouterr().err


def test_diff_with_a_snapshot(shop: str, tmp_path: Path, capsys: Capture) -> None:
    file = str(tmp_path / "shop.json")
    run(["catalog", "export", shop, "-o", file])
    capsys.readouterr()
    assert run(["catalog", "diff", file, shop]) == Exit.FINE
    assert capsys.readouterr().out.startswith("no difference between ")
    change(shop, "ALTER TABLE items ADD price numeric(8,2)")
    assert run(["catalog", "diff", file, shop]) == Exit.FINDINGS
    assert capsys.readouterr().out.splitlines()[0] == "+ column public.items.price"
    assert run(["catalog", "diff", shop, file]) == Exit.FINDINGS
    assert capsys.readouterr().out.splitlines()[0] == "- column public.items.price"
    assert run(["catalog", "diff", file, shop, "--ignore", "column"]) == Exit.FINE


def test_diff_as_json(shop: str, tmp_path: Path, capsys: Capture) -> None:
    file = str(tmp_path / "shop.json")
    run(["catalog", "export", shop, "-o", file])
    change(shop, "ALTER TABLE items ALTER name DROP NOT NULL; COMMENT ON TABLE items IS 'what we sell'")
    capsys.readouterr()
    assert run(["catalog", "diff", file, shop, "--format", "json"]) == Exit.FINDINGS
    told = json.loads(capsys.readouterr().out)
    assert (told["format"], told["version"], told["a"]) == ("pgcharter-catalog-diff", 1, file)
    assert {
        "change": "changed",
        "object": {"kind": "table", "schema": "public", "name": "items", "part": "", "sql": "public.items"},
        "field": "comment",
        "old": "",
        "new": "what we sell",
    } in told["differences"]
    assert {
        "change": "changed", "object": {"kind": "column", "schema": "public", "name": "items", "part": "name", "sql": "public.items.name"},
        "field": "not_null", "old": True, "new": False,
    } in told["differences"]  # fmt: skip


def test_diff_of_files_and_a_database(shop: str, tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "schema.sql").write_text(
        "CREATE TABLE items (id integer PRIMARY KEY, name text NOT NULL);\nCREATE VIEW names AS SELECT name FROM items;\n", "utf-8"
    )
    assert run(["catalog", "diff", str(tmp_path / "schema.sql"), shop]) == Exit.FINE, capsys.readouterr()
    assert "not compared, since files do not say it: owner, acl, database, default privileges" in capsys.readouterr().out
    change(shop, "CREATE INDEX ON items (name)")
    assert run(["catalog", "diff", str(tmp_path / "schema.sql"), shop]) == Exit.FINDINGS
    assert capsys.readouterr().out.splitlines()[0] == "+ index public.items_name_idx"


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": "pgcharter-catalog", "version": 99}'])
def test_a_damaged_snapshot(text: str, shop: str, tmp_path: Path, capsys: Capture) -> None:
    file = tmp_path / "shop.json"
    file.write_text(text, "utf-8")
    assert run(["catalog", "diff", str(file), shop]) in (Exit.USAGE, Exit.FAILED)
    err = capsys.readouterr().err
    assert "snapshot" in err
    assert "Traceback" not in err


def test_no_server_and_no_secret(capsys: Capture) -> None:
    assert run(["catalog", "export", "postgresql://me:hush-hush@localhost:1/shop"]) == Exit.FAILED
    err = capsys.readouterr().err
    assert "no server answers at localhost port 1" in err
    assert "hush-hush" not in err
