"""Two columns of one table kept in step by a trigger while an old and a new release write.

The trigger's name begins with `zz_`, so that it runs after other triggers before the row is written (they run in the order of their
names: documentation, "Overview of Trigger Behavior").
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from pgcharter.catalog.model import Table
from pgcharter.names import ObjectId, quote
from pgcharter.plan.model import Backfill, Phase, Step
from pgcharter.plan.safe_ground import Ground


@dataclass(frozen=True)
class Sync:
    """A trigger with its function."""

    ground: Ground
    table: Table
    function: ObjectId
    trigger: str
    body: str
    """Statements of the trigger function before `RETURN new`."""

    def made(self) -> tuple[Step, Step]:
        """The steps that make it."""
        trigger = self.table.part("trigger", self.trigger)
        text = f"BEGIN\n{self.body}\n  RETURN new;\nEND"
        quoted = "$sync$"
        while quoted in text:
            quoted = quoted[:-1] + "_$"
        function = f"CREATE FUNCTION {self.function.sql()} RETURNS trigger LANGUAGE plpgsql AS {quoted}\n{text}\n{quoted}"
        create = f"CREATE TRIGGER {quote(self.trigger)} BEFORE INSERT OR UPDATE ON {self.table.id.sql()} FOR EACH ROW "
        create += f"EXECUTE FUNCTION {self.function.sql()}"
        why = "keeps both columns in step whichever of them a release writes"
        return (
            self.ground.step(function, f"create {self.function}", self.function, why=why),
            self.ground.step(create, f"create trigger {quote(self.trigger)}", trigger),
        )

    def dropped(self, phase: Phase = Phase.EXPAND) -> Iterator[Step]:
        """The steps that take it away."""
        trigger = self.table.part("trigger", self.trigger)
        sql = f"DROP TRIGGER {quote(self.trigger)} ON {self.table.id.sql()}"
        yield self.ground.step(sql, f"drop trigger {quote(self.trigger)}", trigger, phase=phase)
        yield self.ground.step(f"DROP FUNCTION {self.function.sql()}", f"drop {self.function}", self.function, phase=phase)


def sync(ground: Ground, table: Table, column: str, body: str) -> Sync:
    """A trigger with free names."""
    stem = f"{table.name}_{column}"
    function = ObjectId("function", table.schema, f"{ground.names.function(table.schema, stem, 'sync')}()")
    return Sync(ground, table, function, ground.names.trigger(table.id, f"zz_{column}", "sync"), body)


def one_way(target: str, expression: str) -> str:
    """`target` follows what `expression` says, which names columns with `new` before them."""
    return f"  new.{quote(target)} := {expression};"


def both_ways(old: str, new: str) -> str:
    """Whichever of two columns a release writes, the other follows. Values are compared as stored, so any type will do."""
    one, two = quote(old), quote(new)
    return f"""  IF tg_op = 'INSERT' THEN
    IF new.{two} IS NULL THEN new.{two} := new.{one}; ELSE new.{one} := new.{two}; END IF;
  ELSIF {_differ(two)} AND NOT {_differ(one)} THEN
    new.{one} := new.{two};
  ELSE
    new.{two} := new.{one};
  END IF;"""


def both_types(old: str, new: str, there: Callable[[str], str], back: Callable[[str], str]) -> str:
    """The same for columns of two types: a value goes over only when it was written, because what comes back may be less than it was."""
    one, two = quote(old), quote(new)
    return f"""  IF tg_op = 'INSERT' THEN
    IF new.{two} IS NULL THEN new.{two} := {there(f"new.{one}")}; ELSE new.{one} := {back(f"new.{two}")}; END IF;
  ELSIF {_differ(one)} OR (old.{two} IS NULL AND old.{one} IS NOT NULL) THEN
    new.{two} := {there(f"new.{one}")};
  ELSIF {_differ(two)} THEN
    new.{one} := {back(f"new.{two}")};
  END IF;"""


def _differ(column: str) -> str:
    """Compares what is stored, so that types without equality (json) do too, and NULL like any value."""
    return f"pg_catalog.record_image_ne(ROW(new.{column}), ROW(old.{column}))"


def filling(ground: Ground, table: Table, assignments: str, condition: str, title: str) -> Step:
    """Fill old rows in batches along a key; where the table has none, in one statement."""
    key = batch_key(table)
    if key:
        return ground.fill(Backfill(table.id, key, assignments, condition), title, _triggered(table))
    sql = f"UPDATE {table.id.sql()} SET {assignments} WHERE {condition}"
    why = f"{table.id} has no unique key to cut the work along: rows stay locked until all are done, tables that read go on"
    return ground.step(sql, title, table.id, phase=Phase.BACKFILL, why=why)


def _triggered(table: Table) -> str:
    """What else happens when rows are filled: an `updated_at` that changes in all of them, say."""
    active = (t for t in table.triggers if "update" in t.events and not t.update_columns and t.enabled in ("origin", "always"))
    names = ", ".join(quote(t.name) for t in active)
    return f"every filled row is an UPDATE, for which the triggers {names} of {table.id} run too" if names else ""


def batch_key(table: Table) -> tuple[str, ...]:
    """Columns of a key in which no value is NULL: of the primary key, else of a unique one; empty when there is none."""
    if table.primary_key is not None:
        return table.primary_key.columns
    full = (key for key in table.unique_keys if key and all(c in table.column and table.column[c].not_null for c in key))
    return next(full, ())
