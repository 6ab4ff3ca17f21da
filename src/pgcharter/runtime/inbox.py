"""The inbox: which messages a consumer has seen, so that one that comes again does nothing.

    with conn.transaction():
        if once(conn, "billing", message.id):
            …                            # what it leads to, in the same transaction

The row stands or falls with the transaction: a message that was rolled back was not seen. It is of the transaction's tenant: the same id of
two tenants is two messages, and none of them sees or takes what another one has. Workers, who have no tenant, share one inbox.
"""

from __future__ import annotations

from collections.abc import Sequence

from pgcharter.db.flows import Query, Steps, flow
from pgcharter.db.queries import load
from pgcharter.errors import UsageError

SQL = load("pgcharter.runtime", "inbox.sql")


@flow
def once(consumer: str, message_id: str) -> Steps[bool]:
    """Whether a consumer sees a message for the first time; it has seen it when the transaction is committed.

    Where another transaction is just handling it, waits for its end. In REPEATABLE READ and SERIALIZABLE a serialization failure may come
    instead, to be tried again as any other.
    """
    return bool((yield Query(SQL["once"], {"consumer": consumer, "id": message_id})))


@flow
def new(consumer: str, message_ids: Sequence[str]) -> Steps[frozenset[str]]:
    """Those of some messages that a consumer sees for the first time, as `once` for each of them."""
    return frozenset(row[0] for row in (yield Query(SQL["new"], {"consumer": consumer, "ids": list(message_ids)})))


@flow
def purge(older: float, limit: int = 10_000) -> Steps[int]:
    """Forget at most `limit` messages that were seen more than `older` seconds ago; how many. Again until there are fewer than `limit`.

    `older` must be longer than anybody may send a message again.
    """
    if limit < 1 or older < 0:
        raise UsageError(f"limit is {limit} and older {older}; the one must be 1 or more, the other 0 or more")
    return len((yield Query(SQL["purge"], {"seconds": older, "limit": limit})))
