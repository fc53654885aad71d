"""One WebRTC connection of a session: offer in, answer out. It may send a picture, hear a voice, or both.

A caller in a browser does both on one connection; a player only watches and an encoder only speaks.
"""

import asyncio
import logging
import re
import secrets
from collections.abc import Callable, Sequence
from functools import partial

from aiortc import (
    MediaStreamTrack,
    RTCConfiguration,
    RTCDataChannel,
    RTCIceServer,
    RTCPeerConnection,
    RTCRtpTransceiver,
    RTCSessionDescription,
)
from aiortc.exceptions import InternalError, InvalidAccessError, InvalidStateError, OperationError
from aiortc.rtcdtlstransport import RTCCertificate, SRTPProtectionProfile
from aiortc.sdp import SessionDescription, candidate_from_sdp
from OpenSSL import SSL

from server.encoder import MeasuredEncoder, encoder_for
from server.hearing import PromptBuffer
from server.media import Clock, Outlet
from server.microphone import Samples
from server.reports import SteadyReports
from server.voice_encoder import say_at_once

log = logging.getLogger(__name__)

# What aiortc raises for SDP it can't parse or use.
SDP_ERRORS = (
    ValueError, IndexError, KeyError, TypeError, AttributeError, AssertionError,
    InternalError, InvalidAccessError, InvalidStateError, OperationError,
)  # fmt: skip
LOCAL_NAME = re.compile(r"\S+\.local\s")
DIRECTIONS = {
    (True, True): "sendrecv",
    (True, False): "sendonly",
    (False, True): "recvonly",
    (False, False): "inactive",
}
MAX_PORT = (1 << 16) - 1  # one packet to a port beyond breaks asyncio's socket for all others
ENCODER = "_RTCRtpSender__encoder"
CERTIFICATES = "_RTCPeerConnection__certificates"
CIPHERS = (
    b"ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-ECDSA-AES128-SHA:ECDHE-ECDSA-AES256-SHA"
    b":ECDHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-CHACHA20-POLY1305:ECDHE-RSA-AES128-SHA:ECDHE-RSA-AES256-SHA"
)

Hear = Callable[["Peer", int, Samples, float], None]
"""Called with the connection and its microphone's sound: position, float32[n] at 48 kHz, arrival."""


class BadOffer(Exception):
    """The client's SDP can't be used; the message says why."""


class Certificate(RTCCertificate):
    """One that also shakes hands with clients whose own certificate is an RSA one, GStreamer's for instance."""

    def _create_ssl_context(self, srtp_profiles: list[SRTPProtectionProfile]) -> SSL.Context:
        context = super()._create_ssl_context(srtp_profiles)
        context.set_cipher_list(CIPHERS)
        return context


class Peer:
    def __init__(
        self,
        outlet: Outlet | None,
        hear: Hear | None,
        ice_servers: Sequence[RTCIceServer],
        clock: Clock,
        changed: Callable[["Peer", bool], None],
        on_channel: Callable[[RTCDataChannel], None] | None = None,
    ) -> None:
        """Without `outlet` it sends nothing, without `hear` it wants no voice.

        `changed(peer, connected)` is called when media connects and when it is lost; `on_channel` with every data
        channel that the client opens.
        """
        self.id = secrets.token_urlsafe(16)
        self.outlet, self.codec = outlet, ""
        self._hear, self._clock, self._changed = hear, clock, changed
        self._connection = RTCPeerConnection(RTCConfiguration(iceServers=list(ice_servers)))
        assert CERTIFICATES in vars(self._connection), "aiortc has changed inside"
        vars(self._connection)[CERTIFICATES] = [Certificate.generateCertificate()]
        self._listening = False
        self._answering = asyncio.Lock()
        self._connection.on("track", self._on_track)
        self._connection.on("connectionstatechange", self._on_state)
        if on_channel:
            self._connection.on("datachannel", on_channel)

    @property
    def connected(self) -> bool:
        return self._connection.connectionState == "connected"

    async def answer(self, sdp: str) -> str:
        """The answer, with all of the server's candidates in it."""
        check_offer(sdp, voice=self._hear is not None, picture=self.outlet is not None)
        async with self._answering:
            return await self._answer(sdp)

    async def _answer(self, sdp: str) -> str:
        try:
            await self._connection.setRemoteDescription(RTCSessionDescription(without_local_names(sdp), "offer"))
            self._direct()
            await self._connection.setLocalDescription(await self._connection.createAnswer())
        except SDP_ERRORS as error:
            log.debug("offer refused", exc_info=error)
            why = error if isinstance(error, (ValueError, OperationError)) and str(error) else "it contradicts itself"
            raise BadOffer(f"the offer can't be answered: {why}") from None
        return self._connection.localDescription.sdp

    async def add_candidate(self, candidate: str, mid: str | None, index: int | None) -> None:
        """ValueError for a malformed one. TCP candidates and local names are accepted and unused."""
        if not candidate or LOCAL_NAME.search(candidate):
            return  # the end of candidates is no news: more may yet be found from incoming checks
        try:
            parsed = candidate_from_sdp(candidate.removeprefix("candidate:"))
            if parsed.port > MAX_PORT:
                raise ValueError
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
        async with self._answering:  # candidates that are still gathered would open sockets that nobody closes
            await self._connection.close()

    def _direct(self) -> None:
        """The first audio and the first video section carry our tracks and the voice, all others stay unused."""
        free = {"audio", "video"}
        for transceiver in self._connection.getTransceivers():
            sends = self.outlet is not None and transceiver.kind in free
            hears = self._hear is not None and transceiver.kind in free & {"audio"}
            free -= {transceiver.kind}
            transceiver.direction = DIRECTIONS[sends, hears]
            if self.outlet and sends and transceiver.sender.track is None:  # else an offer renews what is there
                self._send(transceiver, self.outlet)

    def _send(self, transceiver: RTCRtpTransceiver, outlet: Outlet) -> None:
        tracks: dict[str, MediaStreamTrack] = {"audio": outlet.sound, "video": outlet.pictures}
        transceiver.sender.replaceTrack(tracks[transceiver.kind])
        fields = vars(transceiver.sender)
        assert ENCODER in fields, "aiortc has changed inside"
        # Set beforehand, so that the sender makes none itself.
        if transceiver.kind == "video":
            fields[ENCODER] = self._picture_encoder(transceiver, outlet)
            fields["_send_keyframe"] = partial(_renew, outlet, transceiver.sender._send_keyframe)
        else:
            say_at_once(transceiver.sender, outlet.sound, transceiver._codecs[0])
        SteadyReports(transceiver.sender, transceiver._codecs[0].mimeType, outlet.began_ntp)

    def _picture_encoder(self, transceiver: RTCRtpTransceiver, outlet: Outlet) -> MeasuredEncoder:
        """H.264 if the client has it."""
        best = sorted(transceiver._codecs, key=lambda codec: codec.mimeType.lower() != "video/h264")[0]
        transceiver._codecs.sort(key=lambda codec: codec.mimeType != best.mimeType)
        self.codec = best.mimeType.partition("/")[2]
        return encoder_for(best.mimeType, outlet.encoded, outlet.hurried)

    def _on_track(self, track: MediaStreamTrack) -> None:
        if track.kind != "audio" or self._listening or self._hear is None:
            return
        receiver = next(r for r in self._connection.getReceivers() if r.track is track)
        PromptBuffer.install(receiver, self._clock, partial(self._hear, self))
        self._listening = True

    def _on_state(self) -> None:
        state = self._connection.connectionState
        if state in ("connected", "failed", "closed"):
            self._changed(self, state == "connected")


def _renew(outlet: Outlet, send_key_frame: Callable[[], None]) -> None:
    outlet.pictures.renew()
    send_key_frame()


def without_local_names(sdp: str) -> str:
    """Browsers hide addresses behind mDNS names. Looking them up takes seconds; their checks tell at once."""
    lines = sdp.splitlines(keepends=True)
    return "".join(line for line in lines if not (line.startswith("a=candidate:") and LOCAL_NAME.search(line)))


def check_offer(sdp: str, *, voice: bool, picture: bool) -> None:
    """BadOffer unless there is a place for what we send, or for the voice if that is all we want.

    A caller gets sound and picture; who only watches may leave one of them out.
    """
    try:
        media = SessionDescription.parse(sdp).media
    except SDP_ERRORS:
        raise BadOffer("the offer is not valid SDP") from None
    if not all(section.dtls and section.dtls.fingerprints for section in media if section.port):
        raise BadOffer("a section of the offer has no a=fingerprint or no a=setup; send the SDP as WebRTC made it")
    if any(candidate.port > MAX_PORT for section in media for candidate in section.ice_candidates):
        raise BadOffer(f"a candidate's port is beyond {MAX_PORT}")
    receives = {section.kind for section in media if section.direction in ("sendrecv", "recvonly")}
    sends = {section.kind for section in media if section.direction in ("sendrecv", "sendonly")}
    if not picture and "audio" not in sends:
        raise BadOffer("the offer has no audio section that sends; add a track with the voice")
    if picture and not voice and not receives & {"audio", "video"}:
        raise BadOffer("the offer has no section that receives; add a transceiver for video and one for audio")
    for kind in ("audio", "video"):
        if picture and voice and kind not in receives:
            raise BadOffer(f"the offer has no {kind} section that receives; add a transceiver for it")
