"""pgcrypto: correct functions where the server must encrypt by itself.

What is usually written by hand fails in ways that these do not: text that holds the hex of bytea, a key in the text of statements, a value
that can be copied to another row, nothing that tells which key it was, a function that any search path can take over.
"""

from __future__ import annotations

from dataclasses import replace
from importlib import resources

from pgcharter.catalog.model import Function, Schema
from pgcharter.names import quote
from pgcharter.policy.compose import SCHEMA
from pgcharter.policy.model import Policy, State
from pgcharter.policy.pgcrypto_settings import SECTION, PgcryptoSection
from pgcharter.policy.rights import closed, granted

EXTENSION = "pgcrypto"
_FUNCTIONS = {
    "pgcrypto_encrypt": ("text, text", "bytea", "A text encrypted with the first key of the transaction, bound to its row"),
    "pgcrypto_decrypt": ("bytea, text", "text", "What pgcrypto_encrypt has encrypted for the same row"),
    "pgcrypto_key_of": ("bytea", "text", "Id of the key that a value is encrypted with"),
    "pgcrypto_index": ("text, text", "bytea", "What stands for a text in a blind index of a column"),
    "pgcrypto_keys": ("text", "text", "The keys that the transaction was given"),
}


def policy(section: PgcryptoSection) -> Policy:
    """The policy of a `[pgcrypto]` section."""
    return Policy(SECTION.name, lambda state: _apply(state, section))


def _apply(state: State, section: PgcryptoSection) -> State:
    catalog = state.catalog
    found = next((e for e in catalog.extensions if e.name == EXTENSION), None)
    if found is None:
        return state.asking(
            "[pgcrypto] needs the extension pgcrypto, which is not there: CREATE EXTENSION pgcrypto in what is wanted, and have the server"
            " provide it"
        )
    owner = catalog.database.owner
    rights = closed("function", owner, [(user, "EXECUTE") for user in section.users], catalog.major)

    def function(name: str) -> Function:
        identity, returns, comment = _FUNCTIONS[name]
        text = resources.files("pgcharter.policy").joinpath(f"{name}.sql").read_text(encoding="utf-8")
        definition = text.replace("{crypto}", quote(found.schema))
        return Function(SCHEMA, name, identity, returns=returns, definition=definition, acl=rights, comment=comment)

    def home(schema: Schema) -> Schema:
        for user in section.users if schema.name in (SCHEMA, found.schema) else ():
            schema = granted(replace(schema, owner=schema.owner or owner), "schema", user, ("USAGE",), catalog.major)
        return schema

    made = {f.id: f for f in (*catalog.functions, *map(function, _FUNCTIONS))}
    functions = tuple(sorted(made.values(), key=lambda f: (f.schema, f.name)))
    return replace(state, catalog=replace(catalog, functions=functions, schemas=tuple(map(home, catalog.schemas))))
