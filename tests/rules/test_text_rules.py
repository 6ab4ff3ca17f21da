"""What cases cannot hold: Markdown with its headings and configuration blocks, and the reading of bodies as text."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pgcharter import sources
from pgcharter.findings import Finding, Severity
from pgcharter.guides.options import Options
from pgcharter.rules import bodies, engine

GUIDE = """
# Standards

#### Encryption at rest
```sql
-- Use the built-in encryption
-- ssl = on
-- ssl_key_file = 'server.key'
CREATE TABLE payments (id bigint PRIMARY KEY, card bytea);
```

#### Encryption in transit
```sql
-- ssl = on
SELECT 1;
```

```ini
[pgbouncer]
auth_type = md5
auth_file = userlist.txt
```

```conf
# TYPE DATABASE USER ADDRESS METHOD
host all all 10.0.0.0/8 md5
host all all 10.0.0.0/8 scram-sha-256
password_encryption = 'md5'
```

Instead of auth_type = md5 write auth_type = scram-sha-256.
"""


class AnyGuide:
    options = Options()
    rules = ()

    def severity(self, code: str, default: Severity) -> Severity:
        return default

    def clauses_of(self, code: str) -> tuple[str, ...]:
        return ()


def told(text: str, tmp_path: Path, *codes: str) -> list[Finding]:
    file = tmp_path / "guide.md"
    file.write_text(text)
    return list(engine.run(sources.read(str(file), server=False), AnyGuide(), only=codes).findings)


def test_tls_under_the_heading_of_encryption_at_rest(tmp_path: Path) -> None:
    assert [f.place.line for f in told(GUIDE, tmp_path, "SQL08") if f.place] == [7]


def test_md5_in_configuration_blocks_but_not_in_prose(tmp_path: Path) -> None:
    found = told(GUIDE, tmp_path, "SQL07")
    lines = GUIDE.splitlines()
    assert [lines[f.place.line - 1] for f in found if f.place] == [
        "auth_type = md5",
        "host all all 10.0.0.0/8 md5",
        "password_encryption = 'md5'",
    ]


@given(st.text(st.sampled_from("ab'\"$-/*\n\\e ;"), max_size=40))
@example("E'it\\'s' -- 'x\n'y'")
@example("$a$ ' $a$ 'b'")
def test_masking_keeps_every_position(text: str) -> None:
    masked = bodies.mask(text)
    assert len(masked) == len(text)
    assert [i for i, c in enumerate(masked) if c == "\n"] == [i for i, c in enumerate(text) if c == "\n"]


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("a -- b's\nc", "a       \nc"),
        ("a /* ' */ b", "a         b"),
        ("'a''b' || c", "'    ' || c"),
        (r"E'\'' || d", "'   ' || d"),
        ("$x$ now() $x$", "'           '"),
        ('"a\'b" now', '"a\'b" now'),
    ],
)
def test_masking(text: str, masked: str) -> None:
    assert bodies.mask(text).split() == masked.split()


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ("SELECT * FROM app.a JOIN b USING (x) WHERE y IS DISTINCT FROM z", [("from", "app", "a"), ("join", "", "b")]),
        ("INSERT INTO t (a, b) SELECT 1 FROM generate_series(1, 2) g", [("insert into", "", "t")]),
        ("SELECT * FROM x FOR UPDATE OF y", [("from", "", "x")]),
        ("INSERT INTO t VALUES (1) ON CONFLICT DO UPDATE SET a = 1", [("insert into", "", "t")]),
        ('DELETE FROM "T" USING u', [("delete from", "", "T"), ("using", "", "u")]),
        ("SELECT extract(day FROM now()) -- FROM d", []),
    ],
)
def test_relations_that_a_body_names(body: str, named: list[tuple[str, str, str]]) -> None:
    assert [(m.how, m.schema, m.name) for m in bodies.mentions(body)] == named


def test_arguments_of_calls() -> None:
    (call,) = bodies.calls("x := set_config('a,b', f(1, 2), false);", "set_config")
    assert call.arguments == ("'a,b'", "f(1, 2)", "false")
