"""Work written once for both colours: a generator that yields calls, driven by a thread or awaited by a coroutine.

    def _greet(pool: Any) -> Steps[str]:
        conn = yield pool.getconn          # a ConnectionPool's value or an AsyncConnectionPool's awaitable, whichever it is
        try:
            return (yield partial(conn.execute, "SELECT 'hello'"))
        finally:
            yield partial(pool.putconn, conn)

    driven(_greet(pool))
    await awaited(_greet(async_pool))

What a call raises is raised at its `yield`, cancellation too. Where a step joins a transaction of the caller and needs statements alone, a
flow (`db.flows`) is the simpler form.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from inspect import isawaitable
from types import CoroutineType
from typing import Any, TypeVar

T = TypeVar("T")
Call = Callable[[], Any]
Steps = Generator[Call, Any, T]
"""A generator that yields calls without arguments, is sent what they give (awaited, where that is awaitable), and returns a T."""


def driven(steps: Steps[T]) -> T:
    """Run to the end in this thread."""
    try:
        call = next(steps)
        while True:
            try:
                given = call()
            except BaseException as error:
                call = steps.throw(error)
            else:
                call = steps.send(given)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]


async def awaited(steps: Steps[T]) -> T:
    """Run to the end in this task; a call may give a value or an awaitable of it."""
    try:
        call = next(steps)
        while True:
            try:
                given = call()
                if type(given) is CoroutineType or isawaitable(given):
                    given = await given
            except BaseException as error:
                call = steps.throw(error)
            else:
                call = steps.send(given)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]
