"""JSON forms, versioned; described in `docs/reference/output-json.md`."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from itertools import zip_longest
from typing import Any

from pgcharter.errors import Exit, PgcharterError
from pgcharter.findings import Finding, Gap, Place
from pgcharter.guides.model import Clause, Guide
from pgcharter.guides.score import Scorecard
from pgcharter.names import ObjectId
from pgcharter.render.page import UNSAFE
from pgcharter.render.report import Report
from pgcharter.render.source_codes import described
from pgcharter.rules.engine import Rule

VERSION = 1
"""Version of every document written here; grows when a field changes its meaning or goes, not when one is added."""


_OPEN_LEVELS = 4
"""Document, list of targets, target and list of findings are written a member a line; whatever is deeper, a finding say, on one line."""


def pieces(data: object) -> Iterator[str]:
    """`data` as JSON, in pieces, so that a long verdict is never in memory as text.

    What JSON does not know (a date, a decimal) becomes its text, what a terminal must not see its escape.
    """
    encode = json.JSONEncoder(ensure_ascii=False, default=_plain).encode
    for piece in _pieces(data, 0, encode):
        yield UNSAFE.sub(_escape, piece)


def dumps(data: object) -> str:
    """`data` as JSON in one text."""
    return "".join(pieces(data))


def _pieces(data: object, level: int, encode: Callable[[object], str]) -> Iterator[str]:
    if level >= _OPEN_LEVELS or not data or not isinstance(data, (dict, list, tuple)):
        yield encode(data)
        return
    named = isinstance(data, dict)
    inner = "\n" + "  " * (level + 1)
    yield "{" if named else "["
    for number, item in enumerate(data):
        yield f"{',' if number else ''}{inner}" + (f"{encode(str(item))}: " if named else "")
        yield from _pieces(data[item] if isinstance(data, dict) else item, level + 1, encode)
    yield "\n" + "  " * level + ("}" if named else "]")


def _escape(match: re.Match[str]) -> str:
    return "\n" if match[0] == "\n" else json.dumps(match[0])[1:-1]


def _plain(value: object) -> object:
    if isinstance(value, (set, frozenset)):
        return sorted(value, key=str)
    return object_data(value) if isinstance(value, ObjectId) else str(value)


def error_data(error: PgcharterError) -> dict[str, Any]:
    """Document `pgcharter-error`: what went wrong, in place of the result."""
    return {
        "format": "pgcharter-error",
        "version": VERSION,
        "exit_code": int(error.exit_code),
        "message": error.message,
        "place": error.place,
        "hint": error.hint,
    }


def check_data(reports: Sequence[Report], cards: Sequence[Scorecard | None] = ()) -> dict[str, Any]:
    """Document `pgcharter-check`: the verdict on each target, and on all of them; `cards` are the scorecards, where asked for."""
    failed = any(r.failed for r in reports)
    return {
        "format": "pgcharter-check",
        "version": VERSION,
        "verdict": "findings" if failed else "fine",
        "exit_code": int(Exit.FINDINGS if failed else Exit.FINE),
        "targets": [report_data(r, card) for r, card in zip_longest(reports, cards)],
    }


def report_data(report: Report, card: Scorecard | None = None) -> dict[str, Any]:
    """The verdict on one target."""
    data = {
        "target": report.reading.target,
        "source": report.reading.source,
        "server_version": report.reading.catalog.server_version if report.reading.catalog else None,
        "guide": {"id": report.guide.id, "title": report.guide.title, "version": report.guide.version, "chosen": report.chosen},
        "verdict": "findings" if report.failed else "fine",
        "fail_on": report.fail_on.word if report.fail_on else "never",
        "totals": dict(report.totals),
        "findings": [finding_data(f) for f in report.findings],
        "suppressed": [{**finding_data(f), "reason": reason} for f, reason in report.suppressed],
        "waived": [{**finding_data(f), "reason": reason} for f, reason in report.waived],
        "waiver_problems": [
            {"kind": p.kind, "rule": p.waiver.rule, "message": p.message, "hint": p.hint, "place": p.waiver.place}
            for p in report.waiver_problems
        ],
        "known": [finding_data(f) for f in report.known],
        "known_gone": [{"key": e.key, "code": e.code, "message": e.message, "count": e.count} for e in report.known_gone],
        "known_file": report.known_file or None,
        "unchanged": [finding_data(f) for f in report.unchanged],
        "changed_since": report.since or None,
        "left_out": [{**finding_data(f), "setting": place} for f, place in report.left_out],
        "min_severity": report.min_severity.word,
        "below": dict(Counter(f.severity.word for f in report.below)),
        "beyond_guide": len(report.rest),
        "gaps": [gap_data(g) for g in report.gaps],
        "rules_run": list(report.ran),
        "rules_not_run": [{"code": code, "why": why} for code, why in report.not_run.items()],
    }
    return {**data, "score": score_data(card)} if card else data


def score_data(card: Scorecard) -> dict[str, Any]:
    """The scorecard: each clause of the guide with its state."""
    return {
        "totals": dict(card.totals),
        "provable": card.provable,
        "clauses": [
            {
                "id": v.clause.id,
                "section": v.clause.section,
                "text": v.clause.text,
                "level": v.clause.level,
                "state": v.state,
                "reason": v.reason,
                "findings": [f.key for f in v.findings],
            }
            for v in card.verdicts
        ],
    }


def finding_data(found: Finding) -> dict[str, Any]:
    """One finding."""
    known = described(found.code)
    return {
        "key": found.key,
        "code": found.code,
        "slug": known.slug if known else None,
        "severity": found.severity.word,
        "message": found.message,
        "object": object_data(found.object) if found.object else None,
        "place": place_data(found.place) if found.place else None,
        "fix": [statement.rstrip().rstrip(";") + ";" for statement in found.fix],
        "hint": found.hint,
        "facts": _json_keys(found.facts),
        "clauses": list(found.clauses),
    }


def object_data(target: ObjectId) -> dict[str, str]:
    """An object's address, in parts and as SQL."""
    return {"kind": target.kind, "schema": target.schema, "name": target.name, "part": target.part, "sql": target.sql()}


def place_data(place: Place) -> dict[str, Any]:
    """A spot in a file; lines and columns count from 1."""
    return {"file": place.file, "line": place.line, "column": place.column, "end_line": place.end_line or None}


def gap_data(gap: Gap) -> dict[str, Any]:
    """Something that could not be seen."""
    return {"what": gap.what, "why": gap.why, "place": place_data(gap.place) if gap.place else None}


def _json_keys(facts: Mapping[str, Any]) -> dict[str, Any]:
    return {str(key): value for key, value in facts.items()}


def rule_data(rule: Rule, guides: Sequence[Guide]) -> dict[str, Any]:
    """One rule, and the clauses of `guides` that it proves."""
    return {
        "code": rule.code,
        "slug": rule.slug,
        "family": rule.family,
        "severity": rule.severity.word,
        "needs": rule.needs,
        "options": list(rule.options),
        "title": rule.title,
        "why": rule.why,
        "instead": rule.instead,
        "except": rule.unless,
        "clauses": {g.id: list(g.clauses_of(rule.code)) for g in guides if g.clauses_of(rule.code)},
    }


def guide_data(guide: Guide) -> dict[str, Any]:
    """A guide without its clauses."""
    return {
        "id": guide.id,
        "title": guide.title,
        "guide_version": guide.version,
        "source": guide.source,
        "extends": guide.extends,
        "clause_count": len(guide.clauses),
        "rules": sorted(guide.rules),
        "options": asdict(guide.options),
    }


def clause_data(clause: Clause) -> dict[str, Any]:
    """One clause."""
    return {**asdict(clause), "rules": list(clause.rules), "evidence": list(clause.evidence)}
