"""Refuses requests to the page that another website makes a browser send."""

import ipaddress
import socket
from typing import Any
from urllib.parse import urlsplit

from starlette.responses import PlainTextResponse


class OwnRequests:
    """ASGI middleware that answers 403 to a foreign ``Host`` or ``Origin``.

    A website whose name resolves to this computer (DNS rebinding) has its own name as ``Host``; one
    that posts here has its own address as ``Origin``.
    """

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] in ("http", "websocket"):
            headers = {k: v.decode("latin-1") for k, v in scope["headers"]}
            host, origin = headers.get(b"host", ""), headers.get(b"origin")
            if not is_own(host) or (origin is not None and urlsplit(origin).netloc != host):
                refusal = PlainTextResponse("another website's request", status_code=403)
                await refusal(scope, receive, send)
                return
        await self.app(scope, receive, send)


def is_own(host: str) -> bool:
    """Whether ``host`` (with or without a port) is an IP address or a name of this computer."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
        names = ("localhost", socket.gethostname().lower(), socket.getfqdn().lower())
        return name in names or bool(ipaddress.ip_address(name))
    except ValueError:
        return False
