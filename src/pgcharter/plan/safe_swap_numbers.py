"""Identity of a column that is exchanged."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pgcharter.catalog.model import Sequence as Numbers
from pgcharter.names import ObjectId, literal, quote
from pgcharter.plan.ddl_common import metadata

if TYPE_CHECKING:
    from pgcharter.plan.safe_swap import Swap


def identity(swap: Swap) -> None:
    """The new column numbers itself, and goes on where the old one stands."""
    before = former(swap)
    wanted = next((s for s in swap.ground.b.sequences if s.identity and s.owned_by == swap.address), None)
    sequence = wanted or before
    if sequence is None:
        return
    ground, name = swap.ground, swap.ground.names.relation(sequence.schema, sequence.name, "new")
    fresh = ObjectId("sequence", sequence.schema, name)
    options = f"SEQUENCE NAME {fresh.sql()}"
    if wanted is not None:  # otherwise it is one only until `then` is done
        options += f" START WITH {wanted.start} INCREMENT BY {wanted.increment} MINVALUE {wanted.minimum} MAXVALUE {wanted.maximum}"
        options += f" CACHE {wanted.cache}{' CYCLE' * wanted.cycle}"
    action = f"ALTER COLUMN {quote(swap.fresh)} ADD GENERATED {swap.new.identity.upper()} AS IDENTITY ({options})"
    swap.do(action, f"number {swap.table.part('column', swap.fresh)} by itself")
    if before is not None:
        sql = f"SELECT pg_catalog.setval({literal(fresh.sql())}, last_value, is_called) FROM {before.id.sql()}"
        swap.exchange.append(ground.step(sql, f"go on counting where {before.id} stands", fresh))
        uncounted(swap)
    rename = f"ALTER SEQUENCE {fresh.sql()} RENAME TO {quote(sequence.name)}"
    swap.exchange.append(ground.step(rename, f"rename {fresh} to {quote(sequence.name)}", sequence.id))
    swap.more(metadata(sequence.id, None, sequence, ground.major), sequence.id)


def former(swap: Swap) -> Numbers | None:
    """The sequence that numbers the old column by itself."""
    return next((s for s in swap.ground.a.sequences if s.identity and s.owned_by == swap.address), None)


def uncounted(swap: Swap) -> None:
    """The old column numbers itself no more."""
    swap.do(f"ALTER COLUMN {quote(swap.old.name)} DROP IDENTITY", f"stop numbering the old {swap.address}")
