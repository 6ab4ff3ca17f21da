"""Every form of a verdict is well-formed whatever the findings say, says the same as the verdict, and holds no secret."""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any, TypeVar
from xml.etree import ElementTree

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from pydantic_sarif.model import StaticAnalysisResultsFormatSarifVersion210JsonSchema as OfficialSarif

from pgcharter import guides
from pgcharter.catalog.reading import Reading
from pgcharter.findings import Finding, Gap, Place, Severity
from pgcharter.names import ObjectId
from pgcharter.redact import redact
from pgcharter.render import github, gitlab, junit, markdown, sarif
from pgcharter.render.locations import Root
from pgcharter.render.report import Report
from pgcharter.waivers import Waiver, WaiverProblem

ROOT = Root("/checkout/api", "/checkout")
T = TypeVar("T")
CORE = guides.load("core")
NASTY = (
    "]]>", "</script><script>alert(1)</script>", "<!--", "-->", "::error::x", "##[add-mask]x", "%0A::set-output name=a::b", "a|b", "`x``y`",
    "@everyone", "#12", "https://evil.example/?a=b&c", "www.evil.example", "{0}", "[a](1)", "\r\n::warning::x", "\x1b[2J", "\x00", "\u202e",
    "\u2028", "\udcff", "\ufffe", "\uffff", "😀" * 15, "x" * 63, "表" * 21, "'; DROP TABLE x", '"', "'", "&amp;", "</td>", "|\n|", "\t",
    "postgresql://me:hunter2@host/db", "password=hunter2", "</details>", "```\n", "<b>", "&", ":tada:", "\\", "$x$",
)  # fmt: skip
FILE = "CREATE TABLE a (\n  x text\n);\nCREATE TABLE b (y text); -- 😀\n"


class Dice:
    """A hostile verdict for each number: built here and not by hypothesis, because it has a hundred parts."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def chance(self, part: float = 0.5) -> bool:
        return self.random.random() < part

    def name(self) -> str:
        odd = "".join(
            chr(self.random.choice((self.random.randrange(0x20), self.random.randrange(0x3000), self.random.randrange(0x110000))))
            for _ in "1234"
        )
        return self.random.choice((*NASTY, odd))

    def words(self) -> str:
        return " ".join(self.name() for _ in range(self.random.randint(1, 4)))

    def some(self, make: Callable[[], T], most: int = 2) -> tuple[T, ...]:
        return tuple(make() for _ in range(self.random.randint(0, most)))

    def place(self) -> Place:
        file = self.random.choice(("db/1.sql", "../web/ä b%.sql", "/elsewhere/2.sql", "x,y:z.sql", "-.sql", self.name()))
        return Place(file, self.random.randint(1, 6), self.random.randint(1, 20), self.random.randint(0, 9))

    def object(self) -> ObjectId:
        return ObjectId(self.random.choice(("table", "index", "column", "function")), self.random.choice(("", "app")), self.name())

    def finding(self) -> Finding:
        return Finding(
            self.random.choice(("KEY01", "TYP01", "SEC12", "SRC01", "OWN99")),
            self.words(),
            self.object() if self.chance() else None,
            self.place() if self.chance(0.7) else None,
            self.random.choice(tuple(Severity)),
            hint=self.words() if self.chance() else "",
            fix=self.some(self.words),
            facts={"detail": "d"} if self.chance() else {},
            clauses=self.some(self.name, 3),
        )

    def allowed(self) -> tuple[Finding, str]:
        return self.finding(), self.words()

    def problem(self) -> WaiverProblem:
        waiver = Waiver("KEY01", self.words(), "app.*", expires=date(2020, 1, 1), place="c.toml:3" if self.chance() else "")
        return WaiverProblem("expired" if self.chance() else "dangling", waiver, self.words(), self.words())

    def gap(self) -> Gap:
        return Gap(self.words(), self.words(), self.place() if self.chance() else None)

    def report(self) -> Report:
        return Report(
            Reading(redact(self.words()), self.random.choice(("sql", "live")), texts={"db/1.sql": FILE, "x,y:z.sql": FILE}),
            CORE,
            self.some(self.finding, 6),
            suppressed=self.some(self.allowed),
            waived=self.some(self.allowed),
            left_out=self.some(self.allowed),
            known=self.some(self.finding),
            unchanged=self.some(self.finding),
            below=self.some(self.finding),
            waiver_problems=self.some(self.problem),
            gaps=self.some(self.gap),
            not_run={code: self.words() for code in ("KEY01", "IDX01", "SEC12") if self.chance()},
            ran=("KEY01", "KEY20", "TYP01"),
            fail_on=self.random.choice((None, *Severity)),
        )


def hostile(seed: int) -> list[Report]:
    dice = Dice(seed)
    return [dice.report() for _ in range(dice.random.randint(1, 2))]


any_verdicts = given(seed=st.integers(0, 2**32))
relaxed = settings(max_examples=100, deadline=None, phases=(Phase.explicit, Phase.reuse, Phase.generate))


def text_of(write: Callable[..., Iterator[str]], verdicts: Sequence[Report], **more: Any) -> str:
    text = "".join(write(verdicts, ROOT, **more))
    assert "hunter2" not in text
    assert not {c for c in text if c != "\n" and (c < " " or "\x7f" <= c <= "\x9f" or c in "\u202e\u2028")}
    return text


def finding(n: int = 1, **more: Any) -> Finding:
    place = Place("db/1.sql", 2, 3)
    return replace(Finding("KEY01", f"table app.t{n} has no key", ObjectId("table", "app", f"t{n}"), place, Severity.ERROR), **more)


def report(*found: Finding, **more: Any) -> Report:
    return Report(Reading("db", "sql", texts={"db/1.sql": FILE}), CORE, found, ran=("KEY01", "TYP01"), **more)


class TestSarif:
    @relaxed
    @any_verdicts
    def test_is_sarif(self, seed: int) -> None:
        verdicts = hostile(seed)
        data = json.loads(text_of(sarif.write, verdicts))
        OfficialSarif.model_validate(data)
        run = data["runs"][0]
        prints = [r["partialFingerprints"][sarif.FINGERPRINT] for r in run["results"]]
        assert len(prints) == len(set(prints))
        rules = run["tool"]["driver"]["rules"]
        assert all(rules[r["ruleIndex"]]["id"] == r["ruleId"] for r in run["results"])
        assert len({r["id"] for r in rules}) == len(rules)
        assert sum("suppressions" not in r for r in run["results"]) == sum(len(v.findings) for v in verdicts)
        assert run["invocations"][0]["exitCode"] == (1 if any(v.failed for v in verdicts) else 0)
        for physical in (p["physicalLocation"] for r in run["results"] for p in r.get("locations", ()) if "physicalLocation" in p):
            artifact = physical["artifactLocation"]
            assert re.fullmatch(r"[A-Za-z0-9._~/%-]+", artifact["uri"].removeprefix("file://"))
            assert artifact["uri"].startswith("file:///") or artifact["uriBaseId"] == "%SRCROOT%"
            assert physical["region"]["startLine"] >= 1

    def test_the_official_model_refuses_what_is_wrong(self) -> None:
        data = sarif.sarif_data([report(finding())], ROOT)
        data["runs"][0]["results"][0]["level"] = "grave"
        with pytest.raises(ValueError, match="level"):
            OfficialSarif.model_validate(data)
        with pytest.raises(ValueError, match="startLin"):
            OfficialSarif.model_validate(
                {"version": "2.1.0", "runs": [{"tool": {"driver": {"name": "x"}}, "results": [{"message": {"text": "x"}, "startLin": 1}]}]}
            )

    def test_identity_is_stable(self) -> None:
        """Another line, wording, severity, order or place of the checkout changes no fingerprint."""

        def prints(root: Root, *found: Finding) -> list[str]:
            return [r["partialFingerprints"][sarif.FINGERPRINT] for r in sarif.sarif_data([report(*found)], root)["runs"][0]["results"]]

        loose = finding(object=None)
        once = prints(ROOT, finding(1), finding(2), loose)
        moved = finding(1, place=Place("db/1.sql", 4), message="other words", severity=Severity.INFO)
        elsewhere = Root("/home/me/src", "/home/me/src")
        assert prints(ROOT, moved, finding(2), loose) == once
        assert prints(elsewhere, finding(2)) == once[1:2]
        assert prints(elsewhere, finding(object=None, place=Place("api/db/1.sql", 9))) == once[2:]

    def test_paths(self) -> None:
        assert ROOT.uri("db/ä b%.sql") == ("api/db/%C3%A4%20b%25.sql", True)
        assert ROOT.uri("../web/1.sql") == ("web/1.sql", True)
        assert ROOT.uri("/checkout/x.sql") == ("x.sql", True)
        assert ROOT.uri("/other/x.sql") == ("file:///other/x.sql", False)
        assert ROOT.uri("/checkouts/x.sql") == ("file:///checkouts/x.sql", False)

    def test_the_region_is_the_name_in_characters(self) -> None:
        where = finding(object=ObjectId("table", "", "b"), place=Place("db/1.sql", 4, 1))
        region = sarif.sarif_data([report(where)], ROOT)["runs"][0]["results"][0]["locations"][0]["physicalLocation"]["region"]
        assert region == {"startLine": 4, "startColumn": 14, "endLine": 4, "endColumn": 15}


class TestGitHub:
    COMMAND = re.compile(
        r"::(error|warning|notice) (?:file=([^,:\r\n]+),line=\d+,(?:endLine=\d+,col=\d+,endColumn=\d+,)?)?title=[^,:\r\n]+::[^\r\n]*"
    )

    @relaxed
    @any_verdicts
    def test_each_line_is_one_command_or_harmless(self, seed: int) -> None:
        verdicts = hostile(seed)
        for line in text_of(github.write, verdicts).splitlines():
            if line.startswith(" "):
                assert "##[" not in line
                assert "::" not in line
            else:
                assert self.COMMAND.fullmatch(line) or re.fullmatch("::group::[0-9,]+ more [a-z ]+|::endgroup::", line), line

    def test_the_worst_come_first_and_nothing_is_dropped_without_a_word(self) -> None:
        mild = [finding(n, severity=Severity.INFO) for n in range(3)]
        text = text_of(github.write, [report(*mild, *(finding(n) for n in range(25)))])
        assert text.startswith("::error ")
        assert text.count("::error ") == 10
        assert "::group::15 more errors without annotation\n" in text
        assert text.count("has no key") == 28
        assert text.rindex("::error ") < text.index("::notice ")

    def test_escapes(self) -> None:
        item = finding(message="50% of a,b:c", place=Place("a,b:c%.sql", 3), object=None)
        assert "::error file=api/a%2Cb%3Ac%25.sql,line=3,title=KEY01 missing-primary-key::50%25 of a,b:c\n" in text_of(
            github.write, [report(item)]
        )


class TestGitLab:
    @relaxed
    @any_verdicts
    def test_is_a_code_quality_report(self, seed: int) -> None:
        verdicts = hostile(seed)
        data = json.loads(text_of(gitlab.write, verdicts))
        assert len(data) == sum(len(v.findings) for v in verdicts)
        assert len({i["fingerprint"] for i in data}) == len(data)
        for issue in data:
            assert issue["severity"] in ("info", "minor", "major", "critical", "blocker")
            assert issue["location"]["path"]
            assert issue["location"]["lines"]["begin"] >= 1
            assert issue["location"]["lines"].get("end", 10**6) >= issue["location"]["lines"]["begin"]
            assert issue["check_name"]
            assert issue["description"]

    def test_nothing_found_is_an_empty_list(self) -> None:
        assert json.loads(text_of(gitlab.write, [report()])) == []

    def test_objects_without_a_file_have_an_address(self) -> None:
        item = finding(place=None, object=ObjectId("column", "app", "a/b", "c"))
        assert gitlab.issue(next(iter(gitlab.told([report(item)], ROOT))), ROOT)["location"]["path"] == "database/app/a_b"


class TestJUnit:
    @relaxed
    @any_verdicts
    def test_is_junit(self, seed: int, junit_schema: Any) -> None:
        verdicts = hostile(seed)
        text = text_of(junit.write, verdicts)
        junit_schema.validate(text)
        top = ElementTree.fromstring(text.encode())
        suites = top.findall("testsuite")
        assert len(suites) == len(verdicts)
        for suite, verdict in zip(suites, verdicts, strict=True):
            cases = suite.findall("testcase")
            assert int(suite.get("tests", "")) == len(cases)
            assert int(suite.get("failures", "")) == len(suite.findall("testcase/failure"))
            assert int(suite.get("skipped", "")) == len(suite.findall("testcase/skipped"))
            assert bool(suite.findall("testcase/failure")) == verdict.failed
            assert len({(c.get("classname"), c.get("name")) for c in cases}) >= len({f.code for f in verdict.findings})
        assert int(top.get("tests", "")) == sum(int(s.get("tests", "")) for s in suites)
        assert int(top.get("failures", "")) == sum(int(s.get("failures", "")) for s in suites)

    def test_what_does_not_fail_the_check_fails_no_test(self) -> None:
        text = text_of(junit.write, [report(finding(severity=Severity.WARNING), not_run={"SEC12": "needs a server"})])
        assert "<failure" not in text
        assert "warning: table app.t1 has no key" in text
        assert '<skipped message="needs a server"/>' in text


class TestMarkdown:
    @relaxed
    @any_verdicts
    def test_shows_exactly_what_was_meant(self, seed: int) -> None:
        verdicts = hostile(seed)
        text = text_of(markdown.write, verdicts)
        assert text.startswith(markdown.MARKER + "\n")
        tokens = MarkdownIt("commonmark").enable("table").parse(text)
        flat = [t for top in tokens for t in (top, *(top.children or ()))]
        assert not {t.type for t in flat} & {"link_open", "image", "code_inline", "em_open", "blockquote_open", "hr", "code_block"}
        rows = sum(t.type == "tr_open" for t in flat) - sum(t.type == "thead_open" for t in flat)
        assert rows == sum(len(v.findings) for v in verdicts)
        cells = Counter(t.type for t in flat)
        assert cells["td_open"] == 3 * rows
        html = "".join(t.content for t in flat if t.type in ("html_block", "html_inline"))
        assert not re.sub(r"</?(?:details(?: open)?|summary|b|sub)>|<br>|<!-- -->|<!-- pgcharter:check -->|[\w\s(),️❌⚠ℹ]", "", html)
        assert html.count("<details") == html.count("</details>")
        shown = "\0".join(t.content for t in flat if t.type == "text")
        assert not re.search(r"@\w|#\d|https?://|www\.\w", shown)

    @pytest.mark.parametrize("limit", [4_000, 20_000, markdown.LIMIT])
    @pytest.mark.parametrize("long", ["x", "é😀|" * 40])
    def test_is_never_longer_than_a_host_takes(self, limit: int, long: str) -> None:
        many = [finding(n, message=f"table {n} {long}", fix=(f"ALTER TABLE t{n} ADD PRIMARY KEY (id)",)) for n in range(3_000)]
        many += [finding(n, severity=Severity.WARNING, message=long) for n in range(3_000)]
        text = text_of(markdown.write, [report(*many)], limit=limit)
        assert len(text.encode("utf-16-le")) // 2 <= limit
        assert "6,000" in text or "3,000 errors, 3,000 warnings" in text
        told = text.count("<br>missing-primary-key |")
        left = sum(
            int(n.replace(",", "")) for n in re.findall(r"([\d,]+) more (?:errors?|warnings?|findings? left out|findings?\*\* left)", text)
        )
        assert told + left == 6_000

    def test_one_comment_is_found_again(self) -> None:
        assert text_of(markdown.write, [report()]).splitlines()[0] == text_of(markdown.write, [report(finding())]).splitlines()[0]


def test_ten_thousand_findings_come_in_pieces() -> None:
    many = [report(*(finding(n) for n in range(10_000)))]
    for write in (sarif.write, gitlab.write, junit.write):
        assert max(map(len, write(many, ROOT))) < 100_000, write.__module__


@pytest.fixture(scope="session")
def junit_schema() -> Any:
    import xmlschema

    return xmlschema.XMLSchema(str(Path(__file__).parent / "junit.xsd"))
