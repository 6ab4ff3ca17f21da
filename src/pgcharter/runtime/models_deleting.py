"""What a flush would delete is marked as deleted, with all that cascades from it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlalchemy import func, inspect, select
from sqlalchemy.orm import InstanceState, RelationshipDirection, RelationshipProperty, Session
from sqlalchemy.orm.attributes import set_committed_value

from pgcharter.runtime.models_soft_delete import FOR_GOOD, SoftDelete


def mark_deleted(session: Session, named: set[InstanceState[Any]]) -> None:
    """Before a flush: what is to be deleted or has lost its parent (delete-orphan), and what cascades from it, is marked instead.

    Rows without the mixin that a cascade reaches stay, as their parent does; those in `named` somebody has deleted by themselves.
    """
    erased = session.info.pop(FOR_GOOD, set())
    doomed = [s for o in session.deleted if isinstance(o, SoftDelete) and (s := inspect(o)) not in erased]
    doomed += list(_orphans(session))
    now = None
    for root in doomed:
        if now is None:
            now = session.connection(bind_arguments={"mapper": root.mapper}).scalar(select(func.now()))
        below = [s for _, _, s, _ in root.mapper.cascade_iterator("delete", root)]
        for state in (root, *below):
            one: Any = state.obj()
            if isinstance(one, SoftDelete):
                session.add(one)
                one.deleted_at = one.deleted_at or now
            elif one in session.deleted and state not in named and not state.deleted:
                session.add(one)


def _orphans(session: Session) -> Iterator[InstanceState[Any]]:
    """Objects that a flush would delete because their parent has let go of them; they are given back to it, and marked."""
    for parent in session.dirty:
        state: InstanceState[Any] = inspect(parent)
        for relation in state.mapper.relationships:
            if relation.cascade.delete_orphan and issubclass(relation.mapper.class_, SoftDelete):
                for child in state.attrs[relation.key].history.deleted or ():
                    impl: Any = state.manager[relation.key].impl
                    lost: InstanceState[Any] | None = inspect(child) if child is not None else None
                    if lost is not None and lost.persistent and not impl.hasparent(lost):
                        impl.sethasparent(lost, state, True)
                        _returned(child, parent, relation)
                        yield lost


def _returned(child: Any, parent: Any, relation: RelationshipProperty[Any]) -> None:
    """Have the other side of a relationship lead to the parent again, whose key would be emptied otherwise."""
    for back in relation._reverse_property:
        if back.direction is RelationshipDirection.MANYTOONE and getattr(child, back.key) is None:
            set_committed_value(child, back.key, parent)
