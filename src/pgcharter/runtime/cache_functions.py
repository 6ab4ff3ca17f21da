"""Functions whose results are cached: what `Cache.cached` and `AsyncCache.cached` make of them."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial, update_wrapper
from typing import Any, Generic, ParamSpec, TypeVar

from pgcharter.errors import UsageError
from pgcharter.runtime.cache_codec import Codec
from pgcharter.runtime.cache_common import Common
from pgcharter.runtime.cache_core import MISSING, Terms, texts
from pgcharter.runtime.cache_keys import QUICK, Key, Tag, depends_on, named, scope
from pgcharter.runtime.cache_local import Local
from pgcharter.runtime.cache_store import ENCODED
from pgcharter.runtime.colours import Steps, awaited, driven

P = ParamSpec("P")
T = TypeVar("T")
_REMEMBERED = 50_000


class _Function(Generic[P, T]):
    """A function whose results are cached: the part that both colours share."""

    def __init__(self, cache: Common, function: Callable[P, Any], options: Options) -> None:
        self._cache, self._core, self._function, self._options = cache, cache._core, function, options
        self._label = options.name or f"{function.__module__}.{function.__qualname__}"
        self._signature = inspect.signature(function)
        self._left_out = _left_out(self._signature, options, self._label)
        self._places = frozenset(n for n, p in enumerate(self._signature.parameters) if p in self._left_out)
        self._terms = cache._with(options.ttl, options.none_ttl, options.stale_for, options.refresh, options.codec, _returned(function))
        self._terms = replace(self._terms, version_of=options.version)
        self._simple = not self._left_out
        self._static = texts(options.tags) if not callable(options.tags) else None
        self._names: dict[Any, tuple[str, str]] = {}
        self._records: dict[str, tuple[str, ...]] = {}
        self._local = self._core.local if self._core.local is not None else Local(1)
        self._items, self._now, self._metrics = self._local.items, self._core.now, self._core.metrics
        self._tenants, self._shared = cache._tenants, options.shared
        update_wrapper(self, function)  # type: ignore[arg-type]

    @property
    def uncached(self) -> Callable[P, Any]:
        """The function itself."""
        return self._function

    def key(self, *args: P.args, **kwargs: P.kwargs) -> Key:
        """The key of the value for these arguments, for the tenant of now."""
        return Key(*self._named(args, kwargs))

    def _named(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[str, str]:
        """Name and scope of the value, remembered for arguments of simple types."""
        whose = scope(shared=self._shared, tenants=self._tenants)
        kept = args if not self._places else tuple([a for n, a in enumerate(args) if n not in self._places])
        named_args = kwargs if not self._left_out else {k: v for k, v in kwargs.items() if k not in self._left_out}
        values = kept if not named_args else (*kept, *named_args.values())
        kinds = tuple(map(type, values))
        if not QUICK.issuperset(kinds):
            return self._written(args, kwargs, whose), whose
        quick = (whose, values, kinds, tuple(named_args)) if named_args else (whose, values, kinds)
        found = self._names.get(quick)
        if found is None:
            if len(self._names) >= _REMEMBERED:
                self._names.clear()
            found = self._names[quick] = (self._written(args, kwargs, whose), whose)
        return found

    def _written(self, args: tuple[Any, ...], kwargs: dict[str, Any], whose: str) -> str:
        bound = self._signature.bind(*args, **kwargs)
        bound.apply_defaults()
        kept = tuple((name, value) for name, value in bound.arguments.items() if name not in self._left_out)
        return named(self._cache._version, self._label, whose, kept)

    def _tags(self, args: tuple[Any, ...], kwargs: dict[str, Any], whose: str) -> tuple[str, ...]:
        if self._static is None:
            return depends_on(texts(self._options.tags(*args, **kwargs)), whose)  # type: ignore[operator]
        found = self._records.get(whose)
        if found is None:
            if len(self._records) > _REMEMBERED:
                self._records.clear()
            found = self._records[whose] = depends_on(self._static, whose)
        return found

    def _here(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[str, str, Any]:
        """Name, scope, and the value where this process has it."""
        found = None
        if self._simple and not kwargs:
            whose = "s" if self._shared else scope(shared=False, tenants=self._tenants)
            try:
                found = self._names.get((whose, args, tuple(map(type, args))))
            except TypeError:  # a list, say, which has no hash
                found = None
        name, whose = found or self._named(args, kwargs)
        item = self._items.get(name)
        if item is not None and item.value is not ENCODED:
            now = self._now()
            if now < item.fresh and now < self._local.until:
                self._local.touch(name)
                self._metrics.local_hits += 1
                return name, whose, item.value
        return name, whose, MISSING

    def _terms_for(self, whose: str) -> Terms:
        found = self._options.result_tags
        if found is None:
            return self._terms
        return replace(self._terms, tags_of=lambda value: depends_on(texts(found(value)), whose))

    def _steps(self, name: str, whose: str, args: Any, kwargs: Any) -> Steps[Any]:
        yield from self._cache._started()
        loader = partial(self._function, *args, **kwargs)
        return (yield from self._core.load(name, self._terms_for(whose), self._tags(args, kwargs, whose), loader))

    def _renew(self, args: Any, kwargs: Any) -> Steps[bool]:
        yield from self._cache._started()
        name, whose = self._named(args, kwargs)
        loader = partial(self._function, *args, **kwargs)
        return (yield from self._core.refresh(name, self._terms_for(whose), self._tags(args, kwargs, whose), loader))

    def _drop(self, args: Any, kwargs: Any) -> Steps[bool]:
        return (yield from self._cache._invalidate((Key(*self._named(args, kwargs)),), (), 0))

    def _warmed(self, calls: Iterable[tuple[Any, ...]]) -> Steps[int]:
        loaded = 0
        for args in calls:
            name, whose = self._named(args, {})
            before = self._metrics.fills
            yield from self._steps(name, whose, args, {})
            loaded += self._metrics.fills > before
        return loaded


class Cached(_Function[P, T]):
    """A function whose results are cached."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> T:
        """The result, from the cache where it is there."""
        name, whose, value = self._here(args, kwargs)
        if value is not MISSING:
            return value  # type: ignore[no-any-return]
        return driven(self._steps(name, whose, args, kwargs))  # type: ignore[no-any-return]

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self if instance is None else partial(self, instance)

    def invalidate(self, *args: P.args, **kwargs: P.kwargs) -> bool:
        """Invalidate the result for these arguments. False: the server could not be told, and will be."""
        return driven(self._drop(args, kwargs))

    def renew(self, *args: P.args, **kwargs: P.kwargs) -> bool:
        """Load the result anew, whatever is there. Whether it was stored."""
        return driven(self._renew(args, kwargs))

    def warm(self, calls: Iterable[tuple[Any, ...]]) -> int:
        """Load what is missing for many calls, each a tuple of arguments, one after the other. How many were loaded."""
        return driven(self._warmed(calls))


class AsyncCached(_Function[P, T]):
    """A coroutine function whose results are cached."""

    async def __call__(self, *args: P.args, **kwargs: P.kwargs) -> T:
        """The result, from the cache where it is there."""
        name, whose, value = self._here(args, kwargs)
        if value is not MISSING:
            return value  # type: ignore[no-any-return]
        return await awaited(self._steps(name, whose, args, kwargs))

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self if instance is None else partial(self, instance)

    async def invalidate(self, *args: P.args, **kwargs: P.kwargs) -> bool:
        """Invalidate the result for these arguments. False: the server could not be told, and will be."""
        return await awaited(self._drop(args, kwargs))

    async def renew(self, *args: P.args, **kwargs: P.kwargs) -> bool:
        """Load the result anew, whatever is there. Whether it was stored."""
        return await awaited(self._renew(args, kwargs))

    async def warm(self, calls: Iterable[tuple[Any, ...]]) -> int:
        """Load what is missing for many calls, each a tuple of arguments, one after the other. How many were loaded."""
        return await awaited(self._warmed(calls))


@dataclass(frozen=True, slots=True)
class Options:
    """What a decorator was given."""

    ttl: float | None
    none_ttl: float | None
    stale_for: float | None
    refresh: float | None
    tags: Iterable[Tag] | Callable[..., Iterable[Tag]]
    result_tags: Callable[[Any], Iterable[Tag]] | None
    shared: bool
    ignore: tuple[str, ...]
    name: str
    version: Callable[[Any], int] | None
    codec: Codec | None


def _left_out(signature: inspect.Signature, options: Options, label: str) -> frozenset[str]:
    unknown = [name for name in options.ignore if name not in signature.parameters]
    if unknown:
        raise UsageError(f"{label} has no parameter {unknown[0]} that could be left out of its key")
    if options.refresh is not None and set(options.ignore) - {"self", "cls"}:
        raise UsageError(
            f"{label} leaves {options.ignore[0]} out of its key, and a refresh in the background would use the caller's after its return",
            hint="have the function take its own connection, or leave out refresh=",
        )
    return frozenset(options.ignore)


def _returned(function: Callable[..., Any]) -> Any:
    """What a function says that it returns; None where it says nothing."""
    try:
        return typing.get_type_hints(function).get("return")
    except NameError:
        return None
    except TypeError:
        return None
