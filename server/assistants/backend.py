"""The connection to an assistant that runs elsewhere: each way to fail has a code and a sentence, and is tried again.

Keys travel in headers, and the WebSocket library writes headers to its log when asked for every detail; so its log
stays at warnings.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, InvalidURI

from server.conversation import Conversation
from server.side_by_side import until_first

MAX_MESSAGE = 16 << 20  # bytes
OPEN_S = 10.0
KEEPALIVE_S = 10.0  # between pings, and for their answer
DELAYS_S = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
STEADY_S = 30.0  # a connection that lasted as long was good: the next failure is the first again

log = logging.getLogger(__name__)
wire = logging.getLogger(f"{__name__}.wire")
wire.setLevel(logging.WARNING)


class BackendFailure(Exception):
    """The backend can't be talked to (any more): `code` for programs, the message for people."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


async def persist(
    conversation: Conversation,
    talk: Callable[[Conversation], Awaitable[None]],
    delays_s: Sequence[float] = DELAYS_S,
) -> None:
    """Talks until the session ends. After a failure the avatar listens, and it is tried again, ever less often."""
    await until_first(talk_again(conversation, talk, delays_s), session_end(conversation))


async def talk_again(
    conversation: Conversation, talk: Callable[[Conversation], Awaitable[None]], delays_s: Sequence[float]
) -> None:
    clock, failures = asyncio.get_running_loop().time, 0
    while True:
        begun = clock()
        try:
            await talk(conversation)
            return
        except BackendFailure as failure:
            log.warning("%s: %s", failure.code, failure)
            conversation.report(failure.code, str(failure))
            conversation.attend("listening")
        failures = 0 if clock() - begun > STEADY_S else failures
        await asyncio.sleep(delays_s[min(failures, len(delays_s) - 1)])
        failures += 1


async def session_end(conversation: Conversation) -> None:
    with conversation.subscribe() as events:
        async for _ in events:
            pass


@asynccontextmanager
async def connected(url: str, headers: Mapping[str, str]) -> AsyncIterator[ClientConnection]:
    """A WebSocket to the backend; raises BackendFailure when it can't be had, and when it breaks inside the block."""
    host = urlsplit(url).netloc.rpartition("@")[2]
    try:
        socket = await connect(
            url, additional_headers=headers, open_timeout=OPEN_S, max_size=MAX_MESSAGE,
            ping_interval=KEEPALIVE_S, ping_timeout=KEEPALIVE_S, close_timeout=1, logger=wire,
        )  # fmt: skip
    except InvalidStatus as refused:
        raise BackendFailure("assistant_refused", refusal(host, refused.response.status_code)) from None
    except (OSError, InvalidHandshake, InvalidURI) as error:
        problem = f"the assistant at {host} can't be reached ({error or type(error).__name__}); is its address right?"
        raise BackendFailure("assistant_unreachable", problem) from None
    try:
        yield socket
    except ConnectionClosed as closed:
        why = closed.rcvd.reason if closed.rcvd else ""
        raise BackendFailure("assistant_lost", f"the assistant at {host} hung up {why}".rstrip()) from None
    finally:
        await socket.close()


def refusal(host: str, status: int) -> str:
    if status in (401, 403):
        return f"the assistant at {host} refuses the key ({status}); check LES_ASSISTANT_KEY"
    return f"the assistant at {host} refuses the connection with status {status}; check its address and model"
