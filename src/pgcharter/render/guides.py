"""Guides as text: all in a list, or one clause by clause."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields

from pgcharter.guides.model import Clause, Guide
from pgcharter.guides.options import Options
from pgcharter.render.page import Page, Styled, columns
from pgcharter.render.phrases import plural, sql
from pgcharter.render.source_codes import described


def write_guides(page: Page, guides: Sequence[Guide]) -> None:
    """Write one line a guide."""
    width = max((columns(g.id) for g in guides), default=0)
    for guide in guides:
        counts = f"{plural(len(guide.clauses), 'clause')}, {plural(len(guide.rules), 'rule')}"
        extends = f"; extends {guide.extends}" if guide.extends else ""
        page.flow(
            Styled(guide.id.ljust(width), "strong"), f"  {guide.title}  ", Styled(f"{counts}{extends}", "dim"), indent=2, hanging=width + 2
        )


def changed_options(guide: Guide) -> dict[str, object]:
    """The house options that a guide sets to something else than the default."""
    plain = Options()
    return {f.name: getattr(guide.options, f.name) for f in fields(Options) if getattr(guide.options, f.name) != getattr(plain, f.name)}


def write_guide(page: Page, guide: Guide, *, options: bool = True) -> None:
    """Write a guide's options and clauses."""
    version = f" {guide.version}" if guide.version else ""
    page.flow(Styled(f"{guide.id}{version}", "strong"), f"  {guide.title}", Styled(f"  from {guide.source}" if guide.source else "", "dim"))
    chosen = changed_options(guide) if options else {}
    if chosen:
        page.blank()
        page.line(Styled("House options", "heading"))
        width = max(map(len, chosen))
        for name, value in chosen.items():
            page.flow(f"{name.ljust(width)}  ", Styled(_value(value), "code"), indent=2, hanging=width + 2)
    width = max((columns(c.id) for c in guide.clauses), default=0)
    section = None
    for clause in guide.clauses:
        if clause.section != section:
            section = clause.section
            page.blank()
            page.flow(Styled(section, "heading"))
        _clause(page, clause, width)


def _value(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    return {True: "yes", False: "no"}.get(value, str(value)) if isinstance(value, bool) else str(value)


def _clause(page: Page, clause: Clause, width: int) -> None:
    proof = ", ".join((*clause.rules, *clause.evidence)) or {"document": "for people to read"}.get(clause.proof, f"proof: {clause.proof}")
    page.flow(
        Styled(clause.id.ljust(width), "code"),
        f"  {clause.text}",
        Styled(f"  ({clause.level}; {proof})", "dim"),
        indent=2,
        hanging=width + 2,
    )
    if clause.note:
        page.flow(Styled(f"note: {clause.note}", "dim"), indent=width + 4, hanging=6)


def write_one_clause(page: Page, clause: Clause, guide: Guide) -> None:
    """Write a clause by itself: what it asks, and how it is shown to hold."""
    page.flow(Styled(clause.id, "code"), Styled(f"  {guide.title}", "strong"), Styled(f"  {clause.section}", "dim"))
    page.flow(f"{clause.text} ({clause.level})")
    page.blank()
    page.line(Styled("Proof", "heading"))
    for code in () if clause.sql else clause.rules:
        known = described(code)
        page.flow(Styled(code, "code"), f"  {known.title.rstrip('.') if known else ''}", indent=2, hanging=7)
    if clause.sql:
        page.flow(f"a query that must return no row; each row is a finding {clause.code}", indent=2)
        for line in clause.sql.strip().splitlines():
            page.line(*sql(line), indent=4)
    if clause.requirement:
        page.flow(Styled(f"{'the rest' if clause.rules else 'all of it'} by a feature to come ({clause.requirement})", "dim"), indent=2)
    if clause.reason:
        page.flow(f"for people to read: {clause.reason}", indent=2)
    if clause.note:
        page.blank()
        page.line(Styled("Note", "heading"))
        page.flow(clause.note, indent=2)
