"""The Python of docs/how-to/replicas.md runs, on a primary and its standby."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests.conftest import installation
from tests.runtime.standby import PRIMARY, caught_up, standby_of

from pgcharter.servers import lifecycle

PAGE = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "replicas.md"


def test_the_page_runs(capsys: pytest.CaptureFixture[str]) -> None:
    with lifecycle.start_ephemeral(installation(None), settings=PRIMARY) as primary, standby_of(primary) as standby:
        with psycopg.connect(primary.dsn()) as conn:
            conn.execute("CREATE TABLE orders (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, sku text)")
        caught_up(primary, standby)
        given: dict[str, Any] = {
            "primary_dsn": primary.dsn(),
            "replica_dsn": standby.dsn(),
            "token_secret": b"0" * 32,
            "cookie": "",
            "app": None,
        }
        blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
        assert len(blocks) == 5
        for number, block in enumerate(blocks, 1):
            exec(compile(block, f"replicas.md, block {number}", "exec"), given)
        given["db"].close()
        assert "replica 1" in capsys.readouterr().out
