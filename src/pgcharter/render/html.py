"""A verdict as one page of HTML that needs nothing else: no server, no network, no other file.

The head (verdict, totals, scorecard, gaps) is written here; findings lie in the page as JSON and are drawn by its script, a slice at a
time, so that thousands open at once. The policy in its head lets run exactly this script and this style, by their hashes.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from pgcharter import __version__
from pgcharter.findings import Finding, Severity
from pgcharter.guides.model import Guide
from pgcharter.guides.score import STATES, Scorecard, score
from pgcharter.redact import redact
from pgcharter.render.excerpt import excerpt
from pgcharter.render.locations import Root, place_of, spot
from pgcharter.render.page import UNSAFE, clean
from pgcharter.render.report import Outcome, Report
from pgcharter.render.secrets import fix_lines, without_secrets
from pgcharter.render.source_codes import described
from pgcharter.render.states import WORDS, Told, not_counted, told

LINE = 400
"""Characters of a source line that are kept."""
_PASSWORD = re.compile(r"(\bpassword\s+(?:=\s*)?)'(?:[^']|'')*'", re.IGNORECASE)


def write(reports: Sequence[Report], root: Root, cards: Sequence[Scorecard | None] = ()) -> Iterator[str]:
    """The page in pieces."""
    templates = Environment(loader=PackageLoader("pgcharter.render"), autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    style, script = (files("pgcharter.render").joinpath("templates", name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    everything = list(told(reports, root))
    known = [card or _card(report) for card, report in zip(_padded(cards, len(reports)), reports, strict=True)]
    yield templates.get_template("page.html").render(
        version=__version__,
        style=Markup(style),  # noqa: S704 - our own file
        policy=f"default-src 'none'; style-src {_hash(style)}; script-src {_hash(script)}; base-uri 'none'; form-action 'none'",
        failed=any(r.failed for r in reports),
        heads=[_head(r, card) for r, card in zip(reports, known, strict=True)],
        counts={s.word: sum(r.totals[s.word] for r in reports) for s in sorted(Severity, reverse=True)},
        allowed=dict(not_counted(reports)),
        states=STATES,
    )
    yield from _data(everything, reports, known, root)
    yield f"</script>\n<script>{script}</script>\n</body>\n</html>\n"


def _padded(cards: Sequence[Scorecard | None], number: int) -> Sequence[Scorecard | None]:
    return cards or [None] * number


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _card(report: Report) -> Scorecard | None:
    """The scorecard, where nobody made one."""
    return score(report.guide, Outcome.of([report]), gaps=report.gaps) if isinstance(report.guide, Guide) else None


def _head(report: Report, card: Scorecard | None) -> dict[str, Any]:
    """What stands above the findings of one target."""
    catalog = report.reading.catalog
    sections = card.sections if card else {}
    return {
        "target": clean(redact(report.reading.target)),
        "guide": f"{report.guide.id}: {report.guide.title}",
        "server": f"PostgreSQL {catalog.major}" if catalog and catalog.major else "text only",
        "tables": len(catalog.own_tables) if catalog else 0,
        "rules": len(report.ran),
        "level": f"{report.fail_on.word} or above" if report.fail_on else "nothing",
        "failed": report.failed,
        "sections": [{"name": clean(name), "total": sum(c.values()), "counts": c} for name, c in sections.items()],
        "clauses": card.totals if card else {},
        "gaps": [_gap_text(g.what, g.why, str(g.place) if g.place else "") for g in report.gaps],
        "unseen": _unseen(report),
        "problems": [(clean(redact(p.message)), clean(redact(p.hint)), clean(p.waiver.place)) for p in report.waiver_problems],
    }


def _gap_text(what: str, why: str, place: str) -> str:
    return clean(redact(f"{what}: {why}" + (f" ({place})" if place else "")))


def _unseen(report: Report) -> list[tuple[str, str]]:
    """Reasons why rules could not fully look, each with their codes."""
    reasons: dict[str, list[str]] = {}
    for code, why in report.not_run.items():
        reasons.setdefault(clean(redact(why)), []).append(code)
    return [(why, ", ".join(codes)) for why, codes in reasons.items()]


def _data(everything: Sequence[Told], reports: Sequence[Report], cards: Sequence[Scorecard | None], root: Root) -> Iterator[str]:
    """The findings and what is said about their rules and clauses, as JSON that no HTML parser takes for a tag."""
    codes = sorted({t.finding.code for t in everything})
    clauses = {v.clause.id: [v.clause.section, v.clause.text] for card in cards if card for v in card.verdicts}
    head = {
        "rules": {code: _rule(code) for code in codes},
        "clauses": clauses,
        "states": dict(WORDS),
        "targets": [r.reading.target for r in reports],
    }
    yield _json(head)[:-1] + ',"findings":['
    numbers = {id(r): n for n, r in enumerate(reports)}
    for number, item in enumerate(everything):
        yield ("," if number else "") + "\n" + _json(_finding(item, numbers[id(item.report)], root))
    yield "]}"


def _json(data: object) -> str:
    """`data` as JSON for the inside of a script element; empty fields have been left out to keep the page small."""
    text = json.dumps(without_secrets(data), ensure_ascii=False, separators=(",", ":"), default=str)
    text = UNSAFE.sub(lambda m: json.dumps(m[0])[1:-1], text)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _rule(code: str) -> dict[str, str]:
    rule = described(code)
    if rule is None:
        return {"slug": "", "title": "", "why": "", "instead": "", "except": ""}
    return {"slug": rule.slug, "title": rule.title, "why": rule.why, "instead": rule.instead, "except": rule.unless}


def _finding(item: Told, target: int, root: Root) -> dict[str, Any]:
    """One finding, by short names."""
    found, report = item.finding, item.report
    where, subject = spot(found, report), report.subject(found)
    fields = {
        "c": found.code,
        "s": found.severity.word,
        "m": clean(found.message),
        "o": clean(str(subject)) if subject else "",
        "f": clean(root.path(where.file)) if where else "",
        "l": where.line if where else 0,
        "x": _source(found, report),
        "q": [clean(line) for line in fix_lines(found.fix)],
        "h": clean(found.hint),
        "k": [clean(c) for c in found.clauses],
        "z": "" if item.state == "counts" else item.state,
        "r": clean(item.reason),
        "t": target,
    }
    return {name: value for name, value in fields.items() if value or name == "s"}


def _source(found: Finding, report: Report) -> list[Any]:
    """The source line in three parts, the middle one being what is meant."""
    shown = excerpt(found.at(place_of(found, report)), report.reading.texts)
    if shown is None:
        return []
    hidden = _PASSWORD.sub(r"\1'***'", redact(shown.text))
    start, stop = (shown.start, shown.start + shown.length) if hidden == shown.text else (0, 0)
    first = max(0, start - LINE // 2)
    parts = (hidden[first:start], hidden[start:stop][:LINE], hidden[stop : stop + LINE])
    return [shown.line, *(clean(part.replace("\t", "    ")) for part in parts)]
