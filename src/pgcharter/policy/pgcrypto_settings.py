"""`[pgcrypto]` of the charter: functions for those whose server must encrypt by itself."""

from __future__ import annotations

from dataclasses import dataclass

from pgcharter.charter import Section


@dataclass(frozen=True)
class PgcryptoSection:
    """`[pgcrypto]`: functions in our schema that encrypt with pgcrypto, under keys that the transaction is given.

    The server sees clear text and keys. Where the application can encrypt, `[encryption]` is the better form.
    """

    users: tuple[str, ...] = ()
    """Roles that may call them; empty: their owner alone."""


SECTION = Section("pgcrypto", PgcryptoSection)
