"""Read-your-writes across requests of an ASGI application (Starlette, FastAPI, Quart): the token travels in a cookie.

app.add_middleware(ReadYourWrites, secret=…)
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from http.cookies import CookieError, SimpleCookie
from typing import Any

from pgcharter.runtime.tokens import Secret, secrets_of, seen

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


class ReadYourWrites:
    """A middleware: each request reads what its browser has written before, whatever process and replica it comes to.

    What is committed after the response has begun (background tasks) is not in its cookie. `header` names a header that carries the same
    text, for clients that keep no cookies; it wins where both are sent.
    """

    def __init__(self, app: App, *, secret: Secret, cookie: str = "pgcharter_seen", header: str = "", seconds: int = 3600) -> None:
        secrets_of(secret)
        self.app = app
        self.secret = secret
        self.cookie = cookie
        self.header = header.lower().encode("latin-1")
        self.seconds = seconds
        """How long the browser keeps the cookie: longer than replicas may lag."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request inside `seen`."""
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        sent = self._sent(scope)
        with seen(sent, secret=self.secret) as found:

            async def telling(message: Message) -> None:
                if message["type"] in ("http.response.start", "websocket.accept") and (text := found.text()) and text != sent:
                    message = {**message, "headers": [*message.get("headers", ()), *self._headers(text, scope)]}
                await send(message)

            await self.app(scope, receive, telling)

    def _sent(self, scope: Scope) -> str:
        cookies = []
        for name, value in scope.get("headers", ()):
            if self.header and name.lower() == self.header:
                return str(value.decode("latin-1"))
            if name.lower() == b"cookie":
                cookies.append(value.decode("latin-1"))
        try:
            found = SimpleCookie("; ".join(cookies)).get(self.cookie)
        except CookieError:
            return ""
        return found.value if found else ""

    def _headers(self, text: str, scope: Scope) -> list[tuple[bytes, bytes]]:
        secure = "; Secure" if scope.get("scheme") in ("https", "wss") else ""
        cookie = f"{self.cookie}={text}; Path=/; Max-Age={self.seconds}; HttpOnly; SameSite=Lax{secure}"
        named = [(self.header, text.encode("latin-1"))] if self.header else []
        return [*named, (b"set-cookie", cookie.encode("latin-1"))]
