"""One request, from its bytes to the picture: limits, decoding, the network, and what may go
wrong."""

import asyncio
import concurrent.futures
import contextlib
import io
import math
import threading
import zipfile
from collections.abc import Callable, Iterator, Mapping

import jax
import numpy as np
from starlette.requests import Request
from starlette.responses import Response

import gan_jax
from gan_jax.data import decode, generated, image_file, memory
from gan_jax.data.images import png_bytes
from gan_jax.data.quarantine import ImageRejected, TooLarge, UnknownFormat, no_remark
from gan_jax.serving import options
from gan_jax.serving.batching import Batcher, Caller, Dropped
from gan_jax.serving.kinds import Kind, Made
from gan_jax.serving.metrics import GONE, Metrics
from gan_jax.serving.programs import Call, Programs
from gan_jax.serving.reading import PICTURE, Limits, Reader, Refused


class Service:
    """A model and all that is on its way through it.

    Attributes:
        ready: whether what is compiled before the first request has been.
        draining: whether no more requests are taken.
    """

    def __init__(self, kind: Kind, limits: Limits):
        self.kind, self.limits, self.metrics = kind, limits, Metrics()
        self.programs = Programs(kind.network, limits.programs)
        self.batcher = Batcher(self.programs, limits.max_batch, limits.wait, self._ran)
        # threads wait for the network most of the time
        self._pool = concurrent.futures.ThreadPoolExecutor(limits.queue, "request")
        # a picture, its mask and the result, or as many pixels of smaller ones
        self._room = memory.Room(3 * limits.max_pixels, 3 * limits.max_pixels)
        self._inside, self._lock = 0, threading.Lock()
        memory.room()  # raises where its setting is wrong
        self._mark = generated.xmp(f"gan_jax {gan_jax.__version__}")
        self.ready = self.draining = False
        metrics = self.metrics
        metrics.queue.set_function(lambda: len(self.batcher))
        metrics.inside.set_function(lambda: self._inside)
        metrics.programs.set_function(lambda: len(self.programs))
        metrics.compiled.set_function(lambda: self.programs.compiled)

    def _ran(self, call: Call, size: int) -> None:
        self.metrics.batch_size.labels(call[0]).observe(size)

    def warm_up(self) -> None:
        """Compiles what requests of the usual size need, and makes one picture.

        Raises:
            RuntimeError: the network fails.
        """
        for call, row in self.kind.examples():
            for size in self.batcher.sizes(row):
                self.programs(call, jax.tree.map(lambda x, n=size: np.repeat(x, n, 0), row))
        wanted, pictures = self.kind.example()
        self._response(self.kind.make(Caller(self.batcher), wanted, pictures, no_remark), [])
        self.metrics.pictures.reset()
        self.ready = True

    def in_background(self, function: Callable[[], None]) -> concurrent.futures.Future:
        """Runs it on a thread."""
        return self._pool.submit(function)

    def close(self) -> None:
        """Ends the threads."""
        self.batcher.close()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def check_ready(self) -> None:
        """Raises Refused."""
        if self.draining:
            raise Refused(503, "the server is stopping.")
        if not self.ready:
            raise Refused(503, "the server is still compiling its first programs.")

    async def answer(self, request: Request) -> Response:
        """Reads a request, has its pictures made, and stops where nobody waits for them any more.

        Raises:
            Refused: it can't be answered.
        """
        self.check_ready()
        if self._inside >= self.limits.queue:
            raise Refused(503, f"{self._inside} requests are here already: try again later.")
        self._enter(1)
        work = None
        ends = asyncio.get_running_loop().time() + self.limits.timeout
        try:
            try:
                async with asyncio.timeout_at(ends):
                    wanted, bodies = await Reader(self.kind, self.limits, request).read()
            except TimeoutError as error:
                limit = f"{self.limits.timeout:g} s"
                raise Refused(408, f"the body has not arrived within {limit}.") from error
            caller = Caller(self.batcher)
            work = self._pool.submit(self._made, caller, wanted, bodies)
            return await self._waited(request, asyncio.wrap_future(work), caller, ends)
        finally:
            if work is None:
                self._enter(-1)
            else:  # its thread may go on for a while
                work.add_done_callback(lambda work: self._enter(-1))

    def _enter(self, count: int) -> None:
        with self._lock:
            self._inside += count

    async def _waited(self, request, work, caller, ends) -> Response:
        work.add_done_callback(lambda work: work.cancelled() or work.exception())  # seen
        gone = asyncio.ensure_future(disconnected(request))
        try:
            left = ends - asyncio.get_running_loop().time()
            await asyncio.wait({work, gone}, timeout=left, return_when="FIRST_COMPLETED")
        finally:
            gone.cancel()
        if work.done():
            return work.result()
        caller.drop()
        if gone.done():
            return Response(status_code=GONE)
        limit = f"{self.limits.timeout:g} s"
        raise Refused(503, f"not done within {limit}, and dropped: send a smaller picture.")

    def _made(
        self, caller: Caller, wanted: options.Options, bodies: Mapping[str, bytes]
    ) -> Response:
        """On a thread of its own."""
        most, remarks, sizes = self.limits.max_pixels, [], {}
        try:
            for name, body in bodies.items():
                with naming(name):
                    sizes[name] = image_file.check(body, max_pixels=most)
            with contextlib.ExitStack() as stack:
                if sizes:
                    result = math.prod(self.kind.result_size(wanted, sizes[PICTURE]))
                    if result > most:
                        limit = f"{most / 1e6:g} megapixels"
                        raise Refused(413, f"the result would have more than {limit}.")
                    stack.enter_context(
                        self._room.taken(result + sum(map(math.prod, sizes.values())))
                    )
                pictures = {}
                for name, body in bodies.items():
                    with naming(name):
                        pictures[name] = decode.decode(
                            body, channels=None, max_pixels=most, remark=remarks.append
                        )
                made = self.kind.make(caller, wanted, pictures, remarks.append)
                return self._response(made, remarks)
        except Dropped as error:
            raise Refused(503, "the server is stopping.") from error
        except ImageRejected as reason:
            raise Refused(422, f"{PICTURE}: {reason}.") from reason
        except ValueError as error:
            words = str(error).replace(self.kind.place, self.kind.about["name"])
            raise Refused(422, words) from error

    def _response(self, made: Made, remarks: list[str]) -> Response:
        files = {name: png_bytes(picture, self._mark) for name, picture in made}
        self.metrics.pictures.inc(len(files))
        headers = {}
        if remarks:
            headers["X-Remarks"] = "; ".join(remarks).encode("ascii", "replace").decode()
        if len(files) == 1:
            return Response(*files.values(), media_type="image/png", headers=headers)
        return Response(zipped(files), media_type="application/zip", headers=headers)


@contextlib.contextmanager
def naming(name: str) -> Iterator[None]:
    """What is wrong with the picture of this name is a Refused."""
    try:
        yield
    except TooLarge as reason:
        raise Refused(413, f"{name}: {reason}.") from reason
    except UnknownFormat as reason:
        raise Refused(415, f"{name}: {reason}.") from reason
    except ImageRejected as reason:
        raise Refused(422, f"{name}: {reason}.") from reason


def zipped(files: Mapping[str, bytes]) -> bytes:
    """A zip archive; PNGs are not compressed again."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_STORED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return made.getvalue()


async def disconnected(request: Request) -> None:
    """Returns when the client has gone; for a request whose body has been read."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
