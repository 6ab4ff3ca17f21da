"""Data, results and payloads of sagas as JSON: fields at the top, so that a step writes only what it has changed."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from pgcharter.errors import UsageError
from pgcharter.runtime.idempotency_codec import decode, encode

Raw = dict[str, Any]
_PLAIN = (str, int, float, type(None))


def written(value: Any, kind: type | None = None) -> Any:
    """A value as it stands in a document of JSON. Raises UsageError for what cannot be kept."""
    try:
        text = encode(value, kind)
    except UsageError as error:
        raise UsageError(error.message, hint="" if kind else "return an id, or put it into the saga's data") from None
    if "\\u0000" in text:
        raise UsageError(f"a {type(value).__name__} holds a NUL character, which jsonb cannot keep")
    value = json.loads(text)
    if "\\ud" in text:
        try:
            json.dumps(value, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            raise UsageError("a text holds half a surrogate pair, which jsonb cannot keep") from None
    return value


def read(raw: Any, kind: type | None = None) -> Any:
    """The value again."""
    return raw if isinstance(raw, _PLAIN) else decode(json.dumps(raw), kind)


def fields(data: Any, kind: type) -> Raw:
    """Data of a saga by field. Raises UsageError for what is none."""
    if not isinstance(data, kind):
        raise UsageError(f"the data of a saga is a {kind.__name__}, and this is a {type(data).__name__}")
    found = written(data, kind)
    if kind is dict:
        if "$" in found:
            raise UsageError("the data of a saga is a dict whose keys are texts, none of them $")
        return found  # type: ignore[no-any-return]
    return found["v"]  # type: ignore[no-any-return]


def made(raw: Raw, kind: type) -> Any:
    """Data of a saga from its fields; those that the class does not have (any more) are left out."""
    if kind is dict:
        return read(raw)
    known = raw
    if dataclasses.is_dataclass(kind):
        names = {f.name for f in dataclasses.fields(kind)}
        known = {k: v for k, v in raw.items() if k in names}
    return read({"$": f"class {kind.__qualname__}", "v": known}, kind)


def changes(before: Raw, after: Raw) -> tuple[Raw, list[str]]:
    """Fields that differ, and names of those that are gone."""
    return {k: v for k, v in after.items() if k not in before or before[k] != v}, [k for k in before if k not in after]
