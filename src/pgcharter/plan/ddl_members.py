"""Triggers, row policies and rewrite rules.

Triggers that a partition has from its parent are cloned by PostgreSQL when the parent's trigger or the partition is made: there their own
enabled state and comment are written.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from pgcharter.catalog.model import Policy, RewriteRule, Table, Trigger, View
from pgcharter.names import ObjectId, quote
from pgcharter.plan.ddl import Sides, Writer
from pgcharter.plan.ddl_common import metadata
from pgcharter.plan.ddl_parts import alter, heirs, relation
from pgcharter.plan.model import Operation

_STATES = {"origin": "ENABLE", "disabled": "DISABLE", "replica": "ENABLE REPLICA", "always": "ENABLE ALWAYS"}


def _state(whole: Table | View, kind: str, name: str, enabled: str, *, only: bool = False) -> str:
    return f"{alter(whole, only=only)} {_STATES[enabled]} {kind} {quote(name)}"


def _create_trigger(operation: Operation, sides: Sides) -> list[str]:
    trigger: Trigger = operation.new
    whole = relation(sides.b, operation.object)
    return [] if trigger.parent or whole is None else [trigger.definition, *_states(trigger, whole, sides)]


def _states(trigger: Trigger, whole: Table | View, sides: Sides) -> Iterator[str]:
    """Enabled state of a trigger that has just been made, and of its clones."""
    if trigger.enabled != "origin":
        yield _state(whole, "TRIGGER", trigger.name, trigger.enabled)
    yield from clones(trigger, whole, sides)


def clones(trigger: Trigger, whole: Table | View, sides: Sides, among: Collection[ObjectId] = ()) -> Iterator[str]:
    """What is to be said of the clones of a trigger in partitions; with `among` only in those and below them.

    A clone begins in the state of the one it is made from.
    """
    for child in sides.b.partitions.get(whole.id, ()):
        clone = next((t for t in child.triggers if t.parent and t.name == trigger.name), None)
        if clone is None or (among and child.id not in among):
            continue
        if clone.enabled != trigger.enabled:
            yield _state(child, "TRIGGER", clone.name, clone.enabled)
        yield from metadata(child.part("trigger", clone.name), None, clone, sides.major)
        yield from clones(clone, child, sides)


def _drop_trigger(operation: Operation, _: Sides) -> list[str]:
    trigger: Trigger = operation.old
    return [] if trigger.parent else [f"DROP TRIGGER {quote(trigger.name)} ON {operation.object.owner.sql()}"]


def _alter_trigger(operation: Operation, sides: Sides) -> list[str] | None:
    old, new, whole = operation.old, operation.new, relation(sides.b, operation.object)
    if whole is None or old.parent != new.parent:
        return None
    if set(operation.fields) <= {"enabled", "comment"}:
        return [_state(whole, "TRIGGER", new.name, new.enabled, only=heirs(sides.b, whole))]
    if new.parent:
        return []
    if old.constraint or new.constraint:
        return None
    return [new.definition.replace("CREATE TRIGGER", "CREATE OR REPLACE TRIGGER", 1), *_states(new, whole, sides)]


def _rename_trigger(operation: Operation, _: Sides) -> list[str]:
    old, new = operation.old, operation.new
    return [] if old.parent else [f"ALTER TRIGGER {quote(old.name)} ON {operation.object.owner.sql()} RENAME TO {quote(new.name)}"]


def _roles(policy: Policy) -> str:
    return ", ".join("PUBLIC" if role == "public" else quote(role) for role in policy.roles)


def _create_policy(operation: Operation, _: Sides) -> list[str]:
    policy: Policy = operation.new
    words = [f"CREATE POLICY {quote(policy.name)} ON {operation.object.owner.sql()}"]
    words += [] if policy.permissive else ["AS RESTRICTIVE"]
    words += [] if policy.command == "all" else [f"FOR {policy.command.upper()}"]
    words += [] if policy.roles in ((), ("public",)) else [f"TO {_roles(policy)}"]
    return [" ".join([*words, *_conditions(policy.using, policy.check)])]


def _conditions(using: str, check: str) -> list[str]:
    return [f"USING ({using})"] * bool(using) + [f"WITH CHECK ({check})"] * bool(check)


def _drop_policy(operation: Operation, _: Sides) -> list[str]:
    return [f"DROP POLICY {quote(operation.old.name)} ON {operation.object.owner.sql()}"]


def _alter_policy(operation: Operation, _: Sides) -> list[str] | None:
    """ALTER POLICY changes roles and conditions; it cannot take a condition away, nor change command and strictness."""
    old, new = operation.old, operation.new
    removed = (old.using and not new.using) or (old.check and not new.check)
    if removed or (old.command, old.permissive) != (new.command, new.permissive):
        return None
    words = [f"TO {_roles(new)}"] if old.roles != new.roles else []
    words += _conditions(new.using if old.using != new.using else "", new.check if old.check != new.check else "")
    return [" ".join([f"ALTER POLICY {quote(new.name)} ON {operation.object.owner.sql()}", *words])] if words else []


def _rename_policy(operation: Operation, _: Sides) -> list[str]:
    old, new = operation.old, operation.new
    return [f"ALTER POLICY {quote(old.name)} ON {operation.object.owner.sql()} RENAME TO {quote(new.name)}"]


def _create_rule(operation: Operation, sides: Sides) -> list[str]:
    rule: RewriteRule = operation.new
    whole = relation(sides.b, operation.object)
    found = [rule.definition.removesuffix(";")]
    return found + ([_state(whole, "RULE", rule.name, rule.enabled)] if whole and rule.enabled != "origin" else [])


def _drop_rule(operation: Operation, _: Sides) -> list[str]:
    return [f"DROP RULE {quote(operation.old.name)} ON {operation.object.owner.sql()}"]


def _alter_rule(operation: Operation, sides: Sides) -> list[str] | None:
    old, new, whole = operation.old, operation.new, relation(sides.b, operation.object)
    replaced = (old.event, old.instead, old.definition) != (new.event, new.instead, new.definition)
    found = [new.definition.removesuffix(";").replace("CREATE RULE", "CREATE OR REPLACE RULE", 1)] if replaced else []
    return found + ([_state(whole, "RULE", new.name, new.enabled)] if whole and old.enabled != new.enabled else [])


def _rename_rule(operation: Operation, _: Sides) -> list[str]:
    old, new = operation.old, operation.new
    return [f"ALTER RULE {quote(old.name)} ON {operation.object.owner.sql()} RENAME TO {quote(new.name)}"]


WRITERS = {
    "trigger": Writer(_create_trigger, _drop_trigger, _alter_trigger, _rename_trigger),
    "policy": Writer(_create_policy, _drop_policy, _alter_policy, _rename_policy),
    "rule": Writer(_create_rule, _drop_rule, _alter_rule, _rename_rule),
}
