"""Messages to others, in a ring of parts that are filled in turn and emptied whole, so that nothing in it is ever updated or deleted."""

from __future__ import annotations

from dataclasses import replace
from importlib import resources

from pgcharter.catalog.model import Acl, Catalog, Function, Index, IndexKey, Sequence, Table
from pgcharter.names import ObjectId
from pgcharter.policy.compose import SCHEMA
from pgcharter.policy.messaging_feeds import OUTBOX_POSITION
from pgcharter.policy.messaging_settings import MessagingSection
from pgcharter.policy.model import State
from pgcharter.policy.own import check, columns, index, joined, primary
from pgcharter.policy.rights import closed

OUTBOX = ObjectId("table", SCHEMA, "outbox")
TURN = ObjectId("sequence", SCHEMA, "outbox_turn")
"""Its last value is the part that is filled now; no transaction sees an old one, and nobody's snapshot keeps one."""
ROUTES = ObjectId("table", SCHEMA, "outbox_routes")
_KEY = ("position", "part")
_NOW = "timestamp with time zone"
_COLUMNS = {
    "position": ("bigint", "", "order of publishing; with gaps where transactions were rolled back"),
    "part": ("smallint", "", "part of the ring it is in"),
    "message_id": ("uuid", "", "tells repetitions by: the same in every delivery"),
    "topic": ("text", "", "what it is about, and by which routes are chosen"),
    "key": ("text?", "", "messages of one key are delivered in their order; NULL: in any"),
    "payload": ("text?", "", "JSON as it was written"),
    "data": ("bytea?", "", "bytes, where it is no JSON"),
    "headers": ("jsonb?", "", "texts by name that go with it"),
    "tenant": ("text", "", "tenant of the transaction; empty: it had none"),
    "actor": ("text?", "", "who used the application"),
    "correlation": ("text?", "", "what it belongs to"),
    "created_at": (_NOW, "", "when it was published; its transaction was committed later"),
    "due_at": (f"{_NOW}?", "", "not delivered before; later ones of its key wait with it"),
    "expires_at": (f"{_NOW}?", "", "not delivered any more from then on"),
}
_ROUTES = {
    "route": ("text", "", "as it is called in feeds"),
    "topics": ("text[]", "", "patterns of what it wants; * stands for any text"),
    "declared_at": (_NOW, "now()", ""),
}
_CHECK = check("outbox_payload_check", "num_nonnulls(payload, data) = 1", "payload", "data")
_KEY_CHECK = check("outbox_key_check", "octet_length(key) <= 1000", "key")
"""What the index of parked messages can hold, beside the name of a consumer."""
_PUBLISH = "text[], text[], text[], bytea[], text[], uuid[], double precision[], double precision[]"


def apply(state: State, section: MessagingSection) -> State:
    """The state with the ring, its routes and its two functions.

    Parts that are there stay, also where fewer are declared: they may hold messages.
    """
    catalog = state.catalog
    owner, acl = catalog.database.owner, _acl(section, catalog, "sequence", "SELECT")
    count = max(section.outbox.partitions, _present(state))
    tables = joined(catalog.tables, _ring(section, catalog), _routes(section, catalog), *(_part(n) for n in range(count)))
    sequences = joined(
        catalog.sequences,
        Sequence(SCHEMA, OUTBOX_POSITION.name, owner=owner, acl=acl, comment="Positions of outbox"),
        Sequence(
            SCHEMA, TURN.name, start=0, minimum=0, maximum=count - 1, cycle=True, owner=owner, acl=acl,
            comment="Part of outbox that is filled now",
        ),
    )  # fmt: skip
    functions = joined(catalog.functions, _publish(section, catalog), _rotate(section, catalog))
    return replace(state, catalog=replace(catalog, tables=tables, sequences=sequences, functions=functions))


def part(number: int) -> ObjectId:
    """A part of the ring."""
    return ObjectId("table", SCHEMA, f"{OUTBOX.name}_{number}")


def _present(state: State) -> int:
    return sum(t.partition_of == OUTBOX for t in state.present.tables) if state.present else 0


def _ring(section: MessagingSection, catalog: Catalog) -> Table:
    return Table(
        SCHEMA, OUTBOX.name, "partitioned table", columns(_COLUMNS),
        (_KEY_CHECK, _CHECK, primary("outbox_pkey", _KEY)), (_index(OUTBOX, "outbox_pkey"),),
        partition_strategy="list", partition_key="LIST (part)", partition_columns=("part",), owner=catalog.database.owner,
        acl=_acl(section, catalog, "table", "SELECT"), comment="Messages to others, delivered by relays; emptied part by part",
    )  # fmt: skip


def _routes(section: MessagingSection, catalog: Catalog) -> Table:
    rights = [(r, p) for r in section.workers for p in ("SELECT", "INSERT", "UPDATE")]
    return Table(
        SCHEMA, ROUTES.name, columns=columns(_ROUTES), constraints=(primary("outbox_routes_pkey", ("route",)),),
        indexes=(index(ROUTES, "outbox_routes_pkey", ("route",), unique=True),),
        acl=closed("table", catalog.database.owner, rights, catalog.major),
        comment="Topics that routes of outbox want, as they said when they last ran",
    )  # fmt: skip


def _part(number: int) -> Table:
    at = part(number)
    plain = columns({n: (t, d, "") for n, (t, d, _) in _COLUMNS.items()})
    bound = f"FOR VALUES IN ('{number}')"
    return Table(SCHEMA, at.name, columns=plain, constraints=(_KEY_CHECK, _CHECK), partition_of=OUTBOX, partition_bound=bound, acl=None)


def _index(at: ObjectId, name: str) -> Index:
    return Index(
        SCHEMA, name, at.name, keys=tuple(map(IndexKey, _KEY)), unique=True, primary=True, constraint=name, partitioned=True,
        definition=f'CREATE UNIQUE INDEX {name} ON ONLY {at.sql()} USING btree ("position", part)',
    )  # fmt: skip


def _publish(section: MessagingSection, catalog: Catalog) -> Function:
    return _function(
        section, "outbox_publish", _PUBLISH, "bigint", section.writers, catalog,
        "Publishes messages in the transaction; the two last arguments are seconds until they are due and until they expire",
    )  # fmt: skip


def _rotate(section: MessagingSection, catalog: Catalog) -> Function:
    comment = (
        "Empties parts of outbox that every consumer has passed, and turns to the next one where this one is full; how many it emptied"
    )
    return _function(section, "outbox_rotate", "bigint", "integer", section.workers, catalog, comment)


def _function(
    section: MessagingSection, name: str, identity: str, returns: str, roles: tuple[str, ...], catalog: Catalog, comment: str,
) -> Function:  # fmt: skip
    text = resources.files("pgcharter.policy").joinpath(f"messaging_{name}.sql").read_text(encoding="utf-8")
    text = text.replace("{message_bytes}", str(section.message_bytes))
    acl = closed("function", catalog.database.owner, [(r, "EXECUTE") for r in roles], catalog.major)
    return Function(
        SCHEMA, name, identity, returns=returns, language="plpgsql", definition=text, owner=catalog.database.owner, acl=acl, comment=comment
    )


def _acl(section: MessagingSection, catalog: Catalog, of: str, privilege: str) -> Acl:
    return closed(of, catalog.database.owner, [(r, privilege) for r in section.workers], catalog.major)
