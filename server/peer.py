"""A WebRTC peer connection around a call: offer in, answer out, microphone to the call, its tracks to the client."""

import asyncio
import logging
import re
from collections.abc import Callable, Sequence

import av
from aiortc import (
    MediaStreamTrack,
    RTCConfiguration,
    RTCIceServer,
    RTCPeerConnection,
    RTCRtpTransceiver,
    RTCSessionDescription,
)
from aiortc.exceptions import InternalError, InvalidAccessError, InvalidStateError, OperationError
from aiortc.mediastreams import MediaStreamError
from aiortc.sdp import SessionDescription, candidate_from_sdp

from server.call import Call
from server.encoder import encoder_for
from server.hearing import PromptBuffer, Resampler
from server.media import Clock
from server.reports import SteadyReports

log = logging.getLogger(__name__)

# What aiortc raises for SDP it can't parse or use.
SDP_ERRORS = (
    ValueError, IndexError, KeyError, TypeError, AttributeError, AssertionError,
    InternalError, InvalidAccessError, InvalidStateError, OperationError,
)  # fmt: skip
LOCAL_NAME = re.compile(r"\S+\.local\s")
ENCODER = "_RTCRtpSender__encoder"


class BadOffer(Exception):
    """The client's SDP can't be used; the message says why."""


class Peer:
    def __init__(
        self, call: Call, ice_servers: Sequence[RTCIceServer], clock: Clock, changed: Callable[["Peer", bool], None]
    ) -> None:
        """`changed(peer, connected)` is called when media connects and when it is lost."""
        self.call, self.codec = call, ""
        self._clock, self._changed = clock, changed
        self._connection = RTCPeerConnection(RTCConfiguration(iceServers=list(ice_servers)))
        self._listening: asyncio.Task[None] | None = None
        self._connection.on("track", self._on_track)
        self._connection.on("connectionstatechange", self._on_state)

    async def answer(self, sdp: str) -> str:
        """The answer, with all of the server's candidates in it."""
        check_offer(sdp)
        try:
            await self._connection.setRemoteDescription(RTCSessionDescription(without_local_names(sdp), "offer"))
            self._send_tracks()
            await self._connection.setLocalDescription(await self._connection.createAnswer())
        except SDP_ERRORS as error:
            log.info("offer refused", exc_info=error)
            raise BadOffer(f"the offer can't be answered: {error or type(error).__name__}") from None
        return self._connection.localDescription.sdp

    async def add_candidate(self, candidate: str, mid: str | None, index: int | None) -> None:
        """ValueError for a malformed one. TCP candidates and local names are accepted and unused."""
        if not candidate or LOCAL_NAME.search(candidate):
            return  # the end of candidates is no news: more may yet be found from incoming checks
        try:
            parsed = candidate_from_sdp(candidate.removeprefix("candidate:"))
            parsed.sdpMid, parsed.sdpMLineIndex = mid, index
            await self._connection.addIceCandidate(parsed)
        except SDP_ERRORS as error:
            raise ValueError(f"not a candidate: {candidate[:80]!r}") from error

    async def received_bytes(self) -> int:
        """What has come from the client so far; a living client sends a report every second, speech or not."""
        stats = await self._connection.getStats()
        return sum(report.bytesReceived for report in stats.values() if report.type == "transport")

    async def close(self) -> None:
        self._connection.remove_all_listeners()
        await self.call.close()
        await self._connection.close()
        if self._listening:
            self._listening.cancel()
            await asyncio.wait([self._listening])

    def _send_tracks(self) -> None:
        """One audio and one video section carry our tracks, all others stay unused."""
        free: dict[str, MediaStreamTrack] = {"audio": self.call.sound, "video": self.call.pictures}
        for transceiver in self._connection.getTransceivers():
            track = free.pop(transceiver.kind, None)
            if track is None:
                transceiver.direction = "inactive"
                continue
            transceiver.sender.replaceTrack(track)
            transceiver.direction = "sendrecv" if track.kind == "audio" else "sendonly"
            if track.kind == "video":
                self._prepare_encoder(transceiver)
            SteadyReports(transceiver.sender, transceiver._codecs[0].mimeType, self.call.began_ntp)

    def _prepare_encoder(self, transceiver: RTCRtpTransceiver) -> None:
        """H.264 if the client has it. The sender's own encoder is set beforehand, so that it makes none itself."""
        best = sorted(transceiver._codecs, key=lambda codec: codec.mimeType.lower() != "video/h264")[0]
        transceiver._codecs.sort(key=lambda codec: codec.mimeType != best.mimeType)
        self.codec = best.mimeType.partition("/")[2]
        fields = vars(transceiver.sender)
        assert ENCODER in fields, "aiortc has changed inside"
        fields[ENCODER] = encoder_for(best.mimeType, self.call.meter.encoded)

    def _on_track(self, track: MediaStreamTrack) -> None:
        if track.kind != "audio" or self._listening:
            return
        receiver = next(r for r in self._connection.getReceivers() if r.track is track)
        buffer = PromptBuffer.install(receiver, self._clock)
        self._listening = asyncio.create_task(self._listen(track, buffer))

    async def _listen(self, track: MediaStreamTrack, buffer: PromptBuffer) -> None:
        resample = Resampler()
        try:
            while True:
                frame = await track.recv()
                assert isinstance(frame, av.AudioFrame)
                self._hear(frame, buffer.arrival(frame.pts or 0), resample)
        except MediaStreamError:
            log.debug("the microphone's track ended")

    def _hear(self, frame: av.AudioFrame, arrival: float, resample: Resampler) -> None:
        try:
            for position, samples in resample(frame):
                self.call.push(position, samples, arrival)
        except av.FFmpegError as error:
            log.warning("a packet of the microphone's was unusable: %s", error)

    def _on_state(self) -> None:
        state = self._connection.connectionState
        if state in ("connected", "failed", "closed"):
            self._changed(self, state == "connected")


def without_local_names(sdp: str) -> str:
    """Browsers hide addresses behind mDNS names. Looking them up takes seconds; their checks tell at once."""
    lines = sdp.splitlines(keepends=True)
    return "".join(line for line in lines if not (line.startswith("a=candidate:") and LOCAL_NAME.search(line)))


def check_offer(sdp: str) -> None:
    """BadOffer unless there is a place for our sound and our picture."""
    try:
        media = SessionDescription.parse(sdp).media
    except SDP_ERRORS:
        raise BadOffer("the offer is not valid SDP") from None
    for kind in ("audio", "video"):
        if not any(section.kind == kind and section.direction in ("sendrecv", "recvonly") for section in media):
            raise BadOffer(f"the offer has no {kind} section that receives; add a transceiver for it")
