"""House options that contradict each other are refused."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest

from pgcharter.guides.options import Options, RequiredColumn
from pgcharter.guides.style import asked, contradiction

CASES = [
    ({"money_precision": "19"}, ("money_precision",), 'option money_precision "19" is no pair of digits', 'write money_precision = "19,4"'),
    ({"money_precision": "4,19"}, ("money_precision",), 'option money_precision "4,19" is no pair of digits',
     'write money_precision = "19,4"'),
    ({"money_precision": "19,4", "money_type": "integer"}, ("money_type", "money_precision"),
     'money_precision gives digits to numeric amounts, but money_type is "integer"',
     'set money_type = "numeric", or money_precision = "any"'),
    ({"index_name_strict": True, "index_name": "idx_{table}"}, ("index_name", "index_name_strict"),
     'index_name_strict demands the columns in index names, but index_name "idx_{table}" has no {columns}',
     "put {columns} into index_name, or set index_name_strict = false"),
    ({"index_name_strict": True}, ("index_name_strict",),
     "index_name_strict is set, but there is no index_name to be strict about", "set index_name"),
    ({"timestamp_suffix": "_at", "date_suffix": "_at"}, ("timestamp_suffix", "date_suffix"),
     'timestamp_suffix and date_suffix are both "_at", so the name does not tell them apart', "give them different suffixes, or drop one"),
    ({"tenant_isolation": "rows", "tenant_column": ""}, ("tenant_isolation", "tenant_column"),
     'tenant_isolation = "rows" needs a column that names the tenant, but tenant_column is empty', 'set tenant_column = "tenant_id"'),
    ({"primary_key_name": "{tabel}_id"}, ("primary_key_name",),
     "option primary_key_name uses {tabel}, which it cannot fill in", "it knows {table} and {singular}"),
    ({"max_index_columns": 33}, ("max_index_columns",), "option max_index_columns must be between 1 and 32, not 33", ""),
    ({"max_columns": 0}, ("max_columns",), "option max_columns must be between 1 and 1600, not 0", ""),
    ({"identifier_case": "snake_case", "required_columns": ("createdAt",)}, ("identifier_case", "required_columns"),
     'option required_columns "createdAt" is not snake_case, which identifier_case demands',
     'write "createdat", or set identifier_case = "any"'),
    ({"identifier_case": "snake_case", "index_name": "IX-{table}"}, ("identifier_case", "index_name"),
     'option index_name "IX-{table}" is not snake_case, which identifier_case demands',
     'write "ix_{table}", or set identifier_case = "any"'),
    ({"identifier_case": "snake_case", "boolean_prefixes": ("is_", "Has")}, ("identifier_case", "boolean_prefixes"),
     'option boolean_prefixes "Has" is not snake_case, which identifier_case demands', 'write "has", or set identifier_case = "any"'),
    ({"identifier_case": "snake_case", "table_prefixes": ("Shop ",)}, ("identifier_case", "table_prefixes"),
     'option table_prefixes "Shop " is not snake_case, which identifier_case demands', 'write "shop_", or set identifier_case = "any"'),
    ({"foreign_key_name": "fk_{to}"}, ("foreign_key_name",), "option foreign_key_name uses {to}, which it cannot fill in",
     "it knows {table}, {singular}, {schema}, {columns}, {description}, {referenced} and {referenced_singular}"),
    ({"sequence_name": "seq_{columns}"}, ("sequence_name",), "option sequence_name uses {columns}, which it cannot fill in",
     "it knows {table}, {singular}, {schema} and {column}"),
    ({"primary_key_constraint_name": "pk"}, ("primary_key_constraint_name",),
     'option primary_key_constraint_name "pk" gives every object the same name',
     "use {table}, {singular}, {schema}, {columns} and {description}"),
    ({"index_name": ""}, ("index_name",), 'option index_name "" leaves no room for a name', ""),
    ({"check_name": "c" * 63 + "{table}"}, ("check_name",), f'option check_name "{"c" * 63}{{table}}" leaves no room for a name', ""),
    ({"join_table_name": "{left}_links"}, ("join_table_name",), 'option join_table_name "{left}_links" does not name both tables',
     "use {left} and {right}"),
    ({"table_prefixes": ("shop_", "")}, ("table_prefixes",), "option table_prefixes has an empty entry, which means everything or nothing",
     "take it out"),
    ({"tenant_table_prefix": "tenant_", "tenant_column": ""}, ("tenant_table_prefix", "tenant_column"),
     "tenant_table_prefix marks tables with the tenant column, but tenant_column is empty", 'set tenant_column = "tenant_id"'),
    ({"tenant_column": "owner", "soft_delete_column": "owner"}, ("tenant_column", "soft_delete_column"),
     '"owner" cannot both name the tenant and mark a row as deleted', "give the two different columns"),
    ({"table_number": "plural", "join_table_name": "{left}_{right_singular}"}, ("table_number", "join_table_name"),
     'join_table_name "{left}_{right_singular}" ends in the singular, but table_number asks for plural', "end join_table_name in {right}"),
    ({"table_number": "plural", "column_number": "singular", "foreign_key_column": "{table}"}, ("column_number", "foreign_key_column"),
     'foreign_key_column "{table}" gives columns the plural name of a table, but column_number asks for singular',
     "use {singular} in foreign_key_column"),
    ({"column_number": "singular", "required_columns": ("categories text",)}, ("column_number", "required_columns"),
     'required_columns has "categories" in the plural, but column_number asks for singular',
     'rename it, or say that it holds several: "categories text[]"'),
    ({"reserved_words": ("Data", "Tenant_Id")}, ("reserved_words", "tenant_column"),
     'reserved_words gives "tenant_id" to nothing, but tenant_column demands it as a name', 'take "tenant_id" out of reserved_words'),
    ({"reserved_words": ("deleted_at",)}, ("reserved_words", "soft_delete_column"),
     'reserved_words gives "deleted_at" to nothing, but soft_delete_column demands it as a name',
     'take "deleted_at" out of reserved_words'),
    ({"reserved_words": ("version",), "required_columns": ("version bigint",)}, ("reserved_words", "required_columns"),
     'reserved_words gives "version" to nothing, but required_columns demands it as a name', 'take "version" out of reserved_words'),
    ({"reserved_words": ("id",), "primary_key_name": "{singular}_id or id"}, ("reserved_words", "primary_key_name"),
     'reserved_words gives "id" to nothing, but primary_key_name demands it as a name', 'take "id" out of reserved_words'),
    ({"required_columns": ("a", "")}, ("required_columns",), "option required_columns has an empty entry", "take it out"),
    ({"required_columns": ("a date", "a")}, ("required_columns",), 'required_columns asks for "a" twice, as date and as any type',
     "keep one of them"),
    ({"required_columns": ("created_at timestamp not null",), "timestamp_type": "timestamptz"}, ("required_columns", "timestamp_type"),
     'required_columns demands "created_at timestamp", which timestamp_type = "timestamptz" does not allow',
     "change the entry of required_columns, or timestamp_type"),
    ({"required_columns": ("created_at Timestamp (3) with time zone",), "timestamp_type": "timestamp"},
     ("required_columns", "timestamp_type"),
     'required_columns demands "created_at Timestamp (3) with time zone", which timestamp_type = "timestamp" does not allow',
     "change the entry of required_columns, or timestamp_type"),
    ({"required_columns": ("created timestamptz",), "timestamp_suffix": "_at"}, ("required_columns", "timestamp_suffix"),
     'required_columns demands "created timestamptz", which timestamp_suffix = "_at" does not allow',
     "change the entry of required_columns, or timestamp_suffix"),
    ({"required_columns": ("due date",), "date_suffix": "_on"}, ("required_columns", "date_suffix"),
     'required_columns demands "due date", which date_suffix = "_on" does not allow',
     "change the entry of required_columns, or date_suffix"),
    ({"required_columns": ("deleted boolean",), "boolean_prefixes": ("is_", "has_")}, ("required_columns", "boolean_prefixes"),
     'required_columns demands "deleted boolean", which boolean_prefixes = is_ has_ does not allow',
     "change the entry of required_columns, or boolean_prefixes"),
    ({"required_columns": ("code varchar(20)",), "text_type": "text"}, ("required_columns", "text_type"),
     'required_columns demands "code varchar(20)", which text_type = "text" does not allow',
     "change the entry of required_columns, or text_type"),
    ({"required_columns": ("code varchar",), "text_type": "varchar"}, ("required_columns", "text_type"),
     'required_columns demands "code varchar", which text_type = "varchar" does not allow',
     "change the entry of required_columns, or text_type"),
    ({"required_columns": ("amount numeric",), "numeric_precision_required": True}, ("required_columns", "numeric_precision_required"),
     'required_columns demands "amount numeric", which numeric_precision_required = true does not allow',
     "change the entry of required_columns, or numeric_precision_required"),
    ({"required_columns": ("id uuid",), "primary_key_name": "id or {singular}_id", "primary_key_type": "bigint"},
     ("required_columns", "primary_key_type"), 'required_columns demands "id uuid", which primary_key_type = "bigint" does not allow',
     "change the entry of required_columns, or primary_key_type"),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "names", "sentence", "hint"), CASES, ids=[c[1][-1] + str(i) for i, c in enumerate(CASES)])
def test_contradictions(changes: dict[str, object], names: tuple[str, ...], sentence: str, hint: str) -> None:
    assert contradiction(replace(Options(), **changes)) == (names, sentence, hint)


@dataclass(frozen=True)
class Reader:
    options: tuple[str, ...] = ()


RULES = {"NAM11": Reader(("unique_name",)), "KEY01": Reader(), "SEC10": Reader(("tenant_column",)), "DOC01": Reader(("comments",))}


@pytest.mark.parametrize(
    ("changes", "codes"),
    [
        ({}, set()),
        ({"unique_name": "uq_{table}"}, {"NAM11"}),
        ({"tenant_column": "org_id", "comments": ("view",)}, {"SEC10", "DOC01"}),
        ({"tenant_column": "tenant_id", "money_type": None, "comments": ()}, set()),
    ],
)
def test_setting_an_option_asks_for_its_rules(changes: dict[str, object], codes: set[str]) -> None:
    assert asked(replace(Options(), **changes), RULES) == codes


def test_the_defaults_agree_with_themselves() -> None:
    assert contradiction(Options()) is None
    assert contradiction(Options(index_name="idx_{table}_{columns}", index_name_strict=True, identifier_case="snake_case")) is None


GOOD = [
    {"index_name": "idx_{table}_{columns}", "unique_name": "idx_{table}_{columns}"},
    {"comment_language": "en"},
    {"primary_key_type": "uuid", "sequence_name": "seq_{table}_{column}"},
    {"money_type": "integer", "numeric_precision_required": True},
    {"table_prefixes": ("shop_",), "tenant_table_prefix": "tenant_"},
    {"identifier_case": "snake_case", "primary_key_name": "id or {singular}_id", "required_columns": ("created_at TIMESTAMPTZ NOT NULL",)},
    {"column_number": "singular", "required_columns": ("tags text[]", "views bigint", "notes text", "status text", "metrics jsonb")},
    {"table_number": "plural", "join_table_name": "{left_singular}_{right}", "foreign_key_column": "{singular}_id",
     "column_number": "singular"},
    {"required_columns": ("created_at timestamptz", "updated_at timestamptz not null"), "timestamp_type": "timestamptz",
     "timestamp_suffix": "_at"},
    {"required_columns": ("created_at timestamp",), "timestamp_type": "timestamp"},
    {"required_columns": ("id bigint",), "primary_key_name": "id", "primary_key_type": "uuid or bigint"},
    {"required_columns": ("total numeric(12, 2)", "is_new boolean", "born date"), "numeric_precision_required": True,
     "boolean_prefixes": ("is_",), "text_type": "text"},
    {"reserved_words": ("data", "info"), "required_columns": ("data_source text",)},
    {"encryption_at_rest_required": True},
]  # fmt: skip


@pytest.mark.parametrize("changes", GOOD, ids=["+".join(g) for g in GOOD])
def test_options_that_hold_together(changes: dict[str, object]) -> None:
    assert contradiction(replace(Options(), **changes)) is None


@pytest.mark.parametrize(
    ("entry", "read"),
    [
        ("created_at", RequiredColumn("created_at")),
        ("created_at timestamptz", RequiredColumn("created_at", "timestamptz")),
        ("  created_at   timestamp with  time zone NOT NULL ", RequiredColumn("created_at", "timestamp with time zone", not_null=True)),
        ("version not null", RequiredColumn("version", "", not_null=True)),
        ("", RequiredColumn("")),
    ],
)
def test_required_columns_are_read(entry: str, read: RequiredColumn) -> None:
    assert Options(required_columns=(entry,)).required == (read,)
