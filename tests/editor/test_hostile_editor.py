"""What an editor, a person in a hurry and broken files may do to the language server."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from lsprotocol import types as lsp
from pygls.workspace import TextDocument

from pgcharter.editor import answers

Edit = Callable[[Path, Callable[[Any], Awaitable[Any]]], Any]
KEYLESS = "CREATE TABLE public.pets (name text);\n"
HELLO = (
    '{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"processId":null,"rootUri":null,"capabilities":{}}}',
    '{"jsonrpc":"2.0","method":"initialized","params":{}}',
)
GOODBYE = ('{"jsonrpc":"2.0","id":2,"method":"shutdown"}', '{"jsonrpc":"2.0","method":"exit"}')


def talk(folder: Path, *messages: str) -> subprocess.CompletedProcess[bytes]:
    spoken = b"".join(b"Content-Length: %d\r\n\r\n%s" % (len(m.encode()), m.encode()) for m in messages)
    return subprocess.run(
        [sys.executable, "-m", "pgcharter", "lsp"], cwd=folder, input=spoken, capture_output=True, timeout=60, check=False
    )


@pytest.mark.parametrize("last", [GOODBYE, ()], ids=["goodbye", "gone"])
def test_leaving_is_no_mistake(tmp_path: Path, last: tuple[str, ...]) -> None:
    done = talk(tmp_path, *HELLO, *last)
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_mistake_is_said_once_and_again_when_it_was_mended_wrongly(edit: Edit, tmp_path: Path) -> None:
    charter = tmp_path / "pgcharter.toml"
    charter.write_text('guide = "nope"\n')

    async def act(editor: Any) -> list[str]:
        editor.open(KEYLESS)
        for _ in range(5):
            editor.change((0, 0), (0, 0), " ")
        await asyncio.sleep(1)
        charter.write_text("[[[\n")
        saved = lsp.DidSaveTextDocumentParams(lsp.TextDocumentIdentifier(charter.as_uri()))
        editor.client.text_document_did_save(saved)
        editor.change((0, 0), (0, 0), " ")
        await asyncio.sleep(1)
        return list(editor.logged)

    said = edit(tmp_path / "x.sql", act)
    assert len(said) == 2
    assert 'there is no guide "nope"' in said[0]
    assert "is not valid TOML" in said[1]


def test_key_strokes_in_a_huge_document_do_not_queue_up(edit: Edit, tmp_path: Path) -> None:
    huge = "".join(f"CREATE TABLE public.t{n} (id int);\n" for n in range(6000))

    async def act(editor: Any) -> tuple[float, int]:
        editor.open(huge)
        await editor.answer(1)
        started = time.monotonic()
        for _ in range(20):
            editor.change((0, 0), (0, 0), " ")
        await editor.hover(0, 20)
        return time.monotonic() - started, len(editor.published)

    seconds, published = edit(tmp_path / "x.sql", act)
    assert published < 8
    assert seconds < 10


def actions(text: str, code: object, data: object, line: int = 0) -> list[lsp.CodeAction]:
    where = lsp.Range(lsp.Position(line, 0), lsp.Position(line, 1))
    diagnostic = lsp.Diagnostic(where, "x", code=code, source="pgcharter", data=data)  # type: ignore[arg-type]
    return list(answers.actions(diagnostic, TextDocument("file:///x.sql", text)))


@pytest.mark.parametrize("fix", [3, "ALTER", {"a": 1}, [3, None]])
def test_a_fix_that_is_none_is_not_offered(fix: object) -> None:
    assert [a.title for a in actions(KEYLESS, "KEY01", {"fix": fix})] == ["KEY01: allow it here, with a reason"]


@pytest.mark.parametrize(
    ("text", "code", "line"), [("\0", "KEY01", 0), (KEYLESS, "KEY01\nDROP TABLE pets; --", 0), (KEYLESS, None, 0), (KEYLESS, "KEY01", 9)]
)
def test_nothing_is_offered_where_nothing_fits(text: str, code: object, line: int) -> None:
    assert actions(text, code, {"fix": ["SELECT 1"]}, line) == []


def test_a_document_that_is_not_open_has_no_actions(edit: Edit, tmp_path: Path) -> None:
    async def act(editor: Any) -> object:
        where = lsp.Range(lsp.Position(0, 0), lsp.Position(0, 1))
        wrong = lsp.Diagnostic(where, "x", code="KEY01", source="pgcharter", data={"fix": ["SELECT 1"]})
        return await editor.fixes(wrong)

    assert edit(tmp_path / "gone.sql", act) == []


def test_what_is_printed_does_not_disturb_the_editor(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("import atexit\natexit.register(lambda: print('NOISE'))\n")
    spoken = b"".join(b"Content-Length: %d\r\n\r\n%s" % (len(m.encode()), m.encode()) for m in (*HELLO, *GOODBYE))
    done = subprocess.run(
        [sys.executable, "-m", "pgcharter", "lsp"], cwd=tmp_path, input=spoken, capture_output=True, timeout=60, check=False,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
    )  # fmt: skip
    assert done.returncode == 0
    assert b"NOISE" not in done.stdout
    assert b"NOISE" in done.stderr


def test_statements_that_share_a_line_are_told_apart(edit: Edit, tmp_path: Path) -> None:
    pets, toys = "CREATE TABLE public.pets (name text);", "CREATE TABLE public.toys (name text);"

    async def act(editor: Any) -> list[list[tuple[int, int]]]:
        editor.open(pets)
        await editor.answer(2)
        editor.change((0, 0), (0, 0), toys + "  ")
        return [[(d.range.start.line, d.range.start.character) for d in await editor.answer(n)] for n in (3, 4)]

    glance, built = edit(tmp_path / "x.sql", act)
    assert sorted(glance) == sorted(built) == [(0, 0), (0, len(toys) + 2)]


def test_ctrl_c_ends_it(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "pgcharter", "lsp"], cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as server:
        assert server.stdin
        assert server.stdout
        server.stdin.write(b"Content-Length: %d\r\n\r\n%s" % (len(HELLO[0]), HELLO[0].encode()))
        server.stdin.flush()
        assert server.stdout.readline().startswith(b"Content-Length")
        server.send_signal(signal.SIGINT)
        try:
            assert server.wait(10) == -signal.SIGINT
        finally:
            server.kill()
