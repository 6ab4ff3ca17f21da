"""The scorecard on a page: every state has its mark, and what no rule can prove shares a line."""

from __future__ import annotations

from pgcharter.findings import Finding, Severity
from pgcharter.guides.model import Clause, Guide
from pgcharter.guides.score import score
from pgcharter.render.page import Page, Screen
from pgcharter.render.score import write
from pgcharter.rules.engine import Result

CLAUSES = (
    Clause("C1", "Keys / Primary", "Every table has a key", rules=("KEY91",)),
    Clause("C2", "Keys / Foreign", "Every foreign key has an index", rules=("IDX91",)),
    Clause("C3", "Keys", "Sequences are wide enough", rules=("SEQ91",)),
    Clause("C4", "Keys", "Keys are never reused", proof="later", requirement="MG3"),
    Clause("C5", "Keys", "Keys are named with thought", proof="document", reason="takes a person"),
    Clause("C10", "Money", "Money is exact", rules=("TYP91",)),
)
EXPECTED = """\
guide house: Ours  clause by clause

Keys  ✔ 1  ✘ 1  · 3
  ✘ C1   Every table has a key  (2 × KEY91)
  ✔ C2   Every foreign key has an index
  · C3   Sequences are wide enough  (SEQ91: needs a live
         server)
  · 1 for features to come: C4
  · 1 for people to read: C5

Money  ~ 1
  ~ C10  Money is exact  (imported as it is)

✔ 1 hold  ✘ 1 broken  · 3 unproven  ~ 1 waived  of 6
clauses
"""


def page(*, everything: bool = False) -> str:
    def finding(code: str, detail: str = "") -> Finding:
        return Finding(code, "it is so", severity=Severity.ERROR, facts={"detail": detail})

    result = Result(
        findings=(finding("KEY91", "a"), finding("KEY91", "b")),
        ran=("KEY91", "IDX91", "TYP91"),
        not_run={"SEQ91": "needs a live server"},
        suppressed=((finding("TYP91"), "imported as it is"),),
    )
    made = Page(Screen(56))
    write(made, score(Guide("house", "Ours", clauses=CLAUSES), result), everything=everything)
    return made.text()


def test_page() -> None:
    assert page() == EXPECTED


def test_everything_gives_each_clause_a_line() -> None:
    text = page(everything=True)
    assert "for people to read" not in text
    assert all(f" {clause.id} " in text and clause.text.split()[0] in text for clause in CLAUSES)


def test_an_own_check_that_could_not_be_made_waits_for_nothing() -> None:
    clause = Clause("A1.1", "Data", "No order is empty", proof="sql", sql="SELECT 1", guide="own", rules=("OWN-A1.1",))
    guide = Guide("own", "Own", clauses=(clause,))
    result = Result(findings=(), ran=(), not_run={"OWN-A1.1": "PostgreSQL says: no"})
    said = Page(Screen(width=80))
    write(said, score(guide, result))
    assert "A1.1  No order is empty  (OWN-A1.1: PostgreSQL says: no)" in said.text()
    assert "features to come" not in said.text()
