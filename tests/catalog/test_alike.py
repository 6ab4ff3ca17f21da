"""Texts that PostgreSQL writes back in two ways."""

from __future__ import annotations

import pytest

from pgcharter.catalog.alike import alike
from pgcharter.db import Connection


@pytest.mark.parametrize(
    "check",
    [
        "a IN ('x', 'it''s, y', '')",
        "a NOT IN ('x', 'y') AND length(a) > 2",
        "b IN ('x', 'y')",
        "c IN (1, 2, 3)",
        "d IN (1, 2.5)",
        "a = ANY (ARRAY['x'::varchar(3), 'y'])",
    ],
)
def test_what_was_built_from_what_was_written_back_says_the_same(conn: Connection, check: str) -> None:
    texts = []
    for name in ("one", "two", "three"):
        conn.execute(f"CREATE TABLE {name} (a varchar(20), b char(3), c smallint, d numeric, CONSTRAINT k CHECK ({check}))".encode())
        row = conn.execute(
            "SELECT pg_get_expr(conbin, conrelid) FROM pg_constraint WHERE conrelid = %s::regclass AND conname = 'k'", [name]
        )
        (check,) = row.fetchone() or ("",)
        texts.append(check)
    assert alike(texts[0], texts[1])
    assert alike(texts[1], texts[2])


def test_other_values_are_another_thing() -> None:
    one = "((a)::text = ANY ((ARRAY['x'::character varying, 'y'::character varying])::text[]))"
    other = "((a)::text = ANY (ARRAY[('x'::character varying)::text, ('y'::character varying)::text]))"
    assert alike(one, other)
    assert not alike(one, other.replace("'y'", "'z'"))
    assert not alike(one, other.replace(")::text,", ")::bytea,"))
    assert not alike(one, "")
    assert not alike(None, "ARRAY[")
