"""A call through a real TURN server, with the short-lived login that the session hands out."""

import shutil
from pathlib import Path

import pytest
from aiortc import RTCConfiguration, RTCIceServer
from aiortc.rtcconfiguration import RTCIceTransportPolicy

from server.ice import ephemeral
from server.settings import IceSettings
from tests import turn
from tests.server_fakes import LOUD, Caller, Tone
from tests.server_running import running, until

pytestmark = [
    pytest.mark.skipif(not shutil.which("turnserver"), reason="coturn is not installed"),
    pytest.mark.skipif(not turn.address(), reason="this machine has no address but loopback"),
]


class TestRelay:
    async def test_a_client_behind_a_closed_firewall_is_heard_and_sees(self, tmp_path: Path) -> None:
        async with turn.coturn(tmp_path) as url:
            ice = IceSettings(turn_urls=(url,), turn_secret=turn.SECRET)
            async with running(tmp_path / "portraits", ice=ice) as server:
                async with Caller(server.url, Tone(lambda second: True)) as caller:
                    [offered] = (await caller.create())["ice_servers"]
                    assert offered["urls"] == [url]
                    relay = RTCIceServer(offered["urls"], offered["username"], offered["credential"])
                    caller.configuration = RTCConfiguration([relay], RTCIceTransportPolicy.RELAY)
                    await caller.call()
                    await until(lambda: any(seen.loudness > LOUD / 2 for seen in caller.pictures))
                    assert caller.connection
                    candidates = caller.connection.localDescription.sdp.count("a=candidate")
                    assert candidates == caller.connection.localDescription.sdp.count("typ relay") > 0


class TestLogin:
    def test_follows_the_convention(self) -> None:
        username, password = ephemeral("north", "alice", expires=1_433_895_918)
        assert username == "1433895918:alice"
        assert password == "RqMvcGPYTJMGThVLSi4amT4zFtI="  # openssl dgst -sha1 -hmac north
