"""What a request says, read within limits."""

import json
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from starlette.exceptions import HTTPException
from starlette.requests import Request

from gan_jax.serving import options
from gan_jax.serving.kinds import PICTURE, Kind

RETRY = {"Retry-After": "1"}  # seconds
FORM, JSON = "multipart/form-data", "application/json"
RAW = ("image/", "application/octet-stream")
MOST_FIELDS = 20  # of a form
MOST_TEXT = 4096  # bytes of one
JSON_BYTES = 65536  # of a request without pictures


class Limits(NamedTuple):
    """Attributes:
    max_bytes: of a body.
    max_pixels: of a picture that comes in, and of one that goes out.
    queue: requests that are read, wait or work at a time.
    timeout: seconds of a request.
    max_batch: rows that go through the network at once.
    wait: seconds that a row waits for others.
    programs: compiled programs that are kept.
    """

    max_bytes: int = 20_000_000
    max_pixels: int = 16_000_000
    queue: int = 64
    timeout: float = 60.0
    max_batch: int = 8
    wait: float = 0.002
    programs: int = 32


class Refused(HTTPException):
    """An answer that is no picture. Its text is one sentence."""

    def __init__(self, status: int, text: str):
        super().__init__(status, text, RETRY if status == 503 else None)


class Reader:
    """Reads one request for a model of this kind."""

    def __init__(self, kind: Kind, limits: Limits, request: Request):
        self.kind = kind
        self.most = limits.max_bytes if kind.takes else min(limits.max_bytes, JSON_BYTES)
        self.request = Request(request.scope, self._receive)
        self._receive_more, self._count = request.receive, 0
        words = request.headers.get("content-type", "")
        self.type = words.partition(";")[0].strip().lower()

    async def read(self) -> tuple[options.Options, dict[str, bytes]]:
        """(what it wants, encoded pictures by the names of Kind.takes). Raises Refused."""
        length = self.request.headers.get("content-length", "")
        if length.isdecimal() and int(length) > self.most:
            self._too_long()
        if not self.kind.takes:
            return await self._json(), {}
        said = self.request.query_params.multi_items()
        if self.type == FORM:
            more, bodies = await self._form()
            said += more
        elif self.type.startswith(RAW):
            bodies = {PICTURE: await self.request.body()}
        else:
            given = f"Content-Type {self.type}" if self.type else "no Content-Type"
            raise Refused(
                415,
                f"{given}: send a form ({FORM}) whose part {PICTURE!r} is the file, or the file"
                " itself as image/png or image/jpeg.",
            )
        self._check_parts(bodies)
        return self._options(once(said)), bodies

    async def _receive(self) -> Mapping:
        """The next part of the body, which is counted."""
        message = await self._receive_more()
        self._count += len(message.get("body", b""))
        if self._count > self.most:
            self._too_long()
        return message

    def _too_long(self):
        raise Refused(413, f"the body is of more than {self.most:,} bytes.")

    async def _json(self) -> options.Options:
        if self.type != JSON:
            given = f"Content-Type {self.type}" if self.type else "no Content-Type"
            raise Refused(415, f"{given}: send {JSON}.")
        if self.request.query_params:
            raise Refused(422, "options go into the JSON body, not into the address.")
        body = await self.request.body()
        if not body.strip():
            raise Refused(400, "the body is empty: send a JSON object, such as {}.")
        try:
            said = json.loads(body)
        except (ValueError, RecursionError) as error:
            raise Refused(400, f"the body is no JSON: {error}.") from error
        if not isinstance(said, dict):
            raise Refused(422, "the body must be a JSON object, such as {}.")
        return self._options(said, strict=True)

    async def _form(self) -> tuple[list[tuple[str, str]], dict[str, bytes]]:
        said, bodies = [], {}
        sizes = {"max_files": len(self.kind.takes), "max_fields": MOST_FIELDS}
        async with self.request.form(**sizes, max_part_size=MOST_TEXT) as form:
            for name, part in form.multi_items():
                if isinstance(part, str):
                    said.append((name, part))
                elif name in bodies:
                    raise Refused(422, f"{options.shown(name)}: it is given twice.")
                else:
                    bodies[name] = await part.read()
        return said, bodies

    def _check_parts(self, bodies: Mapping[str, bytes]) -> None:
        for name, body in bodies.items():
            if name not in self.kind.takes:
                known = ", ".join(self.kind.takes)
                raise Refused(422, f"{options.shown(name)}: no such file. Known: {known}.")
            if not body:
                raise Refused(400, f"{name}: it is empty.")
        for name, needed in self.kind.takes.items():
            if needed and name not in bodies:
                raise Refused(422, f"{name}: no file of this name in the form.")

    def _options(self, said: Mapping, strict: bool = False) -> options.Options:
        try:
            return options.read(self.kind.options, said, strict)
        except ValueError as error:
            raise Refused(422, str(error)) from error


def once(said: Iterable[tuple[str, str]]) -> dict[str, str]:
    """What is said, by name. Raises Refused where something is said twice."""
    found = {}
    for name, value in said:
        if name in found:
            raise Refused(422, f"{options.shown(name)}: it is given twice.")
        found[name] = value
    return found
