"""`/api/offer` and RTVI: the translation alone, then a real peer connection with a data channel."""

import asyncio
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiortc import RTCDataChannel, RTCSessionDescription

from server.bridges.rtvi import MAX_ASKED, PEER_LEFT, Leave, Obey, Rtvi, Say, said
from tests.server_fakes import LOUD, Caller, Tone
from tests.server_running import running, until

AT = "2026-01-31T12:00:00+00:00"
VOICE = {"source": "microphone", "size": 256}
READY = json.dumps(said("client-ready", {"version": "2.1.0", "about": {"library": "x"}}, "a1"))


def obeyed(rtvi: Rtvi, t: str, d: Any, id: str = "m1") -> dict[str, Any]:
    [action] = rtvi.received(json.dumps(said("client-message", {"t": t, "d": d}, id)))
    assert isinstance(action, Obey)
    command: dict[str, Any] = json.loads(action.text)
    return command


class TestRtvi:
    def test_a_bot_is_ready_when_asked_and_silent_before(self) -> None:
        rtvi = Rtvi()
        assert rtvi.told({"type": "speech", "active": True}, AT) == []
        [action] = rtvi.received(READY)
        assert isinstance(action, Say) and action.message["type"] == "bot-ready" and action.message["id"] == "a1"
        assert action.message["data"]["version"].startswith("2.")

    def test_who_comes_late_learns_that_the_bot_speaks(self) -> None:
        rtvi = Rtvi()
        rtvi.told({"type": "speech.started"}, AT)
        ready, speaking = rtvi.received(READY)
        assert isinstance(speaking, Say) and speaking.message["type"] == "bot-started-speaking"

    def test_commands_that_are_never_answered_are_forgotten_in_time(self) -> None:
        rtvi = Rtvi(_ready=True)
        obeyed(rtvi, "ping", {}, "first")
        for id in range(MAX_ASKED):
            obeyed(rtvi, "speech.interrupt", {}, str(id))
        obeyed(rtvi, "ping", {}, "last")
        answers = [rtvi.told({"type": "pong", "id": id}, AT)[0]["type"] for id in ("first", "last")]
        assert answers == ["server-message", "server-response"]

    def test_a_command_s_answer_comes_back_to_its_message(self) -> None:
        rtvi = Rtvi(_ready=True)
        assert obeyed(rtvi, "emotion", {"happiness": 0.6, "AU4": 0.2, "transition_ms": 0}) == {
            "type": "emotion.set", "emotion": {"happiness": 0.6}, "units": {"AU4": 0.2}, "transition_ms": 0, "id": "m1",
        }  # fmt: skip
        applied = {"type": "emotion.applied", "id": "m1", "media_ms": 80, "frame": 2}
        assert rtvi.told(applied, AT) == [said("server-response", {"t": "emotion", "d": applied}, "m1")]
        assert obeyed(rtvi, "motion.set", {"head": 0}, "m2") == {"type": "motion.set", "head": 0, "id": "m2"}
        refused = {"type": "error", "code": "invalid", "message": "no", "id": "m2"}
        assert rtvi.told(refused, AT) == [said("error-response", {"error": "invalid: no"}, "m2")]

    @pytest.mark.parametrize(
        ("message", "types"),
        [
            ({"type": "speech", "active": True}, ["user-started-speaking"]),
            ({"type": "speech", "active": False}, ["user-stopped-speaking"]),
            ({"type": "speech.started"}, ["bot-started-speaking"]),
            ({"type": "speech.ended"}, ["bot-stopped-speaking"]),
            ({"type": "speech.interrupted"}, ["bot-interrupted", "bot-stopped-speaking"]),
            ({"type": "error", "code": "failed", "message": ""}, ["error"]),
            ({"type": "caption", "speaker": "user", "text": "hi", "final": True}, ["user-transcription"]),
            ({"type": "caption", "speaker": "assistant", "text": "hi", "final": True}, ["bot-output"]),
            ({"type": "stats"}, ["server-message"]),
            ({"type": "closed", "reason": "deleted"}, [PEER_LEFT["type"]]),
        ],
    )
    def test_what_happens_in_their_words(self, message: dict[str, Any], types: list[str]) -> None:
        assert [told["type"] for told in Rtvi(_ready=True).told(message, AT)] == types

    def test_text_is_refused_and_a_goodbye_obeyed(self) -> None:
        rtvi = Rtvi(_ready=True)
        [refusal] = rtvi.received(json.dumps(said("send-text", {"content": "hi"}, "t")))
        assert isinstance(refusal, Say) and refusal.message["type"] == "error"
        assert rtvi.received(json.dumps(said("disconnect-bot", None, "d"))) == [Leave()]

    @pytest.mark.parametrize("text", ["ping: 1", "{", "[]", '{"type":"signalling"}', "[" * 9999, '{"label":"rtvi-ai"}'])
    def test_other_tongues_are_no_concern(self, text: str) -> None:
        assert Rtvi().received(text) == []


@dataclass
class PipecatCaller(Caller):
    """Offers as Pipecat's browser transport does: audio, video, a second video, a data channel `chat`."""

    heard: list[dict[str, Any]] = field(default_factory=list)
    pc_id: str = ""

    async def __aenter__(self) -> "PipecatCaller":
        await super().__aenter__()
        return self

    async def join(self, **more: Any) -> httpx.Response:
        self.channel: RTCDataChannel | None = None
        offer = await self.offer()
        response = await self.http.post("/api/offer", json=offer | {"requestData": self.fields} | more)
        if response.status_code == 200:
            self.pc_id = response.json()["pc_id"]
            assert self.connection
            answer = RTCSessionDescription(response.json()["sdp"], response.json()["type"])
            await self.connection.setRemoteDescription(answer)
            await asyncio.wait_for(self.first_picture.wait(), 60)
            await until(lambda: self.channel is not None and self.channel.readyState == "open")
        return response

    def prepare(self) -> None:
        assert self.connection
        self.connection.addTransceiver("video", direction="sendonly")
        self.channel = self.connection.createDataChannel("chat")
        self.channel.on("message", lambda text: self.heard.append(json.loads(text)))

    async def say(self, type: str, data: Any, id: str) -> dict[str, Any]:
        """Sends it, and waits for the answer with its id."""
        assert self.channel
        self.channel.send(json.dumps(said(type, data, id)))
        await until(lambda: any(message.get("id") == id for message in self.heard))
        return next(message for message in self.heard if message.get("id") == id)


class TestAClientOfPipecats:
    async def test_voice_picture_and_emotion(self, tmp_path: Path) -> None:
        async with running(tmp_path) as server:
            caller = PipecatCaller(server.url, Tone(lambda second: second % 2 > 1), VOICE | {"seed": 7})
            async with caller:
                await caller.join()
                ready = await caller.say("client-ready", {"version": "2.1.0", "about": {}}, "r")
                assert ready["type"] == "bot-ready"
                await until(lambda: caller.pictures[-1].loudness > LOUD / 2)
                await until(lambda: any(message["type"] == "user-started-speaking" for message in caller.heard))
                response = await caller.say(
                    "client-message", {"t": "emotion", "d": {"AU4": 1, "transition_ms": 0}}, "e"
                )
                assert response["type"] == "server-response" and response["data"]["d"]["type"] == "emotion.applied"
                await until(lambda: caller.pictures[-1].les == pytest.approx(1, abs=0.2))
                assert {seen.seed for seen in caller.pictures} == {7}
                wrong = await caller.say("client-message", {"t": "emotion", "d": {"AU99": 1}}, "w")
                assert wrong["type"] == "error-response"
                assert caller.channel
                caller.channel.send(json.dumps(said("disconnect-bot", None, "bye")))
                await until(lambda: len(server.place.sessions) == 0)

    async def test_a_new_connection_keeps_the_session(self, tmp_path: Path) -> None:
        async with running(tmp_path) as server, PipecatCaller(server.url, None, VOICE) as caller:
            await caller.join()
            before, old, pc_id = caller.pictures[-1].frame, caller.connection, caller.pc_id
            await caller.join(pc_id=pc_id, restart_pc=True)  # as Pipecat's transport does: the new one first
            assert old
            await old.close()
            caller.pictures.clear()
            await until(lambda: any(seen.frame > before for seen in caller.pictures))
            assert caller.pc_id == pc_id and len(server.place.sessions) == 1

    async def test_who_says_goodbye_leaves_no_session(self, tmp_path: Path) -> None:
        async with running(tmp_path) as server, PipecatCaller(server.url, None, VOICE) as caller:
            await caller.join()
            assert caller.channel
            caller.channel.close()
            await asyncio.sleep(0.1)
            await caller.hang_up()
            await until(lambda: len(server.place.sessions) == 0, seconds=8)

    async def test_a_further_offer_on_the_same_connection(self, tmp_path: Path) -> None:
        async with running(tmp_path) as server, PipecatCaller(server.url, None, VOICE) as caller:
            await caller.join()
            assert caller.connection
            await caller.connection.setLocalDescription(await caller.connection.createOffer())
            body = {"sdp": caller.connection.localDescription.sdp, "type": "offer", "pc_id": caller.pc_id}
            answer = (await caller.http.post("/api/offer", json=body)).json()
            await caller.connection.setRemoteDescription(RTCSessionDescription(answer["sdp"], "answer"))
            count = len(caller.pictures)
            await until(lambda: len(caller.pictures) > count + 20)

    async def test_candidates_may_trickle(self, tmp_path: Path) -> None:
        async with running(tmp_path) as server, PipecatCaller(server.url, None, VOICE) as caller:
            await caller.join()
            candidate = {"candidate": "candidate:1 1 udp 1 192.0.2.7 9 typ host", "sdp_mid": "0", "sdp_mline_index": 0}
            body: dict[str, Any]
            for candidates, status in ([candidate], 200), ([candidate | {"candidate": ""}], 200), ([{}], 422):
                body = {"pc_id": caller.pc_id, "candidates": candidates}
                assert (await caller.http.patch("/api/offer", json=body)).status_code == status
            body = {"pc_id": "nobody", "candidates": [candidate]}
            assert (await caller.http.patch("/api/offer", json=body)).status_code == 404
            body = {"pc_id": caller.pc_id + "x", "candidates": [candidate]}
            assert (await caller.http.patch("/api/offer", json=body)).status_code == 401

    async def test_refusals_leave_no_session(self, tmp_path: Path) -> None:
        async with running(tmp_path) as server, PipecatCaller(server.url) as caller:
            refused: list[tuple[dict[str, Any], int]] = [
                ({"sdp": "hello", "type": "offer"}, 422),
                ({"sdp": "", "type": "offer"}, 422),
                ({"type": "offer"}, 422),
                ({"sdp": "v=0", "type": "offer", "requestData": {"portrait": "nobody"}}, 404),
                ({"sdp": "v=0", "type": "offer", "request_data": {"colour": 1}}, 422),
            ]
            for body, status in refused:
                assert (await caller.http.post("/api/offer", json=body)).status_code == status
            assert len(server.place.sessions) == 0
