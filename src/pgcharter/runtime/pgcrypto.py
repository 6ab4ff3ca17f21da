"""Keys for the functions of `[pgcrypto]`, given to one transaction.

    from pgcharter.runtime.pgcrypto import unlock

    with conn.transaction():
        unlock(conn, ring)                       # await unlock.aio(conn, ring)
        conn.execute("INSERT INTO app.users (id, phone) VALUES (%s, pgcharter.pgcrypto_encrypt(%s, 'app.users.phone ' || %s))", …)

The keys are parameters of one statement and local to the transaction. Where the server logs parameters (`log_parameter_max_length`,
`auto_explain.log_parameter_max_length`), it logs them too: switch that off for whoever calls this.
"""

from __future__ import annotations

import base64

from pgcharter.db.flows import Query, Steps, flow
from pgcharter.runtime.encryption_format import shown
from pgcharter.runtime.keys import DATA, INDEX, KeyRing


@flow
def unlock(ring: KeyRing, name: str = "default") -> Steps[None]:
    """Give the keys called `name` to the transaction: the active one to encrypt with, the others that may be used to read with.

    Raises MissingKeyError where there is no active one, EncryptionError where it has expired or cannot be unwrapped, UsageError outside of
    a transaction.
    """
    settings = {"pgcharter.keys": DATA, "pgcharter.index_keys": INDEX}
    given = {setting: _keys(ring, name, purpose) for setting, purpose in settings.items()}
    yield Query(f"SELECT {', '.join(['set_config(%s, %s, true)'] * len(given))}", [v for pair in given.items() for v in pair])


def _keys(ring: KeyRing, name: str, purpose: str) -> str:
    ring.active(name, purpose)
    return " ".join(f"{shown(k.id)}:{base64.b64encode(ring.material(k)).decode()}" for k in ring.named(name, purpose))
