"""WHEP and WHIP by their specifications: real peer connections over plain HTTP, the engine a fake that draws sound."""

import asyncio
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from aiortc import RTCPeerConnection, RTCSessionDescription
from websockets.asyncio.client import connect

from server.bridges.sdpfrag import parse_candidates
from server.settings import IceSettings
from tests.server_fakes import LOUD, Caller, FakeEngine, Tone
from tests.server_running import Running, running, until
from tests.test_server_call import come_into_step, hear, say

SDP = {"Content-Type": "application/sdp"}
FRAGMENT = {"Content-Type": "application/trickle-ice-sdpfrag"}


@dataclass
class Player(Caller):
    """A WHEP client: `Caller` reads what comes, over a connection made by one POST."""

    headers: dict[str, str] = field(default_factory=dict)

    async def __aenter__(self) -> "Player":
        await super().__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.hang_up()
        await self.http.aclose()

    async def watch(self, path: str) -> httpx.Response:
        await self.hang_up()
        response = await self.http.post(path, content=(await self.offer())["sdp"], headers=SDP | self.headers)
        if response.status_code == 201:
            assert self.connection
            await self.connection.setRemoteDescription(RTCSessionDescription(response.text, "answer"))
            await asyncio.wait_for(self.first_picture.wait(), 60)
        return response


@asynccontextmanager
async def speaking(server: Running, path: str, voice: Tone, **headers: str) -> AsyncIterator[httpx.Response]:
    """A WHIP client, until it hangs up without a word."""
    connection = RTCPeerConnection()
    try:
        connection.addTransceiver(voice, "sendonly")
        await connection.setLocalDescription(await connection.createOffer())
        async with httpx.AsyncClient(base_url=server.url) as http:
            response = await http.post(path, content=connection.localDescription.sdp, headers=SDP | headers)
        if response.status_code == 201:
            await connection.setRemoteDescription(RTCSessionDescription(response.text, "answer"))
            await until(lambda: connection.connectionState == "connected")
        yield response
    finally:
        await connection.close()


def talking() -> Tone:
    return Tone(lambda second: True)


def beating() -> Tone:
    return Tone(lambda second: second % 0.8 > 0.6)


class TestWatching:
    async def test_one_post_opens_a_session_and_shows_it(self, tmp_path: Path) -> None:
        async with running(tmp_path) as server, Player(server.url) as player:
            response = await player.watch("/whep/anna?seed=85&size=256")
            assert response.headers["content-type"] == "application/sdp" and "a=candidate" in response.text
            await until(lambda: len(player.pictures) > 20 and len(player.sound) > 20)
            assert {seen.seed for seen in player.pictures} == {85}
            deleted = await player.http.delete(response.headers["location"])
            assert deleted.status_code == 200 and len(server.place.sessions) == 0
            assert (await player.http.delete(response.headers["location"])).status_code == 404

    async def test_several_see_and_hear_one_session_in_step(self, tmp_path: Path) -> None:
        async with running(tmp_path) as server, Caller(server.url, beating(), {"size": 256}) as caller:
            await caller.call()
            streams = len(server.engine.streams)
            path = f"/v1/sessions/{caller.session['id']}/whep"
            async with Player(server.url, headers=caller.auth) as one, Player(server.url, headers=caller.auth) as two:
                await one.watch(path)
                await until(lambda: len(one.pictures) > 10)
                await two.watch(path)
                await come_into_step(caller, one, two)
                assert {seen.frame for seen in one.pictures} & {seen.frame for seen in two.pictures}
                assert len(server.engine.streams) == streams  # watching costs no engine

    async def test_the_call_goes_on_when_the_caller_leaves(self, tmp_path: Path) -> None:
        async with running(tmp_path) as server, Caller(server.url) as caller:
            await caller.call()
            async with Player(server.url, headers=caller.auth) as player:
                await player.watch(f"/v1/sessions/{caller.session['id']}/whep")
                await caller.hang_up()
                live = server.place.sessions.get(caller.session["id"])
                assert live
                await until(lambda: len(live._peers) == 1)
                frame = player.pictures[-1].frame
                await until(lambda: player.pictures[-1].frame > frame + 20)

    async def test_one_that_never_connects_holds_nobody_up(self, tmp_path: Path) -> None:
        async with running(tmp_path) as server, Caller(server.url) as caller, Player(server.url) as player:
            await caller.create()
            sdp, path = (await player.offer())["sdp"], f"/v1/sessions/{caller.session['id']}/whep"
            assert (await player.http.post(path, content=sdp, headers=SDP | caller.auth)).status_code == 201
            await caller.call()
            async with connect(caller.control_url) as control:
                await say(control, type="emotion.set", id=1, units={"AU4": 1.0}, transition_ms=0)
                assert (await hear(control, "emotion.applied"))["id"] == 1
                assert (await hear(control, "stats"))["fps"] > 5

    async def test_a_session_of_its_own_ends_with_its_player(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("server.session.GRACE_S", 0.2)
        async with running(tmp_path) as server, Player(server.url) as player:
            await player.watch("/whep/anna")
            await player.hang_up()
            await until(lambda: len(server.place.sessions) == 0)


class TestSpeaking:
    async def test_a_voice_and_a_player_meet_in_a_room(self, tmp_path: Path) -> None:
        async with running(tmp_path) as server, Player(server.url) as player:
            async with speaking(server, "/whip/anna/studio?size=256", beating()) as response:
                assert response.status_code == 201
                await player.watch("/whep/anna/studio")
                assert len(server.place.sessions) == 1
                await come_into_step(player)
                assert max(seen.loudness for seen in player.pictures) > LOUD / 2

    async def test_ffmpeg_s_own_client(self, tmp_path: Path) -> None:
        async with running(tmp_path) as server, Player(server.url, headers={"Authorization": "Bearer key"}) as player:
            url = f"{server.url}/whip/anna/studio?size=256"
            encoder = await asyncio.create_subprocess_exec(sys.executable, "-m", "tests.whip_publisher", url, "key")
            try:
                await until(lambda: len(server.place.sessions) == 1)
                await player.watch("/whep/anna/studio")
                await until(lambda: player.pictures[-1].loudness > LOUD / 2)
            finally:
                encoder.terminate()
                await encoder.wait()

    async def test_the_newest_voice_is_heard_and_then_the_one_before(self, tmp_path: Path) -> None:
        async with running(tmp_path) as server, Caller(server.url, Tone(lambda second: False)) as caller:
            await caller.call()
            path = f"/v1/sessions/{caller.session['id']}/whip"
            async with speaking(server, path, talking(), **caller.auth) as response:
                await until(lambda: caller.pictures[-1].loudness > LOUD / 2)
                await caller.http.delete(response.headers["location"])
            await until(lambda: caller.pictures[-1].loudness < LOUD / 10)

    async def test_another_key_does_not_open_a_room(self, tmp_path: Path) -> None:
        async with running(tmp_path) as server, Player(server.url, headers={"Authorization": "Bearer b"}) as player:
            async with speaking(server, "/whip/anna/studio", talking(), Authorization="Bearer a"):
                assert (await player.watch("/whep/anna/studio")).status_code == 401
                player.headers = {"Authorization": "Bearer a"}
                assert (await player.watch("/whep/anna/studio")).status_code == 201


class TestTheSpecification:
    async def test_candidates_may_trickle(self, tmp_path: Path) -> None:
        async with running(tmp_path) as server, Player(server.url) as player:
            sdp = (await player.offer())["sdp"]
            candidates = [line for line in sdp.splitlines() if line.startswith("a=candidate")]
            bare = re.sub(r"a=(candidate.*|end-of-candidates)\r\n", "", sdp)
            response = await player.http.post("/whep/anna", content=bare, headers=SDP)
            assert player.connection
            await player.connection.setRemoteDescription(RTCSessionDescription(response.text, "answer"))
            fragment = "\r\n".join(["a=ice-ufrag:x", "m=audio 9 UDP/TLS/RTP/SAVPF 0", "a=mid:0", *candidates, ""])
            resource = response.headers["location"]
            etag = {"If-Match": response.headers["etag"]}
            patched = await player.http.patch(resource, content=fragment, headers=FRAGMENT | etag)
            assert patched.status_code == 204 and not patched.content and "etag" not in patched.headers
            await asyncio.wait_for(player.first_picture.wait(), 60)
            without = await player.http.patch(resource, content="a=end-of-candidates\r\n", headers=FRAGMENT)
            assert without.status_code == 204
            for sent, status in (
                ({"If-Match": '"other"'}, 412),
                ({"If-Match": "*"}, 422),
                ({"Content-Type": "a/b"}, 415),
            ):
                refused = await player.http.patch(resource, content=fragment, headers=FRAGMENT | sent)
                assert refused.status_code == status
            nonsense = await player.http.patch(resource, content="hello", headers=FRAGMENT)
            assert nonsense.status_code == 400

    async def test_refusals(self, tmp_path: Path) -> None:
        async with running(tmp_path) as server, Player(server.url) as player:
            sdp, post = (await player.offer())["sdp"], player.http.post
            refused: list[tuple[str | bytes, dict[str, str], int]] = [
                (sdp, {"Content-Type": "application/json"}, 415),
                (b"\xff\xfe", SDP, 400),
                ("", SDP, 400),
                ("v=0\r\n", SDP, 422),
                ("hello", SDP, 422),
                (sdp.replace("a=recvonly", "a=inactive"), SDP, 422),
            ]
            for content, headers, status in refused:
                assert (await post("/whep/anna", content=content, headers=headers)).status_code == status
            assert (await post("/whip/anna/r", content=sdp, headers=SDP)).status_code == 422  # brings no voice
            assert (await post("/whep/nobody", content=sdp, headers=SDP)).status_code == 404
            assert (await post("/whep/anna?size=77", content=sdp, headers=SDP)).status_code == 422
            assert (await post("/whep/anna?colour=red", content=sdp, headers=SDP)).status_code == 422
            assert (await post("/v1/sessions/x/whep", content=sdp, headers=SDP)).status_code == 404
            assert len(server.place.sessions) == 0  # no refusal leaves a session behind

    async def test_another_s_session_needs_its_token(self, tmp_path: Path) -> None:
        async with running(tmp_path) as server, Caller(server.url) as caller, Player(server.url) as player:
            await caller.create()
            assert (await player.watch(f"/v1/sessions/{caller.session['id']}/whep")).status_code == 401

    async def test_a_full_server_says_when_to_come_back(self, tmp_path: Path) -> None:
        async with running(tmp_path, max_sessions=0) as server, Player(server.url) as player:
            response = await player.watch("/whep/anna")
            assert response.status_code == 503 and int(response.headers["retry-after"]) > 0

    async def test_a_session_has_so_many_viewers(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("server.bridges.whip_whep.MOST_CONNECTIONS", 1)
        async with running(tmp_path) as server, Player(server.url) as one, Player(server.url) as two:
            await one.watch("/whep/anna/room?size=256")
            response = await two.watch("/whep/anna/room")
            assert response.status_code == 503 and int(response.headers["retry-after"]) > 0

    async def test_endpoints_describe_themselves(self, tmp_path: Path) -> None:
        async with running(tmp_path) as server, httpx.AsyncClient(base_url=server.url) as http:
            for path in "/whep/anna", "/whep/anna/r", "/whip/anna/r", "/v1/sessions/x/whep", "/v1/sessions/x/whip":
                options = await http.options(path)
                assert options.status_code == 200 and options.headers["accept-post"] == "application/sdp"
                head = await http.head(path)
                assert head.status_code == 200 and head.headers["content-type"] == "application/sdp"

    async def test_known_pages_may_call_from_elsewhere(self, tmp_path: Path) -> None:
        origin = {"Origin": "https://example.org"}
        asked = origin | {"Access-Control-Request-Method": "POST"}
        async with running(tmp_path, allowed_origins=("https://example.org",)) as server, Player(server.url) as player:
            preflight = await player.http.options("/whep/anna", headers=asked)
            assert preflight.status_code == 200 and "PATCH" in preflight.headers["access-control-allow-methods"]
            player.headers = origin
            response = await player.watch("/whep/anna")
            assert response.headers["access-control-allow-origin"] == "https://example.org"
            assert {"Location", "ETag", "Link"} <= set(response.headers["access-control-expose-headers"].split(", "))
            stranger = await player.http.options("/whep/anna", headers=asked | {"Origin": "https://example.com"})
            assert stranger.status_code == 403

    async def test_ice_servers_come_as_links(self, tmp_path: Path) -> None:
        ice = IceSettings(turn_urls=("turn:127.0.0.1:9?transport=udp",), turn_secret="s")
        async with running(tmp_path, FakeEngine(), ice=ice) as server, Player(server.url) as player:
            sdp = (await player.offer())["sdp"]
            response = await player.http.post("/whep/anna", content=sdp, headers=SDP, timeout=30)
            link = response.headers["link"]
            assert link.startswith('<turn:127.0.0.1:9?transport=udp>; rel="ice-server"; username="')
            assert link.endswith('; credential-type="password"')


class TestFragments:
    def test_candidates_know_their_section(self) -> None:
        fragment = "a=ice-ufrag:x\r\nm=audio 9 X 0\r\na=mid:0\r\na=candidate:1 1 udp 1 192.0.2.7 9 typ host\r\n"
        fragment += "m=video 9 X 0\r\na=candidate:2 1 udp 1 192.0.2.7 9 typ host\r\na=end-of-candidates\r\n"
        found = [(c.candidate[:11], c.sdpMid, c.sdpMLineIndex) for c in parse_candidates(fragment)]
        assert found == [("candidate:1", "0", None), ("candidate:2", None, 1)]

    @pytest.mark.parametrize("fragment", ["hello", "{}", "a=candidate:1\r\n" * 65, "a=candidate:" + "9" * 2000])
    def test_nonsense_is_refused(self, fragment: str) -> None:
        with pytest.raises(ValueError):
            parse_candidates(fragment)
