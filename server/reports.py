"""Sender reports by which a receiver can bring lips and sound together.

A report pairs an RTP timestamp with the wall clock. aiortc pairs the last packet with the moment it happened to leave,
for sound and pictures each with its own lateness, and with a step whenever our hold changes. Here both pair media time
with one clock that began with the media: the two tracks' pairs agree exactly, whatever the sending did. Only what comes
after the receiver's own reckoning is told in advance: pictures are reported older by the time that a screen takes.
"""

from collections.abc import Callable
from typing import Any

from aiortc.rtcrtpsender import RTCEncodedFrame, RTCRtpSender
from aiortc.rtp import AnyRtcpPacket, RtcpSrPacket

from server.timeline import AUDIO_RATE, VIDEO_CLOCK

WRAP = 1 << 32
NTP_SECOND = 1 << 32
LAST_TIMESTAMP = "_RTCRtpSender__rtp_timestamp"
OPUS_DELAY = 312  # samples at 48 kHz by which the Opus encoder's output lags behind what it is given
SCREEN_DELAY = 25 * VIDEO_CLOCK // 1000  # to show a picture; browsers leave it out when they match it to its sound


class SteadyReports:
    """Replaces the two steps of one sender that matter: making a frame, and sending a report."""

    def __init__(self, sender: RTCRtpSender, mime_type: str, began: Callable[[], int]) -> None:
        """`began()` is the NTP time at which media time 0 left. Before the sender starts."""
        self._fields = vars(sender)
        assert LAST_TIMESTAMP in self._fields, "aiortc has changed inside"
        self._rate = _clock_rate(sender.kind, mime_type)
        self._delay = _delay(sender.kind, mime_type)
        self._began = began
        self._next_frame, self._send = sender._next_encoded_frame, sender._send_rtcp
        self._last: int | None = None  # timestamp of the frame before, as the encoder counts
        self._origin: int | None = None  # the sender's random start of RTP timestamps
        self._fields["_next_encoded_frame"] = self._next_encoded_frame
        self._fields["_send_rtcp"] = self._send_rtcp

    async def _next_encoded_frame(self, codec: Any) -> RTCEncodedFrame | None:
        if self._last is not None:  # all packets of the frame before have left by now
            self._origin = (self._fields[LAST_TIMESTAMP] - self._last) % WRAP
        frame = await self._next_frame(codec)
        if frame is not None:
            self._last = frame.timestamp
        return frame

    async def _send_rtcp(self, packets: list[AnyRtcpPacket]) -> None:
        for packet in packets:
            if isinstance(packet, RtcpSrPacket) and self._origin is not None and self._last is not None:
                packet.sender_info.ntp_timestamp = self._ntp(packet.sender_info.rtp_timestamp, self._origin, self._last)
        await self._send(packets)

    def _ntp(self, timestamp: int, origin: int, last: int) -> int:
        """Timestamps begin anew after 13 hours of pictures; the encoder's count, at `last` now, does not."""
        media = last + (timestamp - origin - last + WRAP // 2) % WRAP - WRAP // 2 - self._delay
        return (self._began() + media * NTP_SECOND // self._rate) % (1 << 64)


def _clock_rate(kind: str, mime_type: str) -> int:
    if kind == "video":
        return VIDEO_CLOCK
    return AUDIO_RATE if mime_type.lower() == "audio/opus" else 8000


def _delay(kind: str, mime_type: str) -> int:
    """Clock ticks by which a track's content is older than its timestamps say."""
    if kind == "video":
        return SCREEN_DELAY
    return OPUS_DELAY if mime_type.lower() == "audio/opus" else 0
