"""Databases with the shop built in them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest

from pgcharter import examples
from pgcharter.db import connect
from pgcharter.examples import build
from pgcharter.servers.lifecycle import Server

ROLES = ("shop_readonly", "shop_readwrite", "shop_admin")
_names = itertools.count(1)


@contextmanager
def fresh(server: Server, template: str = "template0") -> Iterator[str]:
    """Name of a new database on `server`, dropped afterwards."""
    name = f"shop_{next(_names)}"
    with psycopg.connect(server.dsn(), autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name} TEMPLATE {template}")  # type: ignore[arg-type]
        yield name
        admin.execute(f"DROP DATABASE {name} WITH (FORCE)")  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def built(server_of: Callable[[int | None], Server]) -> Iterator[Callable[[int | None], tuple[Server, str]]]:
    """`built(17)`: a server of that major and the name of a template database with the empty shop."""
    made: dict[int, tuple[Server, str]] = {}
    ends: list[Any] = []

    def get(major: int | None) -> tuple[Server, str]:
        server = server_of(major)
        if server.major not in made:
            database = fresh(server)
            name = database.__enter__()
            ends.append((server, database))
            with connect(server.dsn(name)) as conn:
                build.install(conn)
                build.build(conn, build.read_files(examples.folder("shop"), ["migrations"]))
            made[server.major] = (server, name)
        return made[server.major]

    yield get
    for server, database in ends:
        database.__exit__(None, None, None)
        with psycopg.connect(server.dsn(), autocommit=True) as admin:
            for role in ROLES:
                admin.execute(f"DROP ROLE IF EXISTS {role}")  # type: ignore[arg-type]


@pytest.fixture
def shop(built: Callable[[int | None], tuple[Server, str]], request: pytest.FixtureRequest) -> Iterator[str]:
    """DSN, as superuser, of a clone of the empty shop; of the test's parameter `major` when it has one."""
    callspec = getattr(request.node, "callspec", None)
    server, template = built(callspec.params.get("major") if callspec else None)
    with fresh(server, template) as name:
        yield server.dsn(name)


@pytest.fixture
def another(built: Callable[[int | None], tuple[Server, str]]) -> Iterator[str]:
    """DSN of a second empty shop."""
    server, template = built(None)
    with fresh(server, template) as name:
        yield server.dsn(name)
