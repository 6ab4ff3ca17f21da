"""A small part of `python -m tests.operate.drill_corpus`: damage that only a look at the data shows."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.operate import drill_corpus
from tests.operate.drill_corpus import Scene


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    with drill_corpus.scene() as made:
        yield made


@pytest.mark.parametrize(
    ("title", "who"),
    [
        ("row changed in a table, resealed", "rows of postgres"),
        ("index entries garbled, resealed", "amcheck"),
        ("byte flipped in a segment before it was archived", "restore"),
    ],
)
def test_the_drill_sees_what_starting_does_not(scene: Scene, title: str, who: str) -> None:
    row = drill_corpus.judge(scene, title)
    assert row.drill.startswith(f"{who}: "), row
    assert row.verify == ""
    assert row.started == ""


def test_a_good_repository_is_not_blamed(scene: Scene) -> None:
    with scene.copied() as copy:
        assert drill_corpus.ours(copy) == ("", "")
