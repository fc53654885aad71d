"""`/api/offer` as Pipecat's SmallWebRTC transport asks for it, with RTVI on its data channel.

A client of Pipecat's connects as to a bot of its own. `requestData` may hold the fields of `POST /v1/sessions`; the
`pc_id` it gets is the session with its token, so that whoever has it owns the session.
"""

import asyncio
import json
from collections.abc import Coroutine
from datetime import UTC, datetime
from functools import partial
from typing import Any

from aiortc import RTCDataChannel
from aiortc.exceptions import InvalidStateError
from fastapi import APIRouter, Request
from pydantic import AliasChoices, BaseModel, ConfigDict, Field, ValidationError

from server.bridges.rtvi import Leave, Obey, Rtvi, Say
from server.http import AnyPlace, open_session
from server.live import Control, LiveSession
from server.peer import BadOffer
from server.place import Place, place_of
from server.protocol import Candidate, CreateSession, first_problem
from server.session_events import Received
from server.web import HttpError

router = APIRouter()
GOODBYE_S = 3  # from the channel's end to the connection's
running: set[asyncio.Task[None]] = set()  # asyncio itself holds its tasks weakly


class Offer(BaseModel):
    model_config = ConfigDict(extra="ignore")

    sdp: str = Field(min_length=1)
    pc_id: str | None = None
    restart_pc: bool | None = None
    request_data: dict[str, Any] | None = Field(
        default=None, validation_alias=AliasChoices("request_data", "requestData")
    )


class IceCandidate(BaseModel):
    model_config = ConfigDict(extra="ignore")

    candidate: str = Field(max_length=1024)
    sdp_mid: str | None = None
    sdp_mline_index: int | None = None


class IceCandidates(BaseModel):
    pc_id: str
    candidates: list[IceCandidate] = Field(max_length=64)


@router.post("/api/offer")
async def offer(request: Request, asked: Offer) -> dict[str, str]:
    place = place_of(request)
    live = known(place, asked.pc_id or "")
    opened = live is None
    if live is None:
        live, _ = await open_session(place, wanted(place, asked.request_data or {}))
    try:
        if opened or asked.restart_pc:
            answer = await live.offer(asked.sdp, partial(on_channel, live))
        else:
            answer = await live.renew(asked.sdp)
    except (BadOffer, LookupError) as error:
        if opened:
            await live.end("deleted")
        raise HttpError(422, "bad_offer", str(error) or "the connection is gone; connect anew") from None
    return {"type": "answer", "sdp": answer, "pc_id": f"{live.id}.{live.token}"}


@router.patch("/api/offer")
async def trickle(place: AnyPlace, body: IceCandidates) -> dict[str, str]:
    live = known(place, body.pc_id)
    if live is None:
        raise HttpError(404, "no_session", "there is no such connection, or it has ended")
    try:
        await live.add_candidates([to_candidate(candidate) for candidate in body.candidates])
    except (ValueError, LookupError) as error:
        raise HttpError(422, "invalid", f"candidates: {error}") from None
    return {"status": "success"}


def known(place: Place, pc_id: str) -> LiveSession | None:
    id, _, token = pc_id.partition(".")
    try:
        return place.sessions.find(id, token)
    except PermissionError:
        raise HttpError(401, "unauthorized", "this pc_id is none of ours") from None


def wanted(place: Place, fields: dict[str, Any]) -> CreateSession:
    """The first portrait and the first assistant, unless the client says otherwise: who comes here wants a bot."""
    portraits = place.portraits.list()
    default = {"portrait": portraits[0].id if portraits else "", "source": "assistant"}
    try:
        return CreateSession.model_validate(default | fields)
    except ValidationError as error:
        raise HttpError(422, "invalid", f"requestData: {first_problem(error)}") from None


def to_candidate(sent: IceCandidate) -> Candidate:
    return Candidate(candidate=sent.candidate, sdpMid=sent.sdp_mid, sdpMLineIndex=sent.sdp_mline_index)


def on_channel(live: LiveSession, channel: RTCDataChannel) -> None:
    """A data channel is the session's control connection, as long as nobody opens another one."""
    rtvi, control = Rtvi(), live.open_control()
    telling = spawn(tell(channel, control, rtvi))
    telling.add_done_callback(lambda _: live.control_closed(control))
    channel.on("message", partial(on_message, live, channel, rtvi))
    channel.on("close", telling.cancel)
    channel.on("close", partial(on_close, live))


def on_close(live: LiveSession) -> None:
    """A client that closes its channel while it is connected goes for good; one that was lost may come back."""
    if not live.deserted:
        spawn(end_when_deserted(live))


async def end_when_deserted(live: LiveSession) -> None:
    for _ in range(GOODBYE_S * 10):
        await asyncio.sleep(0.1)
        if live.deserted:
            await live.end("deleted")
            return


def on_message(live: LiveSession, channel: RTCDataChannel, rtvi: Rtvi, text: str | bytes) -> None:
    for action in rtvi.received(text) if isinstance(text, str) else []:
        match action:
            case Say(message):
                send(channel, message)
            case Obey(command):
                live.feed(Received(command))
            case Leave():
                spawn(live.end("deleted"))


async def tell(channel: RTCDataChannel, control: Control, rtvi: Rtvi) -> None:
    """Until another control connection takes over, or the session ends."""
    while isinstance(message := await control.next(), str):
        for translated in rtvi.told(json.loads(message), datetime.now(UTC).isoformat()):
            send(channel, translated)


def spawn(work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    task = asyncio.create_task(work)
    running.add(task)
    task.add_done_callback(running.discard)
    return task


def send(channel: RTCDataChannel, message: dict[str, Any]) -> None:
    try:
        channel.send(json.dumps(message))
    except InvalidStateError:
        return  # it closes: what is under way is lost with it
