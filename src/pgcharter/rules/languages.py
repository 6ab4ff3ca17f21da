"""The language of a comment, by its function words. Says nothing when unsure: a wrong guess is a false alarm."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from functools import lru_cache

NAMES = {"en": "English", "de": "German", "fr": "French", "es": "Spanish", "it": "Italian", "pt": "Portuguese", "nl": "Dutch"}
"""Languages that can be told apart, by their two-letter code."""
_FUNCTION_WORDS = {
    "en": """
    the a an and or of to in is are was were be been has have had not no this that these those it its with for from by on at as when which
    who whose if then else only but can may must should will would each every all any one other than into out up per after before between
    where there their they them we our you your he she his her do does did so such more most only same set used how what why until while
    """,
    "de": """
    der die das den dem des ein eine einen einem einer eines und oder von vom zu zum zur im ist sind war waren wird werden wurde worden hat
    haben nicht kein keine dieser diese dieses mit für aus bei auf als wenn welche welcher welches wer ob nur aber kann darf muss soll jede
    jeder jedes alle andere nach vor zwischen durch über unter wo ihr ihre sie wir unser er es sich auch noch sowie bis falls pro je gegen
    ohne um am beim ins dass daß sein seine
    """,
    "fr": """
    le la les l un une des du de d et ou à au aux en est sont était étaient être été a ont avec pour par sur sous dans ne pas ce cette ces
    cet qui que dont si seulement mais peut doit chaque tous toutes tout toute autre après avant entre où leur leurs ils elle nous notre
    vous il se son sa ses plus lorsque quand sans ainsi aussi selon lors même n qu
    """,
    "es": """
    el la los las un una unos unas y o de del a al en es son era eran ser sido ha han con para por sobre sin no este esta estos estas que
    quien cuyo si solo sólo pero puede debe cada todos todas todo toda otro otra después antes entre donde su sus ellos nosotros se más
    cuando como según también hasta desde ya muy lo le
    """,
    "it": """
    il lo la i gli le un uno una e o di del della dei degli delle dello da dal dalla a al alla ai agli alle in nel nella nei è sono era
    erano essere stato ha hanno con per su sul sulla non questo questa questi queste che chi cui se solo ma può deve ogni tutti tutte tutto
    altro altra dopo prima tra fra dove suo sua loro si più quando come anche fino
    """,
    "pt": """
    o a os as um uma uns umas e ou de do da dos das em no na nos nas ao aos à às é são era eram ser foi tem têm com para por pelo pela
    sobre sem não este esta estes estas que quem cujo se só somente mas pode deve cada todos todas todo toda outro outra depois antes entre
    onde seu sua seus suas eles nós mais quando como também até
    """,
    "nl": """
    de het een en of van naar in is zijn was waren wordt worden werd heeft hebben niet geen deze dit die dat met voor uit bij op als wanneer
    welke wie indien alleen maar kan mag moet elke elk ieder alle andere na tussen door over onder waar hun zij wij onze hij ze zich ook nog
    tot per tegen zonder om aan te er dan meer toen
    """,
}
_LANGUAGES: dict[str, tuple[str, ...]] = {}
for _code, _words in _FUNCTION_WORDS.items():
    for _word in _words.split():
        _LANGUAGES[_word] = (*_LANGUAGES.get(_word, ()), _code)
_CODE = re.compile(r"`[^`]*`|'[^']*'|\"[^\"]*\"|\S*[_\d@/<>=\\(){}\[\]]\S*|\b[A-Z]{2,}\b")
"""What is no sentence: quoted values, identifiers, paths, numbers, SQL in capitals."""
_LISTED = re.compile(r"(?:(?<=[,;:|])|\A)\s*[^\W_]+\s*(?=[,;|.]|\Z)")
"""A word alone between commas: an item of a list, not of a sentence."""
_LEAST_WORDS = 5
_LEAST_HITS = 3


@lru_cache(maxsize=65536)
def clearly_not(text: str, wanted: str) -> str:
    """The language of `text` when it is clearly another than `wanted`, as its English name; empty when that is not certain."""
    written = re.findall(r"[^\W\d_]+", _LISTED.sub(" ", _CODE.sub(" ", text)))
    said = [w.lower() for w in written]
    if len(said) >= 3 and _is_foreign_script(said):
        return "another script"
    if len(said) < _LEAST_WORDS:
        return ""
    hits: Counter[str] = Counter()
    small = {w.lower() for w in written[:1]} | {w for w in written if w.islower()}
    for word in said:
        hits.update(_LANGUAGES.get(word, ()) if word in small else ())
    # words with a capital are names: Los Angeles, La Paz
    (best, count), *others = hits.most_common() or [(wanted, 0)]
    different = len({w for w in small if best in _LANGUAGES.get(w, ()) and wanted not in _LANGUAGES.get(w, ())})
    clear = count >= _LEAST_HITS and different >= 2 and count >= 2 * hits[wanted] and 5 * count >= len(said)
    if best == wanted or not clear or (others and others[0][1] == count):
        return NAMES[best] if clear and best != wanted and hits[wanted] == 0 else ""
    return NAMES[best]


def _is_foreign_script(said: list[str]) -> bool:
    """Whether most letters are of another script than the Latin one, which all known languages use."""
    letters = "".join(said)
    other = sum(ord(c) > 0x24F and not unicodedata.name(c, "").startswith("LATIN") for c in letters)
    return len(letters) >= 8 and 5 * other >= 4 * len(letters)
