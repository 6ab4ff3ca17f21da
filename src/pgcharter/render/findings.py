"""A verdict as text for a terminal: grouped by object, worst first, long lists cut short, and what to do next."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from pgcharter.findings import Finding, Severity
from pgcharter.render.excerpt import Excerpt, draw, excerpt
from pgcharter.render.page import Page, Piece, Styled, columns
from pgcharter.render.phrases import first_sentence, plural, sql
from pgcharter.render.report import Report
from pgcharter.render.source_codes import described
from pgcharter.render.summary import MARKS, grouped, write_mended, write_more, write_not_seen, write_totals, write_waiver_problems

BUDGET = 40
"""Findings shown in full; beyond that fewer examples of each rule are shown, harm last to be cut."""
CAPS = tuple(
    {Severity.ERROR: error, Severity.WARNING: warning, Severity.INFO: info}
    for error, warning, info in ((5, 5, 5), (5, 3, 2), (5, 2, 1), (4, 1, 1), (2, 1, 1), (1, 1, 1))
)
"""Examples of each rule by severity, from generous to sparing."""
LABEL = 6
"""Columns of the labels `why`, `fix` and `hint`."""


def write(page: Page, report: Report, *, everything: bool = False, quiet: bool = False) -> None:
    """Write the verdict on one target; `everything` shows each finding instead of a few of each rule, `quiet` only the totals."""
    _title(page, report)
    if quiet:
        write_totals(page, report)
        return
    shown, hidden = shorten(report.findings) if not everything else (report.findings, {})
    told: set[str] = set()
    for group in grouped(shown, report):
        _group(page, group, report, told)
    write_more(page, hidden, report.findings)
    write_waiver_problems(page, report)
    write_mended(page, report)
    write_not_seen(page, report)
    page.blank()
    write_totals(page, report)


def shorten(findings: Sequence[Finding]) -> tuple[list[Finding], Mapping[str, int]]:
    """The findings worth showing in full, and how many of each rule were left out."""
    counts = Counter((f.severity, f.code) for f in findings)
    cap = next((c for c in CAPS if sum(min(n, c[severity]) for (severity, _), n in counts.items()) <= BUDGET), CAPS[-1])
    seen: Counter[tuple[Severity, str]] = Counter()
    shown: list[Finding] = []
    hidden: Counter[str] = Counter()
    for item in findings:
        kind = (item.severity, item.code)
        seen[kind] += 1
        if seen[kind] <= cap[item.severity]:
            shown.append(item)
        else:
            hidden[item.code] += 1
    return shown, hidden


def _title(page: Page, report: Report) -> None:
    page.blank()
    about = [f"guide {report.guide.id}"]
    catalog = report.reading.catalog
    if catalog is not None and catalog.major:
        about.append(f"PostgreSQL {catalog.major}")
    if catalog is not None:
        about.append(plural(len(catalog.own_tables), "table"))
    elif report.reading.statements:
        about.append(plural(len(report.reading.statements), "statement") + ", text only")
    target, facts = report.reading.target, " · ".join(about)
    if columns(target) + 3 + columns(facts) <= page.screen.width:
        page.line(Styled(target, "strong"), Styled(f" · {facts}", "dim"))
    else:
        page.line(Styled(target, "strong"))
        page.flow(Styled(facts, "dim"), indent=2)


def _group(page: Page, group: list[Finding], report: Report, told: set[str]) -> None:
    page.blank()
    first = group[0]
    page.flow(*_heading(first, report), hanging=4)
    last: Excerpt | None = None
    for item in group:
        last = _finding(page, item, report, told, last)


def _heading(first: Finding, report: Report) -> Iterator[Piece]:
    subject = report.subject(first)
    place = (report.reading.places.get(subject) if subject else None) or first.place
    if subject:
        yield Styled(str(subject), "heading")
        if place:
            yield Styled(f"  {place.file}:{place.line}", "place")
    elif place:
        yield Styled(place.file, "heading")
    else:
        yield Styled(first.code, "heading")


def _finding(page: Page, item: Finding, report: Report, told: set[str], last: Excerpt | None) -> Excerpt | None:
    """Write one finding; return the excerpt drawn last, so that the same line is not drawn twice."""
    style = item.severity.word
    page.flow(Styled(f"{MARKS[item.severity]} {item.code}", style), f" {item.message}", *_clauses(item), indent=2, hanging=8)
    shown = excerpt(item, report.reading.texts)
    if shown and shown != last:
        if last and last.file != shown.file:
            page.line(Styled(f"in {shown.file}", "place"), indent=10)
        draw(page, shown, indent=6)
    _once(page, "why", first_sentence(_why(item.code)), item.code, told)
    _fix(page, item)
    _once(page, "hint", item.hint, item.code, told)
    return shown or last


def _once(page: Page, label: str, text: str, code: str, told: set[str]) -> None:
    """Write what would only be repeated beside every finding of a rule the first time."""
    words = f"{code} {label} {text}"
    if words not in told:
        told.add(words)
        _labelled(page, label, text)


def _clauses(item: Finding) -> Iterator[Piece]:
    if item.clauses:
        yield Styled(f"  [{','.join(item.clauses[:3])}{',…' if len(item.clauses) > 3 else ''}]", "dim")


def _why(code: str) -> str:
    known = described(code)
    return known.why if known else ""


def _labelled(page: Page, label: str, text: str) -> None:
    if text:
        page.flow(Styled(label.ljust(LABEL), "dim"), Styled(text, "dim" if label == "why" else ""), indent=8, hanging=LABEL)


def _fix(page: Page, item: Finding) -> None:
    label = "fix"
    for statement in item.fix:
        lines = (statement.rstrip().rstrip(";") + ";").split("\n")
        for line in lines:
            page.line(Styled(label.ljust(LABEL), "dim"), *sql(line), indent=8)
            label = ""
