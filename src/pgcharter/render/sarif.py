"""A verdict as SARIF 2.1.0 (OASIS), for code scanning and editors: one run for all targets."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pgcharter import __version__
from pgcharter.errors import Exit
from pgcharter.findings import Finding, Gap, Severity
from pgcharter.names import ObjectId
from pgcharter.render.insertions import Insertions
from pgcharter.render.json import pieces
from pgcharter.render.locations import Root, spot
from pgcharter.render.page import clean
from pgcharter.render.phrases import plural
from pgcharter.render.report import Report
from pgcharter.render.secrets import without_secrets
from pgcharter.render.source_codes import described
from pgcharter.render.states import Told, told
from pgcharter.rules.engine import Rule

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
BASE = "%SRCROOT%"
"""Name of the folder that relative addresses start from: the root of the repository."""
FINGERPRINT = "pgcharterKey/v1"
LEVELS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "note"}
_PROBLEM = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "recommendation"}
TAGS = 20
"""Tags beyond this are refused by code hosts."""


def write(reports: Sequence[Report], root: Root) -> Iterator[str]:
    """The document in pieces."""
    yield from pieces(without_secrets(sarif_data(reports, root)))
    yield "\n"


def sarif_data(reports: Sequence[Report], root: Root) -> dict[str, Any]:
    """The document."""
    everything = list(told(reports, root))
    rules = _rules(everything)
    index = {rule["id"]: number for number, rule in enumerate(rules)}
    fixes = {id(report): Insertions(report) for report in reports}
    run = {
        "tool": {"driver": {"name": "pgcharter", "version": __version__, "semanticVersion": __version__, "rules": rules}},
        "columnKind": "unicodeCodePoints",
        "originalUriBaseIds": {BASE: {"description": {"text": "the root of the repository, else the folder pgcharter was started in"}}},
        "invocations": [_invocation(reports, root)],
        "results": [_result(item, index[item.finding.code], root, fixes[id(item.report)]) for item in everything],
    }
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}


def _text(words: str) -> dict[str, str]:
    """A message: on one line, harmless, and with what SARIF would take for a placeholder or a link escaped."""
    plain = re.sub(r"[{}]", lambda m: m[0] * 2, clean(words)) if re.search(r"\{\d+\}", words) else clean(words)
    return {"text": re.sub(r"\[(?=[^\]]*\]\()", r"\\[", plain)}


def _rules(everything: Sequence[Told]) -> list[dict[str, Any]]:
    clauses: dict[str, dict[str, None]] = {}
    severities: dict[str, Severity] = {}
    for item in everything:
        guide = item.report.guide.id
        clauses.setdefault(item.finding.code, {}).update({f"{guide}/{c}": None for c in item.finding.clauses})
        severities[item.finding.code] = max(item.finding.severity, severities.get(item.finding.code, Severity.INFO))
    return [_rule(code, described(code), severities[code], list(clauses[code])) for code in sorted(clauses)]


def _rule(code: str, known: Rule | None, severity: Severity, clauses: Sequence[str]) -> dict[str, Any]:
    family = [known.family] if known and known.family else []
    about: dict[str, Any] = {
        "id": code,
        "defaultConfiguration": {"level": LEVELS[severity]},
        "properties": {"tags": ["postgresql", *family, *clauses][:TAGS], "problem.severity": _PROBLEM[severity]},
    }
    if known:
        about["name"] = known.slug
        about["shortDescription"] = {"text": known.title}
        about["fullDescription"] = {"text": " ".join(f"{known.title.rstrip('.')}. {known.why}".split())}
        about["help"] = {"text": _help(known, marked=False), "markdown": _help(known, marked=True)}
    return about


def _help(rule: Rule, *, marked: bool) -> str:
    """The rule's documentation as Markdown or as plain text."""
    parts = [f"# {rule.code} {rule.slug}" if marked else f"{rule.code} {rule.slug}", rule.title]
    for heading, text in (("Why", rule.why), ("Instead", rule.instead), ("Except", rule.unless)):
        if text:
            parts += [f"## {heading}" if marked else f"{heading}:", text]
    allow = f"-- pgcharter: allow {rule.code} because <reason>"
    return "\n\n".join([*parts, f"To allow it: `{allow}`" if marked else f"To allow it: {allow}"])


def _result(item: Told, index: int, root: Root, fixes: Insertions) -> dict[str, Any]:
    found = item.finding
    result: dict[str, Any] = {
        "ruleId": found.code,
        "ruleIndex": index,
        "level": LEVELS[found.severity],
        "message": _text(found.message),
        "partialFingerprints": {FINGERPRINT: item.identity},
        "properties": _properties(item),
    }
    location = _location(found, item.report, root)
    if location:
        result["locations"] = [location]
    if item.state != "counts":
        kind = "inSource" if item.state == "suppressed" else "external"
        result["suppressions"] = [{"kind": kind, "justification": clean(item.reason)}]
    fix = _fix(found, fixes, root) if item.state == "counts" else None
    return {**result, "fixes": [fix]} if fix else result


def _properties(item: Told) -> dict[str, Any]:
    found = item.finding
    known: dict[str, Any] = {"key": found.key, "target": item.report.reading.target, "state": item.state}
    if found.clauses:
        known["clauses"] = list(found.clauses)
    if found.hint:
        known["hint"] = found.hint
    if found.fix:
        known["fix"] = [statement.rstrip().rstrip(";") + ";" for statement in found.fix]
    return known


def _location(found: Finding, report: Report, root: Root) -> dict[str, Any]:
    location: dict[str, Any] = {}
    where = spot(found, report)
    if where:
        region: dict[str, Any] = {"startLine": where.line}
        if where.column:
            region |= {"startColumn": where.column, "endLine": where.line, "endColumn": where.end_column}
        location["physicalLocation"] = {"artifactLocation": _artifact(where.file, root), "region": region}
    if found.object:
        location["logicalLocations"] = [_logical(found.object)]
    return location


def _artifact(file: str, root: Root) -> dict[str, Any]:
    uri, relative = root.uri(file)
    return {"uri": uri, "uriBaseId": BASE} if relative else {"uri": uri}


def _logical(target: ObjectId) -> dict[str, Any]:
    return {"name": clean(target.part or target.name), "fullyQualifiedName": clean(target.sql()), "kind": target.kind}


def _fix(found: Finding, fixes: Insertions, root: Root) -> dict[str, Any] | None:
    """The fix as an insertion into the file; None where it is not certain that this is where it belongs."""
    place = fixes.of(found)
    if place is None:
        return None
    region = {"startLine": place.line, "startColumn": place.column, "endLine": place.line, "endColumn": place.column}
    replacement = {"deletedRegion": region, "insertedContent": {"text": place.text}}
    return {
        "description": {"text": "Insert the SQL that clears this finding after the last statement that names what it changes."},
        "artifactChanges": [{"artifactLocation": _artifact(place.file, root), "replacements": [replacement]}],
    }


def _invocation(reports: Sequence[Report], root: Root) -> dict[str, Any]:
    failed = any(r.failed for r in reports)
    return {
        "executionSuccessful": True,
        "exitCode": int(Exit.FINDINGS if failed else Exit.FINE),
        "exitCodeDescription": "findings at or above the chosen level" if failed else "nothing at or above the chosen level",
        "toolExecutionNotifications": [n for r in reports for n in (*(_gap(g, root) for g in r.gaps), *_unseen(r.not_run))],
        "toolConfigurationNotifications": [
            {"level": "warning", "message": _text(f"{p.message} ({p.waiver.place})" if p.waiver.place else p.message)}
            for r in reports
            for p in r.waiver_problems
        ],
    }


def _gap(gap: Gap, root: Root) -> dict[str, Any]:
    notice: dict[str, Any] = {"level": "note", "message": _text(f"not seen: {gap.what}: {gap.why}")}
    if gap.place:
        where = {"artifactLocation": _artifact(gap.place.file, root), "region": {"startLine": max(gap.place.line, 1)}}
        notice["locations"] = [{"physicalLocation": where}]
    return notice


def _unseen(not_run: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    reasons: dict[str, list[str]] = {}
    for code, why in not_run.items():
        reasons.setdefault(why, []).append(code)
    for why, codes in reasons.items():
        yield {"level": "note", "message": _text(f"{plural(len(codes), 'rule')} could not fully look ({', '.join(codes)}): {why}")}
