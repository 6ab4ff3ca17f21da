"""The end of a verdict: what was left out, which waivers fail, what could not be seen, the totals."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from pgcharter.findings import Finding, Severity
from pgcharter.render.page import Page, Piece, Styled
from pgcharter.render.phrases import plural
from pgcharter.render.report import Report
from pgcharter.render.source_codes import described
from pgcharter.rules import engine

MARKS = {Severity.ERROR: "✖", Severity.WARNING: "▲", Severity.INFO: "•"}
GAPS = 8
"""Gaps shown one by one."""


def grouped(findings: Iterable[Finding], report: Report) -> list[list[Finding]]:
    """Findings by the object they are told under, in order of first appearance."""
    groups: dict[object, list[Finding]] = {}
    for item in findings:
        key = report.subject(item) or (item.place.file if item.place else "")
        groups.setdefault(key, []).append(item)
    return list(groups.values())


def write_more(page: Page, hidden: Mapping[str, int], findings: Sequence[Finding]) -> None:
    """Write how many findings of each rule were left out."""
    if not hidden:
        return
    page.blank()
    page.line(Styled("more of the same", "strong"), Styled("  (--all shows every one)", "dim"))
    severities = {f.code: f.severity for f in findings}
    for code in sorted(hidden, key=lambda c: (-severities[c], c)):
        known = described(code)
        mark = Styled(f"{MARKS[severities[code]]} {code}", severities[code].word)
        page.flow(mark, f" {hidden[code]:>5,} more", Styled(f"  {known.title.rstrip('.')}" if known else "", "dim"), indent=2, hanging=20)


def write_not_seen(page: Page, report: Report) -> None:
    """Write which rules could not look, and the gaps."""
    reasons = _reasons(report)
    if not reasons and not report.gaps:
        return
    page.blank()
    page.line(Styled("not seen", "strong"))
    for (what, why), codes in reasons.items():
        page.flow(Styled("· ", "dim"), f"{plural(len(codes), 'rule')} {what} ({_some(codes)}): {why}", indent=2, hanging=2)
    for gap in report.gaps[:GAPS]:
        where = f"  {gap.place.file}:{gap.place.line}" if gap.place else ""
        page.flow(Styled("· ", "dim"), f"{gap.what}: {gap.why}", Styled(where, "place"), indent=2, hanging=2)
    if len(report.gaps) > GAPS:
        page.line(Styled("· ", "dim"), f"{len(report.gaps) - GAPS:,} more gaps; --format json has them all", indent=2)


def _reasons(report: Report) -> Mapping[tuple[str, str], Sequence[str]]:
    """Codes of the rules that could not (fully) look, by how far they got and why; a live database is not blamed for having no text."""
    known, half = engine.load(), _half_seen(report)
    reasons: dict[tuple[str, str], list[str]] = {}
    for code, why in report.not_run.items():
        if report.reading.source == "live" and code in known and known[code].needs == "text":
            continue
        reasons.setdefault(("saw only the text" if code in half else "could not look", why), []).append(code)
    return reasons


def _half_seen(report: Report) -> frozenset[str]:
    """Codes of the rules that lacked a catalog and looked at the text instead."""
    known = engine.load()
    return frozenset(c for c in report.not_run if report.reading.statements and c in known and known[c].twin is not None)


def _some(codes: Sequence[str], limit: int = 6) -> str:
    return ", ".join(codes[:limit]) + (", …" if len(codes) > limit else "")


def write_waiver_problems(page: Page, report: Report) -> None:
    """Write the waivers that do not do their work any more."""
    if report.waiver_problems:
        page.blank()
        page.line(Styled("waivers", "strong"))
    for problem in report.waiver_problems:
        page.flow(Styled("· ", "dim"), problem.message, Styled(f"  {problem.waiver.place}", "place"), indent=2, hanging=2)
        page.flow(Styled("hint", "dim"), f"  {problem.hint}", indent=4, hanging=6)


def write_mended(page: Page, report: Report) -> None:
    """Write the recorded findings that are gone, so that the file can shrink."""
    if not report.known_gone:
        return
    page.blank()
    page.line(Styled("mended", "strong"), Styled(f"  (still recorded in {report.known_file})", "dim"))
    for entry in report.known_gone[:GAPS]:
        again = f" ({entry.count:,} times)" if entry.count > 1 else ""
        page.flow(Styled("· ", "dim"), f"{entry.code} {entry.message}{again}", indent=2, hanging=2)
    if len(report.known_gone) > GAPS:
        page.line(Styled("· ", "dim"), f"{len(report.known_gone) - GAPS:,} more; --format json has them all", indent=2)
    page.flow(Styled("hint", "dim"), "  take them out with --record, so that they cannot come back unseen", indent=4, hanging=6)


def write_totals(page: Page, report: Report) -> None:
    """Write the totals and whether the check passes."""
    if report.findings:
        page.flow(*_counts(report.totals), f"in {plural(len(grouped(report.findings, report)), 'object')}", *_allowed(report))
        page.flow(*_outcome(report))
    else:
        new = "new " if report.known or report.unchanged else ""
        least = f" at {report.min_severity.word} or above" if report.below else ""
        looked = plural(len(report.ran) + len(_half_seen(report)), "rule")
        page.flow(Styled("✔", "good"), f" nothing {new}to mend{least}: {looked} looked", *_allowed(report))
        if report.failed or report.below:
            page.flow(*_outcome(report))
    for line in _not_counted(report):
        page.flow(Styled(f"· {line}", "dim"), hanging=2)


def _not_counted(report: Report) -> Iterator[str]:
    """What is there and does not count, or counts and is not shown."""
    if report.below:
        yield f"{plural(len(report.below), 'finding')} below {report.min_severity.word} not shown (--min-severity)"
    if report.known or report.known_gone:
        mended = sum(e.count for e in report.known_gone)
        more = f"; {mended:,} more recorded there {'is' if mended == 1 else 'are'} mended" if mended else ""
        yield f"{plural(len(report.known), 'known finding')} not counted ({report.known_file}){more}"
    if report.unchanged:
        there = "was" if len(report.unchanged) == 1 else "were"
        yield f"{plural(len(report.unchanged), 'finding')} not counted that {there} there at {report.since} (--changed-since)"


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
    counted = any(f.severity >= report.fail_on for f in (*report.findings, *report.below))
    why = [f"{'findings' if counted else 'nothing'} at {at} (--fail-on)"] if counted or not report.expired else []
    why += ["a waiver is past its day"] if report.expired else []
    yield Styled(f"  {', and '.join(why)}", "dim")


def _allowed(report: Report) -> Iterator[Piece]:
    parts = []
    if report.suppressed:
        parts.append(f"{len(report.suppressed):,} allowed by a comment")
    if report.waived:
        parts.append(f"{len(report.waived):,} waived by the charter")
    if report.left_out:
        parts.append(f"{len(report.left_out):,} left out by its [[path]]")
    if parts:
        yield Styled("; " + ", ".join(parts), "dim")
