"""`WS /v1/realtime?model=SESSION`: whoever can talk to OpenAI's Realtime API can speak through a session's portrait.

The key is the session's token: `Authorization: Bearer TOKEN`, or in a browser, which can't set headers, the
subprotocols `realtime` and `openai-insecure-api-key.TOKEN`.
"""

import asyncio
import json
from collections.abc import AsyncIterator

from fastapi import APIRouter, WebSocket, WebSocketDisconnect
from fastapi.responses import JSONResponse
from starlette.websockets import WebSocketState

from server.backlog import Backlog
from server.bridges.openai_events import Object
from server.bridges.openai_speaker import Speaker
from server.control import messages
from server.conversation import Conversation, ConversationEvent
from server.live import LiveSession
from server.pace import Pace
from server.place import place_of
from server.side_by_side import until_first
from server.web import bearer, origin_allowed

router = APIRouter()

PROTOCOL, KEY = "realtime", "openai-insecure-api-key."
MAX_OUTBOX = 1000  # events not yet sent; a client that reads no more is disconnected
ENDED, SLOW = 1000, 4408


class Refusal(Exception):
    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code = status, code

    @property
    def error(self) -> Object:
        return {"type": "invalid_request_error", "code": self.code, "message": str(self), "param": None}


@router.websocket("/v1/realtime")
async def realtime(socket: WebSocket) -> None:
    offered: list[str] = socket.scope.get("subprotocols", [])
    try:
        live = authorise(socket, offered)
    except Refusal as refusal:
        await refuse(socket, offered, refusal)
        return
    await socket.accept(subprotocol=PROTOCOL if PROTOCOL in offered else None)
    await serve(socket, live.id, live.conversation, live.pace)


def authorise(socket: WebSocket, offered: list[str]) -> LiveSession:
    place = place_of(socket)
    if not origin_allowed(socket.headers.get("origin"), socket.headers.get("host"), place.settings.allowed_origins):
        raise Refusal(403, "origin_refused", "this page may not call this server; see --allow-origin")
    key = bearer(socket) or next((name.removeprefix(KEY) for name in offered if name.startswith(KEY)), "")
    try:
        live = place.sessions.find(socket.query_params.get("model", ""), key)
    except PermissionError:
        raise Refusal(401, "invalid_api_key", "the API key must be the session's token") from None
    if live is None:
        raise Refusal(404, "model_not_found", "`model` must be the id of a session; create one by POST /v1/sessions")
    return live


async def refuse(socket: WebSocket, offered: list[str], refusal: Refusal) -> None:
    """By status before the handshake; a browser can't see that, so it is told after."""
    if PROTOCOL not in offered:
        await socket.send_denial_response(JSONResponse({"error": refusal.error}, refusal.status))
        return
    await socket.accept(subprotocol=PROTOCOL)
    await socket.send_text(json.dumps({"type": "error", "event_id": "event_0", "error": refusal.error}))
    await socket.close(4000 + refusal.status)


async def serve(socket: WebSocket, id: str, conversation: Conversation, pace: Pace) -> None:
    """Until the client leaves or the session ends. What a client has sent is said even if it leaves meanwhile."""
    backlog, outbox = Backlog(conversation), asyncio.Queue[Object](MAX_OUTBOX)
    speaker = Speaker(id, conversation, backlog, outbox.put_nowait)
    try:
        with conversation.subscribe() as happenings:
            speaker.open()
            receiving, sending = receive(socket, pace, speaker), tell(socket, outbox)
            await until_first(receiving, sending, follow(happenings, speaker), backlog.run())
        if socket.client_state is WebSocketState.CONNECTED:
            await say_goodbye(socket, outbox)
    except WebSocketDisconnect:
        pass  # seen by the sender before the receiver
    except asyncio.QueueFull:
        await socket.close(SLOW, "read the events")
    speaker.hang_up()
    await until_first(backlog.run(), backlog.drained())


async def receive(socket: WebSocket, pace: Pace, speaker: Speaker) -> None:
    async for message in messages(socket, pace):
        speaker.hear(message.get("text"))


async def tell(socket: WebSocket, outbox: asyncio.Queue[Object]) -> None:
    while True:
        await socket.send_text(json.dumps(await outbox.get()))


async def follow(happenings: AsyncIterator[ConversationEvent], speaker: Speaker) -> None:
    async for event in happenings:
        speaker.follow(event)


async def say_goodbye(socket: WebSocket, outbox: asyncio.Queue[Object]) -> None:
    while not outbox.empty():
        await socket.send_text(json.dumps(outbox.get_nowait()))
    await socket.close(ENDED, "the session has ended")
