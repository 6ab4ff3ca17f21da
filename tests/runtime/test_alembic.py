"""Autogenerate beside policies: no difference where only policies differ, and what the project changed is still seen."""

from __future__ import annotations

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import BigInteger, create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from tests.db.test_flows import url
from tests.runtime.test_encryption import DATA_KEY, INDEX_KEY, Fixed

from pgcharter.migrate import planning
from pgcharter.migrate.planning import Wish
from pgcharter.migrate.policies import Chosen
from pgcharter.policy import encryption, tenancy
from pgcharter.policy.encryption_settings import EncryptedColumn, EncryptionSection
from pgcharter.policy.tenancy_settings import TenancySection
from pgcharter.runtime.alembic import but_for_policies
from pgcharter.runtime.encryption import Encryption
from pgcharter.runtime.encryption_sqlalchemy import Encrypted

COLUMN = EncryptedColumn("public.users", "email", search=("folded", "exact"), unique=True)
POLICIES = (
    tenancy.policy(TenancySection()),
    encryption.policy(EncryptionSection(column=(COLUMN,))),
)


class Base(DeclarativeBase):
    pass


class User(Base):
    __tablename__ = "users"
    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    email_encrypted: Mapped[bytes | None]
    email_folded: Mapped[bytes | None]
    email_exact: Mapped[bytes | None]
    email = Encrypted(Encryption((COLUMN,), Fixed(DATA_KEY, INDEX_KEY)), COLUMN.name)


@pytest.mark.parametrize("schemas", [False, True])
def test_autogenerate_sees_what_the_project_changed_alone(database: str, *, schemas: bool) -> None:
    def seen() -> list[object]:
        with engine.connect() as connection:
            options = {"include_schemas": schemas, "include_object": but_for_policies(connection)}
            return list(compare_metadata(MigrationContext.configure(connection, opts=options), Base.metadata))

    engine = create_engine(url(database))
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute("CREATE TABLE users (id bigserial PRIMARY KEY)")
        assert [d[0] for d in seen()] == ["add_column"] * 3  # type: ignore[index]
        for step in planning.make(Wish("", database, chosen=Chosen(POLICIES), prove=False)).plan.steps:
            conn.execute(step.sql.encode())
        assert seen() == []
        conn.execute("CREATE INDEX own ON users (email_exact); CREATE TABLE own_table (id int); ALTER TABLE users ADD own_column int")
    assert sorted(d[0] for d in seen()) == ["remove_column", "remove_index", "remove_table"]  # type: ignore[index]
    engine.dispose()
