"""English nouns as table and column names use them: singular, plural, or neither. Silent when unsure: a wrong guess is a false alarm."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Literal

from pgcharter import noun_lists
from pgcharter.noun_lists import (
    ENDING_IN_IE,
    ENDING_IN_OE,
    EXTRA_PLURALS,
    ING_ED_LY,
    IRREGULAR,
    NO_NOUNS,
    NOUNS,
    VOWEL_NOUNS,
)

Number = Literal["singular", "plural"]

UNCOUNTABLE = noun_lists.UNCOUNTABLE
"""Words without a number: what refers to `equipment` is `equipment_id`."""
KNOWN = (NOUNS | VOWEL_NOUNS | ING_ED_LY | ENDING_IN_IE | ENDING_IN_OE | IRREGULAR.keys()) - UNCOUNTABLE
"""Singular nouns that are certain."""
_SINGULAR = {many: one for one, many in IRREGULAR.items()} | EXTRA_PLURALS
TWOFOLD = frozenset({"axes", "bases", "leaves", "lives", "dice"})
"""Plurals of two nouns each (axe and axis), or a plural and a verb."""
_NOUN_ENDING = re.compile(r"(?:[aeiou][a-z]*)(?:tion|sion|ment|ness|ship|ance|ence|ity|ology|graphy|ism|ist|hood|dom|ware)\Z")


def words(name: str) -> list[str]:
    """The words of an identifier in lower case: `OrderItems2024` and `order_items_2024` both give order, items (digits dropped)."""
    split = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name)
    return [w for w in re.split(r"[\W\d_]+", split.lower()) if w]


def plural(word: str) -> str:
    """The plural of a singular noun: `city` gives `cities`."""
    word = word.lower()
    if word in IRREGULAR:
        return IRREGULAR[word]
    if re.search(r"(?:[^aeou]|qu)y\Z", word):
        return word[:-1] + "ies"
    return word + ("es" if re.search(r"(?:[sxz]|ch|sh)\Z", word) else "s")


_PLURAL = {many: one for one in KNOWN if (many := plural(one))} | _SINGULAR
"""Plurals that are certain, with their singular."""


@lru_cache(maxsize=65536)
def number(word: str) -> Number | None:
    """Whether one English word is singular or plural; None when it is both, neither, or unknown."""
    word = word.lower()
    if word in UNCOUNTABLE or word in NO_NOUNS or len(word) < 3 or not word.isascii():
        return None
    if word in KNOWN:
        return "singular"
    if word in _PLURAL:
        return "plural"
    if not word.endswith("s"):
        return "singular" if _NOUN_ENDING.search(word) else None
    if word.endswith("ss"):
        return "singular"
    return "plural" if re.search(r"(?:[bcdefghklmnprtvwxyz]|[aeou]y)s\Z", word) and _looks_plural(word) else None


def _looks_plural(word: str) -> bool:
    """Long enough to tell, and no adverb such as `always`."""
    return bool(re.search(r"[aeou]ys\Z", word)) or (len(word) >= 5 and not word.endswith("ys"))


def is_surely_plural(word: str) -> bool:
    """Whether the word is the plural of a noun that is certain, and nothing else."""
    word = word.lower()
    return word in _PLURAL and not any(word in other for other in (UNCOUNTABLE, NO_NOUNS, TWOFOLD, KNOWN))


def promises_several(name: str) -> bool:
    """Whether a name is surely that of several things: `emails`, but not `notes`, `seconds` or `status`."""
    last = (words(name) or [""])[-1]
    return is_surely_plural(last) and last not in noun_lists.PLURAL_FOR_ONE


_TO_Y = re.compile(r"[^aeiou]ies\Z")
_BY_ES = re.compile(r"(?:ss|sh|[^aeiou]ch|[aeiou]tch|[aeo]ach|x|zz|tz)es\Z")
_BY_S = re.compile(r"(?:[aino]ses|[nrp]ses|ouses|auses|[aeiu]zes|ves|ces|ges|les|res|tes|des|kes|mes|nes|pes|bes|fes|thes|ues|ees|yes)\Z")


@lru_cache(maxsize=65536)
def singular(word: str) -> str | None:
    """The singular of a plural word, the word itself when it is singular, None when unsure."""
    lower = word.lower()
    if lower in UNCOUNTABLE or lower in ("axes", "bases"):
        return None
    if lower in _PLURAL and lower not in KNOWN:
        return _PLURAL[lower]
    known = "singular" if lower in KNOWN else number(lower)
    if known != "plural":
        return lower if known else None
    if _TO_Y.search(lower):
        return lower[:-3] + "y"
    if _BY_ES.search(lower):
        return lower[:-2]
    return lower[:-1] if _BY_S.search(lower) or not lower.endswith("es") else None


_BOUNDARY = re.compile(r"_+|(?<=[a-z0-9])(?=[A-Z])")


def _parted(name: str) -> tuple[str, str]:
    """What stands before the last word, and that word: `order_` and `items`, `Order` and `Items`."""
    last = max((m.end() for m in _BOUNDARY.finditer(name)), default=0)
    return name[:last], name[last:]


def singular_name(name: str) -> str | None:
    """The identifier with its last word in the singular: `order_items` gives `order_item`; None when unsure."""
    head, last = _parted(name)
    single = singular(last)
    if single is None:
        return None
    return head + (single.capitalize() if last[:1].isupper() and not last.isupper() else single.upper() if last.isupper() else single)


def number_of_name(name: str) -> Number | None:
    """The number of a table name: that of its last word, but a name with a plural word anywhere counts as plural when unsure."""
    parts = words(name)
    if not parts:
        return None
    last = number(parts[-1])
    if last == "singular" and any(number(w) == "plural" for w in parts[:-1]):
        return None
    return last
