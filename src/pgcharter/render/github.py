"""A verdict as GitHub workflow commands: annotations on the lines of a pull request."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pgcharter.findings import Finding, Severity
from pgcharter.redact import redact
from pgcharter.render.locations import Root, address, spot
from pgcharter.render.page import clean
from pgcharter.render.phrases import plural
from pgcharter.render.report import Report
from pgcharter.render.secrets import fix_lines
from pgcharter.render.source_codes import described
from pgcharter.waivers import WaiverProblem

COMMANDS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "notice"}
SHOWN = 10
"""Annotations of one kind that GitHub shows for a step; it drops what comes after them without a word."""


def write(reports: Sequence[Report], root: Root) -> Iterator[str]:
    """Annotations, worst first; what GitHub would drop as lines of a folded group in the log; then the totals."""
    for severity in sorted(Severity, reverse=True):
        found = [(f, r) for r in reports for f in r.findings if f.severity is severity]
        for item, report in found[:SHOWN]:
            yield _annotation(item, report, root)
        if len(found) > SHOWN:
            yield f"::group::{plural(len(found) - SHOWN, f'more {severity.word}')} without annotation\n"
            for item, report in found[SHOWN:]:
                yield _plain(f"{item.code} {address(item, report, root)}: {item.message}")
            yield "::endgroup::\n"
    for report in reports:
        yield from (_problem(p) for p in report.waiver_problems)
        yield _plain(f"{report.reading.target}: {totals(report)}")


def _problem(problem: WaiverProblem) -> str:
    """A waiver that does not do its work, on its line of the charter."""
    file, _, line = problem.waiver.place.rpartition(":")
    where = f"file={_property(file)},line={line}," if file and line.isdigit() else ""
    command = "error" if problem.kind == "expired" else "warning"
    return f"::{command} {where}title=waiver of {_property(problem.waiver.rule)}::{_data(clean(redact(problem.message)))}\n"


def totals(report: Report) -> str:
    """`2 errors, 1 warning: fails (--fail-on warning)`."""
    counted = ", ".join(plural(n, s) if s != "info" else f"{n:,} info" for s, n in report.totals.items() if n) or "no findings"
    if report.below:
        counted += f", {len(report.below):,} below {report.min_severity.word} not shown"
    return f"{counted}: {'fails' if report.failed else 'passes'} (--fail-on {report.fail_on.word if report.fail_on else 'never'})"


def _annotation(found: Finding, report: Report, root: Root) -> str:
    known = described(found.code)
    properties: dict[str, str] = {}
    where = spot(found, report)
    if where:
        properties |= {"file": root.path(where.file), "line": str(where.line)}
        if where.column:
            properties |= {"endLine": str(where.line), "col": str(where.column), "endColumn": str(where.end_column)}
    properties["title"] = f"{found.code} {known.slug}" if known else found.code
    said = ",".join(f"{name}={_property(value)}" for name, value in properties.items())
    words = _data("\n".join(_words(found)))
    return f"::{COMMANDS[found.severity]} {said}::{words}\n"


def _words(found: Finding) -> Iterator[str]:
    yield clean(redact(found.message))
    if found.fix:
        yield from map(clean, fix_lines(found.fix))
    elif found.hint:
        yield clean(redact(found.hint))


def _data(text: str) -> str:
    """`text` as the runner reads it back; it knows these escapes and no others."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(clean(redact(text))).replace(":", "%3A").replace(",", "%2C")


def _plain(text: str) -> str:
    """A line of the log that no runner takes for a command: the older form counts wherever it stands in a line."""
    return " " + clean(redact(text)).replace("##[", "## [").replace("::", ": :") + "\n"
