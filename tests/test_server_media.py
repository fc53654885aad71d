"""Encoders, packets in, and the engine's thread, each alone."""

import asyncio
import threading
from collections.abc import Callable, Sized
from fractions import Fraction
from functools import partial
from itertools import pairwise
from typing import Any, cast

import av
import cv2
import numpy as np
import pytest
from aiortc.codecs.opus import OpusDecoder, OpusEncoder
from aiortc.codecs.vpx import VpxPayloadDescriptor
from aiortc.jitterbuffer import JitterFrame
from aiortc.rtcrtpparameters import RTCRtpCodecParameters
from aiortc.rtcrtpreceiver import RTCRtpReceiver
from aiortc.rtcrtpsender import RTCEncodedFrame, RTCRtpSender
from aiortc.rtp import RtcpSenderInfo, RtcpSrPacket, RtpPacket

from engine.portrait import Portrait
from server.encoder import (
    MAX_BITRATE,
    MAX_PER_PIXEL,
    MIN_BITRATE,
    MOST_SLOTS,
    FastH264Encoder,
    FastVp8Encoder,
    encoder_for,
)
from server.engine_thread import EngineThread, Step
from server.hearing import JITTER_BUFFER, PromptBuffer, Resampler, VoiceDecoder
from server.line import Packet, Span
from server.media import Frames, Measures, PictureTrack, Shot, SoundTrack, audio_frame, video_frame
from server.reports import LAST_TIMESTAMP, OPUS_DELAY, SCREEN_DELAY, SteadyReports
from server.stats import MOST_FRAMES, Meter
from server.timeline import AUDIO_RATE, PACKET, SLOT, VIDEO_TICKS, video_pts
from server.voice_encoder import VoiceEncoder, say_at_once
from tests.server_fakes import FakeEngine, FakePicture, FakeStream, Samples

IDR = 5


def noisy_frames(count: int) -> list[av.VideoFrame]:
    """A moving picture with too much detail for any of our bitrates."""
    rng = np.random.default_rng(0)
    still = cv2.GaussianBlur(rng.integers(0, 255, (512, 512, 3), np.uint8), (0, 0), 2)
    return [
        video_frame(
            FakePicture(i, np.roll(still, 3 * i, 1) // 2 + rng.integers(0, 60, still.shape, np.uint8)).i420,
            video_pts(i),
        )
        for i in range(count)
    ]


def resized(frame: av.VideoFrame, side: int) -> av.VideoFrame:
    small = frame.reformat(side, side)
    small.pts = frame.pts
    return small


Fast = FastH264Encoder | FastVp8Encoder


def sizes(encoder: Fast, frames: list[av.VideoFrame]) -> list[int]:
    return [sum(map(len, encoder.encode(frame)[0])) for frame in frames]


def is_key(encoder: Fast, frame: av.VideoFrame, force: bool = False) -> bool:
    """Whether the frame becomes a key frame."""
    payloads, _ = encoder.encode(frame, force)
    if isinstance(encoder, FastH264Encoder):
        return any(IDR in nal_types(payload) for payload in payloads)
    return not VpxPayloadDescriptor.parse(payloads[0])[1][0] & 1


def nal_types(payload: bytes) -> set[int]:
    """The kinds of NAL units in a packet, which may hold several or a part of one."""
    kind = payload[0] & 31
    if kind != 24:
        return {payload[1] & 31 if kind == 28 else kind}
    kinds, at = set(), 1
    while at < len(payload):
        kinds.add(payload[at + 2] & 31)
        at += 2 + int.from_bytes(payload[at : at + 2], "big")
    return kinds


@pytest.mark.parametrize("kind", [FastH264Encoder, FastVp8Encoder])
class TestPictures:
    def test_a_new_rate_takes_effect_without_a_key_frame(self, kind: type[Fast]) -> None:
        encoder, frames = kind(), noisy_frames(150)
        encoder.target_bitrate = 1_400_000
        before = sizes(encoder, frames[:75])
        encoder.target_bitrate = 400_000
        assert not any([is_key(encoder, frame) for frame in frames[75:100]])
        after = sizes(encoder, frames[100:])
        assert np.mean(before[25:]) * 8 * 25 == pytest.approx(1_400_000, rel=0.25)
        assert np.mean(after) * 8 * 25 == pytest.approx(400_000, rel=0.25)

    def test_a_picture_may_have_the_bits_of_one_left_out_before_it(self, kind: type[Fast]) -> None:
        encoder = kind()
        encoder.target_bitrate = 400_000
        each = sizes(encoder, noisy_frames(240)[::3])
        assert np.mean(each[55:]) * 8 * 25 == pytest.approx(MOST_SLOTS * 400_000, rel=0.25)

    def test_small_ones_are_worth_less(self, kind: type[Fast]) -> None:
        encoder = kind()
        encoder.target_bitrate = 4_000_000
        small = [resized(frame, 256) for frame in noisy_frames(100)]
        assert np.mean(sizes(encoder, small)[50:]) * 8 * 25 == pytest.approx(MAX_PER_PIXEL * 256**2, rel=0.25)

    def test_a_key_frame_when_asked_for_and_never_else(self, kind: type[Fast]) -> None:
        encoder, frames = kind(), noisy_frames(40)
        keys = [is_key(encoder, frame, force=i == 20) for i, frame in enumerate(frames)]
        assert np.flatnonzero(keys).tolist() == [0, 20]

    def test_every_frame_comes_out_at_once_with_its_time(self, kind: type[Fast]) -> None:
        encoder = kind()
        for i, frame in enumerate(noisy_frames(5)):
            payloads, timestamp = encoder.encode(frame)
            assert payloads and timestamp == i * VIDEO_TICKS

    def test_estimates_beyond_reason_are_bounded(self, kind: type[Fast]) -> None:
        encoder = kind()
        encoder.target_bitrate = 10
        assert encoder.target_bitrate == MIN_BITRATE
        encoder.target_bitrate = 10**9
        assert encoder.target_bitrate == MAX_BITRATE

    def test_another_size_begins_anew(self, kind: type[Fast]) -> None:
        encoder = kind()
        frames = [video_frame(np.zeros((size * 3 // 2, size), np.uint8), 0) for size in (256, 256, 1024, 1024)]
        assert [is_key(encoder, frame) for frame in frames] == [True, False, True, False]

    def test_a_hurried_encoder_begins_anew_with_each_change_only(self, kind: type[Fast]) -> None:
        hurried = False
        encoder, frames, keys = kind(lambda: hurried), noisy_frames(30), []
        for i, frame in enumerate(frames):
            hurried = 10 <= i < 20
            keys.append(is_key(encoder, frame))
        assert np.flatnonzero(keys).tolist() == [0, 10, 20]


class TestFrames:
    async def test_sound_that_is_there_before_the_first_picture_waits_for_it(self) -> None:
        def nothing(*_: Any) -> None: ...

        frames = Frames(lambda: 0.0, Measures(nothing, nothing, nothing, nothing, lambda: False))
        for number in range(6):
            frames.hear(number, Packet(np.full(PACKET, number, np.float32), (Span("hello", 0, 0, PACKET),)))
            if number == 3:
                frames.see(Shot(0, FakePicture(0, np.full((64, 64, 3), 7, np.uint8)), ()))
        frames.stop()
        shown = [each async for each in frames]
        assert [each.media_ms for each in shown] == [0, 40, 80]
        assert np.concatenate([each.sound[::PACKET] for each in shown]).tolist() == [0, 1, 2, 3, 4, 5]
        assert {int(each.picture.mean()) for each in shown} == {7} and [len(each.said) for each in shown] == [2, 2, 2]


class Track:
    """A track, and what it tells of the pictures that it is given."""

    def __init__(self) -> None:
        self.left, self.spared, self.missed = list[int](), 0, 0
        self.track = PictureTrack(lambda: 0, lambda shot: self.left.append(shot.slot), self._spare, self._miss)

    def _spare(self) -> None:
        self.spared += 1

    def _miss(self) -> None:
        self.missed += 1

    async def sent(self, *pictures: tuple[int, FakePicture], fetched: bool = True) -> list[int]:
        """Slots of those that reach the encoder."""
        slots = []
        for slot, picture in pictures:
            self.track.put(Shot(slot, picture, ()))
            if fetched and self.track.waiting:
                slots.append(((await self.track.recv()).pts or 0) // VIDEO_TICKS)
        return slots


class TestPicturesThatStandStill:
    one, other = (FakePicture(0, np.full((16, 16, 3), grey, np.uint8)) for grey in (50, 90))

    async def test_are_sent_every_third_slot_and_leave_in_all(self) -> None:
        track = Track()
        assert await track.sent(*((slot, self.one) for slot in range(8))) == [0, 3, 6]
        assert track.left == [*range(8)] and (track.spared, track.missed) == (5, 0)

    async def test_one_that_differs_is_sent_at_once(self) -> None:
        track = Track()
        assert await track.sent((0, self.one), (1, self.one), (2, self.other), (3, self.one)) == [0, 2, 3]

    async def test_one_that_is_equal_but_drawn_anew_is_sent(self) -> None:
        again = FakePicture(1, self.one.rgb)
        assert await Track().sent((0, self.one), (1, again)) == [0, 1]

    async def test_one_that_nobody_fetched_is_missed_and_not_spared(self) -> None:
        track = Track()
        await track.sent((0, self.one))
        await track.sent((1, self.other), (2, self.other), fetched=False)
        assert (track.left, track.spared, track.missed) == ([0], 0, 1)
        assert (await track.track.recv()).pts == 2 * VIDEO_TICKS

    async def test_a_receiver_that_lost_it_gets_the_next(self) -> None:
        track = Track()
        await track.sent((0, self.one), (1, self.one))
        track.track.renew()
        assert await track.sent((2, self.one), (3, self.one)) == [2]

    def test_spared_ones_count_as_shown_and_as_late_as_they_are(self) -> None:
        meter = Meter(0.0)
        for lateness in (0.0, 0.0, 0.0, 0.02):
            meter.expected()
            meter.left(lateness, 0.0, ())
            meter.spared()
        told = meter.summary(1.0)
        assert (told["fps"], told["still_fps"], told["late_share"]) == (4, 4, 0.25)


class TestMeter:
    def test_holds_no_more_for_a_call_that_nobody_asks_about(self) -> None:
        meter = Meter(0.0)
        for _ in range(3 * MOST_FRAMES):
            meter.rendered(0.01)
            meter.encoded(0.001, 100)
            meter.left(0.0, 0.002, [0.1])
        assert max(len(held) for held in vars(meter).values() if isinstance(held, Sized)) == MOST_FRAMES
        told = meter.summary(30.0)
        assert (told["fps"], told["render_ms"], told["av_offset_ms"]) == (25, 10, 2)

    def test_the_latency_is_of_the_last_ten_seconds(self) -> None:
        meter = Meter(0.0)
        meter.left(0.0, 0.0, [0.1, 0.2])
        for _ in range(MOST_FRAMES - 1):
            meter.left(0.0, 0.0, ())
        assert meter.summary(10.0)["latency_p95_ms"] == 100
        meter.left(0.0, 0.0, ())
        assert meter.summary(10.04)["latency_ms"] is None  # the microphone is gone


class FakeSender:
    """What `SteadyReports` changes of aiortc's sender; it makes one frame after another with these timestamps."""

    kind = "video"

    def __init__(self, timestamps: list[int], origin: int) -> None:
        self._timestamps, self._origin = iter(timestamps), origin
        self.sent: list[RtcpSrPacket] = []
        vars(self)[LAST_TIMESTAMP] = 0

    async def _next_encoded_frame(self, codec: None) -> RTCEncodedFrame:
        return RTCEncodedFrame([], next(self._timestamps), 0)

    async def _send_rtcp(self, packets: list[RtcpSrPacket]) -> None:
        self.sent += packets

    async def frame(self) -> None:
        made = await self._next_encoded_frame(None)
        vars(self)[LAST_TIMESTAMP] = (self._origin + made.timestamp) % (1 << 32)

    async def report(self) -> int:
        """The NTP time in it."""
        info = RtcpSenderInfo(0, vars(self)[LAST_TIMESTAMP], 0, 0)
        await self._send_rtcp([RtcpSrPacket(1, info)])
        return self.sent[-1].sender_info.ntp_timestamp


class TestReports:
    @pytest.mark.parametrize("begins", [0, 5, (1 << 32) - 1])
    async def test_go_on_when_timestamps_begin_anew(self, begins: int) -> None:
        """Those of pictures do after 13 hours."""
        hours = [hour * 3600 * 90_000 for hour in range(30)]
        sender = FakeSender(hours, begins)
        SteadyReports(sender, "video/H264", lambda: 1 << 32)  # type: ignore[arg-type]
        await sender.frame()
        for hour in range(1, 30):
            await sender.frame()
            assert await sender.report() / (1 << 32) == pytest.approx(1 + hour * 3600 - SCREEN_DELAY / 90_000)


class TestMeasuring:
    def test_every_frame_is_reported(self) -> None:
        reports: list[tuple[float, int]] = []
        encoder = encoder_for("video/VP8", lambda seconds, size: reports.append((seconds, size)))
        payloads, _ = encoder.encode(noisy_frames(1)[0])
        [(seconds, size)] = reports
        assert seconds > 0 and size == sum(map(len, payloads))


class TestSound:
    @pytest.mark.parametrize(("made", "channels"), [(OpusEncoder, 2), (VoiceEncoder, 1)])
    @pytest.mark.parametrize("heard_by", [OpusDecoder, VoiceDecoder])
    def test_the_voice_keeps_its_level_and_time_through_the_codec(
        self, made: type[OpusEncoder], channels: int, heard_by: type[OpusDecoder]
    ) -> None:
        encoder, decoder = made(), heard_by()
        wave = 0.4 * np.sin(2 * np.pi * 300 * np.arange(PACKET * 50) / AUDIO_RATE).astype(np.float32)
        heard = []
        for i, samples in enumerate(wave.reshape(-1, PACKET)):
            payloads, timestamp = encoder.encode(audio_frame(samples, i * PACKET, channels))
            assert timestamp == i * PACKET
            for payload in payloads:
                frames = decoder.decode(JitterFrame(payload, timestamp))
                heard += [samples for frame in frames for _, samples in Resampler()(cast(av.AudioFrame, frame))]
        sound = np.concatenate(heard)[OPUS_DELAY:]
        assert np.std(sound[PACKET * 10 :]) == pytest.approx(np.std(wave), rel=0.05)
        assert np.corrcoef(sound[PACKET * 10 :], wave[PACKET * 10 : len(sound)])[0, 1] > 0.9

    def test_of_two_channels_the_mean_is_heard(self) -> None:
        encoder, decoder, heard = OpusEncoder(), VoiceDecoder(), list[np.ndarray]()
        wave = (8000 * np.sin(2 * np.pi * 300 * np.arange(PACKET * 50) / AUDIO_RATE)).astype(np.int16)
        for i, left in enumerate(wave.reshape(-1, PACKET)):
            both = np.stack([left, np.zeros_like(left)], axis=1).reshape(1, -1)
            frame = av.AudioFrame.from_ndarray(both, format="s16", layout="stereo")
            frame.sample_rate, frame.pts = AUDIO_RATE, i * PACKET
            payloads, timestamp = encoder.encode(frame)
            for payload in payloads:
                [decoded] = decoder.decode(JitterFrame(payload, timestamp))
                assert isinstance(decoded, av.AudioFrame) and decoded.layout.name == "mono"
                heard += [samples for _, samples in Resampler()(decoded)]
        assert np.std(np.concatenate(heard)[PACKET * 10 :]) == pytest.approx(np.std(wave) / 2 / 32768, rel=0.1)

    @pytest.mark.parametrize("codec", ["audio/opus", "audio/PCMU"])
    async def test_a_sender_encodes_it_at_once_and_tells_how_loud_it_is(self, codec: str) -> None:
        track, sender = SoundTrack(lambda: 0), RTCRtpSender("audio", cast(Any, Transport()))
        say_at_once(sender, track, RTCRtpCodecParameters(codec, 48_000, payloadType=96))
        for i in range(4):
            track.put(i, np.full(PACKET, 1.0, np.float32))
        sent = [frame for _ in range(4) if (frame := next_sent(sender))]  # a resampler holds its first sound back
        assert len(sent) >= 3 and all(frame.audio_level == 0 and frame.payloads for frame in sent)
        assert len({after.timestamp - before.timestamp for before, after in pairwise(sent)}) == 1
        sender._enabled = False
        track.put(4, np.zeros(PACKET, np.float32))
        assert next_sent(sender) is None


class Transport:
    state = "new"


def next_sent(sender: RTCRtpSender) -> Any:
    """What needs no turn of the event loop."""
    with pytest.raises(StopIteration) as done:
        sender._next_encoded_frame(cast(Any, None)).send(None)
    return done.value.value


OPUS, MULAW = 96, 0
CODECS = {
    OPUS: RTCRtpCodecParameters("audio/opus", 48_000, channels=2, payloadType=OPUS),
    MULAW: RTCRtpCodecParameters("audio/PCMU", 8000, channels=1, payloadType=MULAW),
}
SOUND = VoiceEncoder().encode(audio_frame(np.full(PACKET, 0.1, np.float32), 0, 1))[0][0]


def packet(sequence: int, timestamp: int, kind: int = OPUS, data: bytes = SOUND) -> RtpPacket:
    made = RtpPacket(payload_type=kind, sequence_number=sequence % 65536, timestamp=timestamp)
    made.payload = made._data = data  # type: ignore[attr-defined]
    return made


def passed(*sequences: int) -> list[int]:
    """Of which of the packets with these numbers the sound goes on."""
    heard: list[int] = []
    buffer = PromptBuffer(CODECS, lambda: 0.0, lambda position, _, arrival: heard.append(position))
    passed = []
    for number in sequences:
        buffer.add(packet(number, number * 960))
        passed += [number] * len(heard)
        heard.clear()
    return passed


class TestPackets:
    def test_go_on_at_once(self) -> None:
        assert passed(7, 8, 9) == [7, 8, 9]

    def test_a_lost_one_stops_nothing(self) -> None:
        assert passed(7, 9, 10) == [7, 9, 10]

    def test_late_and_repeated_ones_are_dropped(self) -> None:
        assert passed(7, 9, 8, 9, 10) == [7, 9, 10]

    def test_the_number_wraps(self) -> None:
        assert passed(65534, 65535, 65536, 65537) == [65534, 65535, 65536, 65537]

    def test_a_sender_that_starts_over_is_heard(self) -> None:
        assert passed(5000, 5001, 20, 21) == [5000, 5001, 20, 21]

    def test_carry_their_arrival_and_their_place_across_the_end_of_timestamps(self) -> None:
        times, heard = iter([1.0, 2.0, 3.0]), list[tuple[int, int, float]]()
        buffer = PromptBuffer(
            CODECS, lambda: next(times), lambda position, sound, arrival: heard.append((position, len(sound), arrival))
        )
        for i in range(3):
            assert buffer.add(packet(i, ((1 << 32) - 960 + 960 * i) % (1 << 32))) == (False, None)
        assert heard == [(0, 960, 1.0), (960, 960, 2.0), (1920, 960, 3.0)]

    @pytest.mark.parametrize("data", [b"", b"\xff" * 9])
    def test_one_that_is_no_sound_stops_nothing(self, data: bytes) -> None:
        heard: list[int] = []
        buffer = PromptBuffer(CODECS, lambda: 0.0, lambda position, _, arrival: heard.append(position))
        for i, sent in enumerate((SOUND, data, SOUND)):
            buffer.add(packet(i, i * 960, data=sent))
        assert heard[0] == 0 and heard[-1] == 1920

    def test_the_codec_may_change(self) -> None:
        heard: list[Samples] = []
        buffer = PromptBuffer(CODECS, lambda: 0.0, lambda position, sound, arrival: heard.append(sound))
        buffer.add(packet(0, 0))
        for i in range(1, 4):
            buffer.add(packet(i, 160 * i, MULAW, b"\x80" * 160))  # the loudest
        assert np.abs(heard[0]).max() < 0.2 and heard[-1].min() > 0.9

    async def test_takes_the_place_of_aiortcs_own(self) -> None:
        receiver = RTCRtpReceiver("audio", cast(Any, Transport()))
        buffer = PromptBuffer.install(receiver, lambda: 0.0, lambda position, sound, arrival: None)
        assert vars(receiver)[JITTER_BUFFER] is buffer


KINDS = [(48_000, "stereo"), (8000, "mono"), (8000, "stereo"), (44_100, "mono")]


class TestResampler:
    @pytest.mark.parametrize(("rate", "layout"), [*KINDS, (48_000, "mono")])
    def test_positions_follow_each_other(self, rate: int, layout: str) -> None:
        resample, next_position, total = Resampler(), None, 0
        for i in range(100):
            shape = (1, rate // 50 * (2 if layout == "stereo" else 1))
            frame = av.AudioFrame.from_ndarray(np.full(shape, 8192, np.int16), format="s16", layout=layout)
            frame.sample_rate, frame.pts, frame.time_base = rate, i * rate // 50, Fraction(1, rate)
            for position, samples in resample(frame):
                assert next_position is None or abs(position - next_position) <= 1
                next_position, total = position + len(samples), total + len(samples)
                assert i == 0 or np.allclose(samples, 0.25, atol=0.01)
        assert abs(total - 96_000) < 200

    def test_the_kind_may_change(self) -> None:
        resample = Resampler()
        for rate, layout in ((48_000, "stereo"), (8000, "mono"), (48_000, "mono")):
            samples = np.zeros((1, rate // 50 * (2 if layout == "stereo" else 1)), np.int16)
            frame = av.AudioFrame.from_ndarray(samples, format="s16", layout=layout)
            frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
            list(resample(frame))


class Batches(FakeEngine):
    """Notes which streams each step had; waits for `go` first."""

    def __init__(self, fault: Callable[[FakeStream], None] | None = None) -> None:
        super().__init__(fault=fault)
        self.go, self.batches = threading.Event(), list[list[int]]()

    def step(self, work: Any) -> list[FakePicture]:
        self.go.wait()
        self.batches.append([stream.seed for stream, _ in work])
        return super().step(work)


SILENCE: Samples = np.zeros((1, SLOT // 3), np.float32)


class TestEngineThread:
    async def opened(self, engine: Batches, count: int) -> tuple[EngineThread, list[FakeStream]]:
        thread = EngineThread(lambda: engine)
        return thread, [engine.open(cast(Portrait, None), seed=seed) for seed in range(count)]

    async def test_what_waits_together_is_one_batch_with_each_streams_newest(self) -> None:
        engine = Batches()
        thread, [a, b] = await self.opened(engine, 2)
        done: list[int] = []
        for stream in (a, a, b, a):
            thread.submit(Step(stream, SILENCE, lambda picture, _: done.append(picture.frame), _raise))
        engine.go.set()
        await thread.close()
        await asyncio.sleep(0)
        assert engine.batches == [[0, 1]]
        assert done == [2, 0]

    async def test_one_failing_stream_fails_alone(self) -> None:
        def fault(stream: FakeStream) -> None:
            if stream.seed == 1:
                raise ValueError("a scripted fault")

        engine = Batches(fault)
        engine.go.set()
        thread, streams = await self.opened(engine, 3)
        done, failed = list[int](), list[int]()
        for stream in streams:
            thread.submit(Step(stream, SILENCE, partial(_note, done, stream), partial(_note, failed, stream)))
        await thread.close()
        await asyncio.sleep(0)
        assert sorted(done) == [0, 2] and failed == [1]

    async def test_an_engine_that_does_not_load_says_so(self) -> None:
        def broken() -> FakeEngine:
            raise RuntimeError("no such graph")

        thread = EngineThread(broken)
        with pytest.raises(RuntimeError, match="no such graph"):
            await thread.ready
        await thread.close()


def _note(where: list[int], stream: FakeStream, *_: object) -> None:
    where.append(stream.seed)


def _raise(error: BaseException) -> None:
    raise error
