"""What the request handlers share: settings, engine, portraits, sessions, and whether all of it is ready."""

import logging
from dataclasses import dataclass

from fastapi import Request, WebSocket

from server.engine_thread import EngineThread
from server.portraits import Portraits
from server.sessions import Sessions
from server.settings import Settings

log = logging.getLogger(__name__)


@dataclass
class Place:
    settings: Settings
    engine: EngineThread
    portraits: Portraits
    sessions: Sessions
    ready: bool = False
    problem: str = ""
    """Why it will never be ready, if so."""

    async def start(self) -> None:
        """Waits for the engine and prepares the default portraits."""
        try:
            await self.engine.ready
            await self.portraits.prepare_defaults()
        except Exception as error:  # the root of the start: the page must say what the log says
            self.problem = str(error)
            log.exception("the server can't take calls")
        else:
            self.ready = True
            log.info("ready for calls")


def place_of(connection: Request | WebSocket) -> Place:
    place = connection.app.state.place
    assert isinstance(place, Place)
    return place
