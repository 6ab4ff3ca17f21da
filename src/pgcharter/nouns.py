"""English nouns as table names use them: singular, plural, or neither. Says nothing when unsure: a wrong guess is a false alarm."""

from __future__ import annotations

import re
from typing import Literal

Number = Literal["singular", "plural"]

_IRREGULAR = {
    "person": "people", "child": "children", "man": "men", "woman": "women", "foot": "feet", "tooth": "teeth", "goose": "geese",
    "mouse": "mice", "louse": "lice", "ox": "oxen", "criterion": "criteria", "phenomenon": "phenomena", "datum": "data",
    "medium": "media", "bacterium": "bacteria", "curriculum": "curricula", "index": "indices", "matrix": "matrices",
    "vertex": "vertices", "appendix": "appendices", "analysis": "analyses", "basis": "bases", "crisis": "crises", "diagnosis": "diagnoses",
    "hypothesis": "hypotheses", "thesis": "theses", "axis": "axes", "synopsis": "synopses", "parenthesis": "parentheses",
    "stimulus": "stimuli", "radius": "radii", "alumnus": "alumni", "nucleus": "nuclei", "leaf": "leaves", "half": "halves",
    "knife": "knives", "life": "lives", "shelf": "shelves", "wolf": "wolves", "wife": "wives", "thief": "thieves", "loaf": "loaves",
    "calf": "calves", "self": "selves", "hero": "heroes", "potato": "potatoes", "tomato": "tomatoes", "echo": "echoes", "veto": "vetoes",
    "quiz": "quizzes", "die": "dice", "cookie": "cookies", "movie": "movies", "tie": "ties", "pie": "pies", "zombie": "zombies",
    "selfie": "selfies", "calorie": "calories", "cache": "caches", "axe": "axes", "shoe": "shoes", "toe": "toes", "niche": "niches",
    "bus": "buses", "gas": "gases", "bonus": "bonuses", "virus": "viruses", "campus": "campuses", "status": "statuses",
    "alias": "aliases", "atlas": "atlases", "canvas": "canvases", "census": "censuses", "corpus": "corpora", "bias": "biases",
    "iris": "irises", "lens": "lenses", "consensus": "consensuses", "apparatus": "apparatuses", "surplus": "surpluses",
    "focus": "focuses", "menu": "menus", "genus": "genera", "opus": "opuses", "chorus": "choruses", "abacus": "abacuses",
    "house": "houses", "warehouse": "warehouses", "course": "courses", "expense": "expenses", "license": "licenses",
    "purchase": "purchases", "release": "releases", "response": "responses", "phase": "phases", "case": "cases", "base": "bases",
    "database": "databases", "invoice": "invoices", "use": "uses", "horse": "horses", "nurse": "nurses", "clause": "clauses",
    "cause": "causes", "lease": "leases", "disease": "diseases", "exercise": "exercises", "franchise": "franchises",
    "enterprise": "enterprises", "promise": "promises", "price": "prices", "size": "sizes", "prize": "prizes", "archive": "archives",
}  # fmt: skip
_SINGULAR = {plural: single for single, plural in _IRREGULAR.items() if plural not in ("axes", "bases")} | {"indexes": "index"}
_UNSURE = frozenset(
    """
    data media series species news sms gps dns https http css js os ios tls ssl aws rss cms pos erp crm vat gst kpis means headquarters
    equipment information metadata inventory stock staff feedback software hardware firmware evidence content contents traffic weather
    money cash research knowledge advice furniture luggage mail email_queue history audit log journal ledger registry catalog catalogue
    queue inbox outbox cache config configuration archive backlog schedule calendar glossary directory index settings preferences
    analytics statistics stats metrics economics logistics physics mathematics politics ethics genetics goods sales savings earnings
    thanks belongings credentials details specs terms permissions operations communications relations proceeds premises surroundings
    sheep fish deer aircraft offspring personnel police cattle swiss chassis corps always plus minus basics lotus
    old new tmp temp temporary backup bak copy staging raw archived deleted active pending current latest all view mv summary total
    membership ownership access progress business process
    """.split()  # noqa: SIM905
)
"""Mass and collective nouns, plural-only words, words that are no nouns: a table may be called so under either style."""


def words(name: str) -> list[str]:
    """The words of an identifier in lower case: `OrderItems2024` and `order_items_2024` both give order, items (digits dropped)."""
    split = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name)
    return [w for w in re.split(r"[^a-zA-Z]+", split.lower()) if w]


def number(word: str) -> Number | None:
    """Whether one English word is singular or plural; None when it is both, neither, or unknown."""
    word = word.lower()
    if word in _UNSURE or len(word) < 3:
        return None
    if word in _SINGULAR:
        return "plural"
    if word in _IRREGULAR:
        return "singular"
    if word.endswith(("ss", "is", "us", "as", "os", "ys")):
        return "singular" if word.endswith("ss") else ("plural" if _plainly_plural(word) else None)
    if word.endswith("s"):
        return "plural"
    return None if word.endswith(("ed", "ing", "ly", "a", "i")) else "singular"


def _plainly_plural(word: str) -> bool:
    """Plurals in -ays, -eys, -oys: `days`, `keys`, `toys`."""
    return bool(re.search(r"[aeou]ys\Z", word))


def singular(word: str) -> str | None:
    """The singular of a plural word, the word itself when it is singular, None when unsure."""
    known = number(word)
    lower = word.lower()
    if known is None:
        return None
    if known == "singular":
        return lower
    if lower in _SINGULAR:
        return _SINGULAR[lower]
    if lower.endswith("ies"):
        return lower[:-3] + "y"
    if re.search(r"(ss|sh|ch|x|zz)es\Z", lower):
        return lower[:-2]
    if lower.endswith("ses"):
        return None
    return lower[:-1]


def singular_name(name: str) -> str | None:
    """The snake_case identifier with its last word in the singular: `order_items` gives `order_item`; None when unsure."""
    head, mark, last = name.rpartition("_")
    single = singular(last)
    return None if single is None else f"{head}{mark}{single}"


def number_of_name(name: str) -> Number | None:
    """The number of a table name: that of its last word, but a name with a plural word anywhere counts as plural when unsure."""
    parts = words(name)
    if not parts:
        return None
    last = number(parts[-1])
    if last == "singular" and any(number(w) == "plural" for w in parts[:-1]):
        return None
    return last
