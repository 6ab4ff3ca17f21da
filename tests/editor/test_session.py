"""The language server spoken to over its protocol: findings, quick fixes, hovering, and charters that hold."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from lsprotocol import types as lsp

Edit = Callable[[Path, Callable[[Any], Awaitable[Any]]], Any]
SCHEMA = """\
-- people
CREATE TABLE public.people (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    born timestamp
);

CREATE TABLE public.pets (
    name text,
    owner bigint REFERENCES public.people (id)
);
"""


def codes(found: list[lsp.Diagnostic]) -> list[tuple[object, int]]:
    return sorted((d.code, d.range.start.line + 1) for d in found)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "schema.sql"
    path.write_text(SCHEMA)
    return path


def test_a_glance_then_a_build(edit: Edit, file: Path) -> None:
    async def act(editor: Any) -> tuple[list[lsp.Diagnostic], list[lsp.Diagnostic]]:
        editor.open(SCHEMA)
        return await editor.answer(1), await editor.answer(2)

    glance, built = edit(file, act)
    assert ("KEY01", 7) in codes(glance)
    assert ("TYP01", 4) in codes(built)
    assert ("KEY20", 9) in codes(built)
    (wrong,) = [d for d in built if d.code == "TYP01"]
    assert (wrong.source, wrong.severity) == ("pgcharter", lsp.DiagnosticSeverity.Warning)
    assert (wrong.range.start.character, wrong.range.end.character) == (4, 18)


def test_findings_follow_their_statements_while_one_types(edit: Edit, file: Path) -> None:
    async def act(editor: Any) -> list[lsp.Diagnostic]:
        editor.open(SCHEMA)
        await editor.answer(2)
        editor.change((0, 0), (0, 0), "\n\nSELECT 1;\n")
        return await editor.answer(3)

    moved = edit(file, act)
    assert {("TYP01", 7), ("KEY20", 12), ("KEY01", 10)} <= set(codes(moved))


def test_a_quick_fix_clears_its_finding(edit: Edit, file: Path) -> None:
    async def act(editor: Any) -> tuple[list[str], list[lsp.Diagnostic]]:
        editor.open(SCHEMA)
        built = await editor.answer(2)
        (wrong,) = [d for d in built if d.code == "KEY20"]
        offered = await editor.fixes(wrong)
        (change,) = offered[0].edit.changes[editor.uri]
        before = len(editor.published)
        start, end = change.range.start, change.range.end
        editor.change((start.line, start.character), (end.line, end.character), change.new_text)
        return [a.title for a in offered], await editor.answer(before + 2)

    titles, after = edit(file, act)
    assert titles[0].startswith("KEY20: add CREATE INDEX ")
    assert titles[1] == "KEY20: allow it here, with a reason"
    assert "KEY20" not in {d.code for d in after}
    assert "KEY01" in {d.code for d in after}


def test_allowing_puts_the_comment_above_the_statement(edit: Edit, file: Path) -> None:
    async def act(editor: Any) -> lsp.TextEdit:
        editor.open(SCHEMA)
        glance = await editor.answer(1)
        (wrong,) = [d for d in glance if d.code == "KEY01"]
        offered = await editor.fixes(wrong)
        return offered[-1].edit.changes[editor.uri][0]

    change = edit(file, act)
    assert (change.range.start.line, change.range.start.character) == (6, 0)
    assert change.new_text == "-- pgcharter: allow KEY01 because say why\n"


def test_hovering_explains_the_rule(edit: Edit, file: Path) -> None:
    async def act(editor: Any) -> tuple[str, str]:
        editor.open(SCHEMA)
        await editor.answer(2)
        return await editor.hover(3, 6), await editor.hover(0, 2)

    inside, outside = edit(file, act)
    assert inside.startswith("**TYP01 timestamp-without-time-zone**")
    assert "*Instead:*" in inside
    assert outside == ""


def test_the_charter_around_the_file_holds(edit: Edit, tmp_path: Path) -> None:
    (tmp_path / "pgcharter.toml").write_text('[check]\ntargets = ["migrations"]\n\n[severity]\nKEY01 = "off"\n')
    folder = tmp_path / "migrations"
    folder.mkdir()
    (folder / "001_people.sql").write_text("CREATE TABLE public.people (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY);\n")
    text = "CREATE TABLE public.pets (owner bigint REFERENCES public.people (id));\n"
    (folder / "002_pets.sql").write_text("-- not saved yet\n")

    async def act(editor: Any) -> list[lsp.Diagnostic]:
        editor.open(text)
        await editor.answer(1)
        return await editor.answer(2)

    assert codes(edit(folder / "002_pets.sql", act)) == [("KEY20", 1)]


def test_a_charter_with_a_mistake_is_told_in_the_log(edit: Edit, tmp_path: Path) -> None:
    (tmp_path / "pgcharter.toml").write_text('guide = "cloudlb"\n')

    async def act(editor: Any) -> list[str]:
        import asyncio

        editor.open("SELECT 1;\n")
        for _ in range(1000):
            if editor.logged:
                break
            await asyncio.sleep(0.01)
        return list(editor.logged)

    assert 'there is no guide "cloudlb"' in edit(tmp_path / "x.sql", act)[0]


def test_text_that_is_no_sql_yet(edit: Edit, file: Path) -> None:
    async def act(editor: Any) -> tuple[list[lsp.Diagnostic], list[lsp.Diagnostic]]:
        editor.open("CREATE TABLE public.x (\n")
        first = await editor.answer(1)
        editor.change((0, 0), (1, 0), "")
        return first, await editor.answer(len(editor.published) + 1)

    broken, empty = edit(file, act)
    assert [d.code for d in broken] == ["SRC02"]
    assert empty == []


def test_characters_outside_the_basic_plane_count_as_the_editor_counts(edit: Edit, file: Path) -> None:
    text = "/* 😀😀 */ CREATE TABLE public.pets (name text);\n"

    async def act(editor: Any) -> list[lsp.Diagnostic]:
        editor.open(text)
        return await editor.answer(1)

    (found,) = [d for d in edit(file, act) if d.code == "KEY01"]
    start, end = found.range.start.character, found.range.end.character
    assert text.encode("utf-16-le")[2 * start : 2 * end].decode("utf-16-le") == "CREATE TABLE public.pets"


def test_nothing_is_left_running(edit: Edit, file: Path) -> None:
    import psutil

    async def act(editor: Any) -> set[int]:
        editor.open(SCHEMA)
        await editor.answer(2)
        program = psutil.Process(editor.client._server.pid)
        return {p.pid for p in program.children(recursive=True) if "postgres" in p.name()}

    started = edit(file, act)
    assert started
    assert not [pid for pid in started if psutil.pid_exists(pid)]
