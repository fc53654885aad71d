"""`WS /v1/sessions/{id}/twilio`: for an app made for Twilio's media streams that dials us.

Twilio itself dials the app; for that see `server.assistants.twilio`.
"""

from collections.abc import AsyncIterator, Mapping

from fastapi import APIRouter, WebSocket, WebSocketDisconnect
from starlette.websockets import WebSocketState

from server.bridges.twilio_stream import Garbage, Message, carry, media_format
from server.control import authorise, messages
from server.pace import Pace
from server.sound_format import rate_in

INVALID = 1007  # the code for a message that makes no sense (RFC 6455, 7.4.1)

router = APIRouter()


@router.websocket("/v1/sessions/{id}/twilio")
async def twilio(socket: WebSocket, id: str) -> None:
    """For an app that dials. `?encoding=audio/x-mulaw&sampleRate=8000` chooses the sound, both ways."""
    await socket.accept()
    live = authorise(socket, id, [])
    if isinstance(live, int):
        await socket.close(live)
        return
    try:
        format = media_format(asked(socket.query_params))
        await carry(live.conversation, texts(socket, live.pace), socket.send_text, format)
    except Garbage as garbage:
        live.conversation.report("stream_garbage", f"the app's media stream ends: {garbage}")
        await socket.close(INVALID, str(garbage)[:120])
    except WebSocketDisconnect:
        pass  # seen by the sender before the receiver
    else:
        await close(socket)


def asked(query: Mapping[str, str]) -> Message:
    """The `mediaFormat` that a query asks for."""
    rate = {"sampleRate": rate_in(query["sampleRate"])} if "sampleRate" in query else {}
    return rate | ({"encoding": query["encoding"]} if "encoding" in query else {})


async def texts(socket: WebSocket, pace: Pace) -> AsyncIterator[str | None]:
    async for message in messages(socket, pace):
        yield message.get("text")


async def close(socket: WebSocket) -> None:
    if socket.client_state is WebSocketState.CONNECTED:
        await socket.close()
