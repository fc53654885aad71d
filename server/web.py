"""What every HTTP answer has in common: refusals in one shape, bounded bodies, known origins, sober headers."""

import json
from collections.abc import Collection

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


async def on_framework_error(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    return refusal(error.status_code, CODES.get(error.status_code, "failed"), str(error.detail))


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
    return refusal(422, "invalid", f"{field}: {problem['msg']}")


def origin_allowed(origin: str | None, host: str | None, allowed: Collection[str]) -> bool:
    """Pages of our own host may call, and configured ones; a client that is no browser sends no origin."""
    return origin is None or origin in allowed or origin in (f"http://{host}", f"https://{host}")


class Guard:
    """ASGI: refuses foreign origins and oversized bodies, lets known pages read the answers, and adds the headers."""

    def __init__(self, app: ASGIApp, allowed_origins: Collection[str], max_photo_bytes: int) -> None:
        self._app, self._allowed, self._max_photo = app, allowed_origins, max_photo_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {name.decode().lower(): value.decode("latin-1") for name, value in scope["headers"]}
        origin = headers.get("origin")
        limit = self._max_photo + 64 * 1024 if scope["path"] == "/v1/portraits" else MAX_JSON_BYTES
        if not origin_allowed(origin, headers.get("host"), self._allowed):
            await refuse(send, 403, "origin_refused", "this page may not call this server; see --allow-origin")
        elif int(headers.get("content-length", "0") or 0) > limit:
            await refuse(send, 413, "too_large", f"at most {limit} bytes")
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
            raise HTTPException(413, f"at most {limit} bytes")
        return message

    return receive_bounded


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


async def refuse(send: Send, status: int, code: str, message: str) -> None:
    body = json.dumps({"code": code, "message": message}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def bearer(request: HTTPConnection) -> str:
    """The token of `Authorization: Bearer TOKEN`, or nothing."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""
