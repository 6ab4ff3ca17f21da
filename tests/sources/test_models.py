"""SQLAlchemy models: their DDL on a server, places in Python, and what goes wrong on import."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from tests.sources.conftest import Read
from tests.sources.test_files import tables

from pgcharter import sources
from pgcharter.catalog.reading import Reading
from pgcharter.errors import PgcharterError, UsageError
from pgcharter.names import ObjectId

HERE = Path(__file__).parent
LINES = (HERE / "sample_models.py").read_text("utf-8").splitlines()


@pytest.fixture(autouse=True)
def in_the_folder_of_the_models(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(HERE)
    monkeypatch.syspath_prepend(str(HERE))


def line_of(reading: Reading, kind: str, name: str, part: str = "") -> str:
    found = reading.places[ObjectId(kind, "app", name, part)]
    assert found.file == "sample_models.py"
    return LINES[found.line - 1].strip()


@pytest.mark.parametrize("attribute", ["Base", "Base.metadata", "factory", "factory()"])
def test_models_are_built_and_placed(attribute: str, read: Read) -> None:
    reading = read(f"sample_models:{attribute}")
    assert reading.findings == ()
    assert tables(reading) == ["app.orders", "app.tags", "app.users"]
    assert reading.catalog is not None
    users = reading.catalog.table[ObjectId("table", "app", "users")]
    assert users.column["email"].comment == "login"
    assert line_of(reading, "table", "users") == "class User(Stamped, Base):"
    assert line_of(reading, "column", "users", "email").startswith("mail: Mapped[str]")
    assert line_of(reading, "column", "users", "created_at").startswith("created_at: Mapped[datetime]")
    assert line_of(reading, "constraint", "orders", "orders_user_id_fkey").startswith("user_id: Mapped[int]")
    assert line_of(reading, "index", "ix_app_users_email").startswith("mail: Mapped[str]")
    assert line_of(reading, "index", "ix_both") == "class User(Stamped, Base):"
    assert line_of(reading, "table", "tags") == "tags = Table("
    assert line_of(reading, "column", "tags", "name") == 'Column("name", String),'
    assert line_of(reading, "type", "status").startswith("status: Mapped[Status]")


def test_what_models_cannot_show_is_said(read: Read) -> None:
    reading = read("sample_models:Base")
    assert [g.what for g in reading.gaps] == ["grants, row policies, triggers, functions, views, comments on schemas"]
    assert ObjectId("schema", "", "app") in reading.stand_ins


def test_text_only_gives_the_ddl() -> None:
    reading = sources.read("sample_models:Base", server=False)
    assert reading.catalog is None
    assert "create_stmt" in {s.kind for s in reading.statements}


@pytest.mark.parametrize(
    ("source", "target", "says"),
    [
        ("import no_such_thing_at_all", "m1:Base", "it needs no_such_thing_at_all, which is not installed"),
        ("def (", "m2:Base", "invalid syntax"),
        ("1 / 0", "m3:Base", "ZeroDivisionError: division by zero"),
    ],
)
def test_modules_that_do_not_import(source: str, target: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / f"{target.partition(':')[0]}.py").write_text(source)
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(PgcharterError, match="cannot be imported") as caught:
        sources.read(target)
    assert says in caught.value.message


@pytest.mark.parametrize(
    ("attribute", "says"),
    [
        ("Bsae", "has no Bsae"),
        ("LINES", "has no LINES"),
        ("empty", "holds no table"),
        ("failing", "RuntimeError: no configuration"),
        ("Status", "not a MetaData"),
    ],
)
def test_attributes_that_are_no_models(attribute: str, says: str) -> None:
    with pytest.raises(PgcharterError) as caught:
        sources.read(f"sample_models:{attribute}")
    assert says in caught.value.message
    if attribute == "Bsae":
        assert isinstance(caught.value, UsageError)
        assert caught.value.hint == "did you mean Base?"


STRANGE = """
import sys
from sqlalchemy import BigInteger, Column, Integer, MetaData, Table
from sqlalchemy.dialects.postgresql import CITEXT, HSTORE
from sqlalchemy.types import UserDefinedType
print("printed")

class Half(UserDefinedType):
    pass

class Exploding(UserDefinedType):
    def get_col_spec(self, **_):
        raise RuntimeError("no spec")

half, exploding, fine = MetaData(), MetaData(), MetaData()
Table("t", half, Column("id", Integer, primary_key=True), Column("x", Half()))
Table("t", exploding, Column("id", Integer, primary_key=True), Column("x", Exploding()))
Table("t", fine, Column("id", BigInteger, primary_key=True), Column("c", CITEXT), Column("h", HSTORE))

def leave():
    sys.exit(5)
"""


@pytest.fixture
def strange(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "strange_models.py").write_text(STRANGE)
    (tmp_path / "leaving_models.py").write_text("import sys; sys.exit(3)")
    monkeypatch.syspath_prepend(str(tmp_path))


@pytest.mark.usefixtures("strange")
@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("leaving_models:Base", "module leaving_models cannot be imported: it ends the program with exit code 3"),
        ("strange_models:leave", "strange_models:leave failed when called: it ends the program with exit code 5"),
        ("strange_models:half", "cannot be turned into SQL: AttributeError: 'Half' object has no attribute 'get_col_spec'"),
        ("strange_models:exploding", "cannot be turned into SQL: RuntimeError: no spec"),
    ],
)
def test_code_that_misbehaves(target: str, says: str) -> None:
    with pytest.raises(PgcharterError) as caught:
        sources.read(target, server=False)
    assert says in caught.value.message


@pytest.mark.usefixtures("strange")
def test_what_models_print_spoils_no_output(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "strange_models", raising=False)
    sources.read("strange_models:fine", server=False)
    assert capsys.readouterr() == ("", "printed\n")


@pytest.mark.usefixtures("strange")
def test_several_extensions_for_one_table(read: Read) -> None:
    reading = read("strange_models:fine")
    assert reading.findings == ()
    assert {g.what for g in reading.gaps} >= {"extension citext", "extension hstore"}
