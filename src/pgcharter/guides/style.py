"""House options: which rules they call for, and which of them cannot hold at the same time."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Protocol

from pgcharter.guides.options import Options

Contradiction = tuple[tuple[str, ...], str, str]
"""Names of the options, the sentence that says what is wrong, and the remedy."""

_CONSTRAINT = ("table", "columns", "description")
_PLACEHOLDERS = {
    "primary_key_name": ("table", "singular"),
    "index_name": _CONSTRAINT,
    "unique_name": _CONSTRAINT,
    "foreign_key_name": (*_CONSTRAINT, "referenced", "referenced_singular"),
    "check_name": _CONSTRAINT,
}
_LIMITS = {"max_indexes": 1000, "max_index_columns": 32, "max_columns": 1600}
"""Beyond 32 key columns and 1600 columns PostgreSQL itself refuses (INDEX_MAX_KEYS, MaxHeapAttributeNumber)."""


class ReadsOptions(Protocol):
    """What is asked of a rule here (see `rules.engine.Rule`)."""

    @property
    def options(self) -> tuple[str, ...]:
        """Names of the house options it reads."""
        ...


def asked(options: Options, rules: Mapping[str, ReadsOptions]) -> frozenset[str]:
    """Codes of the rules that read an option which `options` sets otherwise than by default: setting an option is asking for its rules."""
    plain = Options()
    chosen = {f.name for f in fields(Options) if (value := getattr(options, f.name)) and value != getattr(plain, f.name)}
    return frozenset(code for code, rule in rules.items() if chosen & set(rule.options))


def contradiction(options: Options) -> Contradiction | None:
    """The first contradiction in `options`, or None."""
    return next(_contradictions(options), None)


def _contradictions(options: Options) -> Iterator[Contradiction]:
    yield from _templates(options)
    yield from _limits(options)
    if options.index_name_strict and "{columns}" not in (options.index_name or "{columns}"):
        names = ("index_name", "index_name_strict")
        sentence = f'index_name_strict demands the columns in index names, but index_name "{options.index_name}" has no {{columns}}'
        yield names, sentence, "put {columns} into index_name, or set index_name_strict = false"
    if options.index_name_strict and options.index_name is None:
        yield ("index_name_strict",), "index_name_strict is set, but there is no index_name to be strict about", "set index_name"
    if options.timestamp_suffix and options.timestamp_suffix == options.date_suffix:
        sentence = f'timestamp_suffix and date_suffix are both "{options.date_suffix}", so the name does not tell them apart'
        yield ("timestamp_suffix", "date_suffix"), sentence, "give them different suffixes, or drop one"
    if options.tenant_isolation == "rows" and not options.tenant_column:
        sentence = 'tenant_isolation = "rows" needs a column that names the tenant, but tenant_column is empty'
        yield ("tenant_isolation", "tenant_column"), sentence, 'set tenant_column = "tenant_id"'
    yield from _case(options)


def _templates(options: Options) -> Iterator[Contradiction]:
    for name, known in _PLACEHOLDERS.items():
        for found in re.findall(r"\{(.*?)\}", getattr(options, name) or ""):
            if found not in known:
                allowed = " and ".join(f"{{{k}}}" for k in known)
                yield (name,), f"option {name} uses {{{found}}}, which it cannot fill in", f"it knows {allowed}"


def _limits(options: Options) -> Iterator[Contradiction]:
    for name, highest in _LIMITS.items():
        value = getattr(options, name)
        if not 1 <= value <= highest:
            yield (name,), f"option {name} must be between 1 and {highest}, not {value}", ""


def _case(options: Options) -> Iterator[Contradiction]:
    if options.identifier_case != "snake_case":
        return
    for name in (*_PLACEHOLDERS, "timestamp_suffix", "date_suffix", "tenant_column", "soft_delete_column", "required_columns"):
        value = getattr(options, name) or ()
        for text in (value,) if isinstance(value, str) else value:
            if text != text.lower():
                sentence = f'option {name} "{text}" is not snake_case, which identifier_case demands'
                yield ("identifier_case", name), sentence, f'write "{text.lower()}", or set identifier_case = "any"'
