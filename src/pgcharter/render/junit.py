"""A verdict as JUnit XML: a suite for each target, a test case for each rule.

A rule with findings at or above the level that fails is a failed test, one with lesser findings a passed test that says so, one that
could not look a skipped test with the reason. So the page of tests in CI says the same as the exit code.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from xml.sax.saxutils import escape, quoteattr

from pgcharter.findings import Finding, Severity
from pgcharter.redact import redact
from pgcharter.render.locations import Root, address
from pgcharter.render.page import clean
from pgcharter.render.phrases import plural
from pgcharter.render.report import Report
from pgcharter.render.secrets import fix_lines
from pgcharter.render.source_codes import described
from pgcharter.render.states import not_counted

_NOT_XML = re.compile("[\ufffe\uffff\U0001fffe\U0001ffff]|[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff]")


def write(reports: Sequence[Report], root: Root) -> Iterator[str]:
    """The document in pieces."""
    cases = [_cases(report) for report in reports]
    counts = [_count(r, c) for r, c in zip(reports, cases, strict=True)]
    tests, failures = (sum(n[i] for n in counts) for i in (0, 1))
    yield '<?xml version="1.0" encoding="UTF-8"?>\n'
    yield f'<testsuites name="pgcharter" tests="{tests}" failures="{failures}" errors="0">\n'
    for report, found, count in zip(reports, cases, counts, strict=True):
        yield from _suite(report, found, count, root)
    yield "</testsuites>\n"


def _cases(report: Report) -> Mapping[str, list[Finding]]:
    """Findings by code, for every rule that ran, that found something or that could not look; also those too mild to show: they decide."""
    everything = (*report.findings, *report.below)
    cases: dict[str, list[Finding]] = {code: [] for code in sorted({*report.ran, *report.not_run, *(f.code for f in everything)})}
    for found in everything:
        cases[found.code].append(found)
    return cases


def _fails(found: Sequence[Finding], report: Report) -> bool:
    return report.fail_on is not None and any(f.severity >= report.fail_on for f in found)


def _skipped(report: Report, cases: Mapping[str, list[Finding]]) -> set[str]:
    """Codes of the rules that could not look and found nothing either (some see the text when there is no catalog)."""
    return {code for code in report.not_run if not cases[code] and code not in report.ran}


def _count(report: Report, cases: Mapping[str, list[Finding]]) -> tuple[int, int, int]:
    """Tests, failures and skipped ones."""
    expired = sum(p.kind == "expired" for p in report.waiver_problems)
    failures = sum(_fails(found, report) for found in cases.values())
    return len(cases) + expired, failures + (expired if report.fail_on else 0), len(_skipped(report, cases))


def _suite(report: Report, cases: Mapping[str, list[Finding]], count: tuple[int, int, int], root: Root) -> Iterator[str]:
    tests, failures, skipped = count
    name = _attribute(f"{report.guide.id}: {report.reading.target}")
    yield f'  <testsuite name={name} tests="{tests}" failures="{failures}" errors="0" skipped="{skipped}" time="0">\n'
    unseen = _skipped(report, cases)
    for code, found in cases.items():
        known = described(code)
        title = f"{code} {known.slug}" if known else code
        family = f".{known.family}" if known and known.family else ""
        yield f'    <testcase classname={_attribute(f"{report.guide.id}{family}")} name={_attribute(title)} time="0"'
        inner = f"<skipped message={_attribute(report.not_run[code])}/>" if code in unseen else ""
        yield f">{inner}</testcase>\n" if inner else ("/>\n" if not found else ">\n")
        if found:
            yield from _findings(found, report, root)
            yield "    </testcase>\n"
    notes = [*(f"{n:,} {what}" for what, n in not_counted([report]).items()), *(f"not seen: {g.what}: {g.why}" for g in report.gaps)]
    yield from _expired(report)
    yield f"    <system-out>{_body(notes)}</system-out>\n" if notes else ""
    yield "  </testsuite>\n"


def _expired(report: Report) -> Iterator[str]:
    """A test case for each waiver that is past its day: it fails the check like a finding."""
    for problem in report.waiver_problems:
        if problem.kind == "expired":
            name = _attribute(f"waiver of {problem.waiver.rule}")
            yield f"    <testcase classname={_attribute(f'{report.guide.id}.waivers')} name={name}"
            told = f'<failure type="error" message={_attribute(problem.message)}>{_body([problem.hint])}</failure>'
            yield f' time="0">{told}</testcase>\n' if report.fail_on else ' time="0"/>\n'


def _findings(found: Sequence[Finding], report: Report, root: Root) -> Iterator[str]:
    worst = max(f.severity for f in found)
    if _fails(found, report):
        rest = f" (and {plural(len(found) - 1, 'more finding')})" if len(found) > 1 else ""
        yield f"      <failure type={_attribute(worst.word)} message={_attribute(found[0].message + rest)}>"
        tag = "failure"
    else:
        yield "      <system-out>"
        tag = "system-out"
    for item in found:
        yield _body(_told(item, report, root)) + "\n"
    yield f"</{tag}>\n"


def _told(found: Finding, report: Report, root: Root) -> Iterator[str]:
    label = "" if found.severity is Severity.ERROR else f"{found.severity.word}: "
    yield f"{address(found, report, root)}: {label}{found.message}"
    if found.hint:
        yield f"  hint: {found.hint}"
    yield from (f"  {line}" for line in fix_lines(found.fix))


def _body(lines: Iterator[str] | Sequence[str]) -> str:
    return "\n".join(escape(_legal(line)) for line in lines)


def _attribute(text: str) -> str:
    return quoteattr(_legal(text))


def _legal(text: str) -> str:
    """`text` on one line with only characters that XML 1.0 may hold."""
    return _NOT_XML.sub("\ufffd", clean(redact(text)))
