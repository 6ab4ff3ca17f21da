"""The scorecard: what is proven holds, and what is not proven never does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest

from pgcharter.findings import Evidence, Finding, Gap
from pgcharter.guides.model import Clause, Guide
from pgcharter.guides.score import Scorecard, Verdict, score
from pgcharter.names import ObjectId
from pgcharter.waivers import Waiver


@dataclass
class Outcome:
    findings: tuple[Finding, ...] = ()
    ran: tuple[str, ...] = ()
    not_run: Mapping[str, str] = field(default_factory=dict)
    suppressed: tuple[tuple[Finding, str], ...] = ()


def clause(**parts: object) -> Clause:
    return Clause(**{"id": "X1", "section": "Keys / Primary", "text": "x", **parts})  # type: ignore[arg-type]


def found(code: str, name: str = "users") -> Finding:
    return Finding(code, "x", ObjectId("table", "app", name))


NOW = datetime(2026, 11, 22, tzinfo=UTC)


def proof(name: str, *, holds: bool = True, seen: str = "seen", days: int = 1, counts: int | None = None) -> Evidence:
    at = NOW - timedelta(days=days)
    return Evidence(name, holds, seen, at, at + timedelta(days=counts) if counts else None)


def judge_by(wanted: Clause, *evidence: Evidence, outcome: Outcome | None = None) -> Verdict:
    (verdict,) = score(Guide("g", "G", clauses=(wanted,)), outcome or Outcome(), evidence=evidence, now=NOW).verdicts
    return verdict


def judge(wanted: Clause, outcome: Outcome, *, off: tuple[str, ...] = (), waived: tuple[tuple[Finding, Waiver], ...] = ()) -> Verdict:
    (verdict,) = score(Guide("g", "G", clauses=(wanted,), off=frozenset(off)), outcome, waived=waived).verdicts
    return verdict


KEY, TYP = found("KEY01"), found("TYP01")
WAIVER = Waiver("KEY01", "goes away", object="*")
BOTH = clause(rules=("KEY01", "TYP01"))
RAN = ("KEY01", "TYP01")


@pytest.mark.parametrize(
    ("wanted", "outcome", "extra", "state", "reason"),
    [
        (BOTH, Outcome(ran=RAN), {}, "holds", ""),
        (BOTH, Outcome((KEY, KEY, TYP), RAN), {}, "broken", "2 × KEY01, 1 × TYP01"),
        (BOTH, Outcome((found("CON01"),), RAN), {}, "holds", ""),
        (BOTH, Outcome(ran=("KEY01",), not_run={"TYP01": "needs a live server"}), {}, "unproven", "TYP01: needs a live server"),
        (BOTH, Outcome(not_run=dict.fromkeys(RAN, "needs a catalog")), {}, "unproven", "KEY01, TYP01: needs a catalog"),
        (BOTH, Outcome(ran=("KEY01",)), {}, "unproven", "TYP01: not run in this check"),
        (BOTH, Outcome((TYP,), ("KEY01",), {"TYP01": "needs a catalog"}), {}, "broken", "1 × TYP01"),
        (BOTH, Outcome((KEY,), RAN), {"waived": ((KEY, WAIVER),)}, "waived", "goes away"),
        (BOTH, Outcome((), RAN), {"waived": ((KEY, WAIVER),)}, "waived", "goes away"),
        (BOTH, Outcome((KEY, TYP), RAN), {"waived": ((KEY, WAIVER),)}, "broken", "1 × TYP01"),
        (BOTH, Outcome((), ("KEY01",)), {"waived": ((KEY, WAIVER),)}, "unproven", "TYP01: not run in this check"),
        (BOTH, Outcome(ran=RAN, suppressed=((TYP, "by design"),)), {}, "waived", "by design"),
        (BOTH, Outcome(ran=RAN, suppressed=((TYP, "by design"),)), {"waived": ((KEY, WAIVER),)}, "waived", "goes away; by design"),
        (BOTH, Outcome(ran=("KEY01",)), {"off": ("TYP01",)}, "holds", ""),
        (BOTH, Outcome(), {"off": RAN}, "waived", "KEY01, TYP01 switched off by [severity]"),
        (clause(rules=("KEY01",), requirement="CK10"), Outcome(ran=RAN), {},
         "unproven", "the rules found nothing; the rest is proven by a feature to come (CK10)"),
        (clause(rules=("KEY01",), requirement="CK10"), Outcome((KEY,), RAN), {}, "broken", "1 × KEY01"),
        (clause(proof="later", requirement="MG3"), Outcome(ran=RAN), {}, "unproven", "proven by a feature to come (MG3)"),
        (clause(proof="probe", requirement="SE6"), Outcome(ran=RAN), {},
         "unproven", "needs a probe on a live server, a feature to come (SE6)"),
        (clause(proof="drill", requirement="OP2"), Outcome(ran=RAN), {}, "unproven", "needs a drill, a feature to come (OP2)"),
        (clause(proof="document", reason="judgement"), Outcome(ran=RAN), {}, "unproven", "document only: judgement"),
        (clause(rules=("SRC01",)), Outcome(), {}, "holds", ""),
        (clause(rules=("SRC01",)), Outcome((found("SRC01"),)), {}, "broken", "1 × SRC01"),
    ],
)  # fmt: skip
def test_verdicts(wanted: Clause, outcome: Outcome, extra: dict[str, object], state: str, reason: str) -> None:
    verdict = judge(wanted, outcome, **extra)  # type: ignore[arg-type]
    assert (verdict.state, verdict.reason) == (state, reason)


DRILL = clause(proof="drill", evidence=("backup.drill",))
KEEP = clause(proof="probe", evidence=("retention.*",))


@pytest.mark.parametrize(
    ("wanted", "evidence", "state", "reason"),
    [
        (DRILL, (), "unproven", "no evidence of backup.drill yet: pgcharter backup drill"),
        (DRILL, (proof("backup.drill"),), "holds", "2026-11-21 seen"),
        (DRILL, (proof("backup.drilled"),), "unproven", "no evidence of backup.drill yet: pgcharter backup drill"),
        (DRILL, (proof("backup.drill", holds=False, seen="2 rows differ"),), "broken", "backup.drill: 2 rows differ"),
        (DRILL, (proof("backup.drill"), proof("backup.drill", holds=False, days=2)), "holds", "2026-11-21 seen"),
        (DRILL, (proof("backup.drill", holds=False), proof("backup.drill", days=2)), "broken", "backup.drill: seen"),
        (DRILL, (proof("backup.drill", days=9, counts=7),), "unproven",
         "backup.drill was proven on 2026-11-13, which counted until 2026-11-20: pgcharter backup drill"),
        (DRILL, (proof("backup.drill", days=6, counts=7),), "holds", "2026-11-16 seen"),
        (KEEP, (proof("backup.drill"),), "unproven", "no evidence of retention.* yet: pgcharter retention run"),
        (KEEP, (proof("retention.a"), proof("retention.b", holds=False)), "broken", "retention.b: seen"),
        (KEEP, (proof("retention.a"), proof("retention.b", seen="none left")), "holds", "2026-11-21 seen; 2026-11-21 none left"),
        (clause(rules=("KEY01",), evidence=("health.x",)), (proof("health.x"),), "unproven", "KEY01: not run in this check"),
        (clause(proof="probe", evidence=("health.x",), requirement="WA1"), (proof("health.x"),), "unproven",
         "needs a probe on a live server, a feature to come (WA1)"),
    ],
)  # fmt: skip
def test_verdicts_by_evidence(wanted: Clause, evidence: tuple[Evidence, ...], state: str, reason: str) -> None:
    verdict = judge_by(wanted, *evidence)
    assert (verdict.state, verdict.reason) == (state, reason)


def test_rules_and_evidence_must_both_hold() -> None:
    both = clause(rules=("KEY01",), evidence=("health.x",))
    ran = Outcome(ran=("KEY01",))
    assert judge_by(both, proof("health.x"), outcome=ran).state == "holds"
    broken = judge_by(both, proof("health.x", holds=False), outcome=Outcome((KEY,), ("KEY01",)))
    assert (broken.state, broken.reason) == ("broken", "1 × KEY01; health.x: seen")


def test_a_verdict_carries_its_findings() -> None:
    assert judge(BOTH, Outcome((KEY, TYP), RAN), waived=((KEY, WAIVER),)).findings == (TYP,)
    assert judge(BOTH, Outcome((KEY,), RAN), waived=((KEY, WAIVER),)).findings == (KEY,)
    assert judge(BOTH, Outcome(ran=RAN)).findings == ()


def card() -> Scorecard:
    clauses = (
        clause(id="X1", section="Keys / Primary", rules=("KEY01",)),
        clause(id="X2", section="Types", rules=("TYP01",)),
        clause(id="X3", section="Keys / Foreign", proof="later", requirement="MG3"),
        clause(id="X4", section="Words", proof="document", reason="judgement"),
    )
    return score(Guide("g", "G", clauses=clauses), Outcome((KEY,), RAN), gaps=[Gap("roles", "no permission")])


def test_totals() -> None:
    assert card().totals == {"holds": 1, "broken": 1, "unproven": 2, "waived": 0}
    assert card().sections == {
        "Keys": {"holds": 0, "broken": 1, "unproven": 1, "waived": 0},
        "Types": {"holds": 1, "broken": 0, "unproven": 0, "waived": 0},
        "Words": {"holds": 0, "broken": 0, "unproven": 1, "waived": 0},
    }
    assert list(card().sections) == ["Keys", "Types", "Words"]
    assert card().provable == 3
    assert card().gaps == (Gap("roles", "no permission"),)


def test_the_same_outcome_gives_the_same_card() -> None:
    assert card() == card()
    assert replace(card(), gaps=()) != card()
