"""House options that contradict each other are refused."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest

from pgcharter.guides.options import Options
from pgcharter.guides.style import asked, contradiction

CASES = [
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
