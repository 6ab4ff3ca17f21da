"""The same schema gives each house its own verdict: nothing is right or wrong but by the options that a house has set."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, replace
from typing import Any

import psycopg
import pytest

from pgcharter.findings import Severity
from pgcharter.guides.options import Options
from pgcharter.guides.style import asked, contradiction
from pgcharter.rules import engine
from pgcharter.sources import live

SCHEMA = """
CREATE TYPE order_state AS ENUM ('new', 'paid');
CREATE TABLE users (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    email varchar(200) NOT NULL CONSTRAINT uq_users_email UNIQUE,
    is_active boolean DEFAULT true,
    status varchar(20) NOT NULL DEFAULT 'new',
    created_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE users IS 'Wer sich angemeldet hat und noch nicht gelöscht wurde.';
CREATE TABLE teams (team_id bigserial PRIMARY KEY, names text, created_at timestamp NOT NULL DEFAULT now());
CREATE TABLE memberships (
    user_id uuid CONSTRAINT fk_memberships_users REFERENCES users ON DELETE CASCADE,
    team bigint REFERENCES teams,
    PRIMARY KEY (user_id, team)
);
CREATE TABLE "order" (
    id uuid CONSTRAINT pk_order PRIMARY KEY DEFAULT gen_random_uuid(),
    tenant_id uuid NOT NULL,
    buyer_id uuid NOT NULL CONSTRAINT fk_order_buyer_id REFERENCES users ON DELETE RESTRICT,
    state order_state NOT NULL,
    total numeric NOT NULL CHECK (total >= 0),
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX idx_order_buyer ON "order" (buyer_id);
CREATE INDEX order_total ON "order" (total);
"""

HOUSES: dict[str, tuple[str, list[str]]] = {
    "singular tables, own key names, everything prefixed": (
        """
        table_number = "singular"
        primary_key_name = "{singular}_id"
        primary_key_constraint_name = "pk_{table}"
        foreign_key_name = "fk_{table}_{columns}"
        index_name = "{table}_{columns}"
        """,
        [
            "KEY11 column public.\"order\".id", "KEY11 column public.users.id",
            "NAM05 table public.memberships", "NAM05 table public.teams", "NAM05 table public.users",
            "NAM10 index public.idx_order_buyer",
            "NAM12 constraint public.memberships.memberships_team_fkey",
            "NAM17 constraint public.memberships.memberships_pkey", "NAM17 constraint public.teams.teams_pkey",
            "NAM17 constraint public.users.users_pkey",
        ],
    ),
    "as a company of teams has it": (
        """
        table_number = "plural"
        column_number = "singular"
        join_table_name = "{left}_{right}"
        primary_key_name = "id"
        text_type = "varchar"
        fixed_values = "enum or check"
        boolean_required = true
        timestamp_type = "timestamptz"
        index_name = "idx_{table}_{columns}"
        required_columns = ["created_at timestamptz not null"]
        comment_language = "en"
        """,
        [
            "DES11 column public.teams.created_at", "DOC07 table public.users", "KEY11 column public.teams.team_id",
            "NAM05 table public.\"order\"", "NAM10 index public.order_total", "NAM14 column public.teams.names",
            "NAM18 table public.memberships", "TYP20 column public.teams.names", "TYP22 column public.users.status",
            "TYP32 column public.users.is_active",
        ],
    ),
    "as a shop with names after from and to has it": (
        """
        table_number = "plural"
        column_number = "singular"
        primary_key_name = "id or {singular}_id"
        foreign_key_column = "{singular}_id"
        text_type = "text"
        fixed_values = "check"
        index_name = "idx_{table}_{columns}"
        index_name_strict = true
        unique_name = "uq_{table}_{columns}"
        foreign_key_name = "fk_{table}_{referenced}"
        sequence_name = "seq_{table}_{column}"
        numeric_precision_required = true
        """,
        [
            "NAM05 table public.\"order\"", "NAM10 index public.idx_order_buyer", "NAM10 index public.order_total",
            "NAM12 constraint public.\"order\".fk_order_buyer_id", "NAM12 constraint public.memberships.memberships_team_fkey",
            "NAM14 column public.teams.names", "NAM15 column public.memberships.team", "NAM16 sequence public.teams_team_id_seq",
            "TYP20 column public.users.email", "TYP20 column public.users.status", "TYP21 column public.\"order\".total",
            "TYP22 column public.\"order\".state", "TYP22 column public.users.status",
        ],
    ),
    "UTC without zone, prefixes of domains and tenants": (
        """
        timestamp_type = "timestamp"
        table_prefixes = ["user", "team"]
        tenant_table_prefix = "tenant_"
        reserved_words = ["status", "names", "order"]
        comment_language = "de"
        fixed_values = "lookup"
        """,
        [
            "NAM19 table public.\"order\"", "NAM19 table public.memberships", "NAM20 table public.\"order\"",
            "NAM21 column public.teams.names", "NAM21 column public.users.status",
            "TYP22 column public.\"order\".state", "TYP22 column public.users.status",
            "TYP31 column public.\"order\".created_at", "TYP31 column public.users.created_at",
        ],
    ),
    "a house without a style": ("", []),
}  # fmt: skip


@dataclass(frozen=True)
class House:
    options: Options

    @property
    def rules(self) -> frozenset[str]:
        """What its options ask for, and the rule on zones that every guide has from core."""
        return asked(self.options, engine.load()) | {"TYP01"}

    def severity(self, code: str, default: Severity) -> Severity:
        return default

    def clauses_of(self, code: str) -> tuple[str, ...]:
        return ()


def house(toml: str) -> House:
    values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in tomllib.loads(toml).items()}
    options = replace(Options(), **values)
    assert contradiction(options) is None
    return House(options)


def build(dsn: str, sql: str = SCHEMA) -> None:
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute(sql.encode())


@pytest.mark.parametrize("name", HOUSES)
def test_each_house_has_its_own_verdict(name: str, database: str) -> None:
    toml, expected = HOUSES[name]
    build(database)
    result = engine.run(live.read(database), house(toml), skip=("TYP01",))
    assert sorted(f"{f.code} {f.object}" for f in result.findings) == expected


def test_the_clause_on_zones_is_unproven_where_the_house_wants_none(database: str) -> None:
    build(database)
    wanted = engine.run(live.read(database), house('timestamp_type = "timestamptz"'), only=("TYP01",))
    assert [str(f.object) for f in wanted.findings] == ["column public.teams.created_at"]
    opposed = engine.run(live.read(database), house('timestamp_type = "timestamp"'), only=("TYP01",))
    assert (opposed.findings, opposed.ran) == ((), ())
    assert opposed.not_run == {"TYP01": 'the house asks for the opposite: timestamp_type = "timestamp"'}


@pytest.mark.parametrize("name", HOUSES)
def test_fixes_of_a_house_run_together_and_leave_nothing_that_was_mended(name: str, database: str) -> None:
    toml, _ = HOUSES[name]
    build(database)
    style = house(toml)
    renames = [f for f in engine.run(live.read(database), style).findings if f.fix and f.code.startswith(("NAM", "KEY11"))]
    with psycopg.connect(database, autocommit=True) as conn:
        for sql in sorted((s for f in renames for s in f.fix), key=lambda s: (" RENAME TO " in s and "TABLE" in s, s)):
            conn.execute(sql.encode())
    left = {f.code for f in engine.run(live.read(database), style).findings if f.fix}
    follow = {"NAM10", "NAM11", "NAM12", "NAM16", "NAM17"}
    """Names made of a table's or a column's name follow when that is renamed: they are mended in a second round."""
    assert left & {f.code for f in renames} <= follow


COLLIDING = """
CREATE TABLE users (id bigint PRIMARY KEY);
CREATE TABLE idx_orders_user_id (id bigint PRIMARY KEY);
CREATE TABLE orders (id bigint PRIMARY KEY, user_id bigint REFERENCES users, seller_id bigint REFERENCES users, "Größe" text,
    a_rather_long_name_of_a_column_that_has_to_be_cut_somewhere_behind bigint
        CHECK (a_rather_long_name_of_a_column_that_has_to_be_cut_somewhere_behind > 0));
CREATE INDEX "I1" ON orders (user_id);
CREATE INDEX "I2" ON orders (user_id) WHERE user_id > 7;
CREATE INDEX "I3" ON orders ("Größe");
CREATE INDEX "I4" ON orders (a_rather_long_name_of_a_column_that_has_to_be_cut_somewhere_behind);
CREATE UNIQUE INDEX "U1" ON orders (user_id, id);
CREATE FOREIGN DATA WRAPPER nothing;
CREATE SERVER elsewhere FOREIGN DATA WRAPPER nothing;
CREATE FOREIGN TABLE afar (id bigint, CONSTRAINT positive CHECK (id > 0)) SERVER elsewhere;
"""


def test_renames_collide_with_nothing(database: str) -> None:
    build(database, COLLIDING)
    style = house(
        """
        index_name = "idx_{table}_{columns}"
        index_name_strict = true
        unique_name = "idx_{table}_{columns}"
        foreign_key_name = "fk_{table}_{referenced}"
        check_name = "ck_{table}_{description}"
        primary_key_constraint_name = "pk_{table}"
        """
    )
    found = engine.run(live.read(database), style, skip=("TYP01",)).findings
    assert len(found) == 12
    with psycopg.connect(database, autocommit=True) as conn:
        for f in found:
            assert f.fix, f
            for sql in f.fix:
                conn.execute(sql.encode())
    names = [n for f in found for n in [f.fix[0].rpartition(" TO ")[2].strip('"')]]
    assert all(len(n.encode()) <= 63 for n in names)
    assert engine.run(live.read(database), style, skip=("TYP01",)).findings == ()
