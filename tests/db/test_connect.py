"""Why a server could not be reached: one clear sentence each, and never a password."""

from __future__ import annotations

import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from tests.conftest import ServerFactory, installation

from pgcharter import db
from pgcharter.db import connect
from pgcharter.db.refusals import explain, too_old
from pgcharter.errors import ConnectError, Exit
from pgcharter.servers import lifecycle
from pgcharter.servers.lifecycle import Server

PASSWORD = "hush-hush'x"


def refusal(dsn: str, **options: object) -> ConnectError:
    with pytest.raises(ConnectError) as caught:
        connect(dsn, **options)
    error = caught.value
    assert "hush" not in f"{error} {error.hint} {error.__cause__!r} {error.__context__!r}" or error.__suppress_context__
    assert "hush" not in f"{error} {error.hint}"
    assert "\n" not in error.message
    assert error.exit_code == Exit.FAILED
    return error


def test_no_such_host() -> None:
    error = refusal("postgresql://me:hush-hush@no-such-host.invalid/shop")
    assert error.message == "no-such-host.invalid is unknown: no such host"


def test_refused_by_tcp_and_socket(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    assert refusal(f"host=127.0.0.1 port={port} password=hush-hush").message == f"no server answers at 127.0.0.1 port {port}"
    assert refusal(f"host={tmp_path} port=5433").message.startswith(f"no server answers at {tmp_path}")


def test_a_service_is_named_and_where_it_leads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (tmp_path / "services").write_text(f"[shop]\nhost=127.0.0.1\nport={port}\npassword=hush-hush\n[sock]\nhost={tmp_path}\n")
    monkeypatch.setenv("PGSERVICEFILE", str(tmp_path / "services"))
    assert refusal("service=shop").message == f"no server answers at service shop (127.0.0.1 port {port})"
    assert refusal("service=sock").message.startswith(f"no server answers at service sock ({tmp_path}/.s.PGSQL")
    error = refusal("service=none")
    assert error.message == "no service file defines none, so nothing says where the database is"
    monkeypatch.setenv("PGSERVICE", "shop")
    assert refusal("").message == f"no server answers at service shop (127.0.0.1 port {port})"


def test_a_server_that_does_not_answer() -> None:
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(1)
        error = refusal(f"host=127.0.0.1 port={deaf.getsockname()[1]}", connect_timeout=2)
    assert "did not answer in time" in error.message
    assert "connect_timeout" in error.hint


@pytest.mark.parametrize(
    ("dsn", "part"),
    [
        ("hush-hush", "cannot be understood"),
        ("postgresql://me:hush%zz@host/db", "cannot be understood"),
        ("password=my hush-hush", "cannot be understood"),
        ("postgresql://host/db?nonsense=1", 'invalid URI query parameter: "nonsense"'),
        ("nonsense=1", 'invalid connection option "nonsense"'),
        ("host=localhost port=abc", "port 'abc' is not a number"),
        ("host=localhost sslmode=hmm", "invalid"),
    ],
)
def test_no_connection_string(dsn: str, part: str) -> None:
    assert part in refusal(dsn).message


@pytest.fixture
def locked(server: ServerFactory) -> Server:
    """A server that asks for passwords by TCP, with a role `app` and a closed database."""
    own = server()
    with psycopg.connect(own.dsn(), autocommit=True) as admin:
        admin.execute(f"CREATE ROLE app LOGIN PASSWORD {psycopg.sql.Literal(PASSWORD).as_string(admin)}")
        admin.execute("CREATE ROLE team NOLOGIN PASSWORD 'hush-hush'")
        admin.execute("CREATE ROLE narrow LOGIN PASSWORD 'hush-hush' CONNECTION LIMIT 0")
        admin.execute("CREATE DATABASE closed")
        admin.execute("REVOKE CONNECT ON DATABASE closed FROM PUBLIC")
        admin.execute("CREATE DATABASE shut ALLOW_CONNECTIONS false")
    return own


def as_app(server: Server, **changes: object) -> str:
    return make_conninfo(server.dsn(), **{"user": "app", "password": PASSWORD, **changes})


def test_what_a_server_refuses(locked: Server) -> None:
    connect(as_app(locked)).close()
    assert "refused the password of role app" in refusal(as_app(locked, password="hush-wrong")).message
    assert "PGPASSWORD" in refusal(as_app(locked, password="hush-wrong")).hint
    assert refusal(as_app(locked, dbname="nowhere")).message.startswith("there is no database nowhere on ")
    closed = refusal(as_app(locked, dbname="closed"))
    assert closed.message.startswith("the role has no CONNECT right on database closed of ")
    assert closed.hint == "GRANT CONNECT ON DATABASE closed TO the role"
    assert "accepts no connections" in refusal(as_app(locked, dbname="shut")).message
    assert "may not log in" in refusal(as_app(locked, user="team", password="hush-hush")).message
    assert "all the connections that role narrow may have" in refusal(as_app(locked, user="narrow", password="hush-hush")).message


def test_no_password_and_no_tls(locked: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PGPASSWORD", raising=False)
    without = {k: v for k, v in conninfo_to_dict(locked.dsn()).items() if k != "password"}
    without["user"] = "app"
    error = refusal(make_conninfo("", **without, passfile="/nonexistent"))
    assert "asks for a password and none was given" in error.message


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that the servers' unprivileged account can enter, which `tmp_path` of root is not."""
    with tempfile.TemporaryDirectory(prefix="pgc-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


def test_tls_is_asked_of_a_server_without(open_folder: Path) -> None:
    with lifecycle.start(open_folder, installation(), ephemeral=True) as own:
        connect(own.dsn()).close()
        here = make_conninfo(own.dsn(), host="127.0.0.1", port=own.port)
        assert "does not offer TLS" in refusal(make_conninfo(here, sslmode="require")).message


@pytest.mark.parametrize(
    ("said", "message"),
    [
        (
            'connection to server at "db" (10.0.0.1), port 5432 failed: root certificate file "/nonexistent/root.crt" does not exist\n'
            "Either provide the file, use the system's trusted roots with sslrootcert=system, or change sslmode",
            "the root certificate /nonexistent/root.crt does not exist, so db port 5432 cannot be verified",
        ),
        (
            'connection to server at "db", port 5432 failed: SSL error: certificate verify failed',
            "the TLS connection to db port 5432 failed: certificate verify failed",
        ),
        (
            'connection failed: FATAL:  no pg_hba.conf entry for host "10.0.0.9", user "me", database "shop", no encryption',
            'db port 5432 has no pg_hba.conf line that lets us in: host "10.0.0.9", user "me", database "shop", no encryption',
        ),
        (
            "connection failed: FATAL:  the database system is starting up",
            "db port 5432 is not ready: the database system is starting up",
        ),
        ("something new with hush-hush in it", "db port 5432 did not let us in: something new with *** in it"),
    ],
)
def test_what_libpq_says_and_what_we_make_of_it(said: str, message: str) -> None:
    """Texts of libpq for situations that the servers here cannot be brought into."""
    told = explain(psycopg.OperationalError(said), {"host": "db", "port": "5432"}, ["hush-hush"])
    assert told.message == message


def test_a_server_too_old(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(db, "OLDEST", 99)
    assert "too old to be read" in refusal(database).message
    monkeypatch.undo()
    assert too_old(90624).message.startswith("the server is PostgreSQL 9.6, which is too old")
    assert too_old(130012).message.startswith("the server is PostgreSQL 13.12, which is too old")


def test_options_of_the_dsn_win(database: str) -> None:
    with connect(make_conninfo(database, application_name="mine")) as conn:
        assert conn.execute("SHOW application_name").fetchone() == ("mine",)
        assert conn.autocommit
    with connect(database) as conn:
        assert conn.execute("SHOW application_name").fetchone() == ("pgcharter",)
