"""A verdict as GitLab's code quality report: a list of issues, shown in merge requests."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from pgcharter.findings import Severity
from pgcharter.redact import redact
from pgcharter.render.json import pieces
from pgcharter.render.locations import Root, place_of, spot
from pgcharter.render.page import clean
from pgcharter.render.report import Report
from pgcharter.render.secrets import without_secrets
from pgcharter.render.states import Told, told

SEVERITIES = {Severity.ERROR: "critical", Severity.WARNING: "major", Severity.INFO: "info"}


def write(reports: Sequence[Report], root: Root) -> Iterator[str]:
    """The document in pieces. What is waived, suppressed or known is left out: the report knows no such state."""
    yield from pieces([without_secrets(issue(item, root)) for item in told(reports, root) if item.state == "counts"])
    yield "\n"


def issue(item: Told, root: Root) -> dict[str, Any]:
    """One finding."""
    found = item.finding
    return {
        "type": "issue",
        "check_name": found.code,
        "description": clean(f"{found.code} {found.message}"),
        "fingerprint": item.identity,
        "severity": SEVERITIES[found.severity],
        "location": _location(item, root),
    }


def _location(item: Told, root: Root) -> dict[str, Any]:
    """File and lines; what lives in a database only gets its address as a path, because the report demands one."""
    where = spot(item.finding, item.report)
    if where is None:
        names = item.finding.object
        parts = ("database", *filter(None, (names.schema, names.name) if names else ()))
        return {"path": clean("/".join(redact(p).replace("/", "_") for p in parts)), "lines": {"begin": 1}}
    place = place_of(item.finding, item.report)
    lines = {"begin": where.line}
    if place and place.end_line > where.line:
        lines["end"] = place.end_line
    return {"path": clean(root.path(where.file)), "lines": lines}
