"""An editor in the tests: the real program, spoken to over its own stdin and stdout."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import pytest
from lsprotocol import types as lsp
from pygls.lsp.client import LanguageClient

T = TypeVar("T")


class Editor:
    """A client with one document open."""

    def __init__(self, client: LanguageClient, file: Path) -> None:
        self.client = client
        self.uri = file.as_uri()
        self.version = 0
        self.published: list[lsp.PublishDiagnosticsParams] = []
        self.logged: list[str] = []

    def open(self, text: str) -> None:
        self.version = 1
        item = lsp.TextDocumentItem(uri=self.uri, language_id="sql", version=1, text=text)
        self.client.text_document_did_open(lsp.DidOpenTextDocumentParams(item))

    def change(self, start: tuple[int, int], end: tuple[int, int], text: str) -> None:
        self.version += 1
        event = lsp.TextDocumentContentChangePartial(text=text, range=lsp.Range(lsp.Position(*start), lsp.Position(*end)))
        document = lsp.VersionedTextDocumentIdentifier(uri=self.uri, version=self.version)
        self.client.text_document_did_change(lsp.DidChangeTextDocumentParams(document, [event]))

    async def answer(self, number: int, seconds: float = 60) -> list[lsp.Diagnostic]:
        """The diagnostics of the `number`th publication (from 1)."""
        until = time.monotonic() + seconds
        while len(self.published) < number:
            assert time.monotonic() < until, f"{len(self.published)} publications, log {self.logged}"
            await asyncio.sleep(0.005)
        return list(self.published[number - 1].diagnostics)

    async def fixes(self, diagnostic: lsp.Diagnostic) -> list[lsp.CodeAction]:
        context = lsp.CodeActionContext(diagnostics=[diagnostic])
        wanted = lsp.CodeActionParams(lsp.TextDocumentIdentifier(self.uri), diagnostic.range, context)
        return list(await self.client.text_document_code_action_async(wanted) or [])  # type: ignore[arg-type]

    async def hover(self, line: int, character: int) -> str:
        wanted = lsp.HoverParams(lsp.TextDocumentIdentifier(self.uri), lsp.Position(line, character))
        found = await self.client.text_document_hover_async(wanted)
        return found.contents.value if found and isinstance(found.contents, lsp.MarkupContent) else ""


async def session(file: Path, act: Callable[[Editor], Awaitable[T]]) -> T:
    client = LanguageClient("test editor", "1")
    editor = Editor(client, file)
    client.feature(lsp.TEXT_DOCUMENT_PUBLISH_DIAGNOSTICS)(lambda params: editor.published.append(params))
    client.feature(lsp.WINDOW_LOG_MESSAGE)(lambda params: editor.logged.append(params.message))
    await client.start_io(sys.executable, "-m", "pgcharter", "lsp", cwd=str(file.parent))
    try:
        await client.initialize_async(lsp.InitializeParams(capabilities=lsp.ClientCapabilities(), root_uri=file.parent.as_uri()))
        client.initialized(lsp.InitializedParams())
        done = await act(editor)
        await client.shutdown_async(None)
        client.exit(None)
        await asyncio.wait_for(client._server.wait(), 30)  # type: ignore[union-attr]
    finally:
        await client.stop()
    return done


@pytest.fixture
def edit() -> Callable[[Path, Callable[[Editor], Awaitable[T]]], T]:
    """`edit(file, act)`: one session of an editor in which `act` does what a person would."""
    return lambda file, act: asyncio.run(session(file, act))
