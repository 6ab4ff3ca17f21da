"""Cursors over logs, what is parked, and the inbox of consumers; and the function that says how far a log is settled."""

from __future__ import annotations

from dataclasses import replace
from importlib import resources

from pgcharter.catalog.model import Acl, Catalog, Function, Index, Table
from pgcharter.names import ObjectId
from pgcharter.policy.compose import SCHEMA
from pgcharter.policy.messaging_settings import MessagingSection
from pgcharter.policy.model import State
from pgcharter.policy.own import TENANT_NOW, check, columns, index, joined, kept_apart, primary
from pgcharter.policy.rights import closed

EVENTS_LOCK, OUTBOX_LOCK = 1885824357, 1885824358
"""First keys of the advisory locks that whoever appends holds; the second is the low half of the position drawn last."""
EVENTS_POSITION = ObjectId("sequence", SCHEMA, "events_position")
OUTBOX_POSITION = ObjectId("sequence", SCHEMA, "outbox_position")
"""Sequences of positions: CACHE 1, increment 1, never reset."""
FEEDS = ObjectId("table", SCHEMA, "feeds")
PARKED = ObjectId("table", SCHEMA, "parked")
INBOX = ObjectId("table", SCHEMA, "inbox")
LOGS = ObjectId("table", SCHEMA, "logs")
_NOW = "timestamp with time zone"
_FEEDS = {
    "consumer": ("text", "", ""),
    "slot": ("integer", "", "part of the keys that this cursor is for: 0 to slots - 1"),
    "slots": ("integer", "", "parts that the keys are spread over; the same in all rows of a consumer"),
    "log": ("text", "", "events or outbox"),
    "position": ("bigint", "", "all messages of its keys up to this one are done, or parked"),
    "state": ("text", "'running'::text", "running, paused, or stale: what it would read next has been archived"),
    "token": ("bigint", "0", "grows with every lease; whoever has another one can move nothing"),
    "owner": ("text?", "", "worker that holds the lease"),
    "leased_at": (f"{_NOW}?", "", ""),
    "lease_until": (f"{_NOW}?", "", ""),
    "asked_by": ("text?", "", "worker without enough slots, which is to get this one"),
    "asked_until": (f"{_NOW}?", "", ""),
    "moved_at": (_NOW, "now()", ""),
    "was_slots": ("integer?", "", "slots before the number of slots was changed, until this cursor is past all of theirs"),
    "was": ("bigint[]?", "", "their positions: what is up to them was done then"),
    "error": ("text?", "", "what keeps it from going on"),
}
_PARKED = {
    "consumer": ("text", "", ""),
    "key": ("text", "", "key that failed: its messages wait here, all others go on"),
    "position": ("bigint", "", ""),
    "state": ("text", "", "waiting: tried again when due; dead: until a person decides; behind: after another one of its key"),
    "attempts": ("integer", "0", ""),
    "due_at": (f"{_NOW}?", "", ""),
    "parked_at": (_NOW, "now()", ""),
    "failed_at": (f"{_NOW}?", "", "first failure"),
    "error": ("text?", "", "last failure"),
    "message": ("jsonb", "", "row of the log, which may be gone by the time it is tried again"),
}
_INBOX = {
    "consumer": ("text", "", ""),
    "message_id": ("text", "", ""),
    "seen_at": (_NOW, "now()", ""),
    "tenant": ("text", TENANT_NOW, "tenant of the transaction; empty: it had none, as that of a worker"),
}
_LOGS = {
    "log": ("text", "", "events or outbox"),
    "kept_from": ("bigint", "0", "positions up to this one are not all in the table any more"),
}


def apply(state: State, section: MessagingSection) -> State:
    """The state with what belongs to it."""
    catalog = state.catalog
    made = (_feeds(section, catalog), _parked(section, catalog), _inbox(section, catalog), _logs(section, catalog))
    functions = joined(catalog.functions, _settled(section, catalog))
    return replace(state, catalog=replace(catalog, tables=joined(catalog.tables, *made), functions=functions))


def _feeds(section: MessagingSection, catalog: Catalog) -> Table:
    key = ("consumer", "slot")
    states = "state = ANY (ARRAY['running'::text, 'paused'::text, 'stale'::text])"
    return Table(
        SCHEMA, FEEDS.name, columns=columns(_FEEDS),
        constraints=(
            primary("feeds_pkey", key), check("feeds_slot_check", "slot >= 0 AND slot < slots", "slot", "slots"),
            check("feeds_state_check", states, "state"),
        ),
        indexes=(index(FEEDS, "feeds_pkey", key, unique=True),), options=("fillfactor=30",), acl=_acl(section, catalog, "UPDATE"),
        comment="Cursors of whoever reads a log in order",
    )  # fmt: skip


def _parked(section: MessagingSection, catalog: Catalog) -> Table:
    key = ("consumer", "key", "position")
    states = "state = ANY (ARRAY['waiting'::text, 'dead'::text, 'behind'::text])"
    head = "state <> 'behind'::text"
    return Table(
        SCHEMA, PARKED.name, columns=columns(_PARKED),
        constraints=(primary("parked_pkey", key), check("parked_state_check", states, "state")),
        indexes=(
            _partial(index(PARKED, "parked_due", ("consumer", "due_at")), "state = 'waiting'::text"),
            _partial(index(PARKED, "parked_head", ("consumer", "key")), head),
            index(PARKED, "parked_pkey", key, unique=True),
        ),
        acl=_acl(section, catalog, "UPDATE"), comment="Messages that failed, and those of their keys that came after them",
    )  # fmt: skip


def _partial(of: Index, where: str) -> Index:
    """An index of some rows only."""
    return replace(of, predicate=where, definition=f"{of.definition} WHERE ({where})")


def _inbox(section: MessagingSection, catalog: Catalog) -> Table:
    key = ("consumer", "message_id", "tenant")
    return Table(
        SCHEMA, INBOX.name, columns=columns(_INBOX), constraints=(primary("inbox_pkey", key),),
        indexes=(index(INBOX, "inbox_pkey", key, unique=True), index(INBOX, "inbox_seen_at", ("seen_at",))),
        **kept_apart(catalog, *section.workers), acl=_acl(section, catalog, "UPDATE", writers=True),
        comment="Messages that a consumer has seen, so that a repetition does nothing",
    )  # fmt: skip


def _logs(section: MessagingSection, catalog: Catalog) -> Table:
    return Table(
        SCHEMA, LOGS.name, columns=columns(_LOGS), constraints=(primary("logs_pkey", ("log",)),),
        indexes=(index(LOGS, "logs_pkey", ("log",), unique=True),),
        acl=closed("table", catalog.database.owner, [(r, "SELECT") for r in section.workers], catalog.major),
        comment="How far logs have been archived or emptied",
    )  # fmt: skip


def _acl(section: MessagingSection, catalog: Catalog, *more: str, writers: bool = False) -> Acl:
    rights = [(r, p) for r in section.workers for p in ("SELECT", "INSERT", "DELETE", *more)]
    rights += [(r, p) for r in section.writers for p in ("SELECT", "INSERT")] if writers else []
    return closed("table", catalog.database.owner, rights, catalog.major)


def _settled(section: MessagingSection, catalog: Catalog) -> Function:
    text = resources.files("pgcharter.policy").joinpath("messaging_feeds_settled.sql").read_text(encoding="utf-8")
    rights = [(r, "EXECUTE") for r in (*section.writers, *section.workers)]
    return Function(
        SCHEMA, "settled", "text", returns="bigint", language="plpgsql", definition=text, owner=catalog.database.owner,
        acl=closed("function", catalog.database.owner, rights, catalog.major),
        comment="Position of a log up to which nobody can append any more; read that in a statement of its own",
    )  # fmt: skip
