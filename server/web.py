"""What every HTTP answer has in common: refusals in one shape, bounded bodies, known names, sober headers."""

import json
import socket
from collections.abc import Collection, Mapping
from ipaddress import ip_address
from urllib.parse import urlsplit

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server.engine_thread import EngineLost

MAX_JSON_BYTES = 256 * 1024

PAGE_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data: blob:; media-src 'self' blob:; "
    "connect-src 'self'; frame-ancestors 'none'; base-uri 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "microphone=(self), camera=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
CORS_HEADERS = {
    "Access-Control-Allow-Methods": "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS",
    "Access-Control-Allow-Headers": "Authorization, Content-Type, If-Match",
    "Access-Control-Expose-Headers": "Location, ETag, Link, Retry-After",
    "Access-Control-Max-Age": "600",
    "Vary": "Origin",
}
OWN_DOMAINS = {"local", "lan", "home", "internal"}  # in which nobody can have a public name
CODES = {400: "malformed", 404: "not_found", 405: "not_allowed", 413: "too_large"}


class HttpError(Exception):
    """A refusal: status, code and one line for people."""

    def __init__(self, status: int, code: str, message: str, retry_after_s: int | None = None) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message
        self.headers = {} if retry_after_s is None else {"Retry-After": str(retry_after_s)}


def refusal(status: int, code: str, message: str, headers: dict[str, str] | None = None) -> JSONResponse:
    """The message is one line, whatever of the request it quotes."""
    return JSONResponse({"code": code, "message": " ".join(message.split())}, status, headers)


async def on_http_error(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HttpError)
    return refusal(error.status, error.code, error.message, error.headers)


async def on_framework_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    status, path = error.status_code, request.url.path
    said = {
        404: f"there is nothing at {path}; docs/protocol.md lists the paths",
        405: f"{path} does not take {request.method}; docs/protocol.md lists what it takes",
    }
    return refusal(status, CODES.get(status, "failed"), said.get(status, str(error.detail)))


async def on_engine_lost(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, EngineLost)
    return refusal(500, "failed", "what draws this session is gone; start a new session")


async def on_fault(_: Request, __: Exception) -> JSONResponse:
    """A fault of ours, which is logged with its traceback all the same."""
    return refusal(500, "failed", "the server failed at this; its log has the rest")


async def on_invalid(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    problem = error.errors()[0]
    if problem["type"] == "json_invalid":
        return refusal(400, "malformed", "the body is not JSON")
    field = ".".join(str(part) for part in problem["loc"][1:]) or "body"
    if problem["type"] == "extra_forbidden":
        return refusal(422, "invalid", f"{field}: no such field; docs/protocol.md lists them")
    return refusal(422, "invalid", f"{field}: {problem['msg']}")


def origin_allowed(origin: str | None, host: str | None, allowed: Collection[str]) -> bool:
    """Pages of our own host may call, and configured ones; a client that is no browser sends no origin."""
    return origin is None or origin in allowed or origin in (f"http://{host}", f"https://{host}")


def host_allowed(host: str | None, bound_to: str, allowed: Collection[str]) -> bool:
    """Whether the request's `Host` is one of ours: an address, a configured name, or one that no stranger can give.

    Else any page could have its own name lead here (DNS rebinding), and its origin would be ours. A server for this
    machine only goes by no name of its network either.
    """
    if host is None:
        return True
    name = name_in(f"//{host}")
    if name == "localhost" or name.endswith(".localhost") or is_address(name) or name in map(name_in, allowed):
        return True
    alone = bound_to == "localhost" or is_address(bound_to, loopback=True)
    return not alone and (name in (bound_to.lower(), socket.gethostname().lower()) or is_of_the_network(name))


def is_of_the_network(name: str) -> bool:
    """Whether it is one that only a network's own name service knows."""
    return bool(name) and ("." not in name or name.rpartition(".")[2] in OWN_DOMAINS or name.endswith(".home.arpa"))


def is_address(name: str, loopback: bool = False) -> bool:
    """Whether it is an IP address (of this machine alone), which nobody can have lead elsewhere."""
    try:
        address = ip_address(name)
    except ValueError:
        return False
    return address.is_loopback or not loopback


def name_in(url: str) -> str:
    """The host's name or address; of no address at all nothing."""
    try:
        return (urlsplit(url).hostname or "").removesuffix(".")
    except ValueError:
        return ""


class Guard:
    """ASGI: refuses foreign names and origins and oversized bodies, lets known pages read the answers, adds headers."""

    def __init__(self, app: ASGIApp, host: str, allowed_origins: Collection[str], max_photo_bytes: int) -> None:
        self._app, self._host, self._allowed, self._max_photo = app, host, allowed_origins, max_photo_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        headers = {name.decode().lower(): value.decode("latin-1") for name, value in scope["headers"]}
        host = headers.get("host")
        if not host_allowed(host, self._host, self._allowed):
            name = name_in(f"//{host}")
            told = f"this server does not go by {name[:80]!r}; if it should, start it with --allow-origin"
            await refuse(send, 403, "host_refused", told, scope["type"])
        elif scope["type"] == "websocket":
            await self._app(scope, receive, send)
        else:
            await self._guard_http(scope, receive, send, headers)

    async def _guard_http(self, scope: Scope, receive: Receive, send: Send, headers: Mapping[str, str]) -> None:
        origin = headers.get("origin")
        limit = self._max_photo + 64 * 1024 if scope["path"] == "/v1/portraits" else MAX_JSON_BYTES
        if not origin_allowed(origin, headers.get("host"), self._allowed):
            await refuse(send, 403, "origin_refused", "this page may not call this server; see --allow-origin")
        elif int(headers.get("content-length", "0") or 0) > limit:
            await refuse(send, 413, "too_large", too_large(limit))
        elif scope["method"] == "OPTIONS" and "access-control-request-method" in headers:
            await with_headers(send, scope["path"], origin)(
                {"type": "http.response.start", "status": 200, "headers": []}
            )
            await send({"type": "http.response.body"})
        else:
            await self._app(scope, bounded(receive, limit), with_headers(send, scope["path"], origin))


def bounded(receive: Receive, limit: int) -> Receive:
    """Ends a body without `Content-Length` that grows beyond `limit`."""
    seen = 0

    async def receive_bounded() -> Message:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > limit:
            raise HTTPException(413, too_large(limit))
        return message

    return receive_bounded


def too_large(limit: int) -> str:
    """In what people count files in."""
    size = f"{limit // 1_000_000} MB" if limit >= 1_000_000 else f"{limit // 1024} KB"
    return f"that is too large: at most {size} are taken"


def with_headers(send: Send, path: str, origin: str | None) -> Send:
    cors = CORS_HEADERS | {"Access-Control-Allow-Origin": origin} if origin else {}
    extra = PAGE_HEADERS | cors | {"Cache-Control": "no-store" if path.startswith("/v1/") else "no-cache"}

    async def send_more(message: Message) -> None:
        if message["type"] == "http.response.start":
            have = {name.lower() for name, _ in message["headers"]}
            more = [(n.lower().encode(), v.encode()) for n, v in extra.items() if n.lower().encode() not in have]
            message["headers"] = [*message["headers"], *more]
        await send(message)

    return send_more


async def refuse(send: Send, status: int, code: str, message: str, kind: str = "http") -> None:
    """`kind` is the scope's: of a WebSocket it is the handshake that is answered so."""
    before = "websocket.http" if kind == "websocket" else "http"
    body = json.dumps({"code": code, "message": message}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": f"{before}.response.start", "status": status, "headers": headers})
    await send({"type": f"{before}.response.body", "body": body})


def bearer(request: HTTPConnection) -> str:
    """The token of `Authorization: Bearer TOKEN`, or nothing."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""
