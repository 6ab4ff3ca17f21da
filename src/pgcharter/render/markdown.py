"""A verdict as Markdown for a comment on a pull request: short, details folded, never longer than a code host takes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from pgcharter.findings import Finding, Severity
from pgcharter.redact import redact
from pgcharter.render.github import totals
from pgcharter.render.locations import Root, address
from pgcharter.render.page import clean
from pgcharter.render.phrases import first_sentence, plural
from pgcharter.render.report import Report
from pgcharter.render.secrets import fix_lines
from pgcharter.render.source_codes import described
from pgcharter.render.states import not_counted

MARKER = "<!-- pgcharter:check -->"
"""First line of every comment, by which the next run finds the one to update."""
LIMIT = 65_536
"""Characters that GitHub takes in one comment."""
_TAIL = 1_500
"""Characters kept back for what stands at the end: what was left out, what was allowed, what was not seen."""
_NOTES = 5
"""Gaps and waiver problems told one by one."""
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>()~|!$])")
_MARKS = {Severity.ERROR: "❌", Severity.WARNING: "⚠️", Severity.INFO: "ℹ️"}


def write(reports: Sequence[Report], root: Root, limit: int = LIMIT) -> Iterator[str]:
    """The comment in pieces."""
    room = limit - _TAIL
    left = 0
    for piece, findings in _pieces(reports, root):
        size = len(piece.encode("utf-16-le", "surrogatepass")) // 2
        if left or (findings and size > room):
            left += findings
            continue
        room -= size
        yield piece
    if left:
        yield f"\n**{plural(left, 'more finding')} left out** to stay below the {limit:,} characters of a comment.\n"
    yield from _end(reports, limit)


def _pieces(reports: Sequence[Report], root: Root) -> Iterator[tuple[str, int]]:
    """Pieces that must not be divided, each with the number of findings it tells."""
    failed = any(r.failed for r in reports)
    yield f"{MARKER}\n### {'❌' if failed else '✅'} pgcharter: {'findings to mend' if failed else 'passes'}\n", 0
    for report in reports[:_TARGETS]:
        yield f"\n**{text(report.reading.target)}** against guide {text(report.guide.id)}: {totals(report)}\n", 0
    if len(reports) > _TARGETS:
        yield f"\n… and {plural(len(reports) - _TARGETS, 'more target')}.\n", 0
    for severity in sorted(Severity, reverse=True):
        rows = [(f, r) for r in reports for f in r.findings if f.severity is severity]
        if rows:
            yield from _table(severity, rows, root)


_TARGETS = 20
"""Targets named one by one."""


def _table(severity: Severity, rows: Sequence[tuple[Finding, Report]], root: Root) -> Iterator[tuple[str, int]]:
    """A table of one severity, a row a finding; open for what does harm, folded for the rest. Each row closes what it opens."""
    head = f"{_MARKS[severity]} <b>{plural(len(rows), severity.word) if severity is not Severity.INFO else f'{len(rows):,} info'}</b>"
    opened = " open" if severity is Severity.ERROR else ""
    table = "\n\n| rule | where | finding |\n|---|---|---|\n"
    budget = ROWS[severity]
    body = [(_row(f, r, root), 1) for f, r in rows[:budget]]
    yield from _folded(f"\n<details{opened}><summary>{head}</summary>{table}", body)
    if len(rows) > budget:
        yield f"\n{plural(len(rows) - budget, f'more {severity.word}')} of the same severity: see the full report.\n", len(rows) - budget
    yield from _fixes([f for f, _ in rows[:budget]])


ROWS = {Severity.ERROR: 100, Severity.WARNING: 50, Severity.INFO: 20}
"""Rows of each severity: a comment is read by people."""


def _folded(head: str, body: Sequence[tuple[str, int]]) -> Iterator[tuple[str, int]]:
    """A folded part in pieces of a few thousand characters, each of them whole."""
    part, count = head, 0
    for row, findings in body:
        if count and len(part) + len(row) > _PART:
            yield part + "\n</details>\n", count
            part, count = head.replace(" open", "").replace("</summary>", " (continued)</summary>"), 0
        part, count = part + row, count + findings
    yield part + "\n</details>\n", count


_PART = 8_000


def _row(found: Finding, report: Report, root: Root) -> str:
    known = described(found.code)
    rule = f"**{text(found.code)}**" + (f"<br>{text(known.slug)}" if known else "")
    clauses = f" <sub>{text(', '.join(found.clauses[:3]))}</sub>" if found.clauses else ""
    hint = f"<br><sub>{text(found.hint)}</sub>" if found.hint and not found.fix else ""
    return f"| {rule} | {text(address(found, report, root))} | {text(found.message)}{clauses}{hint} |\n"


def _fixes(found: Sequence[Finding]) -> Iterator[tuple[str, int]]:
    """The SQL of the fixes, folded, with the reason for each rule once."""
    fixes = [f for f in found if f.fix]
    if not fixes:
        return
    lines = []
    told: set[str] = set()
    for item in fixes:
        known = described(item.code)
        why = f": {first_sentence(known.why)}" if known and known.why and item.code not in told else ""
        told.add(item.code)
        lines.append(f"-- {item.code}{clean(redact(why))}")
        lines += map(clean, fix_lines(item.fix))
        if sum(map(len, lines)) > _PART:
            break
    code = "\n".join(lines)
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", code)), default=0))
    yield f"\n<details><summary>SQL that mends {len(fixes):,} of these</summary>\n\n{fence}sql\n{code}\n{fence}\n\n</details>\n", 0


def _end(reports: Sequence[Report], limit: int) -> Iterator[str]:
    """What does not count and what was not seen, in a few words."""
    counted = [f"{n:,} {what}" for what, n in not_counted(reports).items()]
    if counted:
        yield f"\nNot counted: {', '.join(counted)}.\n"
    gaps = [f"{g.what}: {g.why}" for r in reports for g in r.gaps]
    problems = [p.message for r in reports for p in r.waiver_problems]
    for notes, what in ((problems, "waiver needs attention"), (gaps, "gap in what could be seen")):
        if notes and limit > _TAIL:
            shown = "; ".join(text(n[:100]) for n in notes[:_NOTES]) if len(notes) <= _NOTES else ""
            yield f"\n{len(notes):,} × {what}{f': {shown}' if shown else ''}.\n"


def text(words: str) -> str:
    """`words` as Markdown that shows exactly them: no markup, no HTML, no mention, no reference, no link, no new cell."""
    plain = _SPECIAL.sub(r"\\\1", clean(redact(words)).replace("&", "&amp;"))
    plain = plain.replace("\\<", "&lt;").replace("\\>", "&gt;")
    return re.sub(r"@|#(?=\w)|://|(?<=www)\.|:(?=[\w+-]+:)", lambda m: f"{m[0][0]}<!-- -->{m[0][1:]}", plain)
