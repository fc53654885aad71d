"""The HTTP calls of docs/protocol.md."""

from base64 import b64decode
from collections.abc import Callable
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Depends, File, Form, Request, Response, UploadFile
from fastapi.concurrency import run_in_threadpool

from engine.background import Background
from engine.les import AXES, DESCRIPTIONS, EMOTIONS, Les, LesError
from engine.les.vector import of_mixed
from engine.portrait import PortraitError
from server.conversation import Assistant
from server.ice import IceServer
from server.live import LiveSession
from server.peer import BadOffer
from server.place import Place, place_of
from server.portraits import Busy, NoSpace, Protected
from server.protocol import SIZES, BackgroundSet, Candidates, CreateSession, Description
from server.sessions import RETRY_AFTER_S, Full
from server.web import HttpError, bearer

router = APIRouter()
STARTING_S = 2
MAX_BACKGROUND_PIXELS = 4_000_000  # a few kilobytes may unpack to much more


def place(request: Request) -> Place:
    return place_of(request)


def session(id: str, request: Request) -> LiveSession:
    """The session in the path, for whoever has its token."""
    try:
        live = place_of(request).sessions.find(id, bearer(request))
    except PermissionError:
        raise HttpError(401, "unauthorized", "send the session's token as `Authorization: Bearer TOKEN`") from None
    if live is None:
        raise HttpError(404, "no_session", "there is no such session, or it has ended")
    return live


AnyPlace = Annotated[Place, Depends(place)]
Owned = Annotated[LiveSession, Depends(session)]


# ---- health and vocabulary


@router.get("/healthz")
async def healthz(place: AnyPlace) -> dict[str, str]:
    check_engines(place)
    return {"status": "ok"}


@router.get("/readyz")
async def readyz(place: AnyPlace) -> dict[str, Any]:
    check_ready(place)
    return {"status": "ready", "sessions": len(place.sessions), "max_sessions": place.sessions.limit}


@router.get("/v1/capacity")
async def tell_capacity(place: AnyPlace) -> dict[str, Any]:
    check_ready(place)
    sessions, quality = place.sessions, place.sessions.quality
    free = 0 if sessions.governor.exhausted else max(0, sessions.limit - len(sessions))
    return {
        "sessions": len(sessions),
        "max_sessions": sessions.limit,
        "free": free,
        "quality": {"fps": quality.fps, "size_share": quality.share},
        "measured": asdict(place.capacity) if place.capacity else None,
    }


@router.get("/v1/les")
async def vocabulary() -> dict[str, Any]:
    emotions = {name: dict(peaks) for name, peaks in EMOTIONS.items()}
    return {"axes": list(AXES), "descriptions": dict(DESCRIPTIONS), "emotions": emotions}


def check_engines(place: Place) -> None:
    if why := place.engines.failure:
        raise HttpError(500, "failed", f"the server draws no more and has to be started again: {why}")


def check_ready(place: Place) -> None:
    check_engines(place)
    if place.problem:
        raise HttpError(500, "failed", f"the server can't take calls: {place.problem}")
    if not place.ready:
        raise HttpError(503, "starting", "the engine is still loading; try again in a moment", STARTING_S)


@router.get("/v1/assistants")
async def list_assistants(place: AnyPlace) -> dict[str, Any]:
    found = place.assistants.items()
    return {"assistants": [{"name": n, "title": o.title, "description": o.description} for n, o in found]}


# ---- portraits


@router.get("/v1/portraits")
async def list_portraits(place: AnyPlace) -> dict[str, Any]:
    """Not before all defaults are there: a client that came earlier would not ask again."""
    check_ready(place)
    return {"portraits": [entry.for_client() for entry in place.portraits.list()]}


@router.post("/v1/portraits", status_code=201)
async def add_portrait(
    place: AnyPlace,
    response: Response,
    photo: Annotated[UploadFile, File()],
    name: Annotated[str, Form(max_length=80)] = "",
) -> dict[str, Any]:
    try:
        entry = await place.portraits.add(await photo.read(), name.strip() or "Portrait")
    except PortraitError as error:
        raise HttpError(422, error.code, str(error)) from None
    except Busy:
        raise HttpError(503, "busy", "other photos are being prepared; try again later", RETRY_AFTER_S) from None
    except NoSpace:
        raise HttpError(409, "portraits_full", "no more portraits can be kept; delete some first") from None
    response.headers["Location"] = f"/v1/portraits/{entry.id}"
    return entry.for_client()


@router.get("/v1/portraits/{id}")
async def get_portrait(place: AnyPlace, id: str) -> dict[str, Any]:
    try:
        return place.portraits.get(id).for_client()
    except LookupError:
        raise no_portrait(id) from None


@router.get("/v1/portraits/{id}/thumbnail")
async def get_thumbnail(place: AnyPlace, id: str) -> Response:
    try:
        jpeg = await run_in_threadpool(place.portraits.thumbnail, id)
    except LookupError:
        raise no_portrait(id) from None
    return Response(jpeg, media_type="image/jpeg", headers={"Cache-Control": "max-age=300"})


@router.delete("/v1/portraits/{id}", status_code=204)
async def delete_portrait(place: AnyPlace, id: str) -> None:
    try:
        place.portraits.delete(id)
    except LookupError:
        raise no_portrait(id) from None
    except Protected:
        raise HttpError(403, "portrait_protected", "a default portrait can't be deleted") from None


def no_portrait(id: str) -> HttpError:
    return HttpError(404, "no_portrait", f"there is no portrait {id[:40]!r}; GET /v1/portraits lists them")


# ---- sessions


@router.post("/v1/sessions", status_code=201)
async def create_session(place: AnyPlace, request: CreateSession) -> dict[str, Any]:
    live, ice = await open_session(place, request)
    servers = [server.for_client() for server in ice]
    return {"id": live.id, "token": live.token, "ice_servers": servers, "control": f"/v1/sessions/{live.id}/control"}


async def open_session(place: Place, request: CreateSession) -> tuple[LiveSession, tuple[IceServer, ...]]:
    """`HttpError` where none can be had."""
    check_ready(place)
    emotion = starting_emotion(request, place.settings.max_size)
    assistant = assistant_for(request, place)
    try:
        portrait = await place.portraits.load(request.portrait)
        live, ice = await place.sessions.create(request, portrait, emotion, assistant)
    except LookupError:
        raise no_portrait(request.portrait) from None
    except PortraitError as error:
        raise HttpError(422, error.code, f"{error}; upload the photo again") from None
    except Full as full:
        raise HttpError(503, "full", str(full), RETRY_AFTER_S) from None
    if request.background != "photo":
        try:
            await show_before(live, request.background)
        except HttpError:
            await live.end("deleted")
            raise
    return live, ice


async def show_before(live: LiveSession, wanted: str) -> None:
    """`HttpError` for a background that can't be had."""
    try:
        await live.show_before(await run_in_threadpool(background_of, wanted))
    except PortraitError as error:
        raise HttpError(422, error.code, str(error)) from None
    except ValueError as error:
        raise HttpError(422, "invalid", f"background: {error}") from None


def background_of(wanted: str) -> Background:
    """By its name or colour, or of a picture in a data URL."""
    head, comma, data = wanted.partition(";base64,")
    if not (comma and head.startswith("data:image/")):
        return Background.parse(wanted)
    return Background.of_picture(b64decode(data, validate=True), MAX_BACKGROUND_PIXELS)


def assistant_for(request: CreateSession, place: Place) -> Callable[[], Assistant] | None:
    """What makes the session's assistant, if it has one."""
    if request.source != "assistant":
        if request.assistant is not None:
            raise HttpError(422, "invalid", 'assistant: only with the source "assistant"')
        return None
    offer = place.assistants.get(request.assistant or next(iter(place.assistants)))
    if offer is None:
        known = ", ".join(place.assistants)
        raise HttpError(404, "no_assistant", f"there is no assistant {request.assistant!r}, only {known}")
    return offer.make


def starting_emotion(request: CreateSession, max_size: int) -> Les:
    """What the model's types can't check is checked here."""
    sizes = [size for size in SIZES if size <= max_size]
    if request.size not in sizes:
        raise HttpError(422, "invalid", f"size: must be one of {', '.join(map(str, sizes))}")
    try:
        return of_mixed(request.emotion)
    except LesError as error:
        raise HttpError(422, "invalid", f"emotion: {error}") from None


@router.post("/v1/sessions/{id}/offer")
async def offer(live: Owned, description: Description) -> dict[str, str]:
    try:
        return {"type": "answer", "sdp": await live.offer(description.sdp)}
    except BadOffer as error:
        raise HttpError(422, "bad_offer", str(error)) from None


@router.patch("/v1/sessions/{id}/offer", status_code=204)
async def candidates(live: Owned, body: Candidates) -> None:
    try:
        await live.add_candidates(body.candidates)
    except ValueError as error:
        raise HttpError(422, "invalid", f"candidates: {error}") from None
    except LookupError:
        raise HttpError(409, "no_offer", "send the offer before its candidates") from None


@router.put("/v1/sessions/{id}/background", status_code=204)
async def set_background(live: Owned, body: BackgroundSet) -> None:
    await show_before(live, body.background)


@router.delete("/v1/sessions/{id}", status_code=204)
async def delete_session(live: Owned) -> None:
    await live.end("deleted")
