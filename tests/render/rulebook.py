"""Rules with fixed words, so that the expected output does not change with the documentation of real rules."""

from __future__ import annotations

from collections.abc import Iterator

from pgcharter.findings import Finding, Severity
from pgcharter.rules.engine import Context, Rule


def _keyless(_: Context) -> Iterator[Finding]:
    """A table without a primary key.

    Why: Rows cannot be told apart, so they cannot be updated, replicated or repaired one by one. Logical replication refuses updates.

    Instead: Give every table a key of its own:

        CREATE TABLE app.log (
            id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY
        );

    Except: A staging table that is loaded and emptied as a whole.
    """
    return iter(())


def _floating(_: Context) -> Iterator[Finding]:
    """Money in a floating-point column.

    Why: Sums drift by cents, because binary fractions cannot hold a tenth.
    """
    return iter(())


def _unindexed(_: Context) -> Iterator[Finding]:
    """A foreign key without an index on its columns."""
    return iter(())


def _undocumented(_: Context) -> Iterator[Finding]:
    """A table without a comment."""
    return iter(())


RULES = {
    rule.code: rule
    for rule in (
        Rule("KEY91", "no-key", Severity.ERROR, "catalog", _keyless, "keys"),
        Rule("TYP91", "floating-money", Severity.ERROR, "catalog", _floating, "types"),
        Rule("IDX91", "unindexed-fk", Severity.WARNING, "catalog", _unindexed, "indexes"),
        Rule("DOC91", "no-comment", Severity.INFO, "catalog", _undocumented, "documentation", options=("comments",)),
    )
}
