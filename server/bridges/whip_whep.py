"""WHEP: a player watches (draft-ietf-wish-whep). WHIP: an encoder brings the voice (RFC 9725). Neither needs our code.

Either joins a session that exists, with its token, or meets others in a room of a portrait, with whatever Bearer key
the first of them chose. The URL of a connection is a secret of its own, so that clients without keys can end theirs.
Lenient as clients are: a missing `If-Match` stands for the present tag.
"""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from secrets import token_urlsafe
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Request, Response
from pydantic import ValidationError

from server.bridges.sdpfrag import parse_candidates
from server.http import Owned, open_session
from server.ice import IceServer, ice_servers
from server.live import LiveSession
from server.peer import BadOffer, Peer
from server.place import Place, place_of
from server.protocol import CreateSession, first_problem
from server.sessions import RETRY_AFTER_S
from server.web import HttpError, bearer

router = APIRouter()

SDP, FRAGMENT = "application/sdp", "application/trickle-ice-sdpfrag"
ENDPOINT_HEADERS = {"Accept-Post": SDP}
RESOURCE_HEADERS = {"Accept-Patch": FRAGMENT}

MOST_CONNECTIONS = 32  # of one session; each viewer costs an encoder
Way = Literal["whep", "whip"]


# ---- endpoints


async def sdp_offer(request: Request) -> str:
    return await body_of(request, SDP)


Offer = Annotated[str, Depends(sdp_offer)]


@router.post("/v1/sessions/{id}/whep", status_code=201)
async def watch_session(live: Owned, sdp: Offer, request: Request) -> Response:
    return await connect(live, "whep", sdp, place_of(request))


@router.post("/v1/sessions/{id}/whip", status_code=201)
async def speak_in_session(live: Owned, sdp: Offer, request: Request) -> Response:
    return await connect(live, "whip", sdp, place_of(request))


@router.post("/whep/{portrait}", status_code=201)
async def watch_alone(portrait: str, sdp: Offer, request: Request) -> Response:
    return await join_room(f"alone {token_urlsafe()}", portrait, "whep", sdp, request)


@router.post("/whep/{portrait}/{room}", status_code=201)
async def watch_room(portrait: str, room: str, sdp: Offer, request: Request) -> Response:
    return await join_room(f"{portrait}/{room}", portrait, "whep", sdp, request)


@router.post("/whip/{portrait}/{room}", status_code=201)
async def speak_in_room(portrait: str, room: str, sdp: Offer, request: Request) -> Response:
    return await join_room(f"{portrait}/{room}", portrait, "whip", sdp, request)


async def join_room(name: str, portrait: str, way: Way, sdp: str, request: Request) -> Response:
    """Session settings may stand in the query: `?size=256&seed=7&source=assistant`."""
    place = place_of(request)
    try:
        live = await place.rooms.enter(name, bearer(request), partial(opened, place, portrait, request))
    except PermissionError:
        raise HttpError(401, "unauthorized", "this room was opened with another Bearer key") from None
    try:
        return await connect(live, way, sdp, place)
    except HttpError:
        await place.rooms.leave(live)
        raise


async def opened(place: Place, portrait: str, request: Request) -> LiveSession:
    fields = {"source": "microphone"} | dict(request.query_params) | {"portrait": portrait}
    try:
        wanted = CreateSession.model_validate_strings(fields)
    except ValidationError as error:
        raise HttpError(422, "invalid", first_problem(error)) from None
    live, _ = await open_session(place, wanted)
    return live


async def connect(live: LiveSession, way: Way, sdp: str, place: Place) -> Response:
    if live.connections >= MOST_CONNECTIONS:
        raise HttpError(503, "full", "this session has as many viewers as it may; try again later", RETRY_AFTER_S)
    join: Callable[[str], Awaitable[tuple[Peer, str]]] = live.watch if way == "whep" else live.voice
    try:
        peer, answer = await join(sdp)
    except BadOffer as error:
        raise HttpError(422, "bad_offer", str(error)) from None
    response = Response(answer, 201, ENDPOINT_HEADERS | RESOURCE_HEADERS, SDP)
    response.headers["Location"] = f"/v1/sessions/{live.id}/connections/{peer.id}"
    response.headers["ETag"] = tag(peer)
    for server in ice_servers(place.settings.ice, live.id[:8], time.time()):
        for link in links(server):
            response.headers.append("Link", link)
    return response


def links(server: IceServer) -> list[str]:
    """RFC 9725, section 4.6."""
    login = f'; username="{server.username}"; credential="{server.credential}"; credential-type="password"'
    return [f'<{url}>; rel="ice-server"{login if server.username else ""}' for url in server.urls]


@router.api_route("/v1/sessions/{id}/whep", methods=["HEAD", "OPTIONS"])
@router.api_route("/v1/sessions/{id}/whip", methods=["HEAD", "OPTIONS"])
@router.api_route("/whep/{portrait}", methods=["HEAD", "OPTIONS"])
@router.api_route("/whep/{portrait}/{room}", methods=["HEAD", "OPTIONS"])
@router.api_route("/whip/{portrait}/{room}", methods=["HEAD", "OPTIONS"])
async def describe_endpoint() -> Response:
    return Response(None, 200, ENDPOINT_HEADERS, SDP)


# ---- connections


@dataclass(frozen=True)
class Joined:
    live: LiveSession
    peer: Peer


def connection(id: str, connection: str, request: Request) -> Joined:
    live = place_of(request).sessions.get(id)
    peer = live.peer(connection) if live else None
    if live is None or peer is None:
        raise no_connection()
    return Joined(live, peer)


def no_connection() -> HttpError:
    return HttpError(404, "no_connection", "there is no such connection, or it has ended")


Connection = Annotated[Joined, Depends(connection)]
RESOURCE = "/v1/sessions/{id}/connections/{connection}"


@router.patch(RESOURCE, status_code=204)
async def trickle(joined: Connection, request: Request) -> None:
    fragment = await body_of(request, FRAGMENT)
    wanted = request.headers.get("if-match", tag(joined.peer))
    if wanted == "*":
        raise HttpError(422, "no_restart", "ICE restarts are not supported; connect anew")
    if wanted != tag(joined.peer):
        raise HttpError(412, "other_tag", "If-Match names another ICE session")
    try:
        for candidate in parse_candidates(fragment):
            await joined.peer.add_candidate(candidate.candidate, candidate.sdpMid, candidate.sdpMLineIndex)
    except ValueError as error:
        raise HttpError(400, "malformed", str(error)) from None


@router.delete(RESOURCE)
async def leave(id: str, connection: str, request: Request) -> Response:
    """Clients may have closed their connection before they say so."""
    place = place_of(request)
    live = place.sessions.get(id)
    if live is None:
        raise no_connection()
    if peer := live.peer(connection):
        await live.part(peer)
    await place.rooms.leave(live)
    return Response(None, 200)


@router.options(RESOURCE)
async def describe_connection() -> Response:
    return Response(None, 200, RESOURCE_HEADERS)


def tag(peer: Peer) -> str:
    """One for the connection's whole life, since it never restarts ICE."""
    return f'"{peer.id[:8]}"'


async def body_of(request: Request, kind: str) -> str:
    """HttpError unless it is text of this media type."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != kind:
        raise HttpError(415, "wrong_type", f"send Content-Type: {kind}")
    try:
        text = (await request.body()).decode()
    except UnicodeDecodeError:
        raise HttpError(400, "malformed", "the body is not UTF-8") from None
    if not text.strip():
        raise HttpError(400, "malformed", "the body is empty")
    return text
