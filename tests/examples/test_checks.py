"""The shop passes its guide and `core`, as files and live, on every version; the legacy schema shows what it is there to show."""

from __future__ import annotations

from collections import Counter

import pytest

from pgcharter import examples, sources
from pgcharter.cli.project import open_project
from pgcharter.rules import engine

MAJORS = [15, 16, 17, 18]


def findings(target: str, guide: str, major: int | None = None) -> tuple[engine.Result, Counter[str]]:
    project = open_project(examples.folder("shop"), guide)
    result = engine.run(sources.read(target, major=major), project.guide)
    return result, Counter(f.code for f in result.findings)


@pytest.mark.parametrize("guide", ["cloudlab", "core"])
@pytest.mark.parametrize("major", MAJORS)
def test_the_shop_passes_as_files(majors: tuple[int, ...], major: int, guide: str) -> None:
    if major not in majors:
        pytest.skip(f"PostgreSQL {major} is not on this machine")
    result, codes = findings(str(examples.folder("shop") / "migrations"), guide, major)
    assert not codes, [f.message for f in result.findings]
    assert not result.suppressed
    assert len(result.ran) > 30


@pytest.mark.parametrize("guide", ["cloudlab", "core"])
@pytest.mark.parametrize("major", MAJORS)
def test_the_shop_passes_live(shop: str, major: int, guide: str) -> None:
    result, codes = findings(shop, guide)
    assert not codes, [f.message for f in result.findings]
    assert len(result.ran) > 30


def test_the_shop_needs_no_waiver() -> None:
    assert open_project(examples.folder("shop")).charter.waivers == ()
    assert "pgcharter: allow" not in "".join(p.read_text() for p in examples.folder("shop").rglob("*.sql"))


LEGACY = {
    # filled in below, in one place, so that a change of the rules shows as one diff
}
