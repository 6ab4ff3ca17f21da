"""House options that cannot hold at the same time: no database could satisfy both."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pgcharter import nouns
from pgcharter.guides.options import Options, RequiredColumn

Contradiction = tuple[tuple[str, ...], str, str]
"""Names of the options, the sentence that says what is wrong, and the remedy."""

_OBJECT = ("table", "singular", "schema", "columns", "description")
PLACEHOLDERS: dict[str, tuple[str, ...]] = {
    "primary_key_name": ("table", "singular"),
    "foreign_key_column": ("table", "singular", "column"),
    "join_table_name": ("left", "right", "left_singular", "right_singular"),
    "index_name": _OBJECT,
    "unique_name": _OBJECT,
    "foreign_key_name": (*_OBJECT, "referenced", "referenced_singular"),
    "check_name": _OBJECT,
    "primary_key_constraint_name": _OBJECT,
    "sequence_name": ("table", "singular", "schema", "column"),
}
"""Options that are templates, and what each of them can fill in."""
_LIMITS = {"max_indexes": 1000, "max_index_columns": 32, "max_columns": 1600, "small_table_rows": 10**9, "large_table_rows": 10**12}
"""Beyond 32 key columns and 1600 columns PostgreSQL itself refuses (INDEX_MAX_KEYS, MaxHeapAttributeNumber)."""
_LONGEST = 63
_STAMPS = {"timestamptz": "timestamptz", "timestamp with time zone": "timestamptz"} | dict.fromkeys(
    ("timestamp", "timestamp without time zone"), "timestamp"
)
_SEVERAL = re.compile(r"\[\]|json|hstore|xml|vector|int|numeric|decimal|float|real|double|bool|interval|serial|bytea")
"""Types of columns that may be named in the plural."""


def contradictions(options: Options) -> Iterator[Contradiction]:
    """Every contradiction in `options`, the plainest first."""
    yield from _templates(options)
    yield from _limits(options)
    yield from _index_names(options)
    yield from _suffixes(options)
    yield from _tenants(options)
    yield from _numbers(options)
    yield from _money(options)
    yield from _reserved(options)
    yield from _required(options)
    yield from _required_types(options)
    yield from _case(options)


def _templates(options: Options) -> Iterator[Contradiction]:
    for name, known in PLACEHOLDERS.items():
        template = getattr(options, name)
        if template is None:
            continue
        for found in re.findall(r"\{(.*?)\}", template):
            if found not in known:
                yield (name,), f"option {name} uses {{{found}}}, which it cannot fill in", f"it knows {_listed(known)}"
        fixed = re.sub(r"\{.*?\}", "", template)
        if not template.strip() or len(fixed.encode()) >= _LONGEST:
            yield (name,), f'option {name} "{template}" leaves no room for a name', ""
        if "{" not in template and name != "primary_key_name":
            yield (name,), f'option {name} "{template}" gives every object the same name', f"use {_listed(known)}"
    join = options.join_table_name
    if join and not ("{left" in join and "{right" in join):
        yield ("join_table_name",), f'option join_table_name "{join}" does not name both tables', "use {left} and {right}"


def _listed(known: tuple[str, ...]) -> str:
    return " and ".join(filter(None, (", ".join(f"{{{k}}}" for k in known[:-1]), f"{{{known[-1]}}}")))


def _money(options: Options) -> Iterator[Contradiction]:
    digits = options.money_precision
    if digits is None:
        return
    parts = re.fullmatch(r"(\d{1,4}),(\d{1,4})", digits)
    if parts is None or not 0 <= int(parts[2]) <= int(parts[1]) <= _MOST_DIGITS or int(parts[1]) == 0:
        yield ("money_precision",), f'option money_precision "{digits}" is no pair of digits', 'write money_precision = "19,4"'
    if options.money_type == "integer":
        sentence = 'money_precision gives digits to numeric amounts, but money_type is "integer"'
        yield ("money_type", "money_precision"), sentence, 'set money_type = "numeric", or money_precision = "any"'


_MOST_DIGITS = 1000
"""numeric(p,s) with a declared precision goes to 1000 digits (NUMERIC_MAX_PRECISION)."""


def _limits(options: Options) -> Iterator[Contradiction]:
    for name, highest in _LIMITS.items():
        value = getattr(options, name)
        if not 1 <= value <= highest:
            yield (name,), f"option {name} must be between 1 and {highest}, not {value}", ""
    for name in ("table_prefixes", "boolean_prefixes", "reserved_words", "allowed_extensions"):
        if not all(text.strip() for text in getattr(options, name)):
            yield (name,), f"option {name} has an empty entry, which means everything or nothing", "take it out"


def _index_names(options: Options) -> Iterator[Contradiction]:
    if options.index_name_strict and "{columns}" not in (options.index_name or "{columns}"):
        names = ("index_name", "index_name_strict")
        sentence = f'index_name_strict demands the columns in index names, but index_name "{options.index_name}" has no {{columns}}'
        yield names, sentence, "put {columns} into index_name, or set index_name_strict = false"
    if options.index_name_strict and options.index_name is None:
        yield ("index_name_strict",), "index_name_strict is set, but there is no index_name to be strict about", "set index_name"


def _suffixes(options: Options) -> Iterator[Contradiction]:
    if options.timestamp_suffix and options.timestamp_suffix == options.date_suffix:
        sentence = f'timestamp_suffix and date_suffix are both "{options.date_suffix}", so the name does not tell them apart'
        yield ("timestamp_suffix", "date_suffix"), sentence, "give them different suffixes, or drop one"


def _tenants(options: Options) -> Iterator[Contradiction]:
    if options.tenant_isolation == "rows" and not options.tenant_column:
        sentence = 'tenant_isolation = "rows" needs a column that names the tenant, but tenant_column is empty'
        yield ("tenant_isolation", "tenant_column"), sentence, 'set tenant_column = "tenant_id"'
    if options.tenant_table_prefix and not options.tenant_column:
        sentence = "tenant_table_prefix marks tables with the tenant column, but tenant_column is empty"
        yield ("tenant_table_prefix", "tenant_column"), sentence, 'set tenant_column = "tenant_id"'
    if options.tenant_column and options.tenant_column == options.soft_delete_column:
        sentence = f'"{options.tenant_column}" cannot both name the tenant and mark a row as deleted'
        yield ("tenant_column", "soft_delete_column"), sentence, "give the two different columns"


def _numbers(options: Options) -> Iterator[Contradiction]:
    """Templates whose names another option would call wrong in number."""
    join = options.join_table_name or ""
    if options.table_number == "plural" and join.endswith("_singular}"):
        sentence = f'join_table_name "{join}" ends in the singular, but table_number asks for plural'
        yield ("table_number", "join_table_name"), sentence, "end join_table_name in {right}"
    for name in ("foreign_key_column", "primary_key_name"):
        template = getattr(options, name) or ""
        if options.column_number and options.table_number == "plural" and template.endswith("{table}"):
            sentence = f'{name} "{template}" gives columns the plural name of a table, but column_number asks for singular'
            yield ("column_number", name), sentence, f"use {{singular}} in {name}"
    for entry in options.required if options.column_number else ():
        several = _SEVERAL.search(entry.type.lower()) if entry.type else None
        if nouns.promises_several(entry.name) and not several:
            sentence = f'required_columns has "{entry.name}" in the plural, but column_number asks for singular'
            remedy = f'rename it, or say that it holds several: "{entry.name} text[]"'
            yield ("column_number", "required_columns"), sentence, remedy


def _reserved(options: Options) -> Iterator[Contradiction]:
    """Words given to nothing that another option demands as a name."""
    words = {w.lower() for w in options.reserved_words}
    keys = [k for k in (options.primary_key_name or "").split(" or ") if "{" not in k]
    demanded = [("required_columns", c.name) for c in options.required]
    demanded += [("tenant_column", options.tenant_column), ("soft_delete_column", options.soft_delete_column)]
    for name, word in (*demanded, *(("primary_key_name", k.strip()) for k in keys)):
        if word.lower() in words:
            sentence = f'reserved_words gives "{word}" to nothing, but {name} demands it as a name'
            yield ("reserved_words", name), sentence, f'take "{word}" out of reserved_words'


def _required(options: Options) -> Iterator[Contradiction]:
    """Entries of `required_columns` that are no columns, or differ about one."""
    kept: dict[str, RequiredColumn] = {}
    for entry in options.required:
        if not entry.name:
            yield ("required_columns",), "option required_columns has an empty entry", "take it out"
        first = kept.setdefault(entry.name, entry)
        if first != entry:
            sentence = f'required_columns asks for "{entry.name}" twice, as {first.type or "any type"} and as {entry.type or "any type"}'
            yield ("required_columns",), sentence, "keep one of them"


def _required_types(options: Options) -> Iterator[Contradiction]:
    """Types in `required_columns` that another option would call wrong."""
    for entry in options.required:
        modified = "(" in entry.type
        bare = " ".join(re.sub(r"\([^)]*\)", " ", entry.type.lower()).split())
        stamp = _STAMPS.get(bare, "")
        checks = (
            ("timestamp_type", stamp != "" and options.timestamp_type not in (None, stamp)),
            ("timestamp_suffix", stamp != "" and not entry.name.endswith(options.timestamp_suffix or "")),
            ("date_suffix", bare == "date" and not entry.name.endswith(options.date_suffix or "")),
            ("boolean_prefixes", bare in ("bool", "boolean") and not entry.name.startswith(options.boolean_prefixes or ("",))),
            ("text_type", options.text_type == "text" and bare in ("varchar", "character varying")),
            ("text_type", options.text_type == "varchar" and bare in ("varchar", "character varying") and not modified),
            ("numeric_precision_required", options.numeric_precision_required and bare in ("numeric", "decimal") and not modified),
            ("primary_key_type", _is_other_key(options, entry.name, bare)),
        )
        for name, wrong in checks:
            if wrong:
                value = getattr(options, name)
                shown = f'"{value}"' if isinstance(value, str) else str(value).lower() if isinstance(value, bool) else " ".join(value)
                sentence = f'required_columns demands "{entry.name} {entry.type}", which {name} = {shown} does not allow'
                yield ("required_columns", name), sentence, f"change the entry of required_columns, or {name}"


def _is_other_key(options: Options, name: str, type_: str) -> bool:
    """Whether a required primary key has a type that the house does not use for keys."""
    if not options.primary_key_type or not type_ or name not in (options.primary_key_name or "").split(" or "):
        return False
    return {"int8": "bigint", "bigserial": "bigint"}.get(type_, type_) not in options.primary_key_type.split(" or ")


_NAMES = (
    "timestamp_suffix",
    "date_suffix",
    "tenant_column",
    "soft_delete_column",
    "tenant_table_prefix",
    "table_prefixes",
    "boolean_prefixes",
)


def _case(options: Options) -> Iterator[Contradiction]:
    if options.identifier_case != "snake_case":
        return
    required = [("required_columns", c.name) for c in options.required]
    for name, text in (*((n, t) for n in (*PLACEHOLDERS, *_NAMES) for t in _texts(getattr(options, n))), *required):
        plain = re.sub(r"\s+or\s+", "", text) if name == "primary_key_name" else text
        if re.search(r"[^a-z0-9_{}]", plain):
            better = re.sub(r"[^a-z0-9_{}]+", "_", text.lower())
            sentence = f'option {name} "{text}" is not snake_case, which identifier_case demands'
            yield ("identifier_case", name), sentence, f'write "{better}", or set identifier_case = "any"'


def _texts(value: str | tuple[str, ...] | None) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else value or ()
