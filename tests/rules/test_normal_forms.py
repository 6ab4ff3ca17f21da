"""Deliberate copies are excused in each of the three ways: in SQL, in the charter, by a comment on the column."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from pgcharter import sources
from pgcharter.catalog.model import Catalog, FunctionalDependency, Samples, Stats
from pgcharter.catalog.reading import Reading
from pgcharter.findings import Finding, Severity
from pgcharter.guides.options import Options
from pgcharter.names import ObjectId
from pgcharter.rules import engine
from pgcharter.waivers import Waiver, waive

SCHEMA = """
CREATE TABLE customers (id bigint PRIMARY KEY, name text NOT NULL);
CREATE TABLE orders (
    id bigint PRIMARY KEY,
    customer_id bigint NOT NULL REFERENCES customers,
    customer_name text NOT NULL{allow}
);
"""


class House:
    options = Options()
    rules = ()

    def severity(self, code: str, default: Severity) -> Severity:
        return default

    def clauses_of(self, code: str) -> tuple[str, ...]:
        return ()


def read(folder: Path, text: str) -> Reading:
    file = folder / "schema.sql"
    file.write_text(text)
    return sources.read(str(file))


def found(reading: Reading, *codes: str) -> tuple[Finding, ...]:
    return engine.run(reading, House(), only=codes).findings


def test_a_copy_is_found_where_it_is_written(tmp_path: Path) -> None:
    (finding,) = found(read(tmp_path, SCHEMA.format(allow="")), "NRM01")
    assert str(finding.object) == "column public.orders.customer_name"
    assert finding.place is not None
    assert finding.place.file.endswith("schema.sql")


def test_allowed_in_sql(tmp_path: Path) -> None:
    allowed = "-- pgcharter: allow NRM01 because the list of orders is read far more often than customers are renamed\n"
    text = SCHEMA.format(allow="").replace("CREATE TABLE orders", allowed + "CREATE TABLE orders")
    result = engine.run(read(tmp_path, text), House(), only=("NRM01",))
    assert result.findings == ()
    assert [(f.code, reason[:8]) for f, reason in result.suppressed] == [("NRM01", "the list")]


def test_waived_in_the_charter(tmp_path: Path) -> None:
    findings = found(read(tmp_path, SCHEMA.format(allow="")), "NRM01")
    waiver = Waiver("NRM01", "read far more often than written", object="public.orders.customer_name")
    assert waive(findings, [waiver], date(2026, 11, 21)).kept == ()


@pytest.mark.parametrize(
    "words", ["Denormalised: shown in lists", "denormalized", "Copy of customers.name", "Snapshot of the name at checkout"]
)
def test_declared_by_a_comment(tmp_path: Path, words: str) -> None:
    text = SCHEMA.format(allow="") + f"COMMENT ON COLUMN orders.customer_name IS '{words}';"
    assert found(read(tmp_path, text), "NRM01") == ()


def test_a_comment_that_says_something_else_excuses_nothing(tmp_path: Path) -> None:
    text = SCHEMA.format(allow="") + "COMMENT ON COLUMN orders.customer_name IS 'Full name of the customer';"
    assert len(found(read(tmp_path, text), "NRM01")) == 1


def test_without_a_look_at_rows_the_rules_say_so(tmp_path: Path) -> None:
    reading = read(tmp_path, SCHEMA.format(allow=""))
    for stats in (None, Stats()):
        seen = Reading("x", "live", catalog=reading.catalog, stats=stats)
        result = engine.run(seen, House(), only=("NRM03", "NRM04"))
        assert set(result.not_run) == {"NRM03", "NRM04"}
        assert result.ran == ()


def seen(*pairs: tuple[str, str, int, int]) -> Stats:
    table = ObjectId("table", "public", "visits")
    return Stats(samples=Samples(1, 9000, tuple(FunctionalDependency(table, a, b, 9000, values, n) for a, b, values, n in pairs)))


@pytest.fixture
def visits(tmp_path: Path) -> Catalog:
    columns = "id bigint PRIMARY KEY, shop_name text, shop_id bigint REFERENCES shops, post_code text, city text, country text"
    reading = read(tmp_path, f"CREATE TABLE shops (id bigint PRIMARY KEY); CREATE TABLE visits ({columns});")
    assert reading.catalog is not None
    return reading.catalog


def told(catalog: Catalog, stats: Stats) -> list[tuple[str, str]]:
    findings = found(Reading("x", "live", catalog=catalog, stats=stats), "NRM03")
    return sorted((f.object.part if f.object else "", f.facts["determinant"]) for f in findings)


def test_a_chain_of_dependencies_is_told_link_by_link(visits: Catalog) -> None:
    chain = seen(("post_code", "city", 900, 90), ("post_code", "country", 900, 9), ("city", "country", 90, 9))
    assert told(visits, chain) == [("city", "post_code"), ("country", "city")]


def test_of_two_columns_that_follow_from_each_other_the_reference_stays(visits: Catalog) -> None:
    both = seen(("shop_name", "shop_id", 90, 90), ("shop_id", "shop_name", 90, 90))
    assert told(visits, both) == [("shop_name", "shop_id")]
    assert told(visits, seen(("city", "post_code", 90, 90), ("post_code", "city", 90, 90))) == [("city", "post_code")]


def test_tables_and_columns_that_are_gone_are_passed_over(visits: Catalog) -> None:
    assert told(Catalog(), seen(("post_code", "city", 900, 90))) == []
