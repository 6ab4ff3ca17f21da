"""Rules as text: one in full, or all in a table."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence

from pgcharter.guides.model import Guide
from pgcharter.render.page import Page, Styled
from pgcharter.render.phrases import sql
from pgcharter.render.summary import MARKS
from pgcharter.rules.engine import Rule


def write_rule(page: Page, rule: Rule, guides: Sequence[Guide]) -> None:
    """Write everything known about one rule, and what each of `guides` says about it."""
    page.flow(Styled(f"{rule.code} {rule.slug}", "strong"), Styled(f"  {rule.severity.word}, needs {NEEDS[rule.needs]}", "dim"))
    page.flow(rule.title)
    for heading, text in (("Why", rule.why), ("Instead", rule.instead), ("Except", rule.unless)):
        if text:
            page.blank()
            page.line(Styled(heading, "heading"))
            _prose(page, text)
    if rule.options:
        page.blank()
        page.line(Styled("Options", "heading"))
        page.flow(f"obeys the house option{'s' if len(rule.options) > 1 else ''} {', '.join(rule.options)}; silent when not set", indent=2)
    _clauses(page, rule, guides)
    page.blank()
    page.line(Styled("To allow it", "heading"))
    page.line(Styled("in SQL", "dim"), "      ", Styled(f"-- pgcharter: allow {rule.code} because <reason>", "command"), indent=2)
    page.line(
        Styled("in charter", "dim"), "  ", Styled(f'[[waiver]]  rule = "{rule.code}"  object = "…"  reason = "…"', "command"), indent=2
    )


NEEDS = {
    "text": "the SQL's text",
    "catalog": "a catalog",
    "cluster": "a live server",
    "stats": "a live server's statistics",
    "samples": "a look at a live server's rows",
}


def _clauses(page: Page, rule: Rule, guides: Sequence[Guide]) -> None:
    named = [(g, c) for g in guides for c in g.clauses if rule.code in c.rules and c.guide in ("", g.id)]
    if not named:
        return
    page.blank()
    page.line(Styled("In the guides", "heading"))
    for guide, clause in named:
        page.flow(Styled(f"{guide.id} {clause.id}", "code"), f"  {clause.text}", indent=2, hanging=4)


def _prose(page: Page, text: str) -> None:
    """Paragraphs flow; indented blocks are SQL and stay as they are."""
    for paragraph in text.split("\n\n"):
        lines = paragraph.split("\n")
        if all(line.startswith("    ") for line in lines if line.strip()):
            page.blank()
            for line in textwrap.dedent(paragraph).split("\n"):
                page.line(*sql(line), indent=6)
            page.blank()
        else:
            page.flow(" ".join(paragraph.split()), indent=2)


def write_rules(page: Page, rules: Iterable[Rule]) -> None:
    """Write the rules by family: severity, code, what it flags, slug."""
    families: dict[str, list[Rule]] = {}
    for rule in rules:
        families.setdefault(rule.family, []).append(rule)
    for family, members in families.items():
        page.blank()
        page.line(Styled(family, "heading"))
        for rule in members:
            mark = Styled(f"{MARKS[rule.severity]} {rule.code}", rule.severity.word)
            page.flow(mark, f"  {rule.title.rstrip('.')}", Styled(f"  {rule.slug}", "dim"), indent=2, hanging=9)
