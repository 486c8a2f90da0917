"""Which requests are answered: those of the studio's own pages."""

import urllib.parse

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send


class OwnPages:
    """Refuses what a page of another site sends: a browser names that site as the `Origin`."""

    def __init__(self, app: ASGIApp):
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope) if scope["type"] in ("http", "websocket") else {}
        origin = headers.get("origin")
        if origin and urllib.parse.urlsplit(origin).netloc != headers.get("host"):
            refused = PlainTextResponse("This page is of another site.", 403)
            return await refused(scope, receive, send)
        await self.app(scope, receive, send)
