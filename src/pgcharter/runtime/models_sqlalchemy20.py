"""What SQLAlchemy before 2.1 leaves out: criteria for entities that stand in a WHERE alone, as in `exists()`, `any()` and `has()`.

There such rows would be found although they are deleted (sqlalchemy#13070, mended in 2.1). The mending is done here in the same place, for
statements with criteria of ours and no others. And options of a union were no part of the key of what is compiled (in 2.0.36).
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import CompoundSelect, Executable, __version__, inspect
from sqlalchemy.orm import RelationshipProperty, context
from sqlalchemy.util import immutabledict

from pgcharter.runtime.models_soft_delete import Criterion, entities

_CRITERIA = "additional_entity_criteria"


def _mended(original: Any) -> Any:
    def adjust(self: Any) -> None:
        for entity in entities(self.select_statement._where_criteria):
            ours = any(isinstance(o, Criterion) for o in self.global_attributes.get((_CRITERIA, entity.mapper), ()))
            if ours and entity not in self.extra_criteria_entities:
                self.extra_criteria_entities[entity] = (entity, entity._adapter if entity.is_aliased_class else None)
        original(self)

    adjust.__name__ = "mended"
    return adjust


def _existing(original: Any) -> Any:
    """`any()` and `has()`: their table as an entity, so that the criteria of its class are looked for."""

    def exists(self: Any, *args: Any, **kwargs: Any) -> Any:
        made = original(self, *args, **kwargs)
        within, of_type = made.element.element, getattr(self, "_of_type", None)
        entity: Any = self.mapper if of_type is None else inspect(of_type)
        names = {"parentmapper": entity.mapper, "entity_namespace": entity, "parententity": entity}
        first, *others = within._from_obj
        within._from_obj = (first._annotate(names), *others)
        within._propagate_attrs = immutabledict({"compile_state_plugin": "orm", "plugin_subject": entity})
        return made

    exists.__name__ = "mended"
    return exists


def mend() -> None:
    """Done once, where it is needed."""
    if __version__.startswith("2.0."):
        _key_with_options()
        state: Any = context
        for there, name, mended in (
            (state.ORMSelectCompileState, "_adjust_for_extra_criteria", _mended),
            (RelationshipProperty.Comparator, "_criterion_exists", _existing),
        ):
            original: Any = getattr(there, name)
            if original.__name__ != "mended":
                setattr(there, name, mended(original))


def _key_with_options() -> None:
    union: Any = CompoundSelect
    if "_with_options" not in dict(union._traverse_internals):
        union._traverse_internals = [*union._traverse_internals, *Executable._executable_traverse_internals]
        union._generate_cache_attrs()
