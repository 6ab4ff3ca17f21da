"""Whether two texts that PostgreSQL wrote back say the same, where it writes one and the same expression in two ways.

`x IN ('a', 'b')` on a varchar column is written back as `ANY ((ARRAY['a'::character varying, …])::text[])`; what was built from that text
is written back as `ANY (ARRAY[('a'::character varying)::text, …])`, and so for good. Seen on 15, 16, 17 and 18.
"""

from __future__ import annotations

import re
from typing import Any

_ITEM = r"(?:'(?:[^']|'')*'::[\w .\"]+?(?:\([\d,]+\))?|-?[\d.]+)"
_CAST_ARRAY = re.compile(rf"\(ARRAY\[({_ITEM}(?:, {_ITEM})*)\]\)::([\w .\"]+)\[\]")
_ONE = re.compile(_ITEM + r"(?=, |\Z)")


def alike(one: Any, other: Any) -> bool:
    """Whether two values are equal, or texts that differ only in where an array is cast."""
    if one == other or not (isinstance(one, str) and isinstance(other, str)):
        return bool(one == other)
    return "ARRAY[" in one and "ARRAY[" in other and settled(one) == settled(other)


def settled(text: str) -> str:
    """The text with the cast of an array of literals put at each of them."""
    return _CAST_ARRAY.sub(lambda m: "ARRAY[" + ", ".join(f"({item})::{m[2]}" for item in _ONE.findall(m[1])) + "]", text)
