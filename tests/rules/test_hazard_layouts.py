"""What refuses a transaction, and what hangs, in the layouts of migration tools as people write them; files beside a migration count."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.rules.casework import OneRule

from pgcharter import sources
from pgcharter.rules import engine

BASE = "CREATE TABLE orders (id bigint PRIMARY KEY, state text);\n"
CIC = "CREATE INDEX CONCURRENTLY {0} ON orders (state);\n"
ADD = "ALTER TABLE orders ADD COLUMN {0} text;\n"
LAYOUTS = {
    "flyway": {
        "V1__base.sql": BASE,
        "V2__mixed.sql": ADD.format("a") + CIC.format("i2"),
        "V3__asked.sql": CIC.format("i3") + ADD.format("b"),
        "V3__asked.sql.conf": "executeInTransaction=false\n",
        "V4__forced.sql": CIC.format("i4"),
        "V4__forced.sql.conf": "executeInTransaction=true\n",
        "V5__alone.sql": CIC.format("i5") + CIC.format("i6"),
    },
    "dbmate": {
        "001_base.sql": f"-- migrate:up\n{BASE}-- migrate:down\nDROP TABLE orders;\n",
        "002_a.sql": f"-- migrate:up\n{CIC.format('i2')}-- migrate:down\nDROP INDEX CONCURRENTLY i2;\n",
        "003_b.sql": f"-- migrate:up transaction:false\n{CIC.format('i3')}-- migrate:down transaction:false\nDROP INDEX CONCURRENTLY i3;\n",
    },
    "goose": {
        "00001_base.sql": f"-- +goose Up\n{BASE}-- +goose Down\nDROP TABLE orders;\n",
        "00002_a.sql": f"-- +goose Up\n{CIC.format('i2')}-- +goose Down\nDROP INDEX CONCURRENTLY i2;\n",
        "00003_b.sql": f"-- +goose NO TRANSACTION\n-- +goose Up\n{CIC.format('i3')}-- +goose Down\nDROP INDEX CONCURRENTLY i3;\n",
    },
    "liquibase": {
        "001.sql": f"--liquibase formatted sql\n--changeset a:1\n{BASE}--changeset a:2\n{CIC.format('i2')}"
        f"--changeset a:3 runInTransaction:false\n{CIC.format('i3')}"
    },
    "diesel": {
        "2026-01-01-000000_base/up.sql": BASE,
        "2026-01-01-000000_base/down.sql": "DROP TABLE orders;\n",
        "2026-01-02-000000_a/up.sql": CIC.format("i2"),
        "2026-01-02-000000_a/down.sql": "DROP INDEX CONCURRENTLY i2;\n",
        "2026-01-03-000000_b/up.sql": CIC.format("i3"),
        "2026-01-03-000000_b/down.sql": "DROP INDEX CONCURRENTLY i3;\n",
        "2026-01-03-000000_b/metadata.toml": "run_in_transaction = false\n",
    },
    "golang-migrate": {
        "000001_base.up.sql": BASE,
        "000001_base.down.sql": "DROP TABLE orders;\n",
        "000002_a.up.sql": CIC.format("i2"),
        "000002_a.down.sql": "DROP INDEX CONCURRENTLY i2;\n",
        "000003_b.up.sql": ADD.format("c") + CIC.format("i3"),
        "000003_b.down.sql": "DROP INDEX CONCURRENTLY i3;\nALTER TABLE orders DROP COLUMN c;\n",
    },
    "drizzle": {
        "0000_base.sql": f"{BASE}--> statement-breakpoint\n{ADD.format('a')}",
        "0001_next.sql": f"{ADD.format('b')}--> statement-breakpoint\n{CIC.format('i')}",
    },
    "prisma": {
        "20260101_base/migration.sql": BASE,
        "20260102_fill/migration.sql": f"{ADD.format('kind')}UPDATE orders SET kind = 'a';\n",
        "20260103_alone/migration.sql": CIC.format("i"),
        "20260104_own/migration.sql": f"BEGIN;\n{ADD.format('more')}COMMIT;\nUPDATE orders SET more = 'a';\n",
    },
    "morph": {
        "000001_base.up.sql": BASE,
        "000002_next.up.sql": f"-- morph:nontransactional\n{CIC.format('i')}{CIC.format('j')}",
        "000003_next.up.sql": f"{CIC.format('k')}{CIC.format('l')}",
    },
    "supabase/migrations": {
        "20260101000000_base.sql": BASE,
        "20260102000000_next.sql": "ALTER TABLE orders ADD CONSTRAINT c CHECK (id > 0) NOT VALID;\n"
        f"ALTER TABLE orders VALIDATE CONSTRAINT c;\n{CIC.format('i')}",
    },
}
SAID = {
    "prisma": ["MIG24 20260102_fill/migration.sql:2"],
    "morph": ["MIG04 000003_next.up.sql:1", "MIG04 000003_next.up.sql:2"],
    "drizzle": ["MIG04 0001_next.sql:3"],
    "supabase/migrations": ["MIG07 20260102000000_next.sql:2"],
    "flyway": ["MIG04 V2__mixed.sql:2", "MIG04 V4__forced.sql:1", "MIG29 V3__asked.sql:1", "MIG29 V5__alone.sql:1"],
    "dbmate": ["MIG04 002_a.sql:2", "MIG04 002_a.sql:4"],
    "goose": ["MIG04 00002_a.sql:2", "MIG04 00002_a.sql:4"],
    "liquibase": ["MIG04 001.sql:5"],
    "diesel": ["MIG04 2026-01-02-000000_a/down.sql:1", "MIG04 2026-01-02-000000_a/up.sql:1"],
    "golang-migrate": ["MIG04 000003_b.down.sql:1", "MIG04 000003_b.up.sql:2"],
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_what_refuses_a_transaction_is_told_by_the_rules_of_the_tool(tmp_path: Path, layout: str) -> None:
    folder = tmp_path / layout
    for name, text in LAYOUTS[layout].items():
        (folder / name).parent.mkdir(exist_ok=True, parents=True)
        (folder / name).write_text(text)
    result = engine.run(sources.read(str(folder), server=False), OneRule("MIG"), only=("MIG04", "MIG07", "MIG24", "MIG29"))
    found = [(f.code, Path(f.place.file).relative_to(folder).as_posix(), f.place.line) for f in result.findings if f.place]
    assert sorted(f"{code} {file}:{line}" for code, file, line in found) == SAID[layout]
