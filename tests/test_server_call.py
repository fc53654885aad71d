"""A real WebRTC client against the real application over sockets; the engine is a fake that draws what it hears."""

import asyncio
import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aiortc.rtcdtlstransport import RTCCertificate, SRTPProtectionProfile, generate_certificate
from aiortc.rtp import RtcpSrPacket
from cryptography.hazmat.primitives.asymmetric import rsa
from OpenSSL import SSL
from websockets.asyncio.client import ClientConnection, connect

from server.peer import without_local_names
from server.stills import REPEATED
from server.timeline import AUDIO_RATE, FRAME_S
from tests.server_fakes import LOUD, Caller, FakeEngine, FakeStream, StillEngine, Tone
from tests.server_running import running, until


async def say(control: ClientConnection, **message: Any) -> None:
    await control.send(json.dumps(message))


async def hear(control: ClientConnection, type: str, seconds: float = 20) -> dict[str, Any]:
    """The next message of this type."""
    async with asyncio.timeout(seconds):
        while True:
            message: dict[str, Any] = json.loads(await control.recv())
            if message["type"] == type:
                return message


def onsets(times: list[float], levels: list[float], threshold: float) -> list[float]:
    """When a level rises through the threshold."""
    return [
        now for now, before, after in zip(times[1:], levels, levels[1:], strict=False) if before < threshold <= after
    ]


def sound_onsets(caller: Caller) -> list[float]:
    """To the millisecond: where the received sound begins to be loud."""
    begun = caller.sound[0][0]
    samples = np.zeros(round((caller.sound[-1][0] - begun + 1) * AUDIO_RATE), np.float32)
    for time, packet in caller.sound:
        at = round((time - begun) * AUDIO_RATE)
        samples[at : at + len(packet)] = packet
    levels = np.abs(samples[: len(samples) // 48 * 48]).reshape(-1, 48).max(axis=1)
    smooth = np.maximum.reduce([np.roll(levels, shift) for shift in range(3)])
    return onsets([begun + i / 1000 for i in range(len(smooth))], list(smooth), 0.1)


def picture_onsets(caller: Caller, since: float) -> list[tuple[float, float]]:
    """The first and the last moment that each may be of: what frames that were left out would have shown is unknown."""
    pairs = list(zip(caller.pictures, caller.pictures[1:], strict=False))
    known = [(a, b) for a, b in pairs if since < a.time_s and b.time_s - a.time_s < 0.15]
    return [(a.time_s + FRAME_S, b.time_s) for a, b in known if a.loudness < LOUD / 4 <= b.loudness]


async def come_into_step(*callers: Caller, since: float = 0.0, count: int = 4) -> None:
    """Waits for so many onsets in a row of which picture and sound show all but a quarter within 40 ms.

    A crowded machine breaks single ones; what is apart by itself stays so. A frame tells the loudness of its whole
    slot, so it may show an onset up to 40 ms before it is heard.
    """
    for caller in callers:
        for last in range(count, 10 * count):
            await until(partial(has_seen_and_heard, caller, since, last))
            shown, heard = picture_onsets(caller, since)[last - count : last], sound_onsets(caller)
            apart = [min(max(first - time, time - last, 0.0) for time in heard) for first, last in shown]
            if np.mean(np.array(apart) <= 0.040) >= 0.75:
                break
        else:
            raise AssertionError(f"never in step: at last {apart} s apart")


def has_seen_and_heard(caller: Caller, since: float, count: int) -> bool:
    onsets = picture_onsets(caller, since)[:count]
    return len(onsets) == count and caller.sound[-1][0] > onsets[-1][1] + 0.1


def watch_reports(caller: Caller) -> dict[str, list[tuple[int, int, int]]]:
    """The (NTP time, RTP timestamp, clock rate) of every sender report that comes, by kind."""
    assert caller.connection
    reports: dict[str, list[tuple[int, int, int]]] = {}
    for transceiver in caller.connection.getTransceivers():
        seen = reports[transceiver.kind] = []
        receiver, rate = transceiver.receiver, transceiver._codecs[0].clockRate
        vars(receiver)["_handle_rtcp_packet"] = partial(note_report, receiver._handle_rtcp_packet, seen, rate)
    return reports


async def note_report(handle: Any, seen: list[tuple[int, int, int]], rate: int, packet: Any) -> None:
    if isinstance(packet, RtcpSrPacket):
        seen.append((packet.sender_info.ntp_timestamp, packet.sender_info.rtp_timestamp, rate))
    await handle(packet)


def beat(second: float) -> bool:
    return second % 0.8 > 0.6


class RsaCertificate(RTCCertificate):
    """As GStreamer has them."""

    @classmethod
    def generateCertificate(cls) -> "RsaCertificate":
        key: Any = rsa.generate_private_key(65537, 2048)
        return cls(key, generate_certificate(key))

    def _create_ssl_context(self, srtp_profiles: list[SRTPProtectionProfile]) -> SSL.Context:
        context = super()._create_ssl_context(srtp_profiles)
        context.set_cipher_list(b"ECDHE-RSA-AES128-GCM-SHA256")
        return context


async def test_a_client_with_an_rsa_certificate_gets_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aiortc.rtcpeerconnection.RTCCertificate", RsaCertificate)
    async with running(tmp_path) as server, Caller(server.url, Tone(beat)) as caller:
        await caller.call()
        await until(lambda: len(caller.pictures) > 10)


class TestSoundAndPictureMatch:
    @pytest.mark.parametrize("codec", ["H264", "VP8"])
    async def test_every_onset_within_40_ms(self, tmp_path: Path, codec: str) -> None:
        async with running(tmp_path) as server, Caller(server.url, Tone(beat), codec=codec) as caller:
            await caller.call()
            await come_into_step(caller)

    async def test_a_fast_microphone_clock_does_not_part_them(self, tmp_path: Path) -> None:
        async with running(tmp_path) as server, Caller(server.url, Tone(beat, speed=1.004)) as caller:
            await caller.call()
            await come_into_step(caller, since=5.0)

    async def test_reports_of_both_tracks_name_one_beginning(self, tmp_path: Path) -> None:
        async with running(tmp_path) as server, Caller(server.url, Tone(beat)) as caller:
            await caller.call()
            reports = watch_reports(caller)
            await until(lambda: min(map(len, reports.values())) > 2)
            begins = {kind: [ntp / (1 << 32) - rtp / rate for ntp, rtp, rate in seen] for kind, seen in reports.items()}
            for kind in begins:  # each RTP clock has an origin of its own, which no report moves
                assert max(begins[kind]) - min(begins[kind]) < 1e-4

    async def test_a_frame_s_time_is_its_slot(self, tmp_path: Path) -> None:
        async with running(tmp_path) as server, Caller(server.url, Tone(beat)) as caller:
            await caller.call()
            await until(lambda: len(caller.pictures) > 60)
            for before, after in zip(caller.pictures, caller.pictures[1:], strict=False):
                slots = (after.time_s - before.time_s) * 25
                assert slots == pytest.approx(round(slots), abs=1e-3) and slots > after.frame - before.frame - 1e-3


def has_seen(caller: Caller, media_ms: float) -> bool:
    return caller.pictures[-1].time_s * 1000 > media_ms


async def stats_of(caller: Caller) -> dict[str, Any]:
    async with connect(caller.control_url) as control:
        return await hear(control, "stats")


def slots_between(caller: Caller) -> list[int]:
    times = [seen.time_s for seen in caller.pictures]
    return [round((after - before) * 25) for before, after in zip(times, times[1:], strict=False)]


class TestPicturesThatStandStill:
    @pytest.mark.parametrize("codec", ["H264", "VP8"])
    async def test_are_sent_now_and_then_and_counted_like_others(self, tmp_path: Path, codec: str) -> None:
        async with running(tmp_path, StillEngine()) as server, Caller(server.url, codec=codec) as caller:
            await caller.call()
            await until(lambda: len(caller.pictures) > 12)
            told = await stats_of(caller)
            assert min(slots_between(caller)) == REPEATED
            assert 0 < told["still_fps"] < told["fps"] <= 26

    async def test_a_change_is_shown_in_its_own_slot(self, tmp_path: Path) -> None:
        async with running(tmp_path, StillEngine()) as server, Caller(server.url) as caller:
            await caller.call()
            async with connect(caller.control_url) as control:
                for level in (1.0, 0.25, 0.75, 0.0, 0.5):
                    await say(control, type="emotion.set", units={"AU4": level, "AU1": level}, transition_ms=0)
                    applied = await hear(control, "emotion.applied")
                    await until(partial(has_seen, caller, applied["media_ms"] + 80))
                    first = next(seen for seen in caller.pictures if seen.time_s * 1000 > applied["media_ms"] - 1)
                    assert round(first.time_s * 1000) == applied["media_ms"]
                    assert round(first.les * 2) / 2 == 2 * level

    async def test_a_receiver_that_lost_the_picture_gets_it_soon(self, tmp_path: Path) -> None:
        async with running(tmp_path, StillEngine()) as server, Caller(server.url) as caller:
            await caller.call()
            assert caller.connection
            [video] = [way.receiver for way in caller.connection.getTransceivers() if way.kind == "video"]
            async with asyncio.timeout(20):
                while min(slots_between(caller), default=REPEATED) == REPEATED:  # an answer may fall into a third slot
                    for source in video.getSynchronizationSources():
                        await video._send_rtcp_pli(source.source)
                    await asyncio.sleep(0.03)


class TestMicrophones:
    async def test_none_and_the_portrait_lives_on(self, tmp_path: Path) -> None:
        async with running(tmp_path) as server, Caller(server.url, None) as caller:
            await caller.call()
            await until(lambda: len(caller.pictures) > 30 and len(caller.sound) > 30)
            assert max(seen.loudness for seen in caller.pictures) < LOUD / 20
            assert all(np.abs(samples).max() < 0.01 for _, samples in caller.sound)

    async def test_never_sends_a_packet(self, tmp_path: Path) -> None:
        class Mute(Tone):
            async def recv(self) -> Any:
                await asyncio.Event().wait()

        async with running(tmp_path) as server, Caller(server.url, Mute(beat)) as caller:
            await caller.call()
            await until(lambda: len(caller.pictures) > 30)
            assert (await stats_of(caller))["latency_ms"] is None

    @pytest.mark.parametrize(("rate", "layout"), [(8000, "stereo"), (8000, "mono"), (44_100, "stereo")])
    async def test_any_rate_and_layout(self, tmp_path: Path, rate: int, layout: str) -> None:
        async with running(tmp_path) as server:
            async with Caller(server.url, Tone(lambda second: True, rate=rate, layout=layout)) as caller:
                await caller.call()
                await until(lambda: any(seen.loudness > LOUD / 2 for seen in caller.pictures))
                await until(lambda: any(np.abs(samples).max() > 0.25 for _, samples in caller.sound))

    async def test_a_telephone_codec(self, tmp_path: Path) -> None:
        async with running(tmp_path) as server:
            async with Caller(server.url, Tone(lambda second: True), audio_codec="PCMU") as caller:
                await caller.call()
                await until(lambda: any(seen.loudness > LOUD / 2 for seen in caller.pictures))


class TestEmotionOverTheSocket:
    async def test_applied_names_the_first_frame_that_differs(self, tmp_path: Path) -> None:
        async with running(tmp_path) as server, Caller(server.url) as caller:
            await caller.call()
            async with connect(caller.control_url) as control:
                for id, level in enumerate([1.0, 0.25, 0.75, 0.0, 0.5]):
                    await say(control, type="emotion.set", id=id, units={"AU4": level, "AU1": level}, transition_ms=0)
                    applied = await hear(control, "emotion.applied")
                    assert applied["id"] == id and applied["media_ms"] == applied["frame"] * 40
                    await until(partial(has_seen, caller, applied["media_ms"] + 80))
                    shows = [round(seen.les * 2) / 2 == 2 * level for seen in caller.pictures]
                    times = [round(seen.time_s * 1000) for seen in caller.pictures]
                    first = times.index(applied["media_ms"])
                    assert shows[first] and not shows[first - 1]

    async def test_the_starting_emotion_is_in_the_first_frame(self, tmp_path: Path) -> None:
        async with running(tmp_path) as server:
            async with Caller(server.url, fields={"emotion": {"AU4": 1.0, "AU1": 1.0}}) as caller:
                await caller.call()
                assert caller.pictures[0].les == pytest.approx(2, abs=0.2)


class TestSessionsAreIsolated:
    async def test_two_at_once_keep_their_own_voice_emotion_and_face(self, tmp_path: Path) -> None:
        async with running(tmp_path) as server:
            loud = Caller(server.url, Tone(lambda second: True), {"seed": 0x5555, "emotion": {"AU4": 1.0, "AU1": 1.0}})
            quiet = Caller(server.url, Tone(lambda second: False), {"seed": 0x0F0F, "size": 256})
            async with loud, quiet:
                await asyncio.gather(loud.call(), quiet.call())
                await until(lambda: min(len(loud.pictures), len(quiet.pictures)) > 60)
                assert {seen.seed for seen in loud.pictures} == {0x5555}
                assert {seen.seed for seen in quiet.pictures} == {0x0F0F}
                assert all(seen.les == pytest.approx(2, abs=0.2) for seen in loud.pictures)
                assert all(seen.les < 0.2 and seen.loudness < LOUD / 20 for seen in quiet.pictures)
                assert np.median([seen.loudness for seen in loud.pictures]) > LOUD / 2

    async def test_a_failing_stream_ends_its_own_session_alone(self, tmp_path: Path) -> None:
        doomed = asyncio.Event()

        def fault(stream: FakeStream) -> None:
            if stream.seed == 1 and doomed.is_set():
                raise RuntimeError("a scripted fault")

        async with running(tmp_path, FakeEngine(fault=fault)) as server:
            async with Caller(server.url, fields={"seed": 1}) as bad, Caller(server.url, fields={"seed": 2}) as good:
                await asyncio.gather(bad.call(), good.call())
                async with connect(bad.control_url) as control:
                    await hear(control, "state")
                    doomed.set()
                    assert (await hear(control, "error"))["code"] == "failed"
                    assert (await hear(control, "closed"))["reason"] == "failed"
                count = len(good.pictures)
                await until(lambda: len(good.pictures) > count + 30)
                assert len(server.place.sessions) == 1


class TestConnections:
    async def test_a_second_offer_replaces_the_first_connection(self, tmp_path: Path) -> None:
        async with running(tmp_path) as server, Caller(server.url, fields={"emotion": {"AU4": 1.0}}) as caller:
            await caller.call()
            first, before = caller.connection, caller.pictures[-1].frame
            caller.pictures.clear()
            await caller.call()
            await until(lambda: len(caller.pictures) > 20)
            assert caller.pictures[-1].frame > before  # the same stream goes on
            assert caller.pictures[-1].les == pytest.approx(1, abs=0.2)
            assert first is not None
            await until(lambda: first.connectionState == "closed")
            assert len(server.place.sessions) == 1

    async def test_a_client_that_hangs_up_can_come_back(self, tmp_path: Path) -> None:
        async with running(tmp_path) as server, Caller(server.url) as caller:
            await caller.call()
            async with connect(caller.control_url) as control:
                assert (await hear(control, "state"))["status"] == "live"
                await caller.hang_up()
                assert (await hear(control, "state"))["status"] == "lost"
                await caller.call()
                while (await hear(control, "state"))["status"] != "live":
                    pass

    async def test_hidden_addresses_cost_no_time(self) -> None:
        shown = "a=candidate:1 1 udp 1 192.0.2.7 9 typ host\r\n"
        hidden = "a=candidate:2 1 udp 1 f3.local 9 typ host\r\n"
        assert without_local_names(f"v=0\r\n{hidden}{shown}") == f"v=0\r\n{shown}"

    async def test_candidates_may_trickle(self, tmp_path: Path) -> None:
        async with running(tmp_path) as server, Caller(server.url) as caller:
            caller.trickle = True
            await caller.call()
            await until(lambda: len(caller.pictures) > 5)
