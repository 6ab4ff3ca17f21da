"""Sagas: instances, their steps, what was tried, and what they are told; and the functions by which they are started, told and claimed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from importlib import resources
from typing import Any

from pgcharter.catalog.model import Catalog, Constraint, Function, Index, Table
from pgcharter.names import ObjectId, quote
from pgcharter.policy.compose import SCHEMA
from pgcharter.policy.messaging_settings import MessagingSection
from pgcharter.policy.model import State
from pgcharter.policy.own import TENANT_NOW, check, columns, index, joined, kept_apart, primary
from pgcharter.policy.rights import closed

INSTANCES = ObjectId("table", SCHEMA, "saga_instances")
STEPS = ObjectId("table", SCHEMA, "saga_steps")
HISTORY = ObjectId("table", SCHEMA, "saga_history")
SIGNALS = ObjectId("table", SCHEMA, "saga_signals")
_AT, _NOW = "timestamp with time zone", "clock_timestamp()"
_OF_TENANT = ("text", TENANT_NOW, "tenant of the transaction that started it; empty: it had none")
_INSTANCES = {
    "saga_id": ("uuid", "gen_random_uuid()", ""),
    "tenant": _OF_TENANT,
    "saga_type": ("text", "", "name of the definition"),
    "definition_version": ("integer", "", "version of the definition that it keeps to, to its end"),
    "business_key": ("text?", "", "what it is about: one saga of a type for each"),
    "status": ("text", "'started'::text", "failed: all that was done is compensated"),
    "current_step": ("integer", "0", "number of the step that was begun last"),
    "saga_data": ("jsonb", "", ""),
    "compensation_data": ("jsonb?", "", "why it turned round: step, error, who asked"),
    "result": ("jsonb?", "", "of its last step"),
    "error": ("text?", "", "why it turned round, or what it is stuck on"),
    "round": ("integer", "0", "times that it was resumed after it had failed"),
    "waiting": ("text?", "", "what it waits for"),
    "stuck_at": (f"{_AT}?", "", "since then it needs a person, and goes on trying"),
    "next_at": (f"{_AT}?", "", "when it is due; while somebody has it, when the lease ends"),
    "deadline": (f"{_AT}?", "", "it turns round when it has not passed its pivot by then"),
    "lease_owner": ("text?", "", "worker that has it"),
    "lease_until": (f"{_AT}?", "", ""),
    "fencing_token": ("bigint", "0", "grows with each claim: whoever holds an older one can write nothing"),
    "signals": ("integer", "0", "signals that have been noticed"),
    "parent_id": ("uuid?", "", "saga of which it is a step"),
    "parent_step": ("integer?", "", ""),
    "correlation": ("text?", "", ""),
    "created_at": (_AT, _NOW, ""),
    "updated_at": (_AT, _NOW, ""),
    "completed_at": (f"{_AT}?", "", "when it ended, completed or failed"),
}
_STEPS = {
    "step_id": ("uuid", "gen_random_uuid()", ""),
    "saga_id": ("uuid", "", ""),
    "tenant": _OF_TENANT,
    "step_number": ("integer", "", ""),
    "step_type": ("text", "", "name of the step"),
    "kind": ("text", "'step'::text", "step, wait, sleep, saga"),
    "status": ("text", "'pending'::text", ""),
    "started_at": (f"{_AT}?", "", "last attempt"),
    "completed_at": (f"{_AT}?", "", ""),
    "compensated_at": (f"{_AT}?", "", ""),
    "error_message": ("text?", "", ""),
    "retry_count": ("integer", "0", "attempts that failed"),
    "compensation_count": ("integer", "0", "attempts to compensate that failed"),
    "uncertain": ("boolean", "false", "an attempt ended without an answer: it may have had its effect"),
    "next_at": (f"{_AT}?", "", "when it is tried again, or what it waits for is over"),
    "result": ("jsonb?", "", ""),
}
_HISTORY = {
    "entry_id": ("uuid", "gen_random_uuid()", ""),
    "saga_id": ("uuid", "", ""),
    "tenant": _OF_TENANT,
    "happened_at": (_AT, _NOW, ""),
    "step_number": ("integer?", "", ""),
    "event": ("text", "", "failed, lost, turned, undo failed, stuck, asked, refused"),
    "attempt": ("integer?", "", ""),
    "message": ("text?", "", ""),
    "actor": ("text?", "", "who asked"),
    "worker": ("text?", "", ""),
}
_SIGNALS = {
    "signal_id": ("uuid", "gen_random_uuid()", "the same signal sent again is one"),
    "saga_id": ("uuid", "", ""),
    "tenant": _OF_TENANT,
    "kind": ("text", "'signal'::text", "signal, ended (of a sub-saga), or what a person asks for"),
    "name": ("text", "''::text", ""),
    "payload": ("jsonb?", "", ""),
    "actor": ("text?", "", ""),
    "reason": ("text?", "", ""),
    "sent_at": (_AT, _NOW, ""),
    "seen": ("boolean", "false", "its saga has been woken"),
    "taken_at": (f"{_AT}?", "", "when a step, or what was asked for, used it up"),
}
_STATES = {
    INSTANCES: ("started", "completed", "compensating", "failed"),
    STEPS: ("pending", "running", "completed", "failed", "compensated", "skipped"),
}
_FUNCTIONS = {
    "saga_start": (
        "uuid, text, integer, jsonb, text, text, interval, interval",
        "TABLE(id uuid, made boolean, state text)",
        "Starts a saga, or finds the one with its business key",
    ),
    "saga_signal": ("uuid, uuid, text, text, text, text, jsonb, text, text", "uuid", "Tells a saga something"),
    "saga_claim": ("text, interval, text[], integer[], integer, uuid[]", "SETOF jsonb", "Leases sagas that are due"),
}


def apply(state: State, section: MessagingSection) -> State:
    """The state with what belongs to it."""
    catalog = state.catalog
    made = (_instances(), _steps(), _history(), _signals())
    tables = (replace(t, **_guarded(section, catalog)) for t in made)
    functions = (_function(name, section, catalog) for name in _FUNCTIONS)
    catalog = replace(catalog, tables=joined(catalog.tables, *tables), functions=joined(catalog.functions, *functions))
    return replace(state, catalog=catalog)


def _instances() -> Table:
    key, live = ("tenant", "saga_type", "business_key"), "next_at IS NOT NULL"
    return Table(
        SCHEMA, INSTANCES.name, columns=columns(_INSTANCES),
        constraints=(
            check("chk_current_step_positive", "current_step >= 0", "current_step"), _states(INSTANCES, "chk_saga_status"),
            _home("parent_id", "saga_instances_parent_id_fkey"), primary("saga_instances_pkey", ("saga_id",)),
        ),
        indexes=(
            index(INSTANCES, "idx_saga_instances_type_status", ("saga_type", "status")),
            _some(index(INSTANCES, "saga_instances_business_key", key), "business_key IS NOT NULL", unique=True),
            _some(index(INSTANCES, "saga_instances_completed_at", ("completed_at",)), "completed_at IS NOT NULL"),
            _some(index(INSTANCES, "saga_instances_due", ("saga_type", "definition_version", "next_at")), live),
            _some(index(INSTANCES, "saga_instances_parent_id", ("parent_id",)), "parent_id IS NOT NULL"),
            index(INSTANCES, "saga_instances_pkey", ("saga_id",), unique=True),
        ),
        options=("fillfactor=70",), comment="Sagas: work in steps, each with what takes it back",
    )  # fmt: skip


def _steps() -> Table:
    number = ("saga_id", "step_number")
    return Table(
        SCHEMA, STEPS.name, columns=columns(_STEPS),
        constraints=(
            check("chk_retry_count_positive", "retry_count >= 0", "retry_count"), _states(STEPS, "chk_step_status"),
            primary("saga_steps_pkey", ("step_id",)), _home("saga_id", "saga_steps_saga_id_fkey"),
            Constraint("saga_steps_step_number_key", "unique", number, "UNIQUE (saga_id, step_number)", index="saga_steps_step_number_key"),
        ),
        indexes=(
            index(STEPS, "saga_steps_pkey", ("step_id",), unique=True),
            replace(index(STEPS, "saga_steps_step_number_key", number, unique=True), primary=False),
        ),
        options=("fillfactor=80",), comment="Steps of sagas that have been begun",
    )  # fmt: skip


def _history() -> Table:
    return Table(
        SCHEMA, HISTORY.name, columns=columns(_HISTORY),
        constraints=(primary("saga_history_pkey", ("entry_id",)), _home("saga_id", "saga_history_saga_id_fkey")),
        indexes=(
            index(HISTORY, "saga_history_pkey", ("entry_id",), unique=True),
            index(HISTORY, "saga_history_saga_id", ("saga_id", "happened_at")),
        ),
        comment="Attempts of sagas that failed, and what persons asked for",
    )  # fmt: skip


def _signals() -> Table:
    return Table(
        SCHEMA, SIGNALS.name, columns=columns(_SIGNALS),
        constraints=(primary("saga_signals_pkey", ("signal_id",)), _home("saga_id", "saga_signals_saga_id_fkey")),
        indexes=(
            index(SIGNALS, "saga_signals_pkey", ("signal_id",), unique=True),
            index(SIGNALS, "saga_signals_saga_id", ("saga_id", "sent_at")),
            _some(index(SIGNALS, "saga_signals_unseen", ("sent_at",)), "NOT seen"),
        ),
        comment="What sagas have been told: kept until a step takes it",
    )  # fmt: skip


def _states(of: ObjectId, name: str) -> Constraint:
    states = ", ".join(f"'{s}'::text" for s in _STATES[of])
    return check(name, f"status = ANY (ARRAY[{states}])", "status")


def _home(column: str, name: str) -> Constraint:
    """A foreign key to the saga, with which it is deleted."""
    return Constraint(
        name, "foreign key", (column,), f"FOREIGN KEY ({quote(column)}) REFERENCES {INSTANCES.sql()}(saga_id) ON DELETE CASCADE",
        references=INSTANCES, referenced_columns=("saga_id",), on_delete="cascade", on_update="no action", match="simple",
        index="saga_instances_pkey",
    )  # fmt: skip


def _some(of: Index, where: str, *, unique: bool = False) -> Index:
    """An index of some rows only."""
    text = of.definition.replace("CREATE INDEX", "CREATE UNIQUE INDEX") if unique else of.definition
    return replace(of, unique=unique, predicate=where, definition=f"{text} WHERE ({where})")


def _guarded(section: MessagingSection, catalog: Catalog) -> Mapping[str, Any]:
    """Rights, and row policies where tenants are kept apart. Applications read; they start and tell by functions."""
    rights = [(r, p) for r in section.workers for p in ("SELECT", "INSERT", "UPDATE", "DELETE")]
    rights += [(r, "SELECT") for r in section.writers]
    return {"acl": closed("table", catalog.database.owner, rights, catalog.major), **kept_apart(catalog, *section.workers)}


def _function(name: str, section: MessagingSection, catalog: Catalog) -> Function:
    identity, returns, comment = _FUNCTIONS[name]
    text = resources.files("pgcharter.policy").joinpath(f"messaging_sagas_{name.removeprefix('saga_')}.sql").read_text(encoding="utf-8")
    users = section.workers if name == "saga_claim" else (*section.writers, *section.workers)
    owner = catalog.database.owner
    return Function(
        SCHEMA, name, identity, returns=returns, language="plpgsql", definition=text, owner=owner, comment=comment,
        acl=closed("function", owner, [(r, "EXECUTE") for r in users], catalog.major),
    )  # fmt: skip
