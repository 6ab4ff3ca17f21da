"""Keys of cached values: typed arguments written so that no two different ones are the same, and for whom they are.

What is written says its type and its length, so `1`, `"1"`, `True`, `Decimal(1)` and `(1,)` are five keys. Types that are not known are
refused: guessing (`repr`, `str`, `hash`) is how other caches serve one caller the answer of another.
"""

from __future__ import annotations

import datetime
import enum
import uuid
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from decimal import Decimal
from functools import lru_cache
from hashlib import blake2b
from typing import Any

from pgcharter.errors import UsageError
from pgcharter.runtime.context import NoTenantError, OtherContextError, current

_DEEPEST = 50


@dataclass(frozen=True, slots=True)
class Key:
    """The name of one value in a cache; made by `Cache.key` or by a decorated function's `key`."""

    name: str
    scope: str
    """For whom the value is: a tenant, all of them (`no_tenant`), nobody in particular, or everyone (`shared`)."""


def scope(*, shared: bool, tenants: bool) -> str:
    """For whom a value would be cached here and now. Raises NoTenantError where `tenants` and none is named."""
    if shared:
        return "s"
    now = current()
    if now.tenant:
        return f"t{now.tenant}"
    if now.everybody:
        return f"e{now.role}"
    if tenants:
        raise NoTenantError
    return "n"


def check_scope(key: object) -> str:
    """The name of a key, for those whom it is for. Raises OtherContextError for another tenant's, UsageError for what is no Key."""
    if not isinstance(key, Key):
        raise UsageError(f"a value is asked for by a {type(key).__name__}, which says nothing of whom it is for", hint="cache.key('…', …)")
    if key.scope != "s" and key.scope != scope(shared=False, tenants=False):
        raise OtherContextError("a key of one tenant is used in the context of another, who would be served the first one's value")
    return key.name


def named(prefix: str, label: str, whose: str, arguments: tuple[Any, ...]) -> str:
    """The name of a value: readable label, then a digest (160 bits) of everything that tells it from others.

    `prefix` is namespace and schema version. Raises UsageError for arguments of unknown types.
    """
    digest = blake2b(digest_size=20)
    for part in (prefix.encode(), label.encode(), whose.encode()):
        digest.update(b"%d:%b" % (len(part), part))
    digest.update(written(arguments))
    safe = "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "_" for c in label[-80:])
    return f"{safe}:{digest.hexdigest()}"


def written(value: Any, depth: int = 0) -> bytes:
    """A value with type and length of every part. Raises UsageError for a type that is not known."""
    if depth > _DEEPEST:
        raise UsageError(f"an argument is nested more than {_DEEPEST} deep, so it cannot be part of a cache key")
    kind: Any = type(value)
    plain = _PLAIN.get(kind)
    if plain is not None:
        text = plain(value)
        return b"%b%d:%b" % (_MARKS[kind], len(text), text)
    if kind in _MANY:
        return _joined(_MARKS[kind], [written(v, depth + 1) for v in value], kind in (set, frozenset))
    if kind is dict:
        return _joined(b"M", [written(k, depth + 1) + written(v, depth + 1) for k, v in value.items()], True)
    if isinstance(value, enum.Enum):
        return _joined(b"E", [written(_path(kind)), written(value.name)], False)
    if is_dataclass(kind):
        return _joined(b"C", [written(_path(kind)), *(written(getattr(value, f.name), depth + 1) for f in fields(value))], False)
    if isinstance(value, tuple) and hasattr(kind, "_fields"):
        return _joined(b"C", [written(_path(kind)), *(written(v, depth + 1) for v in value)], False)
    raise UsageError(
        f"a {_path(kind)} cannot be part of a cache key: nothing says which of them are the same",
        hint="pass what names it (an id), or leave the parameter out of the key: cached(…, ignore=('conn',))",
    )


def _joined(mark: bytes, parts: list[bytes], unordered: bool) -> bytes:
    body = b"".join(sorted(parts) if unordered else parts)
    return b"%b%d:%b" % (mark, len(body), body)


def _path(kind: Any) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def _moment(value: datetime.datetime | datetime.time) -> bytes:
    """With the zone's own name: the same moment in two zones is another calendar day to who computes with it."""
    return f"{value.isoformat()} {value.fold} {value.tzinfo!r}".encode()


_PLAIN: dict[type, Callable[[Any], bytes]] = {
    str: lambda v: v.encode("utf-8", "surrogatepass"),
    int: lambda v: b"%x" % v,
    bool: lambda v: b"1" if v else b"0",
    type(None): lambda _: b"",
    bytes: lambda v: v,
    float: lambda v: repr(v).encode(),
    Decimal: lambda v: str(v).encode(),
    uuid.UUID: lambda v: v.bytes,
    datetime.datetime: _moment,
    datetime.time: _moment,
    datetime.date: lambda v: v.isoformat().encode(),
    datetime.timedelta: lambda v: b"%d,%d,%d" % (v.days, v.seconds, v.microseconds),
}
_MANY = (tuple, list, set, frozenset)
_MARKS: dict[type, bytes] = {
    str: b"s", int: b"i", bool: b"o", type(None): b"0", bytes: b"b", float: b"f", Decimal: b"n", uuid.UUID: b"u",
    datetime.datetime: b"m", datetime.time: b"h", datetime.date: b"d", datetime.timedelta: b"v",
    tuple: b"T", list: b"L", set: b"S", frozenset: b"F",
}  # fmt: skip
QUICK = frozenset({str, int, bool, type(None), bytes, uuid.UUID, datetime.date})
"""Types whose equal values of the same type are written alike, so that a dictionary may remember what they were written as."""


@dataclass(frozen=True, slots=True)
class Own:
    """A tag of the tenant who is at work: see `own`."""

    name: str


def own(name: str) -> Own:
    """A tag for what belongs to one tenant: what one tenant writes leaves other tenants' values alone.

    It is only right where no tenant's write changes what another one reads: rows with a tenant column, not a table that all share.
    Values that are shared or for all tenants go with every tenant's write, and every tenant's values with a write for all (`no_tenant`).
    """
    return Own(name)


Tag = str | Own


def depends_on(tags: tuple[Tag, ...], whose: str) -> tuple[str, ...]:
    """Records that a value with `tags` is compared with."""
    found: list[str] = []
    for tag in tags:
        if isinstance(tag, Own):
            found += [_record(tag.name, whose if whose[0] == "t" else "any"), _record(tag.name, "")]
        else:
            found.append(_record(_tag(tag), ""))
    return tuple(dict.fromkeys(found))


def touched_by(tags: tuple[Tag, ...]) -> tuple[str, ...]:
    """Records that an invalidation of `tags` changes, in the context of now."""
    whose, found = scope(shared=False, tenants=False), list[str]()
    for tag in tags:
        if isinstance(tag, Own):
            found += [_record(tag.name, whose if whose[0] == "t" else ""), _record(tag.name, "any")]
        else:
            found.append(_record(_tag(tag), ""))
    return tuple(dict.fromkeys(found))


def _tag(tag: object) -> str:
    if not isinstance(tag, str) or not tag:
        raise UsageError(f"a tag is {tag!r}, and must be a text that is not empty")
    return tag


@lru_cache(100_000)
def _record(tag: str, whose: str) -> str:
    return blake2b(b"%d:%b%b" % (len(tag.encode()), tag.encode(), whose.encode()), digest_size=12).hexdigest()
