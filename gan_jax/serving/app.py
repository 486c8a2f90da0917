"""The routes: what a model does at /v1/..., what it is, whether it is ready, and its metrics."""

from collections.abc import Sequence

import fastapi
from fastapi.middleware.cors import CORSMiddleware
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp

import gan_jax
from gan_jax.serving.access import Bearer
from gan_jax.serving.kinds import PICTURE, Kind
from gan_jax.serving.metrics import Measured
from gan_jax.serving.reading import FORM, JSON
from gan_jax.serving.service import Service

ERRORS = {
    400: "No body, or one that can't be read.",
    401: "The token is missing or wrong.",
    408: "The body did not arrive in time.",
    413: "Too many bytes or pixels.",
    415: "No picture, or a Content-Type that is not taken.",
    422: "An option or a picture that can't be taken.",
    500: "An error of the server's own.",
    503: "Not ready, too many requests, or not done in time; Retry-After says when to try again.",
}
BINARY = {"type": "string", "format": "binary"}
HEADERS = ["X-Remarks", "Retry-After"]


def create_app(service: Service, token: str | None = None, origins: Sequence[str] = ()) -> ASGIApp:
    """The application.

    Args:
        token: that requests must send; None: none.
        origins: of web pages that may use it, as "https://example.org".
    """
    kind = service.kind
    route = f"/v1/{kind.command}"
    # neither /docs nor /redoc: FastAPI's pages load their scripts from the network
    app = fastapi.FastAPI(
        title=f"gan-jax serve {kind.about['name']}",
        version=gan_jax.__version__,
        docs_url=None,
        redoc_url=None,
    )

    @app.post(route, **description(kind))
    async def make(request: Request) -> Response:
        return await service.answer(request)

    @app.get("/v1/model", summary="What the model is")
    async def model() -> dict:
        limits = service.limits
        sizes = {"bytes": limits.max_bytes, "pixels": limits.max_pixels, "seconds": limits.timeout}
        return kind.about | {"gan_jax": gan_jax.__version__, "limits": sizes}

    @app.get("/healthz", summary="Whether it takes requests", responses=errors(503))
    async def healthz() -> dict:
        service.check_ready()
        return {"status": "ready"}

    @app.get("/metrics", summary="For Prometheus", response_class=Response)
    def metrics() -> Response:
        return Response(service.metrics.page(), media_type=CONTENT_TYPE_LATEST)

    routes = {route, "/v1/model", "/healthz", "/metrics", "/openapi.json"}

    @app.exception_handler(HTTPException)
    async def refused(request: Request, error: HTTPException) -> Response:
        words = {
            404: f"no such address. There are {', '.join(sorted(routes))}.",
            405: f"{request.method} is not taken there.",
        }
        text = words.get(error.status_code, error.detail)
        return JSONResponse({"error": text}, error.status_code, error.headers)

    @app.exception_handler(Exception)
    async def failed(request: Request, error: Exception) -> Response:
        text = "an error of the server's own; its log has it."
        return JSONResponse({"error": text}, 500)

    app = app if token is None else Bearer(app, token)
    if origins:
        allowed = {"allow_origins": origins, "allow_methods": ["GET", "POST"]}
        named = {"allow_headers": ["Authorization", "Content-Type"], "expose_headers": HEADERS}
        app = CORSMiddleware(app, **allowed, **named)
    return Measured(app, service.metrics, routes)


def description(kind: Kind) -> dict:
    """What /openapi.json says of the route that makes pictures."""
    schema = kind.options.model_json_schema()
    picture = {"description": "A PNG.", "content": {"image/png": {"schema": BINARY}}}
    if not kind.takes:
        picture["description"] = "A PNG; of several pictures a zip archive of PNGs."
        picture["content"]["application/zip"] = {"schema": BINARY}
        body = {JSON: {"schema": schema}}
        parameters = []
    else:
        files = dict.fromkeys(kind.takes, BINARY)
        needed = [name for name, must in kind.takes.items() if must]
        form = {"type": "object", "properties": files | schema["properties"], "required": needed}
        body = {FORM: {"schema": form}, "image/png": {"schema": BINARY}}
        body["image/jpeg"] = {"schema": BINARY}
        options = schema["properties"].items()
        parameters = [{"name": name, "in": "query", "schema": each} for name, each in options]
    said = {"requestBody": {"required": True, "content": body}, "parameters": parameters}
    about = f"{kind.options.__doc__} A file alone is the {PICTURE}, with options in the address."
    return {
        "summary": f"It {kind.about['does']}",
        "description": about if kind.takes else kind.options.__doc__,
        "response_class": Response,
        "responses": {200: picture} | errors(*ERRORS),
        "openapi_extra": said,
    }


def errors(*statuses: int) -> dict:
    """Of these, as OpenAPI has them: {"error": a sentence}."""
    schema = {"type": "object", "properties": {"error": {"type": "string"}}}
    content = {JSON: {"schema": schema}}
    return {status: {"description": ERRORS[status], "content": content} for status in statuses}
