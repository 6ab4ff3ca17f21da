"""The blocks of the how-to pages run, in order, in one empty folder, and end and say what the page says."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

PAGES = Path(__file__).resolve().parents[2] / "docs" / "how-to"
_BLOCK = re.compile(r"(?:<!-- exit (?P<code>\d+) -->\n)?```sh\n(?P<script>.*?)```", re.DOTALL)
SAYS = {
    "alembic": (
        "1 applied",
        "op.create_table",
        "postgresql_concurrently=True",
        "1 new finding",
        "1 migration applied",
        "\\(head\\)",
        "1 migration taken back",
        "2 applied",
    ),
    "audit": (
        r"1 migration applied",
        "ann",
        "open.*cancelled",
        r"\{.id.: 2, .card.: .\*\*\*., .state.: .open.\}",
        "rows sealed",
        "row 3 was changed",
        "audit_guard_rows",
    ),
    "encryption": (
        "default +data +active",
        r"1 migration applied",
        r"\(2000, 'Ada@Example.org'\)",
        "1,001 values read back, 0 wrong",
        "1,000 values read back, 0 wrong",
        "1,001 different among 1,001",
        "1,001 values read back, 0 wrong",
        "1,000 values read back, 0 wrong",
        "retired",
        r"\(2000, 'Ada@Example.org'\)",
        "the key of user 7 is destroyed",
        "999 values read back, 1 erased, 0 wrong",
    ),
    "probe": (
        "table app.orders by shop_api: COPY TO, SELECT",
        "AS RESTRICTIVE",
        "ALTER VIEW app.totals SET \\(security_invoker = true\\)",
        "2 holes, through which 1\\d attacks got",
        "no hole . \\d\\d attacks by 2 roles on rows of 1 table",
        "no hole",
        "no hole . 6 attacks by 1 role on rows of 1 table",
    ),
    "first-ten-minutes": ("TYP04", "CON07", "TYP01", "KEY20"),
    "living-with-findings": (
        "1 error .*3 warnings",
        "4 known findings in pgcharter-known.json: 4 new",
        "4 known findings not counted",
        "public.log has no primary key",
        "1 more recorded there is mended",
        "1 mended taken out",
        "1 waived by the charter",
        "1 allowed by a comment",
        "public.prices.price holds money as real",
    ),
    "changing-a-schema": (
        "tried on a scratch server .* back again it is as before",
        "1 migration applied",
        "column public.customers.mail goes and column public.customers.email, which is just like it, comes",
        "orders_customer_id_idx",
        "COMMIT;",
        "1 migration applied",
        "2 applied",
        "nothing drifted",
        "CREATE INDEX CONCURRENTLY b_a_id_idx",
    ),
    "many-targets": (
        "tenant_1 .*\n(.*\n)*8 done of 8 targets",
        "7 done, 1 failed of 8 targets",
        'tenant_5 failed: .* column "customer" of relation "orders" contains null values',
        "this one alone: pgcharter migrate up --schemas tenant_5",
        "8 targets of migrations: 7 up to date, 1 failed",
        "1 done, 7 up to date of 8 targets",
        "8 targets of migrations: 8 up to date",
        "1 up to date of 1 target ",
        "9 targets of migrations: 8 up to date, 1 behind",
        "1 done, 8 up to date of 9 targets",
        "schema tenant_1 lacks what it names, so it would change public.tenants",
        "1 migration applied",
        "9 up to date",
    ),
    "roles": (
        "1 migration applied",
        "roles · in place",
        "shop_api · password set from SHOP_API_PASSWORD",
        "table orders",
        "of which it is a member",
        "role shop_reads",
        "hostssl .* shop_deploy .* cert",
        "ssl_min_protocol_version",
        "sslmode=verify-full",
        "first look",
        "role helper is new, with SUPERUSER, LOGIN",
        "privileges on table app.orders are .*PUBLIC: DELETE",
        "table app.orders",
    ),
    "stored-code": (
        "1 migration applied",
        "4 files of stored code, 4 of them written",
        "db/code/public/triggers/orders.sql",
        "nothing to do",
        r"is_large\(numeric\)",
        r"\+AS \$function\$SELECT round\(amount \* 1.19, 2\)\$function\$",
        r"is_large\(amount\) AS large",
        "back again it is as before",
        "1 migration applied",
        "nothing to do",
        r"drop function public.is_large\(numeric\)",
        "left alone: 1 trigger of schema public",
        r"left alone: function public.refuse_negative\(\)",
        r"functions/with_tax.sql:1:\d+: db/code cannot be planned with",
        'relation "taxes" does not exist',
        "broken-body",
    ),
    "tenants": (
        r"1 migration applied",
        r"tenant acme is active: id .*, schema tenant_acme",
        r"1 migration applied, \d+ statements\s+of policies",
        "✔ globex +active +tenant_globex",
        "2 done of 2 targets",
        "tenant globex is suspended",
        "globex +suspended .* unpaid since May",
        "tenant globex is active",
        "everybody has privileges on table tenant_globex.orders",
        r"unlike tenant acme: \+ column tenant_globex.orders.urgent",
        "2 tenants of development .* as they should be",
        "tenant acme is leaving",
        "rows of 4 tables, .* read back and compared",
        "rows of 4 tables are as they were written",
        r"1\tfirst",
        "acme +leaving",
        "tenant_acme.orders +2",
        "tenant acme is deleted",
        "1 tenant of development .* as they should be",
        "1 tenant: 1 active",
    ),
    "two-releases": (
        "1 migration applied",
        r"FAILS .*rename",
        r'column "mail" of relation "customers" does not exist',
        r"works +works .*wait for the last release v1 to stop",
        "tried on a scratch server .* back again it is as before",
        "2 applied",
    ),
    "verifying": (
        "1 migration applied",
        "'nulls': 0.33",
        "does not lead back",
        "do not lead to what schema.sql declares",
        "fails on rows of production's shape: column .note. .* contains null values",
        "writes of public.orders wait about",
        "measured .* on 20,000 rows, about .* at 100,000",
        "MIG01",
        "measured .* on 20,000 rows, about .* at 100,000",
        "all as recorded",
        r"\['estimated'\]",
    ),
    "your-own-guide": (
        "nearest guides",
        "wrote standards.toml",
        "A1.2",
        "OWN-A2.1 table shelf_backup is left over from a trial",
        "broken",
        "nothing to mend",
        "verdict.sarif",
    ),
}
"""What must have been said on each page, in this order."""
_ELSEWHERE = {
    "alerts", "backup", "bulk", "business-rules", "caching", "ci", "database", "drill", "editor", "events", "health", "idempotency", "jobs",
    "locking", "metrics", "models", "outbox", "pagination", "partitions", "projections", "reconcile", "replicas", "repository", "restore",
    "retention", "sagas", "sinks", "subscriptions", "sync", "testing", "two-phase-commit", "upkeep", "workload",
}  # fmt: skip
RUN = [page for page in sorted(PAGES.glob("*.md")) if page.stem not in _ELSEWHERE]
"""All but those that have tests of their own, such as pages of Python, and `editor`, which shows configuration."""


@pytest.fixture
def folder() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="pgcharter-page-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@pytest.mark.slow
@pytest.mark.parametrize("page", RUN, ids=lambda p: p.stem)
def test_every_block_does_what_the_page_says(page: Path, folder: Path) -> None:
    blocks = list(_BLOCK.finditer(page.read_text(encoding="utf-8")))
    assert len(blocks) >= 6
    config = folder / "gitconfig"
    config.write_text("[user]\nname = Ada\nemail = ada@example.org\n[init]\ndefaultBranch = main\n")
    project = folder / "project"
    project.mkdir()
    environment = {
        **os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "COLUMNS": "200",
        "GIT_CONFIG_GLOBAL": str(config), "GIT_CONFIG_SYSTEM": os.devnull, "XDG_DATA_HOME": str(folder / "data"),
    }  # fmt: skip
    said = ""
    for block in blocks:
        command = ["sh", "-e", "-c", block["script"]]
        done = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == int(block["code"] or 0), f"{block['script']}\n{done.stdout}{done.stderr}"
        said += done.stdout
    position = 0
    for words in SAYS[page.stem]:
        found = re.compile(words).search(said, position)
        assert found, f"{words!r} is not said after {said[:position][-300:]!r}"
        position = found.end()
