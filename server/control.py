"""The control WebSocket of docs/protocol.md: authorises, then carries text between the socket and the session."""

import asyncio
from collections.abc import AsyncIterator

from fastapi import APIRouter, WebSocket, WebSocketDisconnect
from starlette.types import Message

from server.live import Control, LiveSession
from server.pace import MESSAGES, PIECE, Pace
from server.place import place_of
from server.protocol import Error
from server.session_events import Received
from server.web import origin_allowed

router = APIRouter()
PROTOCOL, TOKEN = "les-avatar", "token."
TOO_FAST = f"of a session {MESSAGES} messages of {PIECE} bytes are read a second; the others wait, none is lost"
UNAUTHORIZED, FORBIDDEN, UNKNOWN = 4401, 4403, 4404


@router.websocket("/v1/sessions/{id}/control")
async def control(socket: WebSocket, id: str) -> None:
    offered: list[str] = socket.scope.get("subprotocols", [])
    await socket.accept(subprotocol=PROTOCOL if PROTOCOL in offered else None)
    found = authorise(socket, id, offered)
    if isinstance(found, int):
        await socket.close(found)
        return
    outgoing = found.open_control()
    sending = asyncio.create_task(send_all(socket, outgoing))
    try:
        async for message in messages(socket, found.pace, outgoing):
            found.feed(Received(message.get("text")))
    finally:
        found.control_closed(outgoing)
        sending.cancel()
        await asyncio.wait([sending])


def authorise(socket: WebSocket, id: str, offered: list[str]) -> LiveSession | int:
    """The session, or the code to close with. After `accept`: a browser can't see why a handshake was refused."""
    place = place_of(socket)
    if not origin_allowed(socket.headers.get("origin"), socket.headers.get("host"), place.settings.allowed_origins):
        return FORBIDDEN
    in_protocols = next((p.removeprefix(TOKEN) for p in offered if p.startswith(TOKEN)), "")
    try:
        return place.sessions.find(id, socket.query_params.get("token") or in_protocols) or UNKNOWN
    except PermissionError:
        return UNAUTHORIZED


async def messages(socket: WebSocket, pace: Pace, outgoing: Control | None = None) -> AsyncIterator[Message]:
    """What comes, no faster than the session's pace; whoever sends more is told by `outgoing`."""
    clock = asyncio.get_running_loop().time
    while (message := await socket.receive())["type"] == "websocket.receive":
        yield message
        now = clock()
        wait_s = pace.wait_s(len(message.get("bytes") or message.get("text") or ""), now)
        if wait_s and outgoing and pace.tell(now):
            outgoing.put(Error(code="too_fast", message=TOO_FAST))
        await asyncio.sleep(wait_s)  # also for 0 s: the answer leaves before the next of many messages is read


async def send_all(socket: WebSocket, outgoing: Control) -> None:
    """Until the close code comes, or the client is gone."""
    try:
        while isinstance(message := await outgoing.next(), str):
            await socket.send_text(message)
        await socket.close(message)
    except (WebSocketDisconnect, RuntimeError):
        return  # Starlette's words for a socket that closed meanwhile
