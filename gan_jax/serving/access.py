"""Who may ask: everybody on this machine, or whoever knows a token."""

import hmac
import ipaddress
import pathlib

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

OPEN = {"/healthz"}  # what is answered without a token
LEAST_TOKEN = 16  # characters


class Bearer:
    """An ASGI application that answers only those who send the token."""

    def __init__(self, app: ASGIApp, token: str):
        self.app, self.token = app, token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] not in OPEN and not self._knows(scope):
            error = {"error": "send the server's token: Authorization: Bearer TOKEN."}
            answer = JSONResponse(error, 401, {"WWW-Authenticate": "Bearer"})
            return await answer(scope, receive, send)
        return await self.app(scope, receive, send)

    def _knows(self, scope: Scope) -> bool:
        given = [value for name, value in scope["headers"] if name == b"authorization"]
        kind, _, token = (given[0] if len(given) == 1 else b"").partition(b" ")
        # compared in a time that does not tell how much of it is right
        return hmac.compare_digest(token.strip(), self.token) and kind.lower() == b"bearer"


def read_token(file: pathlib.Path | None, host: str) -> str | None:
    """The token in a file; None where none is needed and none given.

    Raises:
        ValueError: none is given though others than this machine reach `host`; others may read the
            file, or it holds no token.
    """
    if file is None:
        if not is_loopback(host):
            raise ValueError(
                f"--host={host}: others reach this address. Say by --token-file which file holds"
                " the token that they must send, or leave --host out."
            )
        return None
    if file.stat().st_mode & 0o007:
        raise ValueError(f"--token-file={file}: everybody may read it: chmod o-rwx {file}.")
    token = file.read_text("utf-8", "replace").strip()
    if len(token) < LEAST_TOKEN or not (token.isascii() and token.isprintable()) or " " in token:
        raise ValueError(
            f"--token-file={file}: it must hold one token of {LEAST_TOKEN} or more letters and"
            f" digits, as `openssl rand -hex 32 > {file}` writes it."
        )
    return token


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
