"""The service over HTTP, in this process, with a model that turns pictures into their negatives."""

import asyncio
import concurrent.futures
import io
import json
import re
import struct
import threading
import zipfile
import zlib

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from gan_jax.data.images import png_bytes
from gan_jax.inference import restore
from gan_jax.serving import app, kinds, options, service
from gan_jax.serving.programs import Network
from gan_jax.serving.reading import Limits

WAIT = 30.0  # seconds: what is waited for comes
PNG, FORM = {"Content-Type": "image/png"}, "multipart/form-data"
LIMITS = Limits(max_bytes=20_000, max_pixels=10_000, queue=4, max_batch=2, wait=0.0)


class Negative(kinds.Kind):
    """Attributes:
    begun, go: counts what has begun, and holds it until it is set.
    """

    command, takes = "stylize", {"picture": True, "mask": False}
    options = options.Stylize

    def __init__(self):
        self.network = Network(255, {"negative": lambda most, x: most - x}, 10**6)
        self.about = {"name": "negative", "does": "turns pictures over"}
        self.place = "/home/somebody/negative"
        self.begun, self.go = threading.Semaphore(0), threading.Event()
        self.go.set()
        self.dropped = []

    def examples(self):
        return [(("negative",), (np.zeros((1, 8, 8, 3), np.uint8),))]

    def example(self):
        return self.options(), {"picture": np.zeros((8, 8, 3), np.uint8)}

    def make(self, call, wanted, pictures, remark):
        self.begun.release()
        assert self.go.wait(WAIT)
        if wanted.style == "two":
            return [(f"{i}.png", pictures["picture"]) for i in range(2)]
        if wanted.style == "damaged":
            raise ZeroDivisionError("something of our own")
        if wanted.style is not None:
            raise ValueError(f"style={wanted.style!r}: {self.place} has none.")
        try:
            return [("a.png", call(("negative",), pictures["picture"][None])[0])]
        except service.Dropped:
            self.dropped.append(wanted.seed)
            raise


class Drawing(Negative):
    """Draws black pictures."""

    command, takes, options = "sample", {}, options.Sample

    def make(self, call, wanted, pictures, remark):
        black = np.zeros((4, 4, 1), np.uint8)
        return [(f"{seed}.png", black) for seed in wanted.all_seeds]


@pytest.fixture
def serving():
    """(a Kind, token, limits) -> a client of a service that is ready."""
    made = []

    def start(kind=None, warm=True, token=None, origins=(), **limits):
        one = service.Service(kind or Negative(), LIMITS._replace(**limits))
        if warm:
            one.warm_up()
            one.kind.begun = threading.Semaphore(0)
        client = TestClient(app.create_app(one, token, origins), raise_server_exceptions=False)
        client.service, client.kind = one, one.kind
        made.append(one)
        return client

    yield start
    for one in made:
        one.kind.go.set()
        one.close()


PICTURE = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
FILE = png_bytes(PICTURE)


def post(client, content=FILE, headers=PNG, path="/v1/stylize", **more):
    return client.post(path, content=content, headers=headers, **more)


def pixels(answer):
    assert answer.status_code == 200, answer.text
    return np.asarray(Image.open(io.BytesIO(answer.content)))


def refused(answer, status, words):
    """It is one sentence."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    assert answer.json().keys() == {"error"} and "\n" not in answer.json()["error"]
    assert re.search(words, answer.json()["error"]), answer.json()["error"]
    assert ("Retry-After" in answer.headers) == (status == 503)


def test_a_picture_alone_or_in_a_form(serving):
    client = serving()
    np.testing.assert_array_equal(pixels(post(client)), 255 - PICTURE)
    answer = client.post("/v1/stylize", files={"picture": ("a.png", FILE)}, data={"seed": "3"})
    np.testing.assert_array_equal(pixels(answer), 255 - PICTURE)
    assert answer.headers["content-type"] == "image/png"


def test_a_picture_says_that_it_is_generated(serving):
    content = post(serving()).content
    assert b"digitalsourcetype/trainedAlgorithmicMedia" in content and b"gan_jax" in content


def test_several_pictures_are_a_zip(serving):
    answer = post(serving(), path="/v1/stylize?style=two")
    assert answer.headers["content-type"] == "application/zip"
    archive = zipfile.ZipFile(io.BytesIO(answer.content))
    assert archive.namelist() == ["0.png", "1.png"]
    np.testing.assert_array_equal(np.asarray(Image.open(archive.open("1.png"))), PICTURE)


def test_what_a_file_says_of_itself_is_obeyed_or_remarked(serving):
    client = serving()
    file, exif = io.BytesIO(), Image.Exif()
    exif[274] = 6  # turned by 90 degrees
    Image.fromarray(PICTURE[:4]).save(file, "PNG", exif=exif)
    answer = post(client, file.getvalue())
    np.testing.assert_array_equal(pixels(answer), 255 - np.rot90(PICTURE[:4], -1))
    assert "X-Remarks" not in answer.headers
    file = io.BytesIO()
    frames = [Image.fromarray(PICTURE), Image.fromarray(255 - PICTURE)]
    frames[0].save(file, "PNG", save_all=True, append_images=frames[1:])
    answer = post(client, file.getvalue())
    assert answer.headers["X-Remarks"] == "several frames, of which the first is used"


def bomb():
    """The head of a PNG of 30,000 x 30,000 pixels, with too few of them."""
    head = struct.pack(">II5B", 30_000, 30_000, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", head), (b"IDAT", zlib.compress(bytes(10**6))), (b"IEND", b"")]
    parts = [
        struct.pack(">I", len(x)) + name + x + struct.pack(">I", zlib.crc32(name + x))
        for name, x in chunks
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def jpeg(cut):
    file = io.BytesIO()
    Image.fromarray(PICTURE.repeat(8, 0).repeat(8, 1)).save(file, "JPEG")
    return file.getvalue()[:cut]


@pytest.mark.parametrize(
    ("content", "status", "words"),
    [
        (b"", 400, "picture: it is empty"),
        (b"no picture at all", 415, "picture: no known image format"),
        (b"<html>", 415, "picture: HTML, not an image"),
        (jpeg(-200), 422, "picture: truncated"),
        (png_bytes(np.zeros((101, 100, 3), np.uint8)), 413, "picture: more than 0.01 megapixels"),
        (bytes(20_001), 413, "the body is of more than 20,000 bytes"),
    ],
)
def test_what_is_no_picture_to_take(serving, content, status, words):
    client = serving()
    refused(post(client, content), status, words)
    np.testing.assert_array_equal(pixels(post(client)), 255 - PICTURE)


def test_a_bomb(serving):
    refused(post(serving(), bomb()), 413, "picture: more than 0.01 megapixels")


def test_a_body_without_a_length_is_counted(serving):
    refused(post(serving(), iter([bytes(6000)] * 4)), 413, "more than 20,000 bytes")


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("style=x", "style='x': negative has none"),  # not where it is on this machine
        ("strength=NaN", "strength='NaN': it must be a finite number"),
        ("strength=1.5", "strength='1.5': it must be less than or equal to 1"),
        ("seed=1e3", "seed='1e3': it must be a valid integer"),
        ("seed=-1", "seed='-1': it must be greater than or equal to 0"),
        (f"seed={2**32}", f"seed='{2**32}': it must be less than or equal to {2**32 - 1}"),
        (f"seed={'9' * 400}", "seed='9{36}\\.\\.\\.: "),
        ("sed=1", "'sed': no such option. Known: style, seed, strength, side"),
        ("seed=1&seed=2", "'seed': it is given twice"),
        ("side=0", "side='0': it must be greater"),
    ],
)
def test_options_that_can_not_be(serving, said, words):
    client = serving()
    refused(post(client, path=f"/v1/stylize?{said}"), 422, words)


@pytest.mark.parametrize(
    ("headers", "status", "words"),
    [
        ({}, 415, "no Content-Type: send a form"),
        ({"Content-Type": "application/json"}, 415, "Content-Type application/json: send a form"),
        ({"Content-Type": FORM}, 400, "boundary"),
        ({"Content-Type": f"{FORM}; boundary=x"}, 400, "."),
    ],
)
def test_bodies_of_another_kind(serving, headers, status, words):
    refused(post(serving(), b"abc", headers), status, words)


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"photo": FILE}, "'photo': no such file. Known: picture, mask"),
        ({"mask": FILE}, "picture: no file of this name in the form"),
        ([("picture", FILE), ("picture", FILE)], "'picture': it is given twice"),
    ],
)
def test_forms_with_other_files(serving, files, words):
    refused(serving().post("/v1/stylize", files=files), 422, words)


def test_more_files_than_there_are(serving):
    files = [("picture", FILE)] * 3
    refused(serving().post("/v1/stylize", files=files), 400, "Too many files")


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ("", 400, "the body is empty"),
        ("{", 400, "the body is no JSON"),
        ("[" * 5000, 400, "the body is no JSON"),
        ("[1]", 422, "must be a JSON object"),
        ('{"n": 0}', 422, "n=0: it must be greater than or equal to 1"),
        ('{"n": 65}', 422, "n=65: it must be less than or equal to 64"),
        ('{"seed": true}', 422, "seed=True: it must be a valid integer"),
        ('{"seed": "1"}', 422, "seed='1': it must be a valid integer"),
        ('{"truncation": NaN}', 422, "truncation=nan: it must be a finite number"),
        ('{"truncation": 1e999}', 422, "truncation=inf: it must be a finite number"),
        ('{"seeds": [1], "n": 2}', 422, "give seeds, or seed and n, not both"),
        ('{"seeds": [1, -4]}', 422, "seeds.1=-4: it must be greater"),
        ('{"seed": 4294967295, "n": 2}', 422, "the last seed, 4294967296, is above 4294967295"),
    ],
)
def test_json_that_can_not_be(serving, body, status, words):
    client = serving(Drawing())
    headers = {"Content-Type": "application/json"}
    refused(post(client, body, headers, "/v1/sample"), status, words)


def test_json(serving):
    client = serving(Drawing())
    assert pixels(client.post("/v1/sample", json={})).shape == (4, 4)
    archive = client.post("/v1/sample", json={"seed": 7, "n": 3}).content
    assert zipfile.ZipFile(io.BytesIO(archive)).namelist() == ["7.png", "8.png", "9.png"]
    refused(client.post("/v1/sample", content="{}"), 415, "send application/json")
    refused(client.post("/v1/sample?n=2", json={}), 422, "into the JSON body")
    refused(client.post("/v1/sample", json={"label": "x" * 70_000}), 413, "more than 20,000 bytes")


def test_a_result_may_not_be_larger_than_what_may_come_in(serving):
    class Larger(Negative):
        def result_size(self, wanted, size):
            return 101, 100

    refused(post(serving(Larger())), 413, "the result would have more than 0.01 megapixels")


def test_another_address_or_method(serving):
    client = serving()
    refused(client.get("/v1/sample"), 404, "There are /healthz, .*, /v1/model, /v1/stylize")
    refused(client.get("/v1/stylize"), 405, "GET is not taken there")
    refused(client.get("/docs"), 404, "no such address")


def test_an_error_of_our_own_is_no_traceback(serving):
    client = serving()
    refused(post(client, path="/v1/stylize?style=damaged"), 500, "an error of the server's own")
    np.testing.assert_array_equal(pixels(post(client)), 255 - PICTURE)


def test_what_it_is(serving):
    about = serving().get("/v1/model").json()
    assert about["name"] == "negative" and about["limits"]["pixels"] == 10_000


def test_it_is_ready_once_it_has_compiled(serving):
    client = serving(warm=False)
    refused(client.get("/healthz"), 503, "still compiling")
    refused(post(client), 503, "still compiling")
    client.service.warm_up()
    assert client.get("/healthz").json() == {"status": "ready"}
    assert client.service.programs.compiled == 2  # batches of one and of two
    post(client)
    assert client.service.programs.compiled == 2
    client.service.draining = True
    refused(client.get("/healthz"), 503, "the server is stopping")
    refused(post(client), 503, "the server is stopping")


def begin(client, threads, n=1, **more):
    """Posts that have begun and are held."""
    client.kind.go.clear()
    made = [threads.submit(post, client, **more) for _ in range(n)]
    for _ in made:
        assert client.kind.begun.acquire(timeout=WAIT)
    return made


def test_more_requests_than_the_queue_holds(serving):
    client = serving()
    with concurrent.futures.ThreadPoolExecutor(4) as threads:
        held = begin(client, threads, 4)
        refused(post(client), 503, "4 requests are here already")
        assert "gan_jax_requests_inside 4.0" in client.get("/metrics").text
        client.kind.go.set()
        for each in held:
            assert each.result(WAIT).status_code == 200
    assert post(client).status_code == 200


def test_what_takes_too_long_is_dropped(serving):
    client = serving(timeout=0.2)
    with concurrent.futures.ThreadPoolExecutor(1) as threads:
        (held,) = begin(client, threads)
        refused(held.result(WAIT), 503, "not done within 0.2 s, and dropped")
    client.kind.go.set()
    left(client)
    assert client.kind.dropped == [0]


def left(client):
    """Waits until nothing is inside."""
    for _ in range(10_000):
        if client.service._inside == 0:
            return
        threading.Event().wait(0.001)
    raise AssertionError("it is still inside")


SCOPE = {"type": "http", "method": "POST", "path": "/v1/stylize", "query_string": b"seed=5"}
SCOPE |= {"headers": [(b"content-type", b"image/png")], "http_version": "1.1"}


def test_what_nobody_waits_for_is_dropped(serving):
    client = serving()
    client.kind.go.clear()
    sent = []

    async def talk():
        messages = asyncio.Queue()
        messages.put_nowait({"type": "http.request", "body": FILE, "more_body": False})

        async def send(message):
            sent.append(message)

        answer = asyncio.ensure_future(client.app(dict(SCOPE), messages.get, send))
        begun = asyncio.to_thread(client.kind.begun.acquire, timeout=WAIT)
        assert await begun
        messages.put_nowait({"type": "http.disconnect"})
        await answer

    asyncio.run(talk())
    client.kind.go.set()
    left(client)
    assert sent[0]["status"] == 499 and client.kind.dropped == [5]


def test_a_body_that_does_not_come(serving):
    client = serving(timeout=0.1)
    sent = []

    async def talk():
        async def never():
            await asyncio.sleep(WAIT)

        async def send(message):
            sent.append(message)

        await client.app(dict(SCOPE), never, send)

    asyncio.run(talk())
    assert sent[0]["status"] == 408
    assert json.loads(sent[1]["body"])["error"] == "the body has not arrived within 0.1 s."
    left(client)


def test_a_token(serving):
    client = serving(token="0123456789abcdef")
    assert client.get("/healthz").status_code == 200
    for given in ("", "Bearer", "Bearer 0123456789abcdeg", "Basic 0123456789abcdef", "é"):
        headers = PNG | ({"Authorization": given.encode()} if given else {})
        answer = post(client, headers=headers)
        refused(answer, 401, "Authorization: Bearer TOKEN")
        assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert client.get("/metrics").status_code == client.get("/openapi.json").status_code == 401
    assert post(client, headers=PNG | {"Authorization": "bearer 0123456789abcdef"}).is_success


def test_pages_of_other_origins_may_use_it_only_where_that_is_said(serving):
    page = {"Origin": "https://example.org"}
    assert "access-control-allow-origin" not in post(serving(), headers=PNG | page).headers
    client = serving(token="0123456789abcdef", origins=["https://example.org"])
    answer = post(client, headers=PNG | page)
    assert answer.status_code == 401
    assert answer.headers["access-control-allow-origin"] == "https://example.org"
    asks = {
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization",
    }
    assert client.options("/v1/stylize", headers=page | asks).status_code == 200
    other = {"Origin": "https://example.com"}
    assert client.options("/v1/stylize", headers=other | asks).status_code == 400


def test_metrics(serving):
    client = serving()
    post(client)
    post(client, path="/v1/stylize?style=two")
    post(client, b"x")
    client.get("/v1/nowhere")
    text = client.get("/metrics").text
    for line in (
        'gan_jax_requests_total{route="/v1/stylize",status="200"} 2.0',
        'gan_jax_requests_total{route="/v1/stylize",status="415"} 1.0',
        'gan_jax_requests_total{route="other",status="404"} 1.0',
        'gan_jax_request_seconds_count{route="/v1/stylize"} 3.0',
        "gan_jax_pictures_total 3.0",
        'gan_jax_batch_size_bucket{function="negative",le="1.0"} 2.0',  # one while warming up
        "gan_jax_queue_length 0.0",
        "gan_jax_programs 2.0",
        "gan_jax_programs_compiled 2.0",
    ):
        assert f"\n{line}\n" in text, line
    assert "process_resident_memory_bytes" in text


def test_openapi_says_what_is_taken(serving):
    said = serving().get("/openapi.json").json()["paths"]
    assert said.keys() == {"/v1/stylize", "/v1/model", "/healthz", "/metrics"}
    post = said["/v1/stylize"]["post"]
    form = post["requestBody"]["content"]["multipart/form-data"]["schema"]
    assert form["required"] == ["picture"]
    assert form["properties"].keys() == {"picture", "mask", "style", "seed", "strength", "side"}
    assert [each["name"] for each in post["parameters"]] == ["style", "seed", "strength", "side"]
    assert {"200", "400", "413", "415", "422", "503"} <= post["responses"].keys()
    said = serving(Drawing()).get("/openapi.json").json()["paths"]["/v1/sample"]["post"]
    schema = said["requestBody"]["content"]["application/json"]["schema"]
    assert schema["properties"]["n"]["maximum"] == options.MOST_PICTURES


def test_options_have_the_limits_of_the_commands():
    schema = options.Restore.model_json_schema()["properties"]["scale"]
    assert schema["maximum"] == restore.MOST_TIMES
