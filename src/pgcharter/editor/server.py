"""The language server: what an editor says is passed to the checker, what the checker finds is passed back."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from lsprotocol import types as lsp
from pygls.lsp.server import LanguageServer
from pygls.uris import to_fs_path
from pygls.workspace import TextDocument

from pgcharter import __version__
from pgcharter.editor import answers
from pgcharter.editor.checker import Checker, Opener
from pgcharter.errors import PgcharterError
from pgcharter.findings import Finding
from pgcharter.redact import redact

QUIET = 0.4
"""Seconds without a key stroke before a build begins."""
SLOW = 0.2
"""Seconds of a glance from which on it is not taken with every key stroke."""
LONG = 100_000
"""Characters from which on a document, and not a cold start, may be what makes a glance slow."""
LONGEST = 1.0
"""Seconds that a slow glance waits at most."""
_WATCHED = lsp.DidChangeWatchedFilesRegistrationOptions(watchers=[lsp.FileSystemWatcher(glob_pattern="**/*.toml")])


@dataclass
class _Open:
    """A document that is open."""

    path: Path
    task: asyncio.Task[None] | None = None
    seconds: float = 0
    """What the last glance at it took."""
    shown: list[lsp.Diagnostic] = field(default_factory=list)


class Server(LanguageServer):
    """One editor's language server."""

    def __init__(self, opener: Opener) -> None:
        super().__init__("pgcharter", __version__)
        self.checker = Checker(opener)
        self.open: dict[str, _Open] = {}
        self.said: set[str] = set()
        self.builds = ThreadPoolExecutor(max_workers=1, thread_name_prefix="build")

    def forget_charters(self) -> None:
        """A charter or guide was saved: read them anew, and tell again what is wrong in them."""
        self.said.clear()
        self.checker.forget_charters()

    def follow(self, uri: str) -> None:
        """Look at a document anew: at a glance now, in full when it has been quiet for a while. A document that takes long at a glance
        waits as long first, so that key strokes do not queue up."""
        known = self.open.setdefault(uri, _Open(_path(uri)))
        if known.task:
            known.task.cancel()
        slow = known.seconds >= SLOW and len(self.workspace.get_text_document(uri).source) >= LONG
        if not slow:
            self.glance(uri, known)
        known.task = asyncio.get_running_loop().create_task(self._later(uri, known, glance=slow))

    async def _later(self, uri: str, known: _Open, *, glance: bool) -> None:
        if glance:
            await asyncio.sleep(min(known.seconds, LONGEST))
            self.glance(uri, known)
        await self._build(uri, known)

    def glance(self, uri: str, known: _Open) -> None:
        """Publish what the text alone shows."""
        started = time.monotonic()
        self._glance(uri, known)
        known.seconds = time.monotonic() - started

    def _glance(self, uri: str, known: _Open) -> None:
        document = self.workspace.get_text_document(uri)
        try:
            self._publish(document, known, self.checker.glance(known.path, document.source))
        except PgcharterError as error:
            self._say(error)

    async def _build(self, uri: str, known: _Open) -> None:
        await asyncio.sleep(QUIET)
        document = self.workspace.get_text_document(uri)
        version, text = document.version, document.source
        unsaved = {other.path: self.workspace.get_text_document(u).source for u, other in self.open.items()}
        work = asyncio.get_running_loop().run_in_executor(self.builds, self.checker.build, known.path, text, unsaved)
        try:
            found = await work
        except PgcharterError as error:
            self._say(error)
            return
        if uri in self.open and self.workspace.get_text_document(uri).version == version:
            self._publish(document, known, found)

    def _publish(self, document: TextDocument, known: _Open, findings: list[Finding]) -> None:
        known.shown = answers.diagnostics(findings, document)
        self.text_document_publish_diagnostics(
            lsp.PublishDiagnosticsParams(uri=document.uri, diagnostics=known.shown, version=document.version)
        )

    def _say(self, error: PgcharterError) -> None:
        """Into the editor's log, once and not with every key stroke: a mistake in the charter, or no PostgreSQL at hand."""
        words = "".join([f"{error.place}: " if error.place else "", error.message, f" ({error.hint})" if error.hint else ""])
        if words not in self.said:
            self.said.add(words)
            self.window_log_message(lsp.LogMessageParams(type=lsp.MessageType.Warning, message=redact(words)))

    def close(self, uri: str) -> None:
        """A document was closed: nothing is said about it any more."""
        known = self.open.pop(uri, None)
        if known:
            if known.task:
                known.task.cancel()
            self.checker.forget(known.path)
            self.text_document_publish_diagnostics(lsp.PublishDiagnosticsParams(uri=uri, diagnostics=[]))

    def stop(self) -> None:
        """Let a build that is under way end, then stop the server that builds."""
        for known in self.open.values():
            if known.task:
                known.task.cancel()
        self.builds.shutdown(wait=True, cancel_futures=True)
        self.checker.close()


def _path(uri: str) -> Path:
    """The file that `uri` names; what can be none is taken for a new one here."""
    try:
        return Path(to_fs_path(uri) or uri.rpartition(":")[2]).resolve()
    except (ValueError, OSError, RuntimeError):
        return Path("untitled.sql").resolve()


def make(opener: Opener) -> Server:
    """A language server whose files are held against what `opener` finds for them."""
    server = Server(opener)

    @server.feature(lsp.TEXT_DOCUMENT_DID_OPEN)
    async def opened(params: lsp.DidOpenTextDocumentParams) -> None:
        server.follow(params.text_document.uri)

    @server.feature(lsp.TEXT_DOCUMENT_DID_CHANGE)
    async def changed(params: lsp.DidChangeTextDocumentParams) -> None:
        server.follow(params.text_document.uri)

    @server.feature(lsp.INITIALIZED)
    async def initialized(_: lsp.InitializedParams) -> None:
        server.builds.submit(server.checker.warm, Path(server.workspace.root_path or ".").resolve())
        workspace = server.client_capabilities.workspace
        watching = workspace.did_change_watched_files if workspace else None
        if watching and watching.dynamic_registration:
            wanted = lsp.Registration(id="charters", method=lsp.WORKSPACE_DID_CHANGE_WATCHED_FILES, register_options=_WATCHED)
            await server.client_register_capability_async(lsp.RegistrationParams(registrations=[wanted]))

    @server.feature(lsp.TEXT_DOCUMENT_DID_SAVE)
    async def saved(params: lsp.DidSaveTextDocumentParams) -> None:
        if params.text_document.uri.endswith(".toml"):
            server.forget_charters()
        server.checker.forget_charters()

    @server.feature(lsp.TEXT_DOCUMENT_DID_CLOSE)
    async def closed(params: lsp.DidCloseTextDocumentParams) -> None:
        server.close(params.text_document.uri)

    @server.feature(lsp.WORKSPACE_DID_CHANGE_WATCHED_FILES)
    async def watched(params: lsp.DidChangeWatchedFilesParams) -> None:
        if any(_path(change.uri).suffix == ".toml" for change in params.changes):
            server.forget_charters()
        for uri in list(server.open):
            server.follow(uri)

    @server.feature(lsp.TEXT_DOCUMENT_CODE_ACTION, lsp.CodeActionOptions(code_action_kinds=[lsp.CodeActionKind.QuickFix]))
    def act(params: lsp.CodeActionParams) -> list[lsp.CodeAction]:
        if params.text_document.uri not in server.open:
            return []
        document = server.workspace.get_text_document(params.text_document.uri)
        ours = [d for d in params.context.diagnostics if d.source == "pgcharter"]
        return [action for d in ours for action in answers.actions(d, document)]

    @server.feature(lsp.TEXT_DOCUMENT_HOVER)
    def rest(params: lsp.HoverParams) -> lsp.Hover | None:
        known = server.open.get(params.text_document.uri)
        text = answers.hover(params.position, known.shown) if known else ""
        return lsp.Hover(lsp.MarkupContent(lsp.MarkupKind.Markdown, text)) if text else None

    return server


def serve(opener: Opener, stdin: BinaryIO | None = None, stdout: BinaryIO | None = None) -> None:
    """Speak with one editor over stdin and stdout until it leaves."""
    server = make(opener)
    try:
        server.start_io(stdin, stdout)
    finally:
        server.stop()
