"""Fixes of rules about the server, one finding each; and no rule with a fix that is proven nowhere."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import psycopg
from tests.conftest import ServerFactory
from tests.rules.casework import Case, OneRule
from tests.rules.promise import run
from tests.rules.test_fixes import MENDABLE

from pgcharter.catalog.model import Setting
from pgcharter.findings import Finding
from pgcharter.rules import engine
from pgcharter.sources import live

CARELESS = (
    "full_page_writes = off", "autovacuum = off", "password_encryption = md5", "idle_in_transaction_session_timeout = 0",
    "log_statement = 'all'", "log_min_duration_statement = 0", "zero_damaged_pages = on", "ssl_min_protocol_version = 'TLSv1'",
    "ssl_ciphers = 'ALL'",
)  # fmt: skip


def test_fixes_of_a_server_clear_one_finding_each(server: ServerFactory) -> None:
    dsn = server(settings={"fsync": "off"}).dsn()
    with psycopg.connect(dsn, autocommit=True) as conn:
        run(conn, tuple(f"ALTER SYSTEM SET {setting}" for setting in CARELESS))
        run(conn, ('CREATE ROLE "Second ""Super" LOGIN SUPERUSER', "CREATE ROLE loader LOGIN BYPASSRLS", "SELECT pg_reload_conf()"))
        run(conn, ("GRANT pg_execute_server_program TO loader", "CREATE TABLE secrets (id bigint PRIMARY KEY)"))
        run(conn, ("ALTER TABLE secrets ENABLE ROW LEVEL SECURITY", "ALTER ROLE loader SET session_replication_role = replica"))
    old = of_server(dsn)
    assert {f.code for f in old.values() if f.fix} >= {"SRV02", "SRV05", "SRV06", "SRV07", "SRV09", "SRV11", "SRV14", "SRV15", "SRV16"}
    for key, finding in old.items():
        if finding.fix:
            with psycopg.connect(dsn, autocommit=True) as conn:
                run(conn, finding.fix)
            new = of_server(dsn)
            assert (set(old) - set(new), set(new) - set(old)) == ({key}, set()), finding.fix
            old = new


def of_server(dsn: str) -> dict[str, Finding]:
    """What is said of the server as if it had TLS, which not every build has; settings are read when they have come into force."""
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute("SELECT pg_sleep(0.3)")
    reading = live.read(dsn)
    assert reading.cluster is not None
    settings = (*(s for s in reading.cluster.settings if s.name != "ssl"), Setting("ssl", "on"))
    reading = replace(reading, cluster=replace(reading.cluster, settings=settings))
    rules = tuple(code for code in engine.load() if code.startswith("SRV"))
    return {f.key: f for f in engine.run(reading, OneRule("SRV"), only=rules).findings}


def test_every_rule_that_can_have_a_fix_is_proven() -> None:
    """A rule whose source has a fix has a case with one, or stands in the test of the server."""
    proven = {Case(f).code for f in MENDABLE} | {"SRV02", "SRV05", "SRV09", "SRV14", "SRV15", "SRV16"}
    assert sorted(rules_with_fixes() - proven) == []


def rules_with_fixes() -> set[str]:
    """Codes of the rules that pass `fix=` themselves or through functions of their module."""
    found: set[str] = set()
    for file in Path(engine.__file__).parent.glob("*.py"):
        functions = {n.name: n for n in ast.parse(file.read_text(encoding="utf-8")).body if isinstance(n, ast.FunctionDef)}
        for function in functions.values():
            code = next((c for d in function.decorator_list if (c := _code(d))), "")
            if code and any(isinstance(n, ast.keyword) and n.arg == "fix" for f in _reached(function, functions) for n in ast.walk(f)):
                found.add(code)
    return found


def _code(decorator: ast.expr) -> str:
    """The code in `@rule("KEY01", ...)`."""
    if isinstance(decorator, ast.Call) and isinstance(decorator.func, ast.Name) and decorator.func.id == "rule":
        return str(ast.literal_eval(decorator.args[0]))
    return ""


def _reached(function: ast.FunctionDef, functions: Mapping[str, ast.FunctionDef]) -> list[ast.FunctionDef]:
    reached, waiting = [function], [function]
    while waiting:
        named = {n.id for n in ast.walk(waiting.pop()) if isinstance(n, ast.Name)}
        new = [f for name, f in functions.items() if name in named and f not in reached]
        reached += new
        waiting += new
    return reached
