"""What is rarely made by hand: collations, extended statistics, casts, operators with their classes and families, text search objects,
conversions, languages, transforms, access methods.

Refused with a ValueError: text search configurations with a parser of the user's own, whose mappings are not read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from pgcharter.catalog.model import Collation, OtherObject
from pgcharter.names import literal, quote
from pgcharter.plan.ddl import Sides, Write, Writer
from pgcharter.plan.ddl_common import addressed
from pgcharter.plan.model import Operation

_OPTION = re.compile(r"""("(?:[^"]|"")*"|\w+) = (E?'(?:[^'\\]|''|\\.)*'|[-+.\w]+)""", re.DOTALL)
"""One option of a text search dictionary, as PostgreSQL keeps it."""
_ESTIMATOR = re.compile(r"""(RESTRICT|JOIN) = ((?:"(?:[^"]|"")*"|[^",\s)])+)""")
_MEMBER = re.compile(r"(OPERATOR|FUNCTION) (\d+) .*?(\((?:[^()\"]|\"(?:[^\"]|\"\")*\")*\))", re.DOTALL)
_LOCALES = re.compile(r"LC_COLLATE=(.*) LC_CTYPE=(.*)", re.DOTALL)


def _create(operation: Operation, _: Sides) -> list[str]:
    return [f"CREATE {addressed(operation.object)} {operation.new.definition}".rstrip()]


def _create_operator(operation: Operation, _: Sides) -> list[str]:
    """Without the types of its operands, which the definition has."""
    new: OtherObject = operation.new
    return [f"CREATE OPERATOR {quote(new.schema)}.{new.name.partition(' ')[0]} {new.definition}"]


def _create_class(operation: Operation, _: Sides) -> list[str]:
    """Without the access method, which the definition has after the type."""
    return [f"CREATE {addressed(operation.object).rpartition(' USING ')[0]} {operation.new.definition}"]


def _drop(operation: Operation, _: Sides) -> list[str]:
    return [f"DROP {addressed(operation.object)}"]


def _rename(operation: Operation, _: Sides) -> list[str]:
    """Of operator classes and families only the first half of the name is theirs."""
    name = operation.new.name
    if operation.object.kind in ("operator class", "operator family"):
        name = name.rpartition(" USING ")[0]
    return [f"ALTER {addressed(operation.object)} RENAME TO {quote(name)}"]


def _anew(_: Operation, __: Sides) -> None:
    return None


def _replaced(create: Write) -> Write:
    def alter(operation: Operation, sides: Sides) -> list[str]:
        return [text.replace("CREATE ", "CREATE OR REPLACE ", 1) for text in create(operation, sides)]

    return alter


def _create_collation(operation: Operation, __: Sides) -> list[str]:
    new: Collation = operation.new
    locale, _, rules = new.locale.partition(" RULES ")
    two = _LOCALES.fullmatch(locale)
    parts = [f"PROVIDER = {new.provider}"]
    parts += [f"LC_COLLATE = {literal(two[1])}", f"LC_CTYPE = {literal(two[2])}"] if two else [f"LOCALE = {literal(locale)}"]
    parts += ["DETERMINISTIC = false"] if not new.deterministic else []
    parts += [f"RULES = {rules}"] if rules else []
    return [f"CREATE {addressed(operation.object)} ({', '.join(parts)})"]


def _create_statistics(operation: Operation, _: Sides) -> list[str]:
    return [operation.new.definition, *(_target(operation) if operation.new.target is not None else ())]


def _alter_statistics(operation: Operation, _: Sides) -> list[str] | None:
    return _target(operation) if set(operation.fields) <= {"target", "comment", "owner"} else None


def _target(operation: Operation) -> list[str]:
    target = operation.new.target
    return [f"ALTER {addressed(operation.object)} SET STATISTICS {-1 if target is None else target}"]


def _alter_operator(operation: Operation, _: Sides) -> list[str] | None:
    """Its estimators can be changed; all else needs a new operator."""
    old, new = (_ESTIMATOR.sub("", side.definition).replace(", ", "") for side in (operation.old, operation.new))
    if old != new:
        return None
    before, after = (dict(_ESTIMATOR.findall(side.definition)) for side in (operation.old, operation.new))
    changed = [f"{word} = {after.get(word, 'NONE')}" for word in ("RESTRICT", "JOIN") if before.get(word) != after.get(word)]
    return [f"ALTER {addressed(operation.object)} SET ({', '.join(changed)})"] if changed else []


def _create_family(operation: Operation, _: Sides) -> list[str]:
    new: OtherObject = operation.new
    added = [f"ALTER {addressed(operation.object)} ADD {new.definition}"] if new.definition else []
    return [f"CREATE {addressed(operation.object)}", *added]


def _alter_family(operation: Operation, _: Sides) -> list[str]:
    """Members that belong to no class, one by one."""
    old, new, alter = _lines(operation.old), _lines(operation.new), f"ALTER {addressed(operation.object)}"
    gone = [" ".join(found.groups()) for found in map(_MEMBER.match, (line for line in old if line not in new)) if found]
    come = [line for line in new if line not in old]
    found = [f"{alter} DROP {', '.join(gone)}"] if gone else []
    return found + ([f"{alter} ADD {', '.join(come)}"] if come else [])


def _lines(family: OtherObject) -> list[str]:
    return [line for line in family.definition.split(",\n") if line]


def _create_configuration(operation: Operation, _: Sides) -> list[str]:
    parser, *mappings = _mapped(operation)
    at = addressed(operation.object)
    return [f"CREATE {at} (PARSER = {parser})", *(f"ALTER {at} ADD MAPPING FOR {mapping}" for mapping in mappings)]


def _mapped(operation: Operation) -> list[str]:
    """The parser, and `token WITH dictionaries` for each kind of token."""
    parser, *mappings = str(operation.new.definition).removeprefix("PARSER ").split("\n")
    if not parser.startswith("pg_catalog."):
        raise ValueError(
            f"{operation.object} has the parser {parser}, which is not PostgreSQL's own, so its mappings were not read and cannot be "
            "written; make it by hand"
        )
    return [parser, *mappings]


def _alter_configuration(operation: Operation, _: Sides) -> list[str] | None:
    old_parser, *old = str(operation.old.definition).removeprefix("PARSER ").split("\n")
    parser, *new = _mapped(operation)
    if old_parser != parser:
        return None
    before, after = (dict(line.split(" WITH ", 1) for line in lines) for lines in (old, new))
    at = f"ALTER {addressed(operation.object)}"
    found = [f"{at} DROP MAPPING FOR {token}" for token in before if token not in after]
    for token, dictionaries in after.items():
        if before.get(token) != dictionaries:
            found.append(f"{at} {'ALTER' if token in before else 'ADD'} MAPPING FOR {token} WITH {dictionaries}")
    return found


def _alter_dictionary(operation: Operation, _: Sides) -> list[str] | None:
    """Options one by one, those that go by their name alone; another template needs a new dictionary."""
    before, after = (side.definition.partition(",")[::2] for side in (operation.old, operation.new))
    if before[0].rstrip(")") != after[0].rstrip(")"):
        return None
    old, new = dict(_OPTION.findall(before[1])), dict(_OPTION.findall(after[1]))
    changed = [name for name in old if name not in new] + [f"{n} = {v}" for n, v in new.items() if old.get(n) != v]
    return [f"ALTER {addressed(operation.object)} ({', '.join(changed)})"] if changed else []


def _create_conversion(operation: Operation, _: Sides) -> list[str]:
    text: str = operation.new.definition
    of_encoding = "DEFAULT " * text.startswith("DEFAULT ")
    return [f"CREATE {of_encoding}{addressed(operation.object)} {text.removeprefix('DEFAULT ')}"]


def _create_language(operation: Operation, __: Sides) -> list[str]:
    trust, _, handlers = operation.new.definition.partition(" ")
    return [f"CREATE {'TRUSTED ' * (trust == 'TRUSTED')}{addressed(operation.object)} {handlers}".rstrip()]


def _plain(*kinds: str, rename: Write | None = _rename) -> Iterator[tuple[str, Writer]]:
    for kind in kinds:
        yield kind, Writer(_create, _drop, _anew, rename)


WRITERS = {
    "collation": Writer(_create_collation, _drop, _anew, _rename),
    "statistics": Writer(_create_statistics, _drop, _alter_statistics, _rename),
    "operator": Writer(_create_operator, _drop, _alter_operator),
    "operator family": Writer(_create_family, _drop, _alter_family, _rename),
    "text search configuration": Writer(_create_configuration, _drop, _alter_configuration, _rename),
    "text search dictionary": Writer(_create, _drop, _alter_dictionary, _rename),
    "conversion": Writer(_create_conversion, _drop, _anew, _rename),
    "language": Writer(_create_language, _drop, _replaced(_create_language), _rename),
    "transform": Writer(_create, _drop, _replaced(_create)),
    **dict(_plain("text search parser", "text search template")),
    **dict(_plain("cast", "access method", rename=None)),
    "operator class": Writer(_create_class, _drop, _anew, _rename),
}
