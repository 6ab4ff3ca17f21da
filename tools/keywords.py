"""Write src/pgcharter/keywords.py from a server's own list of key words.

    python tools/keywords.py [DSN]

Without a DSN it asks a throwaway server of the newest version at hand. Use the newest supported version: key words are only ever added.
"""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path

import psycopg

TARGET = Path(__file__).parents[1] / "src/pgcharter/keywords.py"
QUERY = 'select word, catcode::text from pg_get_keywords() order by word collate "C"'


def words(dsn: str) -> list[tuple[str, str]]:
    """Every key word of the server with its category: U unreserved, C column name, T type or function name, R reserved."""
    with psycopg.connect(dsn) as conn:
        return [(str(word), str(category)) for word, category in conn.execute(QUERY)]


def frozen(name: str, found: list[str], meaning: str) -> str:
    """The Python text of one set."""
    body = textwrap.fill(" ".join(found), width=136, initial_indent="    ", subsequent_indent="    ")
    return f'{name}: frozenset[str] = frozenset(\n    """\n{body}\n    """.split()  # noqa: SIM905\n)\n"""{meaning}"""\n'


def module(found: list[tuple[str, str]]) -> str:
    """The Python text of the module."""
    quoted = [word for word, category in found if category != "U"]
    reserved = [word for word, category in found if category in "RT"]
    head = '"""PostgreSQL\'s key words. Written by tools/keywords.py from a server\'s `pg_get_keywords()`; do not edit."""\n'
    return "\n".join(
        [
            head,
            frozen(
                "QUOTED_KEYWORDS",
                quoted,
                "Key words that need quotes as an identifier (every category but unreserved), as `quote_ident` has it.",
            ),
            frozen("RESERVED_KEYWORDS", reserved, "Key words that cannot be a table or column name without quotes."),
        ]
    )


def main() -> None:
    """Write the module."""
    if len(sys.argv) > 1:
        text = module(words(sys.argv[1]))
    else:
        from pgcharter.servers.scratch import open_scratch

        with open_scratch() as scratch, scratch.database() as database:
            text = module(words(database.dsn))
    TARGET.write_text(text)


if __name__ == "__main__":
    main()
