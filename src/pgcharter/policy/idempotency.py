"""Idempotency: the table of keys and answers, kept apart by tenant where tenants are.

It is one table, not cut into partitions by time: a unique key of partitions would have the time in it, so the same request before and after
midnight would be two. What has expired is deleted in batches (`runtime.idempotency.purge`).
"""

from __future__ import annotations

from dataclasses import replace

from pgcharter.catalog.model import Catalog, Column, Table
from pgcharter.names import ObjectId, literal
from pgcharter.policy.compose import SCHEMA
from pgcharter.policy.idempotency_settings import SECTION, IdempotencySection
from pgcharter.policy.model import Policy, State
from pgcharter.policy.own import TENANT_NOW, columns, index, joined, kept_apart, opened, primary
from pgcharter.policy.rights import closed

KEYS = ObjectId("table", SCHEMA, "idempotency_keys")
KEY = ("tenant", "operation", "key")
_NOW = "timestamp with time zone"


def policy(section: IdempotencySection) -> Policy:
    """The policy of an `[idempotency]` section."""
    return Policy(SECTION.name, lambda state: _apply(state, section))


def _apply(state: State, section: IdempotencySection) -> State:
    catalog = state.catalog
    made = replace(catalog, tables=joined(catalog.tables, _table(section, catalog)))
    return replace(state, catalog=opened(made, section.users))


def _table(section: IdempotencySection, catalog: Catalog) -> Table:
    rights = [(user, privilege) for user in section.users for privilege in ("SELECT", "INSERT", "UPDATE", "DELETE")]
    return Table(
        SCHEMA, KEYS.name, columns=_columns(section), constraints=(primary("idempotency_keys_pkey", KEY),),
        indexes=(index(KEYS, "idempotency_keys_expires_at", ("expires_at",)), index(KEYS, "idempotency_keys_pkey", KEY, unique=True)),
        **kept_apart(catalog),
        options=("fillfactor=70",), acl=closed("table", catalog.database.owner, rights, catalog.major),
        comment="Keys of requests and what was answered, so that a request that comes again gets the first answer",
    )  # fmt: skip


def _columns(section: IdempotencySection) -> tuple[Column, ...]:
    return columns(
        {
            "tenant": ("text", TENANT_NOW, "tenant of the transaction; empty: it had none"),
            "operation": ("text", "", "what was asked for"),
            "key": ("text", "", "name that whoever asked gave the request"),
            "fingerprint": ("bytea", "", "SHA-256 of the request: another request with the same key is refused"),
            "transaction_id": ("xid8", "pg_current_xact_id()", "transaction that did it"),
            "created_at": (_NOW, "now()", ""),
            "expires_at": (_NOW, f"(now() + {literal(section.interval)}::interval)", "from then on the key is free"),
            "answer_limit": ("integer", str(section.answer_bytes), "most bytes that the answer may have"),
            "answer": ("json?", "", "NULL: it was done, and nothing was answered"),
        }
    )
