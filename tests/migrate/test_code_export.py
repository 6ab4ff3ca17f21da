"""Stored code written to files and read back: the same code, under names that every file system keeps."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pgcharter import examples, sources
from pgcharter.errors import RefusedError
from pgcharter.migrate import code_export, planning
from pgcharter.migrate.planning import Wish
from pgcharter.servers.scratch import kept
from pgcharter.sources.layout import direction

SCHEMA = """
CREATE SCHEMA app;
CREATE SCHEMA "Down";
CREATE SCHEMA down;
CREATE TABLE app.t (a int PRIMARY KEY, b text);
CREATE TABLE app.p (a int, d date) PARTITION BY RANGE (d);
CREATE TABLE app.p1 PARTITION OF app.p FOR VALUES FROM ('2020-01-01') TO ('2021-01-01');
CREATE FUNCTION app.total(a int) RETURNS int LANGUAGE sql AS 'SELECT a';
CREATE FUNCTION app.total(a text, b app.t) RETURNS text LANGUAGE sql AS 'SELECT a || (b).b';
CREATE FUNCTION app."Total"() RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION "Down"."über/alles: ""x""y"  (a app.t) RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE PROCEDURE down.undo() LANGUAGE plpgsql AS $$ BEGIN RAISE NOTICE '$function$; --'; END $$;
CREATE AGGREGATE app.plus(int) (SFUNC = int4pl, STYPE = int);
CREATE FUNCTION app.touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; END';
CREATE VIEW app.v WITH (security_invoker = true) AS SELECT a, b, app.total(a) AS c FROM app.t;
COMMENT ON COLUMN app.v.b IS 'bee';
ALTER VIEW app.v ALTER COLUMN b SET DEFAULT 'x';
CREATE FUNCTION app.of_view() RETURNS SETOF app.v BEGIN ATOMIC SELECT * FROM app.v; END;
CREATE MATERIALIZED VIEW app.m AS SELECT a FROM app.v WITH NO DATA;
CREATE UNIQUE INDEX m_a ON app.m (a);
CREATE TRIGGER one BEFORE INSERT ON app.t FOR EACH ROW WHEN (new.a > 1) EXECUTE FUNCTION app.touch();
CREATE TRIGGER two AFTER INSERT ON app.t FOR EACH ROW EXECUTE FUNCTION app.touch();
ALTER TABLE app.t DISABLE TRIGGER two;
CREATE CONSTRAINT TRIGGER late AFTER INSERT ON app.t DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION app.touch();
CREATE TRIGGER parted AFTER INSERT ON app.p FOR EACH ROW EXECUTE FUNCTION app.touch();
CREATE TRIGGER instead INSTEAD OF INSERT ON app.v FOR EACH ROW EXECUTE FUNCTION app.touch();
CREATE RULE seen AS ON DELETE TO app.t WHERE old.a > 1 DO INSTEAD NOTHING;
"""


@pytest.fixture(scope="module", autouse=True)
def _one_server() -> Iterator[None]:
    with kept():
        yield


@pytest.mark.parametrize("major", [15, 18], ids=lambda m: f"pg{m}")
def test_what_is_written_is_what_is_there(tmp_path: Path, major: int, scratch_of: Callable[[int | None], Any]) -> None:
    assert scratch_of(major).major == major
    (tmp_path / "schema.sql").write_text(SCHEMA)
    reading = sources.read(str(tmp_path / "schema.sql"), major=major)
    assert reading.catalog
    texts = code_export.files(reading.catalog)
    assert set(texts) == {
        "app/aggregates/plus.sql", "app/functions/%54otal.sql", "app/functions/of_view.sql", "app/functions/total.sql",
        "app/functions/touch.sql", "app/materialized_views/m.sql", "app/rules/t.sql", "app/triggers/p.sql", "app/triggers/t.sql",
        "app/triggers/v.sql", "app/views/v.sql", "%64ow%6E/procedures/%75nd%6F.sql",
        "%44own/functions/%C3%BCber%2Falles%3A%20%22x%22y.sql",
    }  # fmt: skip
    assert texts["app/functions/total.sql"].count("CREATE OR REPLACE FUNCTION app.total(") == 2
    code_export.write(tmp_path / "code", texts)
    from pgcharter.catalog import codec

    (tmp_path / "now.json").write_text(codec.dumps(reading.catalog, None))
    plan = planning.make(Wish("", str(tmp_path / "now.json"), code=str(tmp_path / "code"))).plan
    assert [s.sql for s in plan.steps] == []
    assert plan.notes == ()


@pytest.mark.parametrize("name", ["shop", "clinic", "teams"])
def test_the_code_of_examples(tmp_path: Path, name: str) -> None:
    folder = examples.folder(name) / "migrations"
    catalog = sources.read(str(folder)).catalog
    assert catalog
    texts = code_export.files(catalog)
    assert "GRANT" not in "".join(texts.values())
    code_export.write(tmp_path / "code", texts)
    plan = planning.make(Wish(str(tmp_path / "code"), str(folder))).plan
    assert [s.sql for s in plan.steps] == []


def test_files_are_not_written_over_unasked(tmp_path: Path) -> None:
    folder = tmp_path / "code"
    assert code_export.write(folder, {"app/views/v.sql": "1\n", "app/views/w.sql": "2\n"}) == (2, ())
    assert code_export.write(folder, {"app/views/v.sql": "1\n"}) == (0, ("app/views/w.sql",))
    with pytest.raises(RefusedError, match=r"v\.sql holds something else"):
        code_export.write(folder, {"app/views/v.sql": "3\n", "app/views/x.sql": "4\n"})
    assert not (folder / "app/views/x.sql").exists()
    assert code_export.write(folder, {"app/views/v.sql": "3\n"}, replacing=True)[0] == 1


@pytest.mark.parametrize("name", ["undo", "u1__x", "app_revert", "verify", "con", "a", "node_modules", "É" * 31, "x.y", "-x", "A"])
def test_names_of_files(name: str) -> None:
    found = code_export.safe(name)
    assert found.isascii()
    assert found == found.replace("/", "").replace(".", "")
    assert len(found) <= 200
    assert direction(Path(found, f"{found}.sql")) == "up" or name.startswith("u1__")
    from urllib.parse import unquote

    assert unquote(found) == name
