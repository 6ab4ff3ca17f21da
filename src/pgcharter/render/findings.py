"""A verdict as text for a terminal: grouped by object, worst first, long lists cut short, and what to do next."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from pgcharter.findings import Finding, Severity
from pgcharter.render.excerpt import Excerpt, draw, excerpt
from pgcharter.render.page import Page, Piece, Styled, columns
from pgcharter.render.report import Report
from pgcharter.render.source_codes import described
from pgcharter.rules import engine

MARKS = {Severity.ERROR: "✖", Severity.WARNING: "▲", Severity.INFO: "•"}
BUDGET = 60
"""Findings shown in full; beyond that fewer examples of each rule are shown."""
CAPS = (5, 3, 2, 1)
GAPS = 8
"""Gaps shown one by one."""
LABEL = 6
"""Columns of the labels `why`, `fix` and `hint`."""


def write(page: Page, report: Report, *, everything: bool = False, quiet: bool = False) -> None:
    """Write the verdict on one target; `everything` shows each finding instead of a few of each rule, `quiet` only the totals."""
    _title(page, report)
    if quiet:
        _totals(page, report, gap=False)
        return
    shown, hidden = (report.findings, {}) if everything else shorten(report.findings)
    told: set[str] = set()
    for group in grouped(shown):
        _group(page, group, report, told)
    _more(page, hidden, report.findings)
    _waiver_problems(page, report)
    _not_seen(page, report)
    _totals(page, report)


def shorten(findings: Sequence[Finding]) -> tuple[list[Finding], dict[str, int]]:
    """The findings worth showing in full, and how many of each rule were left out."""
    counts = Counter(f.code for f in findings)
    cap = next((c for c in CAPS if sum(min(n, c) for n in counts.values()) <= BUDGET), 1)
    seen: Counter[str] = Counter()
    shown = []
    for item in findings:
        seen[item.code] += 1
        if seen[item.code] <= cap:
            shown.append(item)
    return shown, {code: n - cap for code, n in counts.items() if n > cap}


def grouped(findings: Iterable[Finding]) -> list[list[Finding]]:
    """Findings by the object they are about (members of a table with their table), in order of first appearance."""
    groups: dict[object, list[Finding]] = {}
    for item in findings:
        key = item.object.owner if item.object else (item.place.file if item.place else "")
        groups.setdefault(key, []).append(item)
    return list(groups.values())


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
    page.flow(*_heading(first), hanging=4)
    last: Excerpt | None = None
    for item in group:
        last = _finding(page, item, report, told, last)


def _heading(first: Finding) -> Iterator[Piece]:
    place = first.place
    if first.object:
        yield Styled(str(first.object.owner), "heading")
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


def first_sentence(text: str) -> str:
    """The first sentence (or the part before its semicolon) of a text, on one line, without its stop."""
    flat = " ".join(text.split("\n\n")[0].split())
    match = re.match(r".+?(?=[.!?](?:\s|$)|;)", flat)
    return match[0] if match else flat


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


_TOKEN = re.compile(r"(?P<string>'(?:[^']|'')*')|(?P<keyword>\b[A-Z][A-Z_]*[A-Z]\b)|(?P<dim>--.*)")


def sql(line: str) -> Iterator[Piece]:
    """A line of SQL with strings, comments and keywords (written in capitals) coloured."""
    end = 0
    for match in _TOKEN.finditer(line):
        yield line[end : match.start()]
        yield Styled(match[0], match.lastgroup or "")
        end = match.end()
    yield line[end:]


def _more(page: Page, hidden: Mapping[str, int], findings: Sequence[Finding]) -> None:
    if not hidden:
        return
    page.blank()
    page.line(Styled("more of the same", "strong"), Styled("  (--all shows every one)", "dim"))
    severities = {f.code: f.severity for f in findings}
    for code in sorted(hidden, key=lambda c: (-severities[c], c)):
        known = described(code)
        mark = Styled(f"{MARKS[severities[code]]} {code}", severities[code].word)
        page.flow(mark, f" {hidden[code]:>5,} more", Styled(f"  {known.title.rstrip('.')}" if known else "", "dim"), indent=2, hanging=20)


def _not_seen(page: Page, report: Report) -> None:
    if not report.not_run and not report.gaps:
        return
    page.blank()
    page.line(Styled("not seen", "strong"))
    half = _half_seen(report)
    reasons: dict[tuple[str, str], list[str]] = {}
    for code, why in report.not_run.items():
        reasons.setdefault(("saw only the text" if code in half else "could not look", why), []).append(code)
    for (what, why), codes in reasons.items():
        page.flow(Styled("· ", "dim"), f"{plural(len(codes), 'rule')} {what} ({_some(codes)}): {why}", indent=2, hanging=2)
    for gap in report.gaps[:GAPS]:
        where = f"  {gap.place.file}:{gap.place.line}" if gap.place else ""
        page.flow(Styled("· ", "dim"), f"{gap.what}: {gap.why}", Styled(where, "place"), indent=2, hanging=2)
    if len(report.gaps) > GAPS:
        page.line(Styled("· ", "dim"), f"{len(report.gaps) - GAPS:,} more gaps; --format json has them all", indent=2)


def _half_seen(report: Report) -> frozenset[str]:
    """Codes of the rules that lacked a catalog and looked at the text instead."""
    known = engine.load()
    return frozenset(c for c in report.not_run if report.reading.statements and c in known and known[c].twin is not None)


def _some(codes: Sequence[str], limit: int = 6) -> str:
    return ", ".join(codes[:limit]) + (", …" if len(codes) > limit else "")


def _waiver_problems(page: Page, report: Report) -> None:
    if report.waiver_problems:
        page.blank()
        page.line(Styled("waivers", "strong"))
    for problem in report.waiver_problems:
        page.flow(Styled("· ", "dim"), problem.message, Styled(f"  {problem.waiver.place}", "place"), indent=2, hanging=2)
        _labelled(page, "hint", problem.hint)


def _totals(page: Page, report: Report, *, gap: bool = True) -> None:
    if gap:
        page.blank()
    if report.findings:
        page.flow(*_counts(report.totals), f"in {plural(len(grouped(report.findings)), 'object')}", *_allowed(report))
        page.flow(*_outcome(report))
    else:
        page.flow(
            Styled("✔", "good"), f" nothing to mend: {plural(len(report.ran) + len(_half_seen(report)), 'rule')} looked", *_allowed(report)
        )


def _counts(totals: Mapping[str, int]) -> Iterator[Piece]:
    for severity in sorted(Severity, reverse=True):
        count = totals[severity.word]
        if count:
            noun = severity.word if severity is Severity.INFO else plural(count, severity.word).partition(" ")[2]
            yield Styled(f"{MARKS[severity]} {count:,} {noun}", severity.word)
            yield "  "


def _outcome(report: Report) -> Iterator[Piece]:
    if report.fail_on is None:
        return
    at = f"{report.fail_on.word} or above" if report.fail_on is not Severity.ERROR else "error"
    yield Styled("✘ fails", "error") if report.failed else Styled("✔ passes", "good")
    yield Styled(f"  {'findings' if report.failed else 'nothing'} at {at} (--fail-on)", "dim")


def _allowed(report: Report) -> Iterator[Piece]:
    parts = []
    if report.suppressed:
        parts.append(f"{len(report.suppressed):,} allowed by a comment")
    if report.waived:
        parts.append(f"{len(report.waived):,} waived by the charter")
    if parts:
        yield Styled("; " + ", ".join(parts), "dim")


def plural(count: int, noun: str) -> str:
    """`1 table`, `2 tables`, `3 indexes`, `4 policies`."""
    if count == 1:
        return f"1 {noun}"
    if noun.endswith(("x", "s", "ch", "sh")):
        return f"{count:,} {noun}es"
    return f"{count:,} {noun[:-1]}ies" if noun.endswith("y") else f"{count:,} {noun}s"
