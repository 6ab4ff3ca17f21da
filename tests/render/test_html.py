"""The page: one file that asks for nothing, lets nothing of its content become markup, and reads well."""

from __future__ import annotations

import base64
import hashlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from pgcharter.findings import Severity
from pgcharter.render import html

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def _forms() -> ModuleType:
    """The neighbouring tests, whose hostile verdicts serve here too."""
    spec = importlib.util.spec_from_file_location("forms", Path(__file__).with_name("test_forms.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


forms = _forms()


class Seen(HTMLParser):
    """What a browser would make of the page."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.inside = ""
        self.texts: dict[str, list[str]] = {"script": [], "style": []}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag in self.texts:
            self.inside = tag
            self.texts[tag].append("")

    def handle_endtag(self, tag: str) -> None:
        self.inside = "" if tag == self.inside else self.inside

    def handle_data(self, data: str) -> None:
        if self.inside:
            self.texts[self.inside][-1] += data


def page_of(verdicts: Any) -> tuple[str, Seen, dict[str, Any]]:
    text = "".join(html.write(verdicts, forms.ROOT))
    seen = Seen()
    seen.feed(text)
    return text, seen, json.loads(seen.texts["script"][0])


@settings(max_examples=60, deadline=None, phases=(Phase.explicit, Phase.reuse, Phase.generate))
@given(seed=st.integers(0, 2**32))
def test_nothing_hostile_becomes_markup(seed: int) -> None:
    verdicts = forms.hostile(seed)
    text, seen, data = page_of(verdicts)
    assert "hunter2" not in text
    assert not {c for c in text if c != "\n" and (c < " " or "\x7f" <= c <= "\x9f" or c in "\u202e\u2028")}
    assert [t for t, _ in seen.tags].count("script") == 2
    allowed = {
        "html",
        "head",
        "meta",
        "title",
        "style",
        "body",
        "a",
        "header",
        "div",
        "span",
        "button",
        "h1",
        "h2",
        "p",
        "b",
        "ul",
        "li",
        "main",
    }
    allowed |= {"details", "summary", "svg", "rect", "table", "thead", "tbody", "tr", "th", "td", "i", "section", "form", "label", "input"}
    allowed |= {"fieldset", "legend", "select", "option", "noscript", "footer", "script"}
    assert {t for t, _ in seen.tags} <= allowed
    for tag, attributes in seen.tags:
        assert not {a for a in attributes if a.startswith("on") or a == "style"}, tag
        assert attributes.get("href", "#findings") == "#findings"
        assert "src" not in attributes
    states = [f.get("z", "counts") for f in data["findings"]]
    assert states.count("counts") == sum(len(v.findings) for v in verdicts)
    assert states.count("waived") == sum(len(v.waived) for v in verdicts)


def test_the_policy_lets_run_exactly_what_is_in_the_page() -> None:
    text, seen, _ = page_of([forms.report(forms.finding())])
    policy = next(a["content"] for t, a in seen.tags if t == "meta" and a.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    assert policy.startswith("default-src 'none'; ")
    for kind, body in (("style", seen.texts["style"][0]), ("script", seen.texts["script"][1])):
        digest = base64.b64encode(hashlib.sha256(body.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in policy
    assert "unsafe" not in policy
    assert not re.search(r"https?://|//cdn|@import|url\(", text)


def test_each_finding_is_there_with_its_rule_and_clause() -> None:
    item = forms.finding(clauses=("K1.1",), fix=("ALTER TABLE x ADD y int",), severity=Severity.ERROR)
    _, _, data = page_of([forms.report(item)])
    (shown,) = data["findings"]
    assert (shown["c"], shown["s"], shown["f"], shown["q"]) == ("KEY01", "error", "api/db/1.sql", ["ALTER TABLE x ADD y int;"])
    assert data["rules"]["KEY01"]["slug"] == "missing-primary-key"


def test_a_password_in_the_source_line_is_not_shown() -> None:
    text = "CREATE ROLE app PASSWORD 'hunter2' LOGIN; -- password=hunter2\n"
    verdict = forms.Report(forms.Reading("db", "sql", texts={"r.sql": text}), forms.CORE, (forms.finding(place=forms.Place("r.sql", 1)),))
    page, _, data = page_of([verdict])
    assert "hunter2" not in page
    assert "CREATE ROLE app PASSWORD '***'" in "".join(data["findings"][0]["x"][1:])


def test_colours_can_be_read() -> None:
    """Every colour of text stands out from every ground it is used on by 4.5 to 1 (WCAG AA), light and dark."""
    css = (Path(html.__file__).parent / "templates" / "page.css").read_text(encoding="utf-8")
    for block in (css.split("}")[0], css.split('[data-theme="dark"]')[1].split("}")[0]):
        colours = dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", block))
        grounds = ("bg", "panel", "sunk")
        for ink in ("ink", "dim", "error", "warning", "info", "good"):
            for ground in grounds:
                assert contrast(colours[ink], colours[ground]) >= 4.5, (ink, ground)
        for word in ("error", "warning", "info", "good"):
            assert contrast(colours[word], colours[f"{word}-bg"]) >= 4.5, word
        assert contrast(colours["ink"], colours["mark"]) >= 4.5


def contrast(a: str, b: str) -> float:
    def light(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    one, two = sorted((light(a), light(b)), reverse=True)
    return (one + 0.05) / (two + 0.05)


@pytest.mark.slow
def test_a_browser_draws_it_under_its_own_policy(tmp_path: Path) -> None:
    """The page as it is: its script runs, hostile text stays text, and a window that is asked to filter does."""
    if CHROMIUM is None and not os.environ.get("CI"):
        pytest.skip("needs chromium: apt-get install chromium")
    hostile = forms.finding(message="</script><img src=x onerror=alert(1)> & <b>", severity=Severity.ERROR)
    file = tmp_path / "page.html"
    file.write_text("".join(html.write([forms.report(hostile, *(forms.finding(n) for n in range(300)))], forms.ROOT)), encoding="utf-8")
    options = (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-background-networking",
        "--no-first-run",
        f"--user-data-dir={tmp_path / 'profile'}",
        "--window-size=1200,900",
    )
    done = subprocess.run([str(CHROMIUM), *options, "--dump-dom", file.as_uri()], capture_output=True, text=True, timeout=60, check=True)
    drawn = re.sub(r"<script.*?</script>", "", done.stdout, flags=re.DOTALL)
    assert "301 findings" in drawn
    assert "&lt;/script&gt;&lt;img src=x onerror=alert(1)&gt; &amp; &lt;b&gt;" in drawn
    assert "<img" not in drawn
    assert drawn.count('<details class="item') >= 100
