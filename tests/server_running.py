"""The real application on a real port of this machine, with the fake engine and a preparation that takes no time."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from engine.portrait import Portrait, PortraitError, Report
from server.app import Server, create_app
from server.place import Place
from server.settings import Settings
from tests.server_fakes import FakeEngine


@dataclass
class Running:
    url: str
    place: Place
    engine: FakeEngine


async def prepare_at_once(photo: bytes, out: Path) -> dict[str, Any]:
    if photo.startswith(b"bad"):
        raise PortraitError("no_face", "no face was found; choose a photo that shows one")
    out.write_bytes(photo)
    out.with_suffix(".jpg").write_bytes(b"\xff\xd8 thumbnail")
    return {"face_px": 400}


class FakePortrait:
    """What `load` returns: the session passes it on, and asks whether its background may be changed."""

    report = Report(400, 0, 0, 0, ())
    file = None


def load(path: Path) -> Portrait:
    path.stat()
    return cast(Portrait, FakePortrait())


@asynccontextmanager
async def running(
    directory: Path, engine: FakeEngine | None = None, max_sessions: int | None = 4, **settings: Any
) -> AsyncIterator[Running]:
    fake = engine or FakeEngine()
    chosen = Settings(port=0, portraits_dir=directory, max_sessions=max_sessions, **settings)
    app = create_app(chosen, lambda: fake, prepare_at_once, load)
    server = Server(app, chosen)
    serving = asyncio.create_task(server.serve())
    try:
        await until(lambda: server.started and app.state.place.ready)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield Running(f"http://127.0.0.1:{port}", app.state.place, fake)
    finally:
        server.should_exit = True
        await serving


async def until(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    """Waits for a state that must come, however busy the machine is; a TimeoutError if it does not."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)
