"""The Python of docs/how-to/bulk.md runs."""

from __future__ import annotations

import gzip
import re
from pathlib import Path
from typing import Any

import pytest

PAGE = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "bulk.md"


def test_the_page_runs(conn: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import pandas
    import pyarrow

    given = {"conn": conn, "Path": Path, "pandas": pandas, "pyarrow": pyarrow}
    monkeypatch.chdir(tmp_path)
    Path("stock.csv.gz").write_bytes(gzip.compress(b"sku,amount\ne,1\nf,2\n"))
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) == 4
    for block in blocks:
        exec(compile(block, str(PAGE), "exec"), given)
    assert Path("bad.jsonl").read_text().count("\n") == 1
    assert given["first"] == {"sku": "a"}
    assert gzip.decompress(Path("out.csv.gz").read_bytes()).count(b"\n") == given["table"].num_rows + 1
