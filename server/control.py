"""The control WebSocket of docs/protocol.md: authorises, then carries text between the socket and the session."""

import asyncio

from fastapi import APIRouter, WebSocket, WebSocketDisconnect

from server.live import Control, LiveSession
from server.place import place_of
from server.session import Received
from server.web import origin_allowed

router = APIRouter()
PROTOCOL, TOKEN = "les-avatar", "token."
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
        await receive_all(socket, found)
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


async def receive_all(socket: WebSocket, live: LiveSession) -> None:
    while (message := await socket.receive())["type"] == "websocket.receive":
        live.feed(Received(message.get("text")))
        await asyncio.sleep(0)  # the answer leaves first: messages that came in one piece are read without a pause


async def send_all(socket: WebSocket, outgoing: Control) -> None:
    """Until the close code comes, or the client is gone."""
    try:
        while isinstance(message := await outgoing.next(), str):
            await socket.send_text(message)
        await socket.close(message)
    except (WebSocketDisconnect, RuntimeError):
        return  # Starlette's words for a socket that closed meanwhile
