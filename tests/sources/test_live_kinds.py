"""Every kind of schema object, read from real servers of every supported version."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from tests.conftest import MAJORS
from tests.sources.sink import Sink, built

from pgcharter.catalog import codec
from pgcharter.catalog.model import Dependency, Grant, IndexKey
from pgcharter.db import connect
from pgcharter.names import ObjectId
from pgcharter.servers.lifecycle import Server
from pgcharter.sources import live


@pytest.fixture(scope="module", params=MAJORS, ids=lambda major: f"pg{major}")
def sink(request: pytest.FixtureRequest, server_of: Callable[[int | None], Server]) -> Iterator[Sink]:
    server = server_of(request.param)
    with built(server) as dsn:
        with connect(dsn) as conn:
            catalog = live.read_catalog(conn)
        yield Sink(server.major, dsn, catalog)


def test_database_and_schemas(sink: Sink) -> None:
    assert sink.catalog.major == sink.major
    assert sink.catalog.database.name == "kitchen_sink"
    assert sink.catalog.database.encoding == "UTF8"
    assert [s.name for s in sink.catalog.schemas] == ["Größe", "app", "public"]
    app = sink.catalog.schemas[1]
    assert app.comment == "the application"
    assert app.acl is not None
    assert ("reader", "USAGE") in [(g.grantee, g.privilege) for g in app.acl]
    assert sink.catalog.schemas[0].acl is None
    assert sink.catalog.gaps == ()


def test_columns(sink: Sink) -> None:
    vendors = sink.table("vendors")
    assert [c.name for c in vendors.columns][:4] == ["id", "number", "name", "rating"]
    assert [c.position for c in vendors.columns] == list(range(1, 20))
    assert (vendors.column["id"].identity, vendors.column["number"].identity) == ("always", "by default")
    name = vendors.column["name"]
    assert (name.type.sql, name.type.name, name.type.length, name.not_null) == ("character varying(200)", "varchar", 200, True)
    assert (name.statistics, name.options, name.comment) == (500, ("n_distinct=-0.5",), 'as on the "sign"')
    assert vendors.column["rating"].statistics is None
    rating = vendors.column["rating"].type
    assert (rating.name, rating.precision, rating.scale) == ("numeric", 3, 1)
    full_name = vendors.column["full_name"]
    assert (full_name.generated, full_name.default) == ("stored", "((name)::text || ' (vendor)'::text)")
    assert vendors.column["created_at"].default == "now()"
    assert vendors.column["sorted"].collation == 'pg_catalog."C"'
    assert vendors.column["name"].collation == ""
    assert vendors.column["data"].storage == "external"
    assert vendors.column["tags"].compression == "pglz"
    assert vendors.column["Mixed Case"].options == ()


def test_types_of_columns(sink: Sink) -> None:
    def shape(column: str) -> tuple[object, ...]:
        t = sink.column("vendors", column).type
        return t.sql, t.schema, t.name, t.kind, t.array, t.basic

    assert shape("tags") == ("text[]", "pg_catalog", "text", "base", True, "text")
    assert shape("feeling") == ("app.mood", "app", "mood", "enum", False, "mood")
    assert shape("home") == ("app.address", "app", "address", "composite", False, "address")
    assert shape("parts") == ("app.small", "app", "small", "domain", False, "int4")
    assert shape("code") == ("app.code", "app", "code", "domain", False, "varchar")
    assert sink.column("vendors", "code").type.length == 12
    assert sink.column("vendors", "flags").type.length == 8
    assert sink.column("vendors", "opened").type.precision == 3
    assert sink.column("vendors", "lasts").type.precision == 2
    assert sink.column("vendors", "created_at").type.precision is None
    assert sink.column("orders", "period").type.kind == "range"


def test_table_properties(sink: Sink) -> None:
    vendors = sink.table("vendors")
    assert vendors.options == ("autovacuum_enabled=false", "fillfactor=80", "toast.autovacuum_enabled=false")
    assert (vendors.row_security, vendors.force_row_security, vendors.comment) == (True, True, "who sells")
    assert sink.table("scratch").unlogged
    assert sink.table("orders").replica_identity == "full"
    assert sink.table("lonely").replica_identity == "index"
    assert sink.index("lonely", "lonely_id").replica_identity
    assert sink.table("lonely").owner == "owner_of_app"
    assert sink.table("typed").of_type == "app.address"
    remote = sink.table("remote")
    assert (remote.kind, remote.server, remote.options) == ("foreign table", "elsewhere", ("table_name=Remote",))
    assert remote.column["id"].options == ("column_name=ID",)


def test_inheritance(sink: Sink) -> None:
    derived = sink.table("derived")
    assert derived.inherits == (ObjectId("table", "app", "base"),)
    assert derived.partition_of is None
    assert [(c.name, c.inherited) for c in derived.columns] == [("id", True), ("label", True), ("extra", False)]
    assert sink.constraint("derived", "labelled").inherited
    assert not sink.constraint("base", "labelled").inherited


def test_partitions_of_partitions(sink: Sink) -> None:
    events, year, web = sink.table("events"), sink.table("events_2026"), sink.table("events_2026_web")
    assert (events.kind, events.partition_strategy, events.partition_key) == ("partitioned table", "range", "RANGE (at)")
    assert events.partition_columns == ("at",)
    assert year.partition_of == events.id
    assert year.partition_strategy == "list"
    assert year.partition_bound == "FOR VALUES FROM ('2026-01-01 00:00:00+00') TO ('2027-01-01 00:00:00+00')"
    assert (web.partition_of, web.partition_bound, web.inherits) == (year.id, "FOR VALUES IN ('web', 'app')", ())
    assert sink.table("events_2026_rest").partition_bound == "DEFAULT"
    assert sink.table("hashed_0").partition_bound == "FOR VALUES WITH (modulus 2, remainder 0)"
    assert sink.table("by_expression").partition_columns == ("", "id")
    assert [t.id.name for t in sink.catalog.partitions[events.id]] == ["events_2026", "events_old"]
    index = sink.index("events_2026_web", "events_2026_web_kind_idx")
    assert index.parent == ObjectId("index", "app", "events_2026_kind_idx")
    assert sink.index("events", "events_kind").partitioned
    assert not index.partitioned
    assert sink.trigger("events_2026_web", "on_events").parent
    assert not sink.trigger("events", "on_events").parent
    assert sink.constraint("events_2026_web", "events_vendor_id_fkey").inherited


def test_a_foreign_key_to_a_partitioned_table_is_one(sink: Sink) -> None:
    keys = sink.table("seen").foreign_keys
    assert [(k.name, k.references) for k in keys] == [("seen_event", ObjectId("table", "app", "events"))]


def test_foreign_keys(sink: Sink) -> None:
    key = sink.constraint("orders", "orders_vendor")
    assert (key.columns, key.references, key.referenced_columns) == (("vendor_id",), ObjectId("table", "app", "vendors"), ("id",))
    assert (key.on_delete, key.on_update, key.match, key.index) == ("cascade", "restrict", "simple", "vendors_pkey")
    assert (key.deferrable, key.deferred, key.validated) == (True, False, True)
    parent = sink.constraint("orders", "orders_parent")
    assert (parent.match, parent.on_delete, parent.on_delete_columns) == ("full", "set null", ())
    note = sink.constraint("notes", "notes_line")
    assert (note.columns, note.on_delete_columns) == (("order_id", "position"), ("position",))
    assert note.definition.endswith('REFERENCES app.lines(order_id, "position") ON DELETE SET NULL ("position")')


def test_other_constraints(sink: Sink) -> None:
    rated = sink.constraint("vendors", "rated")
    assert (rated.kind, rated.no_inherit, rated.columns, rated.comment) == ("check", True, ("rating", "worth"), "one of both")
    assert rated.expression == "((rating IS NOT NULL) OR (worth > (0)::numeric))"
    small = sink.constraint("orders", "small_amount")
    assert (small.validated, small.definition) == (False, "CHECK (((amount)::integer < 5000)) NOT VALID")
    unique = sink.constraint("vendors", "vendor_name")
    assert (unique.kind, unique.deferrable, unique.deferred, unique.index) == ("unique", True, True, "vendor_name")
    assert sink.constraint("vendors", "once").nulls_not_distinct
    overlap = sink.constraint("orders", "no_overlap")
    assert (overlap.kind, overlap.columns) == ("exclude", ("period",))
    assert overlap.definition == "EXCLUDE USING gist (period WITH &&) WHERE ((room IS NOT NULL))"
    assert sink.constraint("orders", "late").kind == "trigger"
    key = sink.table("lines").primary_key
    assert key is not None
    assert (key.columns, key.no_inherit) == (("order_id", "position"), False)


def test_not_null_constraints_have_names_since_18(sink: Sink) -> None:
    named = [c for c in sink.table("lines").constraints if c.kind == "not null"]
    if sink.major < 18:
        assert named == []
    else:
        assert [(c.name, c.columns, c.definition) for c in named] == [
            ("lines_order_id_not_null", ("order_id",), "NOT NULL order_id"),
            ("lines_position_not_null", ("position",), 'NOT NULL "position"'),
        ]


def test_what_only_18_has(sink: Sink) -> None:
    if sink.major < 18:
        assert ObjectId("table", "app", "newest") not in sink.catalog.table
        return
    virtual = sink.column("newest", "b")
    assert (virtual.generated, virtual.default) == ("virtual", "(a + 1)")
    named = sink.constraint("newest", "named")
    assert (named.kind, named.no_inherit, named.definition) == ("not null", True, "NOT NULL a NO INHERIT")
    assert not sink.constraint("newest", "late_not_null").validated
    loose = sink.constraint("newest", "loose")
    assert (loose.enforced, loose.validated) == (False, False)
    key = sink.constraint("stays", "stays_key")
    assert (key.temporal, key.definition) == (True, "PRIMARY KEY (room, during WITHOUT OVERLAPS)")
    assert sink.constraint("visits", "visits_stay").temporal
    members = [f for f in sink.catalog.functions if f.extension == "btree_gist"]
    assert len(members) > 100
    assert {f.definition for f in members} == {""}
    assert all(f.extension == "" for f in sink.catalog.own_functions)


def test_indexes(sink: Sink) -> None:
    low = sink.index("vendors", "vendors_low")
    assert low.keys == (IndexKey(expression="lower((name)::text)"), IndexKey(column="rating", descending=True))
    assert (low.include, low.predicate, low.method, low.columns) == (("code",), "(rating > (5)::numeric)", "btree", ())
    assert low.comment == "for the list"
    pattern = sink.index("vendors", "vendors_pattern")
    assert pattern.keys[0] == IndexKey(column="name", operator_class="pg_catalog.varchar_pattern_ops")
    assert pattern.keys[1] == IndexKey(column="sorted", collation='pg_catalog."default"')
    assert pattern.clustered
    data = sink.index("vendors", "vendors_data")
    assert (data.method, data.options, data.keys[0].operator_class) == ("gin", ("fastupdate=off",), "pg_catalog.jsonb_path_ops")
    assert sink.index("vendors", "vendors_tags").keys[0].operator_class_options == ("siglen=100",)
    assert [k.expression or k.column for k in sink.index("vendors", "vendors_sum").keys] == ["((rating + worth))", "created_at"]
    mixed = sink.index("vendors", "vendors_mixed")
    assert (mixed.unique, mixed.nulls_not_distinct, mixed.constraint, mixed.columns) == (True, True, "", ("Mixed Case",))
    primary = sink.index("vendors", "vendors_pkey")
    assert (primary.primary, primary.constraint, primary.valid, primary.ready) == (True, "vendors_pkey", True, True)
    assert sink.index("orders", "no_overlap").exclusion
    assert primary.definition == "CREATE UNIQUE INDEX vendors_pkey ON app.vendors USING btree (id)"


def test_names_that_need_care(sink: Sink) -> None:
    table = sink.table("Ein Tisch", "Größe")
    assert [c.name for c in table.columns] == ['Spalte "x"', "ключ"]
    assert table.primary_key is not None
    assert table.primary_key.definition == 'PRIMARY KEY ("Spalte ""x""")'
    long = next(t for t in sink.catalog.tables if t.name.startswith("a2345"))
    assert len(long.name) == 63
    assert len(long.columns[0].name) == 63


def test_views(sink: Sink) -> None:
    cheap = sink.view("cheap")
    assert (cheap.security_invoker, cheap.security_barrier, cheap.check_option) == (True, True, "local")
    assert cheap.definition.startswith("SELECT")
    assert "FROM app.vendors" in cheap.definition
    assert cheap.definition.endswith(";")
    assert (cheap.comment, cheap.columns[2].comment) == ("the cheap ones", "in euros")
    joined = sink.view("joined")
    assert "app.add(1)" in joined.definition
    assert (joined.triggers[0].name, joined.triggers[0].timing, joined.triggers[0].events) == ("instead", "instead of", ("delete",))
    assert joined.rules == ()
    summary = sink.view("summary")
    assert (summary.kind, summary.populated, summary.indexes[0].name) == ("materialized view", False, "summary_vendor")


def test_triggers(sink: Sink) -> None:
    touch = sink.trigger("vendors", "touch")
    assert touch.function == ObjectId("function", "app", "touch()")
    assert (touch.timing, touch.events, touch.level) == ("before", ("insert", "update"), "row")
    assert (touch.update_columns, touch.arguments) == (("name", "rating"), ("one", "two"))
    assert touch.condition == "((new.name)::text IS DISTINCT FROM ') EXECUTE FUNCTION '::text)"
    assert touch.comment == "sets changed_at"
    late = sink.trigger("orders", "late")
    assert (late.constraint, late.deferrable, late.deferred, late.condition) == (True, True, True, "")
    summed = sink.trigger("orders", "summed")
    assert (summed.level, summed.old_table, summed.new_table) == ("statement", "old_rows", "new_rows")
    gone = sink.trigger("orders", "gone")
    assert (gone.events, gone.enabled) == (("truncate",), "disabled")
    assert [t.name for t in sink.table("notes").triggers] == [], "internal triggers of foreign keys are not in here"


def test_policies_and_rules(sink: Sink) -> None:
    anybody, own = sink.table("vendors").policies
    assert (anybody.name, anybody.command, anybody.roles, anybody.using, anybody.permissive) == (
        "anybody", "select", ("public",), "true", True,
    )  # fmt: skip
    assert (own.roles, own.permissive, own.command, own.comment) == (("Mixed Role", "reader"), False, "update", "their own")
    assert (own.using, own.check) == ("(rating > (1)::numeric)", "(rating > (2)::numeric)")
    (rule,) = sink.table("lonely").rules
    assert (rule.name, rule.event, rule.instead, rule.comment) == ("quiet", "delete", True, "never delete")


def test_sequences(sink: Sink) -> None:
    found = {s.name: s for s in sink.catalog.sequences}
    numbers = found["numbers"]
    assert (numbers.type, numbers.start, numbers.increment, numbers.minimum, numbers.maximum) == ("integer", 10, 5, 10, 1000)
    assert (numbers.cache, numbers.cycle, numbers.owned_by, numbers.comment) == (3, True, None, "counted in fives")
    assert found["orders_id_seq"].owned_by == ObjectId("column", "app", "orders", "id")
    assert not found["orders_id_seq"].identity
    assert found["vendors_number_seq"].identity
    assert found["vendors_number_seq"].start == 100


def test_functions(sink: Sink) -> None:
    add = sink.function("add")
    assert add.identity == "integer, integer, integer[]"
    assert [(a.name, a.mode, a.default) for a in add.arguments] == [
        ("a", "in", ""), ("b", "in", "1"), ("rest", "variadic", "'{}'::integer[]"),
    ]  # fmt: skip
    assert (add.volatility, add.strict, add.parallel, add.leakproof, add.cost) == ("immutable", True, "safe", True, 5)
    assert (add.returns, add.body, add.language) == ("integer", "select a + b", "sql")
    touch = sink.function("touch")
    assert (touch.security_definer, touch.setting("search_path"), touch.returns) == (True, "app, pg_temp", "trigger")
    assert touch.acl is not None
    assert "" not in {g.grantee for g in touch.acl}
    find = sink.function("find")
    assert [(a.name, a.mode) for a in find.arguments] == [("id", "inout"), ("label", "out"), ("Wanted", "in")]
    assert (find.identity, find.volatility, find.arguments[2].default) == ("bigint, app.mood", "stable", "'ok'::app.mood")
    rows = sink.function("rows_of")
    assert [a.mode for a in rows.arguments] == ["in", "table", "table"]
    assert (rows.returns, rows.rows) == ("TABLE(id integer, label text)", 12)
    assert "SELECT (x * 2)" in sink.function("doubled").body
    clean = sink.function("clean")
    assert (clean.kind, clean.returns, clean.id.name, clean.comment) == ("procedure", "", "clean(interval)", "removes the old")
    assert [a.mode for a in clean.arguments] == ["out", "in"]
    assert sink.function("numbered").kind == "window function"
    assert sink.function("numbered").id.kind == "function"
    assert not [f for f in sink.catalog.functions if f.name.startswith("float_")], "constructors of ranges are parts of the range"


def test_aggregates(sink: Sink) -> None:
    total = sink.function("total")
    assert (total.kind, total.id, total.comment) == ("aggregate", ObjectId("aggregate", "app", "total(integer)"), "sum by hand")
    assert total.definition == (
        "CREATE OR REPLACE AGGREGATE app.total(integer) "
        "(SFUNC = int4pl, STYPE = integer, COMBINEFUNC = int4pl, INITCOND = '0', PARALLEL = SAFE)"
    )
    assert sink.function("hits").id.name == "hits(*)"
    median = sink.function("median")
    assert "app.median(double precision ORDER BY double precision) (" in median.definition
    assert "FINALFUNC = app.last_step" in median.definition


def test_user_types(sink: Sink) -> None:
    mood = sink.type("mood")
    assert (mood.kind, mood.labels, mood.comment) == ("enum", ("sad", "ok", "fine", "happy"), "how it is")
    address = sink.type("address")
    assert [(a.name, a.type.sql, a.comment) for a in address.attributes] == [
        ("street", "character varying(80)", ""), ("zip", "character(5)", "five digits"), ("country", "text", ""),
    ]  # fmt: skip
    assert address.attributes[2].collation == 'pg_catalog."C"'
    assert address.comment == "where it is"
    positive = sink.type("positive")
    assert positive.base is not None
    assert positive.base.sql == "integer"
    assert [(c.name, c.expression, c.comment) for c in positive.constraints] == [
        ("above_zero", "(VALUE > 0)", "really"), ("below_million", "(VALUE < 1000000)", ""),
    ]  # fmt: skip
    small = sink.type("small")
    assert small.base is not None
    assert (small.base.sql, small.base.basic, small.not_null, small.default) == ("app.positive", "int4", True, "7")
    assert sink.type("code").collation == 'pg_catalog."C"'
    floats = sink.type("float_range")
    assert floats.base is not None
    assert (floats.kind, floats.base.name, floats.multirange) == ("range", "float8", "app.float_multirange")
    assert floats.options == ("subtype_diff=float8mi",)
    assert sink.type("shell").options == ("shell",)
    assert len(sink.catalog.types) - sum(1 for t in sink.catalog.types if t.extension) == 7, "row types of tables are not in here"


def test_event_triggers_and_extensions(sink: Sink) -> None:
    (watching,) = sink.catalog.event_triggers
    assert (watching.event, watching.tags, watching.enabled) == ("ddl_command_end", ("CREATE TABLE", "DROP TABLE"), "disabled")
    assert (watching.function, watching.comment) == (ObjectId("function", "public", "watch()"), "sees all")
    plpgsql = next(e for e in sink.catalog.extensions if e.name == "plpgsql")
    assert (plpgsql.schema, plpgsql.version, plpgsql.default_version) == ("pg_catalog", "1.0", "1.0")


def test_publications_and_subscriptions(sink: Sink) -> None:
    schema, chosen, everything = sink.catalog.publications
    assert (schema.name, schema.schemas, schema.via_root, schema.tables) == ("by_schema", ("app",), True, ())
    assert chosen.tables == ("app.orders", "app.vendors (id, name) WHERE ((rating > (5)::numeric))")
    assert (chosen.operations, chosen.comment) == (("insert", "update"), "what others may see")
    assert everything.all_tables
    (incoming,) = sink.catalog.subscriptions
    assert (incoming.enabled, incoming.publications, incoming.slot) == (False, ("theirs",), "")


def test_statistics_servers_and_collations(sink: Sink) -> None:
    (stats,) = sink.catalog.statistics
    assert stats.table == ObjectId("table", "app", "vendors")
    assert (stats.columns, stats.expressions, stats.target) == (("name", "rating"), ("lower((name)::text)",), 300)
    assert stats.kinds == ("dependencies", "expressions", "mcv", "ndistinct")
    (server,) = sink.catalog.foreign_servers
    assert (server.wrapper, server.type, server.version, server.users) == ("wrapper", "other", "2", ("public",))
    assert server.options == ("host=elsewhere", "password=(not shown)")
    (plain,) = sink.catalog.collations
    assert (plain.provider, plain.locale, plain.deterministic, plain.comment) == ("libc", "C", True, "byte order")


def test_other_objects(sink: Sink) -> None:
    found = {(o.kind, o.name): o for o in sink.catalog.others if not o.extension}
    assert found["cast", "(integer AS app.mood)"].definition == "WITH FUNCTION app.to_mood(integer) AS ASSIGNMENT"
    operator = found["operator", "=== (integer, integer)"]
    assert operator.definition == (
        "(FUNCTION = app.same, LEFTARG = integer, RIGHTARG = integer, COMMUTATOR = OPERATOR(app.===), RESTRICT = eqsel)"
    )
    assert operator.comment == "the same"
    of_class = found["operator class", "reversed USING btree"].definition.splitlines()
    assert of_class[:3] == [
        "FOR TYPE integer USING btree FAMILY app.orders AS", "STORAGE integer,", "OPERATOR 1 pg_catalog.>(integer, integer),",
    ]  # fmt: skip
    assert of_class[-1] == "FUNCTION 1 (integer, integer) btint4cmp(integer,integer)"
    assert found["operator family", "orders USING btree"].definition == ""
    assert found["text search dictionary", "dictionary"].definition == "(TEMPLATE = pg_catalog.simple, stopwords = 'english')"
    assert "asciiword WITH pg_catalog.simple" in found["text search configuration", "search"].definition
    assert found["conversion", "latin"].definition.startswith("FOR 'LATIN1' TO 'UTF8'")
    assert ("foreign-data wrapper", "wrapper") in found
    assert [k for k in found if k[0] == "cast"] == [("cast", "(integer AS app.mood)")]


def test_grants(sink: Sink) -> None:
    me = sink.catalog.database.owner
    vendors = sink.table("vendors").acl
    assert vendors is not None
    assert Grant("reader", "SELECT", True, me) in vendors
    assert ((me, "MAINTAIN") in {(g.grantee, g.privilege) for g in vendors}) == (sink.major >= 17)
    assert sink.column("orders", "placed_on").acl == (
        Grant("Mixed Role", "SELECT", False, me), Grant("Mixed Role", "UPDATE", False, me),
    )  # fmt: skip
    assert sink.column("orders", "amount").acl is None
    numbers = next(s for s in sink.catalog.sequences if s.name == "numbers")
    assert numbers.acl is not None
    assert {g.privilege for g in numbers.acl if g.grantee == "reader"} == {"SELECT", "UPDATE", "USAGE"}
    in_app, everywhere = sorted(sink.catalog.default_privileges, key=lambda d: d.objects, reverse=True)
    assert (in_app.schema, in_app.objects, in_app.grants) == ("app", "tables", (Grant("reader", "SELECT", False, me),))
    assert (everywhere.role, everywhere.schema, everywhere.objects) == ("owner_of_app", "", "functions")
    assert [g.grantee for g in everywhere.grants] == ["owner_of_app"]


def test_dependencies(sink: Sink) -> None:
    found = set(sink.catalog.dependencies)
    vendors_name = ObjectId("column", "app", "vendors", "name")
    assert Dependency(ObjectId("view", "app", "cheap"), vendors_name) in found
    assert Dependency(ObjectId("view", "app", "joined"), sink.function("add").id) in found
    assert Dependency(ObjectId("column", "app", "vendors", "full_name"), vendors_name) in found
    assert Dependency(ObjectId("column", "app", "orders", "id"), ObjectId("sequence", "app", "orders_id_seq")) in found
    assert Dependency(ObjectId("trigger", "app", "vendors", "touch"), ObjectId("function", "app", "touch()")) in found
    assert Dependency(ObjectId("policy", "app", "vendors", "own"), ObjectId("column", "app", "vendors", "rating")) in found
    assert Dependency(ObjectId("column", "app", "vendors", "feeling"), ObjectId("type", "app", "mood")) in found


def test_no_secret_is_read(sink: Sink) -> None:
    reading = live.read(sink.dsn)
    assert reading.catalog == sink.catalog
    assert "hush-hush" not in repr(reading)
    assert "hush-hush" not in codec.dumps(sink.catalog)


def test_everything_survives_the_codec(sink: Sink) -> None:
    text = codec.dumps(sink.catalog)
    assert codec.loads(text) == sink.catalog
    assert codec.dumps(codec.loads(text)) == text
