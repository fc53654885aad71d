"""The composition root: settings and an engine in, an ASGI application or a running server out."""

import asyncio
import logging
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import uvicorn
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException

from engine.portrait import Portrait
from server import memory
from server.assistants.registry import offers
from server.bridges.openai_realtime import router as openai_realtime_router
from server.bridges.smallwebrtc import router as smallwebrtc_router
from server.bridges.twilio import router as twilio_router
from server.bridges.whip_whep import router as whip_whep_router
from server.control import router as control_router
from server.engine_thread import Engine, EngineLost
from server.engines import Engines
from server.http import router as http_router
from server.place import Place
from server.portraits import Load, Portraits, Prepare, prepare_in_process
from server.sessions import Sessions
from server.settings import Settings
from server.speech_socket import router as speech_router
from server.web import Guard, HttpError, on_engine_lost, on_fault, on_framework_error, on_http_error, on_invalid

log = logging.getLogger(__name__)

PAGE = Path(__file__).parents[1] / "client_web"
MAX_WEBSOCKET_BYTES = 4 << 20  # more closes the socket; up to that a message is answered by an error
SWITCH_S = 0.001  # how long the Python of an engine in this process may keep the event loop waiting


def create_app(
    settings: Settings,
    engine_factory: Callable[[], Engine],
    prepare: Prepare | None = None,
    load: Load = Portrait.load,
) -> FastAPI:
    """`engine_factory` runs in every engine thread; calls can come once all have it and the defaults are prepared."""
    prepare = prepare or partial(prepare_in_process, timeout_s=settings.prepare_timeout_s)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        sys.setswitchinterval(SWITCH_S)
        memory.share_arenas()
        engines = Engines(engine_factory, settings.engines)
        portraits = Portraits(settings.portraits_dir, prepare, load, settings.max_uploads)
        place = app.state.place = Place(
            settings, engines, portraits, Sessions(settings, engines), offers(settings.assistant)
        )
        starting = asyncio.create_task(place.start())
        try:
            yield
        finally:
            starting.cancel()
            await asyncio.wait([starting])
            await place.close()

    app = FastAPI(title="les-avatar", lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    app.include_router(http_router)
    app.include_router(control_router)
    app.include_router(speech_router)
    app.include_router(whip_whep_router)
    app.include_router(smallwebrtc_router)
    app.include_router(openai_realtime_router)
    app.include_router(twilio_router)
    app.mount("/", StaticFiles(directory=PAGE, html=True))
    app.add_exception_handler(HttpError, on_http_error)
    app.add_exception_handler(HTTPException, on_framework_error)
    app.add_exception_handler(RequestValidationError, on_invalid)
    app.add_exception_handler(EngineLost, on_engine_lost)
    app.add_exception_handler(Exception, on_fault)
    app.add_middleware(
        Guard,
        host=settings.host,
        allowed_origins=settings.allowed_origins,
        max_photo_bytes=settings.max_photo_bytes,
    )
    return app


class Server(uvicorn.Server):
    """uvicorn, which on its own closes the control sockets before the sessions can say why they end."""

    def __init__(self, app: FastAPI, settings: Settings) -> None:
        super().__init__(_config(app, settings))
        self._app = app

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        place: Place = self._app.state.place
        await place.sessions.end_all("shutdown")
        await super().shutdown(sockets)


def _config(app: FastAPI, settings: Settings) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        ws="websockets-sansio",
        ws_max_size=MAX_WEBSOCKET_BYTES,
        timeout_graceful_shutdown=3,
        access_log=False,  # paths may hold tokens
        log_level="warning",
    )


def serve(settings: Settings, engine_factory: Callable[[], Engine]) -> None:
    """Until interrupted."""
    app = create_app(settings, engine_factory)
    host = {"127.0.0.1": "localhost", "0.0.0.0": "localhost", "::": "localhost"}.get(settings.host, settings.host)
    log.info("http://%s:%d (Ctrl-C stops)", f"[{host}]" if ":" in host else host, settings.port)
    Server(app, settings).run()
