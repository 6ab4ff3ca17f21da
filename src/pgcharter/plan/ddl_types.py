"""Types: enums, domains and their constraints, composite types and their attributes, ranges, shells.

Refused with a ValueError: base types and canonical functions of ranges, which need functions in C between a shell type and the type; a
new type of an attribute while a table's column holds the composite type.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pgcharter.catalog.model import Column, Constraint, UserType
from pgcharter.names import ObjectId, literal, quote
from pgcharter.plan.ddl import Sides, Writer
from pgcharter.plan.ddl_common import ATTRIBUTE, DOMAIN_CONSTRAINT, addressed, comment
from pgcharter.plan.model import Operation


def _create(operation: Operation, _: Sides) -> list[str]:
    made: UserType = operation.new
    what = {"enum": _enum, "composite": _composite, "range": _range, "domain": _domain, "base": _shell}[made.kind]
    return [what(made), *_later(made), *_comments(made)]


def _enum(made: UserType) -> str:
    return f"CREATE TYPE {made.id.sql()} AS ENUM ({', '.join(literal(label) for label in made.labels)})"


def _composite(made: UserType) -> str:
    return f"CREATE TYPE {made.id.sql()} AS ({', '.join(quote(a.name) + _typed(a) for a in made.attributes)})"


def _typed(attribute: Column) -> str:
    return f" {attribute.type.sql}" + (f" COLLATE {attribute.collation}" if attribute.collation else "")


def _range(made: UserType) -> str:
    told = _options(made)
    if "canonical" in told:
        raise ValueError(
            f"{made.id} has the canonical function {told['canonical']}, which takes the type before it is whole: "
            "that only works with functions in C, so the type cannot be written; create it by hand"
        )
    parts = [f"SUBTYPE = {made.base.sql if made.base else ''}"]
    parts += [f"{key.upper()} = {told[key]}" for key in ("subtype_opclass", "subtype_diff") if key in told]
    parts += [f"COLLATION = {made.collation}"] if made.collation else []
    parts += [f"MULTIRANGE_TYPE_NAME = {made.multirange}"] if made.multirange else []
    return f"CREATE TYPE {made.id.sql()} AS RANGE ({', '.join(parts)})"


def _shell(made: UserType) -> str:
    if "shell" not in made.options:
        raise ValueError(
            f"{made.id} is a base type, whose input and output are functions in C that take the type before it is whole: "
            "it cannot be written; create it by hand or with the extension it comes from"
        )
    return f"CREATE TYPE {made.id.sql()}"


def _options(made: UserType) -> Mapping[str, str]:
    return dict(option.partition("=")[::2] for option in made.options)


def _domain(made: UserType) -> str:
    text = f"CREATE DOMAIN {made.id.sql()} AS {made.base.sql if made.base else ''}"
    text += f" COLLATE {made.collation}" if made.collation else ""
    text += f" DEFAULT {made.default}" if made.default else ""
    text += " NOT NULL" if made.not_null and not any(c.kind == "not null" for c in made.constraints) else ""
    return text + "".join(f" CONSTRAINT {quote(c.name)} {c.definition}" for c in made.constraints if c.validated)


def _later(made: UserType) -> Iterator[str]:
    """What CREATE DOMAIN does not take: constraints that old values need not meet."""
    for constraint in made.constraints:
        if not constraint.validated:
            yield _added(made.id, constraint)


def _added(domain: ObjectId, constraint: Constraint) -> str:
    return f"ALTER DOMAIN {domain.sql()} ADD CONSTRAINT {quote(constraint.name)} {constraint.definition}"


def _comments(made: UserType) -> Iterator[str]:
    for attribute in made.attributes:
        yield from comment(ObjectId("column", made.schema, made.name, attribute.name), "", attribute.comment, ATTRIBUTE)
    for constraint in made.constraints:
        yield from comment(ObjectId("constraint", made.schema, made.name, constraint.name), "", constraint.comment, DOMAIN_CONSTRAINT)


def _drop(operation: Operation, _: Sides) -> list[str]:
    return [f"DROP {addressed(operation.object)}"]


def _rename(operation: Operation, _: Sides) -> list[str]:
    return [f"ALTER {addressed(operation.object)} RENAME TO {quote(operation.new.name)}"]


def _alter_type(operation: Operation, _: Sides) -> list[str] | None:
    old, new = operation.old, operation.new
    if operation.fields and set(operation.fields) <= {"labels", "comment", "owner", "acl"} and old.kind == new.kind == "enum":
        return added_labels(new.id, old.labels, new.labels)
    return None


def added_labels(enum: ObjectId, old: tuple[str, ...], new: tuple[str, ...]) -> list[str] | None:
    """ALTER TYPE ADD VALUE for each new label, in its place; None when a label goes or moves, which PostgreSQL cannot do."""
    if [label for label in new if label in old] != list(old):
        return None
    found, last = [], ""
    first = old[0] if old else ""
    for at, label in enumerate(new):
        if label not in old:
            where = f" AFTER {literal(last)}" if at else f" BEFORE {literal(first)}" if old else ""
            found.append(f"ALTER TYPE {enum.sql()} ADD VALUE {literal(label)}{where}")
        last = label
    return found


def _alter_domain(operation: Operation, sides: Sides) -> list[str] | None:
    new, fields = operation.new, set(operation.fields)
    if fields & {"kind", "base", "collation"}:
        return None
    alter, found = f"ALTER {addressed(operation.object)}", []
    if "default" in fields:
        found.append(f"{alter} SET DEFAULT {new.default}" if new.default else f"{alter} DROP DEFAULT")
    if "not_null" in fields and sides.major < 17:
        found.append(f"{alter} {'SET' if new.not_null else 'DROP'} NOT NULL")
    return found


def _create_constraint(operation: Operation, _: Sides) -> list[str]:
    return [_added(_domain_of(operation), operation.new)]


def _drop_constraint(operation: Operation, _: Sides) -> list[str]:
    return [f"ALTER DOMAIN {_domain_of(operation).sql()} DROP CONSTRAINT {quote(operation.object.part)}"]


def _alter_constraint(operation: Operation, _: Sides) -> list[str] | None:
    old, new = operation.old, operation.new
    if new.validated and not old.validated and old.definition == f"{new.definition} NOT VALID":
        return [f"ALTER DOMAIN {_domain_of(operation).sql()} VALIDATE CONSTRAINT {quote(new.name)}"]
    return None


def _rename_constraint(operation: Operation, _: Sides) -> list[str]:
    return [f"ALTER DOMAIN {_domain_of(operation).sql()} RENAME CONSTRAINT {quote(operation.object.part)} TO {quote(operation.new.name)}"]


def _domain_of(operation: Operation) -> ObjectId:
    return ObjectId("domain", operation.object.schema, operation.object.name)


def _create_attribute(operation: Operation, sides: Sides) -> list[str]:
    return [_changed(operation, sides, f"ADD ATTRIBUTE {quote(operation.object.part)}{_typed(operation.new)}")]


def _drop_attribute(operation: Operation, sides: Sides) -> list[str]:
    return [_changed(operation, sides, f"DROP ATTRIBUTE {quote(operation.object.part)}")]


def _alter_attribute(operation: Operation, sides: Sides) -> list[str] | None:
    """Type and collation; a place among the others (`position`) is nothing that a statement can change."""
    new: Column = operation.new
    if not {"type", "collation"} & set(operation.fields):
        return []
    holder = _holder(operation, sides)
    if holder:
        raise ValueError(
            f"attribute {operation.object.sql()} should become {new.type.sql}, but PostgreSQL changes no type that the column {holder} "
            "holds; change the column to another type first"
        )
    return [_changed(operation, sides, f"ALTER ATTRIBUTE {quote(new.name)} TYPE{_typed(new)}")]


def _rename_attribute(operation: Operation, sides: Sides) -> list[str]:
    return [_changed(operation, sides, f"RENAME ATTRIBUTE {quote(operation.object.part)} TO {quote(operation.new.name)}")]


def _changed(operation: Operation, sides: Sides, what: str) -> str:
    """Tables of the type change with it, which PostgreSQL wants to be told."""
    at = ObjectId("type", operation.object.schema, operation.object.name)
    typed = any(t.of_type == at.sql() for t in sides.a.tables)
    return f"ALTER TYPE {at.sql()} {what}{' CASCADE' * typed}"


def _holder(operation: Operation, sides: Sides) -> str:
    """A table's column of the composite type, or of an array of it."""
    at = operation.object
    for table in sides.a.tables:
        for column in table.columns:
            if column.type.name == at.name and column.type.schema == at.schema and column.type.kind == "composite":
                return table.part("column", column.name).sql()
    return ""


def _rename_label(operation: Operation, _: Sides) -> list[str]:
    enum = ObjectId("type", operation.object.schema, operation.object.name)
    return [f"ALTER TYPE {enum.sql()} RENAME VALUE {literal(operation.object.part)} TO {literal(operation.new.name)}"]


def _with_its_type(_: Operation, __: Sides) -> list[str]:
    """A label comes and goes with changes of its enum."""
    return []


WRITERS = {
    "type": Writer(_create, _drop, _alter_type, _rename),
    "domain": Writer(_create, _drop, _alter_domain, _rename),
    ATTRIBUTE: Writer(_create_attribute, _drop_attribute, _alter_attribute, _rename_attribute),
    "label": Writer(_with_its_type, _with_its_type, _with_its_type, _rename_label),
    DOMAIN_CONSTRAINT: Writer(_create_constraint, _drop_constraint, _alter_constraint, _rename_constraint),
}
