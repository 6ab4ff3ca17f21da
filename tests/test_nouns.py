"""English nouns as names of tables and columns use them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgcharter import nouns

CERTAIN = sorted(w for w in nouns.KNOWN if nouns.plural(w) not in nouns.TWOFOLD | nouns.UNCOUNTABLE)
"""Few enough that the laws below are held against every one of them."""
known = st.sampled_from(CERTAIN)
any_word = st.text(alphabet="abcdefghijklmnopqrstuvwxyz", min_size=1, max_size=12)
names = st.lists(any_word, min_size=1, max_size=3).map("_".join)


def test_the_singular_of_the_plural_is_the_word() -> None:
    assert not [w for w in CERTAIN if nouns.singular(nouns.plural(w)) != w]


def test_a_singular_stays_as_it_is() -> None:
    assert not [w for w in CERTAIN if nouns.singular(w) != w or nouns.number(w) == "plural" or nouns.is_surely_plural(w)]


def test_a_plural_is_never_called_singular() -> None:
    assert not [w for w in CERTAIN if nouns.number(nouns.plural(w)) == "singular"]


@given(names, known)
def test_the_last_word_counts(front: str, word: str) -> None:
    assert nouns.singular_name(f"{front}_{nouns.plural(word)}") == f"{front}_{word}"


@given(st.text(max_size=20))
def test_any_name_may_be_asked(name: str) -> None:
    nouns.number_of_name(name)
    assert nouns.promises_several(name) is False or nouns.singular_name(name) is not None


@given(any_word)
def test_what_is_surely_plural_has_a_singular_that_is_not(word: str) -> None:
    if nouns.is_surely_plural(word):
        single = nouns.singular(word)
        assert single is not None
        assert not nouns.is_surely_plural(single)


@pytest.mark.parametrize(
    ("many", "one"),
    [
        ("people", "person"), ("children", "child"), ("criteria", "criterion"), ("analyses", "analysis"), ("indices", "index"),
        ("indexes", "index"), ("matrices", "matrix"), ("curricula", "curriculum"), ("alumni", "alumnus"), ("corpora", "corpus"),
        ("schemata", "schema"), ("shelves", "shelf"), ("wives", "wife"), ("archives", "archive"), ("categories", "category"),
        ("movies", "movie"), ("queries", "query"), ("keys", "key"), ("addresses", "address"), ("statuses", "status"), ("buses", "bus"),
        ("boxes", "box"), ("branches", "branch"), ("caches", "cache"), ("houses", "house"), ("courses", "course"),
        ("responses", "response"),
        ("databases", "database"), ("licenses", "license"), ("expenses", "expense"), ("lenses", "lens"), ("aliases", "alias"),
        ("sizes", "size"), ("quizzes", "quiz"), ("heroes", "hero"), ("shoes", "shoe"), ("photos", "photo"), ("skus", "sku"),
        ("areas", "area"), ("taxes", "tax"), ("bonuses", "bonus"), ("menus", "menu"), ("widgets", "widget"), ("sprockets", "sprocket"),
        ("purchases", "purchase"), ("processes", "process"), ("accesses", "access"), ("dishes", "dish"), ("curves", "curve"),
        ("permissions", "permission"), ("settings", "setting"),
    ],
)  # fmt: skip
def test_singular(many: str, one: str) -> None:
    assert nouns.singular(many) == one


NOT_PLURAL = """
    data media series species news status address analysis basis bus gas lens bias iris atlas canvas corpus radius axis plus sms gps https
    equipment information metadata inventory history mathematics headquarters access process business class always redis kurs haus ausweis
    kunden benutzer utilisateur bestellung größen id ids url sku x active pending archived is as
    """.split()  # noqa: SIM905
UNKNOWN = "kunden benutzer kunde factura mitarbeiter active pending archived data equipment foo x".split()  # noqa: SIM905


@pytest.mark.parametrize("word", NOT_PLURAL)
def test_these_are_not_called_plural(word: str) -> None:
    assert nouns.number(word) != "plural"
    assert not nouns.promises_several(word)


@pytest.mark.parametrize("word", UNKNOWN)
def test_names_that_cannot_be_judged_stay_silent(word: str) -> None:
    assert nouns.number(word) is None


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("order_items", "plural"), ("order_item", "singular"), ("OrderItems", "plural"), ("orderItem", "singular"),
        ("orders_2024", "plural"),
        ("orders_archive", None), ("users_team", None), ("stock_data", None), ("audit_log", None), ("person", "singular"), ("", None),
        ("__", None), ("kunden_daten", None), ("order_address", "singular"), ("status", "singular"), ("schema_migrations", "plural"),
    ],
)  # fmt: skip
def test_number_of_a_name(name: str, number: str | None) -> None:
    assert nouns.number_of_name(name) == number


@pytest.mark.parametrize(
    ("name", "single"),
    [("OrderItems", "OrderItem"), ("API_KEYS", "API_KEY"), ("People", "Person"), ("app_users", "app_user"), ("kunden", None), ("a_", None)],
)
def test_singular_of_a_name_keeps_its_case(name: str, single: str | None) -> None:
    assert nouns.singular_name(name) == single
