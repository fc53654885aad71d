"""The HTTP and WebSocket promises of docs/protocol.md, bad input first of all."""

import asyncio
import json
import os
import re
import socket
from collections.abc import AsyncIterator
from logging import DEBUG
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Origin, Subprotocol

from engine.background import Background
from engine.les import AXES
from engine.portrait import PortraitError, default_names, default_photo
from server.app import create_app
from server.engine_thread import EngineLost
from server.live import MAX_OUTBOX
from server.place import Place
from server.portraits import Portraits, Prepare, prepare_in_process
from server.settings import Settings
from server.web import host_allowed
from tests.server_fakes import Caller, FakeEngine, FakeStream
from tests.server_running import Running, load, prepare_at_once, running, until

PNG = b"\x89PNG a photo, says the fake preparation"


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Running]:
    async with running(tmp_path, max_sessions=2) as server:
        yield server


@pytest.fixture
async def http(server: Running) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=server.url, timeout=10) as client:
        yield client


def session(**fields: Any) -> dict[str, Any]:
    return {"portrait": "anna", "source": "microphone"} | fields


def refused(response: httpx.Response, status: int, code: str) -> str:
    body = response.json()
    assert (response.status_code, body["code"]) == (status, code), response.text
    assert body.keys() == {"code", "message"} and "\n" not in body["message"]
    message: str = body["message"]
    return message


class TestHealth:
    async def test_alive_and_ready(self, http: httpx.AsyncClient) -> None:
        assert (await http.get("/healthz")).json() == {"status": "ok"}
        assert (await http.get("/readyz")).json() == {"status": "ready", "sessions": 0, "max_sessions": 2}

    async def test_not_ready_before_the_engine_is(
        self, tmp_path: Path, server: Running, http: httpx.AsyncClient
    ) -> None:
        server.place.ready = False
        response = await http.post("/v1/sessions", json=session())
        refused(response, 503, "starting")
        assert int(response.headers["retry-after"]) > 0
        refused(await http.get("/v1/portraits"), 503, "starting")  # some of the defaults may not be there yet
        assert (await http.get("/healthz")).status_code == 200

    async def test_ill_once_nothing_can_be_drawn_any_more(
        self, server: Running, http: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
    ) -> None:
        async with Caller(server.url) as caller:
            await caller.create()
            await caller.call()
            server.engine.broken = "CUDA error: an illegal memory access\nCompile with TORCH_USE_CUDA_DSA"
            await until(lambda: bool(server.place.engines.failure))
        for path in ("/healthz", "/readyz"):
            said = refused(await http.get(path), 500, "failed")
            assert said.endswith("has to be started again: CUDA error: an illegal memory access")
        refused(await http.post("/v1/sessions", json=session()), 500, "failed")
        assert sum(record.levelname == "CRITICAL" for record in caplog.records) == 1

    async def test_vocabulary(self, http: httpx.AsyncClient) -> None:
        body = (await http.get("/v1/les")).json()
        assert body["axes"] == list(AXES) and set(body["emotions"]["happiness"]) <= set(AXES)
        assert body["descriptions"].keys() == set(AXES)

    async def test_headers_and_unknown_paths(self, http: httpx.AsyncClient) -> None:
        response = await http.get("/v1/nothing")
        assert "nothing at /v1/nothing" in refused(response, 404, "not_found")
        assert response.headers["x-content-type-options"] == "nosniff"
        assert "default-src 'self'" in response.headers["content-security-policy"]
        response = await http.put("/v1/sessions", json={})
        assert "/v1/sessions does not take PUT" in refused(response, 405, "not_allowed")

    async def test_an_unknown_field_is_named(self, http: httpx.AsyncClient) -> None:
        response = await http.post("/v1/sessions", json={"portrait": "anna", "source": "push", "sead": 1})
        assert refused(response, 422, "invalid").startswith("sead: no such field")


class TestPortraits:
    async def test_the_life_of_one(self, http: httpx.AsyncClient) -> None:
        response = await http.post("/v1/portraits", files={"photo": PNG}, data={"name": "  Me "})
        assert response.status_code == 201
        mine = response.json()
        assert response.headers["location"] == f"/v1/portraits/{mine['id']}"
        assert mine["name"] == "Me" and not mine["default"] and mine["report"] == {"face_px": 400, "warnings": []}
        everything = (await http.get("/v1/portraits")).json()["portraits"]
        assert everything[-1] == mine and [entry["default"] for entry in everything] == [True] * (
            len(everything) - 1
        ) + [False]
        thumbnail = await http.get(mine["thumbnail"])
        assert thumbnail.headers["content-type"] == "image/jpeg" and thumbnail.content.startswith(b"\xff\xd8")
        assert (await http.delete(f"/v1/portraits/{mine['id']}")).status_code == 204
        refused(await http.get(f"/v1/portraits/{mine['id']}"), 404, "no_portrait")
        refused(await http.get(mine["thumbnail"]), 404, "no_portrait")

    async def test_defaults_are_protected(self, http: httpx.AsyncClient) -> None:
        refused(await http.delete("/v1/portraits/anna"), 403, "portrait_protected")

    async def test_a_deleted_portrait_stays_with_its_session(self, server: Running, http: httpx.AsyncClient) -> None:
        mine = (await http.post("/v1/portraits", files={"photo": PNG})).json()["id"]
        async with Caller(server.url, fields={"portrait": mine}) as caller:
            await caller.create()
            await http.delete(f"/v1/portraits/{mine}")
            await caller.call()
            refused(await http.post("/v1/sessions", json=session(portrait=mine)), 404, "no_portrait")

    async def test_there_is_an_end_to_uploads(self, tmp_path: Path) -> None:
        async with running(tmp_path / "more", max_uploads=1) as server:
            async with httpx.AsyncClient(base_url=server.url) as http:
                assert (await http.post("/v1/portraits", files={"photo": PNG})).status_code == 201
                refused(await http.post("/v1/portraits", files={"photo": PNG}), 409, "portraits_full")

    @pytest.mark.parametrize("content", ["", "[]", "{}", '{"name": "half"'])
    async def test_a_broken_description_harms_no_other(self, tmp_path: Path, content: str) -> None:
        (tmp_path / "broken.json").write_text(content)
        async with running(tmp_path) as server, httpx.AsyncClient(base_url=server.url) as http:
            assert {p["id"] for p in (await http.get("/v1/portraits")).json()["portraits"]} == set(default_names())
            refused(await http.get("/v1/portraits/broken"), 404, "no_portrait")

    async def test_refusals(self, http: httpx.AsyncClient) -> None:
        message = refused(await http.post("/v1/portraits", files={"photo": b"bad"}), 422, "no_face")
        assert message == "no face was found; choose a photo that shows one"
        refused(await http.post("/v1/portraits", json={}), 422, "invalid")
        told = refused(await http.post("/v1/portraits", files={"photo": b"x" * 26_000_000}), 413, "too_large")
        assert told.endswith("at most 25 MB are taken")
        long = await http.post("/v1/portraits", files={"photo": PNG}, data={"name": "x" * 81})
        refused(long, 422, "invalid")
        for path in ("..%2f..%2fetc%2fpasswd", "UPPER", "x" * 100):
            refused(await http.get(f"/v1/portraits/{path}"), 404, "no_portrait" if "%" not in path else "not_found")


class TestCreation:
    async def test_what_comes_back(self, http: httpx.AsyncClient) -> None:
        response = await http.post(
            "/v1/sessions", json=session(seed=7, size=256, emotion={"happiness": 0.5, "AU4": 0.1})
        )
        assert response.status_code == 201
        body = response.json()
        assert body.keys() == {"id", "token", "ice_servers", "control"} and len(body["token"]) >= 40
        assert body["control"] == f"/v1/sessions/{body['id']}/control"

    @pytest.mark.parametrize(
        "fields",
        [
            {"source": "file"}, {"seed": -1}, {"seed": "7"}, {"seed": 1 << 32}, {"size": 500}, {"size": 4096},
            {"more": 1}, {"emotion": {"joy": 1}}, {"emotion": {"happiness": 2}}, {"emotion": {"AU99": 1}},
            {"emotion": []}, {"portrait": 3},
        ],
    )  # fmt: skip
    async def test_bad_fields(self, http: httpx.AsyncClient, fields: dict[str, Any]) -> None:
        message = refused(await http.post("/v1/sessions", json=session(**fields)), 422, "invalid")
        assert next(iter(fields)) in message

    async def test_bad_bodies(self, http: httpx.AsyncClient) -> None:
        refused(
            await http.post("/v1/sessions", content=b"{", headers={"content-type": "application/json"}),
            400,
            "malformed",
        )
        body = b'{"portrait": "anna", "source": "microphone", "emotion": {"AU4": NaN}}'
        response = await http.post("/v1/sessions", content=body, headers={"content-type": "application/json"})
        assert response.status_code in (400, 422)
        refused(await http.post("/v1/sessions", json={"portrait": "x" * 1_000_000}), 413, "too_large")
        refused(await http.post("/v1/sessions", json=session(portrait="nobody")), 404, "no_portrait")
        refused(await http.post("/v1/sessions", json=session(**{"a\nb": 1})), 422, "invalid")

    async def test_full(self, http: httpx.AsyncClient) -> None:
        for _ in range(2):
            assert (await http.post("/v1/sessions", json=session())).status_code == 201
        response = await http.post("/v1/sessions", json=session())
        refused(response, 503, "full")
        assert int(response.headers["retry-after"]) > 0

    async def test_a_place_becomes_free(self, http: httpx.AsyncClient) -> None:
        for _ in range(5):
            body = (await http.post("/v1/sessions", json=session())).json()
            path, auth = f"/v1/sessions/{body['id']}", {"Authorization": f"Bearer {body['token']}"}
            assert (await http.delete(path, headers=auth)).status_code == 204
            refused(await http.delete(path, headers=auth), 404, "no_session")


class TestFaultsOfOurs:
    async def test_are_told_like_any_refusal(
        self, server: Running, http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def no_space(photo: bytes, name: str) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(server.place.portraits, "add", no_space)
        refused(await http.post("/v1/portraits", files={"photo": PNG}), 500, "failed")

    async def test_a_session_whose_engine_is_lost(
        self, http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        def lost(stream: FakeStream, background: Background) -> None:
            raise EngineLost("drawing process 7 is lost")

        body = (await http.post("/v1/sessions", json=session())).json()
        monkeypatch.setattr(FakeStream, "stand_before", lost)
        response = await http.put(
            f"/v1/sessions/{body['id']}/background",
            json={"background": "blur"},
            headers={"Authorization": f"Bearer {body['token']}"},
        )
        assert "start a new session" in refused(response, 500, "failed")
        assert not [record for record in caplog.records if record.exc_info]  # whoever lost it has said so


class TestNames:
    """A page elsewhere that has its own name lead to this machine would be of our origin (DNS rebinding)."""

    @pytest.mark.parametrize(
        "name", ["localhost:8080", "LOCALHOST.", "app.localhost", "127.0.0.1:1", "[::1]:8080", "192.168.1.5"]
    )
    async def test_a_server_for_its_own_machine_goes_by_local_names_and_addresses(
        self, http: httpx.AsyncClient, name: str
    ) -> None:
        assert (await http.get("/v1/les", headers={"Host": name})).status_code == 200

    @pytest.mark.parametrize("name", ["evil.example:8080", "localhost.evil.example", "127.0.0.1.evil.example", "[", ""])
    async def test_others_are_refused_and_told_the_flag(self, http: httpx.AsyncClient, name: str) -> None:
        own = {"Host": name, "Origin": f"http://{name}"}
        for method, path in (("GET", "/"), ("GET", "/v1/portraits"), ("POST", "/v1/sessions"), ("OPTIONS", "/v1/les")):
            assert "--allow-origin" in refused(await http.request(method, path, headers=own), 403, "host_refused")

    async def test_so_are_their_sockets(self, server: Running) -> None:
        port = httpx.URL(server.url).port
        with pytest.raises(InvalidStatus) as told:
            async with connect("ws://evil.example/v1/sessions/x/control", host="127.0.0.1", port=port):
                pass
        assert told.value.response.status_code == 403 and b"host_refused" in (told.value.response.body or b"")

    async def test_a_proxy_may_pass_on_the_name_of_an_allowed_page(self, tmp_path: Path) -> None:
        async with (
            running(tmp_path, allowed_origins=("https://avatar.example.org",)) as server,
            httpx.AsyncClient(base_url=server.url) as http,
        ):
            page = {"Origin": "https://avatar.example.org"}
            for name in ({"Host": "avatar.example.org"}, {}):  # Caddy passes it on, nginx does not unless told to
                assert (await http.post("/v1/sessions", json=session(), headers=page | name)).status_code == 201
            refused(await http.get("/", headers={"Host": "example.org"}), 403, "host_refused")

    @pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "studio.lan"])
    def test_a_server_for_others_goes_by_names_that_no_stranger_can_give(self, host: str) -> None:
        for name in ("studio", "studio.lan:8080", "Studio.local", "a.b.home.arpa", "10.0.0.2", socket.gethostname()):
            assert host_allowed(name, host, ())
        for name in ("evil.example:8080", "192.168.1.5.evil.example", "local.example", "", "["):
            assert not host_allowed(name, host, ()), name
        assert host_allowed("avatar.example.org", host, ("https://avatar.example.org",))

    def test_a_server_goes_by_the_name_that_it_listens_by(self) -> None:
        assert host_allowed("avatar.example.org:8080", "Avatar.example.org", ())

    async def test_a_server_for_others_refuses_a_strangers_page(self, tmp_path: Path) -> None:
        async with running(tmp_path, host="0.0.0.0") as server, httpx.AsyncClient(base_url=server.url) as http:
            for method, path in (("GET", "/v1/portraits"), ("POST", "/v1/sessions")):
                own = {"Host": "evil.example", "Origin": "http://evil.example"}
                refused(await http.request(method, path, headers=own), 403, "host_refused")

    @pytest.mark.parametrize("host", ["127.0.0.1", "127.0.1.1", "::1", "localhost"])
    def test_these_are_for_the_own_machine(self, host: str) -> None:
        assert not host_allowed("studio.lan:8080", host, ())


class TestTokensAndOrigins:
    async def test_every_session_call_needs_the_token(self, http: httpx.AsyncClient) -> None:
        body = (await http.post("/v1/sessions", json=session())).json()
        path = f"/v1/sessions/{body['id']}"
        for auth in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": f"Basic {body['token']}"}):
            refused(
                await http.post(f"{path}/offer", json={"sdp": "x", "type": "offer"}, headers=auth), 401, "unauthorized"
            )
            refused(await http.patch(f"{path}/offer", json={"candidates": []}, headers=auth), 401, "unauthorized")
            refused(await http.delete(path, headers=auth), 401, "unauthorized")

    async def test_foreign_pages_may_not_call(self, server: Running, http: httpx.AsyncClient) -> None:
        refused(
            await http.post("/v1/sessions", json=session(), headers={"Origin": "https://evil.example"}),
            403,
            "origin_refused",
        )
        assert (await http.post("/v1/sessions", json=session(), headers={"Origin": server.url})).status_code == 201
        for origin in ("null", "http://[::1", server.url.replace("http", "ftp")):
            refused(await http.get("/v1/les", headers={"Origin": origin}), 403, "origin_refused")

    async def test_control_closes_with_the_reason(self, server: Running) -> None:
        async with Caller(server.url) as caller:
            await caller.create()
            url = caller.control_url
            wrong = {url + "x": 4401, url.replace(caller.session["id"], "0" * 32): 4404, url.partition("?")[0]: 4401}
            for address, code in wrong.items():
                async with connect(address) as control:
                    with pytest.raises(ConnectionClosed) as closed:
                        await control.recv()
                    assert closed.value.rcvd and closed.value.rcvd.code == code
            for origin in ("https://evil.example", "http://[::1"):
                async with connect(url, origin=Origin(origin)) as control:
                    with pytest.raises(ConnectionClosed) as closed:
                        await control.recv()
                    assert closed.value.rcvd and closed.value.rcvd.code == 4403

    async def test_the_token_may_travel_as_a_subprotocol(self, server: Running) -> None:
        async with Caller(server.url) as caller:
            await caller.create()
            protocols = [Subprotocol("les-avatar"), Subprotocol(f"token.{caller.session['token']}")]
            async with connect(caller.control_url.partition("?")[0], subprotocols=protocols) as control:
                assert control.subprotocol == "les-avatar"
                assert json.loads(await control.recv())["type"] == "state"


class TestOffers:
    @pytest.mark.parametrize(
        "sdp",
        [
            "x",
            "v=0\r\n",
            "v=0\r\nm=audio",
            "v=0\r\no=- 1 1 IN IP4 0\r\ns=-\r\nt=0 0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\n",
        ],
    )
    async def test_unusable_sdp(self, server: Running, http: httpx.AsyncClient, sdp: str) -> None:
        async with Caller(server.url) as caller:
            path = f"/v1/sessions/{(await caller.create())['id']}/offer"
            refused(await http.post(path, json={"sdp": sdp, "type": "offer"}, headers=caller.auth), 422, "bad_offer")
            refused(await http.post(path, json={"sdp": sdp, "type": "answer"}, headers=caller.auth), 422, "invalid")
            candidate = {"candidate": "candidate:1 1 udp 1 192.0.2.7 9 typ host", "sdpMid": "0"}
            refused(await http.patch(path, json={"candidates": [candidate]}, headers=caller.auth), 409, "no_offer")
            await caller.call()  # and the session goes on
            refused(
                await http.patch(path, json={"candidates": [{"candidate": "nonsense"}]}, headers=caller.auth),
                422,
                "invalid",
            )
            refused(await http.patch(path, json={"candidates": [candidate] * 65}, headers=caller.auth), 422, "invalid")
            beyond = {"candidate": candidate["candidate"].replace(" 9 ", " 99999 "), "sdpMid": "0"}
            refused(await http.patch(path, json={"candidates": [beyond]}, headers=caller.auth), 422, "invalid")
            answer = await http.post(path, json={"sdp": sdp, "type": "offer"}, headers=caller.auth)
            refused(answer, 422, "bad_offer")
            count = len(caller.pictures)
            await until(lambda: len(caller.pictures) > count + 5)  # a bad offer does not end the call

    @pytest.mark.parametrize(
        "line, problem",
        [("fingerprint", "a=fingerprint"), ("setup", "a=setup"), ("ice-pwd", "password"), ("mid", "do not match")],
    )
    async def test_an_offer_that_lacks_a_line(
        self, server: Running, line: str, problem: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        async with Caller(server.url) as caller:
            path = f"/v1/sessions/{(await caller.create())['id']}/offer"
            offer = await caller.offer()
            sdp = re.sub(rf"a={line}:.*\r\n", "", offer["sdp"])
            response = await caller.http.post(path, json=offer | {"sdp": sdp}, headers=caller.auth)
            assert problem in refused(response, 422, "bad_offer")
            assert not [record for record in caplog.records if record.exc_info and record.levelno > DEBUG]


class TestControl:
    async def test_bad_messages_are_answered_and_the_socket_lives(self, server: Running) -> None:
        async with Caller(server.url) as caller:
            await caller.create()
            async with connect(caller.control_url, max_size=None) as control:
                assert json.loads(await control.recv())["status"] == "waiting"
                for message, code in (
                    ("x" * 1_000_000, "too_large"), ("{", "malformed"), (b"\x00\xff", "malformed"),
                    ('{"type": "motion.set", "head": NaN}', "malformed"),
                    ('{"type": "motion.set", "head": 7}', "invalid"),
                ):  # fmt: skip
                    await control.send(message)
                    assert json.loads(await control.recv())["code"] == code
                await control.send('{"type": "ping", "id": 1}')
                assert json.loads(await control.recv()) == {"type": "pong", "id": 1}

    async def test_many_messages_at_once_are_all_answered(self, server: Running) -> None:
        """Only who does not read is disconnected."""
        async with Caller(server.url) as caller:
            await caller.create()
            async with connect(caller.control_url, max_queue=None) as control:
                await control.recv()
                for id in range(3 * MAX_OUTBOX):
                    await control.send(json.dumps({"type": "ping", "id": id}))
                answers: list[int] = []
                while len(answers) < 3 * MAX_OUTBOX:
                    answer = json.loads(await control.recv())
                    if answer.get("code") != "too_fast":  # told of a quick machine's burst, whose rest waits
                        answers.append(answer["id"])
                assert answers == list(range(3 * MAX_OUTBOX))

    async def test_a_slider_that_sends_every_millisecond_is_served(self, server: Running) -> None:
        async with Caller(server.url) as caller:
            await caller.call()
            async with connect(caller.control_url, max_queue=None) as control:
                for id in range(2000):
                    units = {"AU4": (id + 1) / 2000}
                    await control.send(json.dumps({"type": "emotion.set", "id": id, "units": units}))
                    await asyncio.sleep(0.001)
                answers: list[dict[str, Any]] = []
                while not answers or answers[-1].get("id") != 1999:
                    answers.append(json.loads(await control.recv()))
                assert not [answer for answer in answers if answer["type"] == "error"]
                applied = [answer["id"] for answer in answers if answer["type"] == "emotion.applied"]
                assert applied == list(range(2000))
                assert server.engine.streams[-1].les == 1.0

    async def test_a_flood_is_read_at_a_bounded_rate_and_nothing_is_lost(
        self, server: Running, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("server.pace.MESSAGES", 200)  # a second: less than the slowest machine reads
        count, loop = 400, asyncio.get_running_loop()
        async with Caller(server.url) as caller:
            await caller.create()
            async with connect(caller.control_url, max_queue=None) as control:
                begun = loop.time()
                sending = asyncio.gather(*(control.send(f'{{"type": "ping", "id": {id}}}') for id in range(count)))
                answers: list[dict[str, Any]] = []
                while not answers or answers[-1].get("id") != count - 1:
                    answers.append(json.loads(await control.recv()))
                await sending
                assert loop.time() - begun >= 0.95
                assert [answer["id"] for answer in answers if answer["type"] == "pong"] == list(range(count))
                assert {answer["code"] for answer in answers if answer["type"] == "error"} == {"too_fast"}

    async def test_the_newer_socket_takes_over(self, server: Running) -> None:
        async with Caller(server.url) as caller:
            await caller.create()
            async with connect(caller.control_url) as first, connect(caller.control_url) as second:
                await first.recv()
                with pytest.raises(ConnectionClosed) as closed:
                    await first.recv()
                assert closed.value.rcvd and closed.value.rcvd.code == 4409
                assert json.loads(await second.recv())["type"] == "state"
                await second.send('{"type": "ping"}')
                assert json.loads(await second.recv())["type"] == "pong"

    async def test_motion_reaches_the_engine(self, server: Running) -> None:
        async with Caller(server.url) as caller:
            await caller.create()
            async with connect(caller.control_url) as control:
                await control.recv()
                await control.send('{"type": "motion.set", "head": 0.25}')
                assert json.loads(await control.recv())["motion"] == {"head": 0.25, "gaze": 1.0, "blink": 1.0}
                await until(lambda: server.engine.streams[-1].motion is not None)
                motion = server.engine.streams[-1].motion
                assert motion is not None and motion.head == 0.25


class TestTheServerStops:
    async def test_with_a_word_to_every_client(self, tmp_path: Path) -> None:
        async with running(tmp_path, FakeEngine()) as server, Caller(server.url) as caller:
            await caller.create()
            control = await connect(caller.control_url)
            await control.recv()
            del caller.session
        assert [json.loads(message) async for message in control] == [{"type": "closed", "reason": "shutdown"}]


class TestDefaults:
    async def prepared(self, directory: Path, photos: list[bytes], fails: bool = False) -> Portraits:
        async def prepare(photo: bytes, out: Path) -> dict[str, Any]:
            if fails:
                raise PortraitError("failed", "scripted")
            photos.append(photo)
            return await prepare_at_once(photo, out)

        portraits = Portraits(directory, prepare, load, max_uploads=1)
        await portraits.prepare_defaults()
        return portraits

    async def test_are_prepared_once(self, tmp_path: Path) -> None:
        photos: list[bytes] = []
        await self.prepared(tmp_path, photos)
        assert photos == [default_photo(name) for name in default_names()]
        await self.prepared(tmp_path, photos)
        assert len(photos) == len(default_names())

    async def test_photos_left_behind_by_a_killed_server_are_removed(self, tmp_path: Path) -> None:
        old, fresh = tmp_path / "preparing-old", tmp_path / "preparing-fresh"
        for folder in (old, fresh):
            folder.mkdir()
            (folder / "photo").write_bytes(b"somebody")
        os.utime(old, (0, 0))
        await self.prepared(tmp_path, [])
        assert not old.exists() and fresh.exists()  # the fresh one may be another server's

    async def test_are_prepared_anew_by_other_code(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        photos: list[bytes] = []
        await self.prepared(tmp_path, photos)
        monkeypatch.setattr("server.portraits.stamp_of", lambda photo: "another")
        await self.prepared(tmp_path, photos)
        assert len(photos) == 2 * len(default_names())

    async def test_the_last_good_version_stays_when_that_fails(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await self.prepared(tmp_path, [])
        monkeypatch.setattr("server.portraits.stamp_of", lambda photo: "another")
        portraits = await self.prepared(tmp_path, [], fails=True)
        assert [entry.id for entry in portraits.list()] == list(default_names())
        with pytest.raises(PortraitError):
            await self.prepared(tmp_path / "empty", [], fails=True)


class TestStart:
    async def start(self, directory: Path, engine: FakeEngine, prepare: Prepare) -> Place:
        """What a server is when its start has ended."""
        app = create_app(Settings(portraits_dir=directory, max_sessions=1), lambda: engine, prepare, load)
        async with app.router.lifespan_context(app):
            place: Place = app.state.place
            await until(lambda: place.ready or bool(place.problem))
        return place

    async def test_the_engine_warms_up_while_the_other_portraits_are_prepared(self, tmp_path: Path) -> None:
        engine, first = FakeEngine(), default_photo(default_names()[0])

        async def prepare(photo: bytes, out: Path) -> dict[str, Any]:
            await until(lambda: any(stream.frame for stream in engine.streams) or photo == first)
            return await prepare_at_once(photo, out)

        assert (await self.start(tmp_path, engine, prepare)).ready

    async def test_without_portraits_it_says_why(self, tmp_path: Path) -> None:
        async def prepare(photo: bytes, out: Path) -> dict[str, Any]:
            raise PortraitError("failed", "scripted")

        place = await self.start(tmp_path, FakeEngine(), prepare)
        assert not place.ready and place.problem == "no default portrait could be prepared"


class TestPreparingInAProcess:
    async def test_a_refusal_crosses_the_border(self, tmp_path: Path) -> None:
        with pytest.raises(PortraitError) as refusal:
            await prepare_in_process(b"not an image", tmp_path / "x.portrait")
        assert refusal.value.code == "not_an_image" and str(refusal.value)

    async def test_a_photo_that_takes_too_long_is_given_up(self, tmp_path: Path) -> None:
        with pytest.raises(PortraitError) as refusal:
            await prepare_in_process(default_photo("anna"), tmp_path / "x.portrait", timeout_s=0.01)
        assert refusal.value.code == "too_slow"
