"""An app made for Twilio's media streams as the assistant: we dial it as Twilio would, and are its caller."""

from collections.abc import AsyncIterator, Sequence

from websockets.asyncio.client import ClientConnection

from server.assistants.backend import DELAYS_S, BackendFailure, connected, persist
from server.bridges.twilio_stream import Garbage, carry
from server.conversation import Conversation


class TwilioAssistant:
    """Converses until the session ends, over as many calls as it takes."""

    def __init__(self, url: str, delays_s: Sequence[float] = DELAYS_S) -> None:
        """`url`: `wss://...`, what would stand in `<Stream url=...>`."""
        self._url, self._delays_s = url, delays_s

    async def converse(self, conversation: Conversation) -> None:
        await persist(conversation, self._talk, self._delays_s)

    async def _talk(self, conversation: Conversation) -> None:
        async with connected(self._url, {}) as socket:
            conversation.attend(None)
            try:
                await carry(conversation, messages(socket), socket.send)
            except Garbage as garbage:
                raise BackendFailure("assistant_garbage", f"the app sends what nobody understands: {garbage}") from None
        raise BackendFailure("assistant_lost", "the app hung up")


async def messages(socket: ClientConnection) -> AsyncIterator[str | bytes | None]:
    async for message in socket:
        yield message
