"""The text of a new guide: a clause of every kind, and the options of the guide it extends to choose from."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import fields
from string import ascii_uppercase
from typing import get_type_hints

from pgcharter.guides.model import Guide
from pgcharter.guides.options import Options
from pgcharter.guides.schema import explained
from pgcharter.tomlfile import allowed_words, quoted, remark, shown


def starter(guide_id: str, title: str, parent: Guide, *, extends: str) -> str:
    """Text of a guide called `guide_id` that extends `parent`, which is named as `extends`."""
    return _TEXT.format(
        id=quoted(guide_id),
        title=quoted(title),
        extends=quoted(extends),
        parent=f"{remark(parent.title)}: {len(parent.clauses)} clauses",
        letter=_letter({c.id for c in parent.clauses}),
        options="\n".join(_options(parent.options)),
    )


def _letter(taken: Collection[str]) -> str:
    """What the ids of the new clauses begin with, so that none of them is `taken`."""
    names = (f"{first}{second}" for first in ("", *ascii_uppercase) for second in ascii_uppercase)
    return next(n for n in names if not any(i.startswith(f"{n}{chapter}.") for i in taken for chapter in (1, 2, 3)))


def _options(base: Options) -> list[str]:
    """Every option as a comment: what it says, the words it takes, and its value now."""
    meanings: Mapping[str, str] = explained(Options)
    hints = get_type_hints(Options)
    lines = []
    for item in fields(Options):
        meaning = meanings.get(item.name, "").partition(". ")[0].rstrip(".")
        words = allowed_words(hints[item.name])
        lines.append(f"## {meaning}" + (f": {', '.join(words)}" if words else ""))
        lines.append(f"# {item.name} = {_shown(getattr(base, item.name))}")
    return lines


def _shown(value: object) -> str:
    if value is None:
        return '"any"'
    return f"[{', '.join(map(_shown, value))}]" if isinstance(value, tuple) else _word(value)


def _word(value: object) -> str:
    return quoted(value) if isinstance(value, str) else shown(value)


_TEXT = """\
# A team's own standards. `pgcharter guides show <this file>` reads it back; `guide = "<this file>"` in pgcharter.toml makes it hold.
# For completion in an editor: `pgcharter guides schema > guide.schema.json`, and this as the first line: #:schema ./guide.schema.json
id = {id}
title = {title}
version = "1"
source = ""  # the document it is taken from: where, and of which day
extends = {extends}  # {parent}

# House style: uncomment what you decide, "any" takes an option back. An option brings the rules that read it.
[options]
{options}

# How much a rule matters: "error", "warning", "info" or "off". `pgcharter rules list` shows all rules.
[severity]
# KEY01 = "error"

# Clauses: what the document asks, one sentence each, and how it is shown to hold.
[[clause]]
id = "{letter}1.1"
section = "Keys"
text = "Every table has a primary key"
rules = ["KEY01"]  # broken when one of these rules finds something

# A query of your own that must return no row; each row is a finding.
[[clause]]
id = "{letter}2.1"
section = "House rules"
level = "should"
text = "No table is left over from a trial"
proof = "sql"
on = "schema"  # the catalog is enough; "data" looks at rows and waits for a live database
sql = '''
SELECT schemaname AS schema, tablename AS table, format('table %I is left over from a trial', tablename) AS message
FROM pg_catalog.pg_tables
WHERE schemaname NOT IN ('pg_catalog', 'information_schema') AND tablename ~ '_(old|tmp|bak|copy)[0-9]*$'
'''

# What nobody can prove is for people to read, with the reason.
[[clause]]
id = "{letter}3.1"
section = "Working together"
text = "Every change of the schema is reviewed by a second person"
proof = "document"
reason = "reviews happen outside the database"
"""
