"""The codec: exact both ways, stable, readable in a diff, clear about what it cannot read."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pgcharter.catalog import codec
from pgcharter.catalog.model import Catalog, Cluster, Column, DataType, Function, Grant, Role, Schema, Table
from pgcharter.errors import PgcharterError
from pgcharter.findings import Gap

TEXT = st.text(st.characters(codec="utf-8"), max_size=12)
st.register_type_strategy(str, TEXT)
st.register_type_strategy(float, st.floats(allow_nan=False, allow_infinity=False))

CATALOG = Catalog(
    server_version=180006,
    schemas=(Schema("app", owner="me", acl=()), Schema("public")),
    tables=(
        Table(
            "app",
            "t",
            columns=(Column("a", 1, DataType("integer", name="int4"), default="'ä\n\"'"), Column("b", 3, DataType("text", name="text"))),
            acl=(Grant("", "SELECT"),),
        ),
        Table("app", "u"),
    ),
    functions=(Function("app", "f", "integer", cost=0.25),),
    gaps=(Gap("x", "y"),),
)


@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
@given(catalog=st.from_type(Catalog))
def test_every_catalog_survives(catalog: Catalog) -> None:
    text = codec.dumps(catalog)
    assert codec.loads(text) == catalog
    assert codec.dumps(codec.loads(text)) == text


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(table=st.from_type(Table))
def test_every_table_survives(table: Table) -> None:
    catalog = Catalog(tables=(table,))
    assert codec.from_data(json.loads(json.dumps(codec.to_data(catalog)))) == catalog


@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(cluster=st.from_type(Cluster))
def test_every_cluster_survives(cluster: Cluster) -> None:
    assert codec.load_snapshot(codec.dumps(Catalog(), cluster)) == codec.Snapshot(Catalog(), cluster)


def test_the_form_is_stable() -> None:
    assert (
        codec.dumps(CATALOG)
        == """\
{
 "format": "pgcharter-catalog",
 "version": 1,
 "catalog": {
  "server_version": 180006,
  "schemas": [
   {"name": "app", "owner": "me", "acl": []},
   {"name": "public"}
  ],
  "tables": [
   {"schema": "app", "name": "t", "acl": [{"grantee": "", "privilege": "SELECT"}],
    "columns": [
     {"name": "a", "position": 1, "type": {"sql": "integer", "name": "int4"}, "default": "'ä\\n\\"'"},
     {"name": "b", "position": 3, "type": {"sql": "text", "name": "text"}}
    ]},
   {"schema": "app", "name": "u"}
  ],
  "functions": [
   {"schema": "app", "name": "f", "identity": "integer", "cost": 0.25}
  ],
  "gaps": [
   {"what": "x", "why": "y"}
  ]
 }
}
"""
    )


def test_one_change_is_one_line() -> None:
    (table, other) = CATALOG.tables
    changed = replace(table, columns=(replace(table.columns[0], not_null=True), table.columns[1]))
    before = codec.dumps(CATALOG).splitlines()
    after = codec.dumps(replace(CATALOG, tables=(changed, other))).splitlines()
    assert len(before) == len(after)
    assert sum(a != b for a, b in zip(before, after, strict=True)) == 1


def test_no_acl_and_an_empty_one_are_two_things() -> None:
    loaded = codec.loads(codec.dumps(CATALOG))
    assert (loaded.schemas[0].acl, loaded.schemas[1].acl) == ((), None)


def test_the_cluster_comes_along() -> None:
    cluster = Cluster(server_version=180006, roles=(Role("me", login=True),), databases=("a",))
    assert codec.load_snapshot(codec.dumps(CATALOG, cluster)).cluster == cluster
    assert codec.loads(codec.dumps(CATALOG, cluster)) == CATALOG
    assert codec.load_snapshot(codec.dumps(CATALOG)).cluster is None


def document(**changes: object) -> str:
    return json.dumps({"format": "pgcharter-catalog", "version": 1, "catalog": {}, **changes})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not JSON"),
        ('{"format": ', "not JSON"),
        ("[" * 100_000, "damaged"),
        ("[]", "is no catalog snapshot"),
        ('{"findings": []}', "is no catalog snapshot"),
        (document(format="other"), "is no catalog snapshot"),
        (document(version=2), "has format version 2, but this pgcharter reads up to 1"),
        (document(version="1"), "no usable version: '1'"),
        (document(version=True), "no usable version: True"),
        (document(version=0), "no usable version: 0"),
        (document(catalog=None), "catalog should be an object, not null"),
        (document(catalog=[]), "catalog should be an object, not a list"),
        (document(catalog={"tables": {}}), "catalog.tables should be a list, not an object"),
        (document(catalog={"tables": [{"schema": "a"}]}), "catalog.tables[0] lacks 'name', which every Table has"),
        (document(catalog={"tables": [{"schema": "a", "name": "b"}, {"schema": 1}]}), "catalog.tables[1].schema should be text"),
        (
            document(catalog={"tables": [{"schema": "a", "name": "b", "unlogged": 1}]}),
            "unlogged should be true or false, not a whole number",
        ),
        (document(catalog={"tables": [{"schema": "a", "name": "b", "colour": 1}]}), "has a field 'colour' that a Table does not have"),
        (document(catalog={"server_version": "18"}), "catalog.server_version should be a whole number, not text"),
        (document(catalog={"server_version": True}), "catalog.server_version should be a whole number, not true or false"),
    ],
)
def test_what_cannot_be_read(text: str, message: str) -> None:
    with pytest.raises(PgcharterError) as caught:
        codec.loads(text, "shop.json")
    assert message in caught.value.message
    assert caught.value.place.startswith("shop.json")
    assert caught.value.hint
