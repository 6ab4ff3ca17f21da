"""Findings in the words of the Language Server Protocol: diagnostics, quick fixes, and what to say when the pointer rests on one."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from lsprotocol import types as lsp
from pygls.workspace import ServerTextPosition, ServerTextRange, TextDocument

from pgcharter.errors import PgcharterError
from pgcharter.findings import Finding, Severity
from pgcharter.render.source_codes import described
from pgcharter.sqltext import Statement, parse

_SEVERITY = {
    Severity.ERROR: lsp.DiagnosticSeverity.Error,
    Severity.WARNING: lsp.DiagnosticSeverity.Warning,
    Severity.INFO: lsp.DiagnosticSeverity.Information,
}
_WORD = re.compile(r"\S[^,;(]*[^\s,;(]|\S")
_CODE = re.compile(r"[\w.-]+\Z")
REASON = "say why"
"""Stands where the reason of a suppression belongs."""


def diagnostics(findings: Iterable[Finding], document: TextDocument) -> list[lsp.Diagnostic]:
    """`findings` as the editor underlines them."""
    lines, codec = document.lines, document.position_codec
    return [_diagnostic(f, codec.range_to_client_units(lines, _range(f, lines))) for f in findings]


def _diagnostic(found: Finding, where: lsp.Range) -> lsp.Diagnostic:
    return lsp.Diagnostic(
        range=where,
        message=found.message + (f"\n{found.hint}" if found.hint else ""),
        severity=_SEVERITY[found.severity],
        code=found.code,
        source="pgcharter",
        data={"key": found.key, "fix": list(found.fix)},
    )


def _range(found: Finding, lines: Sequence[str]) -> ServerTextRange:
    """From the finding's place to the end of the words that stand there."""
    line = min(found.place.line if found.place else 1, max(len(lines), 1)) - 1
    text = lines[line].rstrip("\r\n") if lines else ""
    start = min(found.place.column - 1 if found.place else 0, len(text))
    words = _WORD.match(text, start)
    end = words.end() if words else max(start, len(text.rstrip()))
    return ServerTextRange(ServerTextPosition(line, start), ServerTextPosition(line, end))


def actions(diagnostic: lsp.Diagnostic, document: TextDocument) -> Iterator[lsp.CodeAction]:
    """What can be done about a diagnostic: put its fix behind the statement, or allow it with a reason."""
    data = diagnostic.data if isinstance(diagnostic.data, dict) else {}
    statement = _statement(document, diagnostic.range.start.line + 1)
    if statement is None or not isinstance(diagnostic.code, str) or not _CODE.match(diagnostic.code):
        return
    written = data.get("fix")
    fix = [s.rstrip().rstrip(";") + ";" for s in written if isinstance(s, str)] if isinstance(written, list | tuple) else []
    if fix:
        head = " ".join(fix[0].split())
        title = f"{diagnostic.code}: add {head if len(head) <= 60 else head[:59] + '…'}"
        yield _action(title, diagnostic, document, _behind(document, statement), "\n" + "\n".join(fix), preferred=True)
    if not diagnostic.code.startswith("SRC"):
        line = document.lines[statement.place.line - 1]
        indent = line[: len(line) - len(line.lstrip())]
        comment = f"{indent}-- pgcharter: allow {diagnostic.code} because {REASON}\n"
        yield _action(f"{diagnostic.code}: allow it here, with a reason", diagnostic, document, (statement.place.line - 1, 0), comment)


def _action(
    title: str, diagnostic: lsp.Diagnostic, document: TextDocument, at: tuple[int, int], text: str, *, preferred: bool = False
) -> lsp.CodeAction:
    here = document.position_to_client_units(ServerTextPosition(*at))
    change = lsp.TextEdit(range=lsp.Range(here, here), new_text=text)
    return lsp.CodeAction(
        title=title,
        kind=lsp.CodeActionKind.QuickFix,
        diagnostics=[diagnostic],
        is_preferred=preferred or None,
        edit=lsp.WorkspaceEdit(changes={document.uri: [change]}),
    )


def _statement(document: TextDocument, line: int) -> Statement | None:
    """The statement that stands on a line (from 1)."""
    try:
        found = parse(document.source, "").statements
    except PgcharterError:
        return None
    return next((s for s in found if s.place.line <= line <= (s.place.end_line or s.place.line)), None)


def _behind(document: TextDocument, statement: Statement) -> tuple[int, int]:
    """Line and character behind a statement, its semicolon and the comment that ends the line."""
    source = document.source
    end = statement.offset + len(statement.text)
    semicolon = re.compile(r"\s*;").match(source, end)
    end = semicolon.end() if semicolon else end
    rest = re.compile(r"[ \t]*--[^\r\n]*|[ \t]+(?=[\r\n]|\Z)").match(source, end)
    before = source[: rest.end() if rest else end]
    last = before.rsplit("\n", 1)[-1]
    return before.count("\n"), len(last)


def hover(at: lsp.Position, found: Sequence[lsp.Diagnostic]) -> str:
    """Markdown about the rules that have something to say where the pointer rests; empty when none has."""
    codes = dict.fromkeys(str(d.code) for d in found if d.range.start.line == at.line and _inside(at, d.range))
    return "\n\n---\n\n".join(filter(None, map(_explained, codes)))


def _inside(at: lsp.Position, where: lsp.Range) -> bool:
    return where.start.character <= at.character <= where.end.character or where.start.line < where.end.line


def _explained(code: str) -> str:
    known = described(code)
    if known is None:
        return ""
    parts = [f"**{known.code} {known.slug}**: {known.title}", known.why, f"*Instead:* {known.instead}" if known.instead else ""]
    return "\n\n".join(filter(None, parts))
