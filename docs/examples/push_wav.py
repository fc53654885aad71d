"""Lets a portrait say a WAV file, through the speech socket: on the page, or in a film of what a viewer sees and hears.

pip install aiortc httpx websockets
les-avatar serve
python docs/examples/push_wav.py hello.wav [talk.mp4]
"""

import argparse
import asyncio
import json
import wave
from typing import Any

import av
import httpx
from aiortc import MediaStreamTrack, RTCPeerConnection, RTCSessionDescription
from websockets.asyncio.client import connect


async def main() -> None:
    options = parse_options()
    rate, pcm = read(options.sound)
    viewer = Viewer(options.film) if options.film else None
    async with httpx.AsyncClient(base_url=options.server, timeout=30) as http:
        session = await post(http, "/v1/sessions", {"portrait": options.portrait, "source": "push"})
        http.headers["Authorization"] = f"Bearer {session['token']}"
        try:
            if viewer:
                await viewer.watch(http, session["id"])
            else:
                print(f"{options.server}/#session={session['id']}&token={session['token']} shows it: open it now")
            await speak(options.server.replace("http", "ws", 1), session, rate, pcm)
        finally:
            if viewer:
                await viewer.close()
            await http.delete(f"/v1/sessions/{session['id']}")


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sound", help="a WAV file: mono, 16 bit, 8 to 48 kHz")
    parser.add_argument("film", nargs="?", help="an MP4 file to write; without, the page shows it")
    parser.add_argument("--portrait", default="anna")
    parser.add_argument("--server", default="http://localhost:8080")
    return parser.parse_args()


def read(path: str) -> tuple[int, bytes]:
    """Its rate in Hz, and its samples."""
    with wave.open(path) as sound:
        if (sound.getnchannels(), sound.getsampwidth()) != (1, 2):
            raise wave.Error(f"it is not mono with 16 bit: try `ffmpeg -i {path} -ac 1 -c:a pcm_s16le mono.wav`")
        return sound.getframerate(), sound.readframes(sound.getnframes())


async def post(http: httpx.AsyncClient, path: str, body: dict[str, str]) -> dict[str, str]:
    """The server's answer; what it refuses, it says in one sentence."""
    answer = await http.post(path, json=body)
    if answer.is_error:
        raise SystemExit(answer.json()["message"])
    return dict(answer.json())


class Viewer:
    """Any WebRTC client can watch: one offer, one answer. This one writes a film."""

    def __init__(self, path: str) -> None:
        self.connection, self.file = RTCPeerConnection(), open(path, "wb")
        self.film = av.open(self.file, "w", format="mp4")
        self.video = self.film.add_stream("libx264", rate=25, options={"preset": "ultrafast"})
        self.video.width = self.video.height = 512
        self.audio = self.film.add_stream("aac", rate=48_000)
        self.connection.on("track", lambda track: self.tasks.append(asyncio.create_task(self.record(track))))
        self.tasks: list[asyncio.Task[None]] = []

    async def watch(self, http: httpx.AsyncClient, id: str) -> None:
        for kind in ("audio", "video"):
            self.connection.addTransceiver(kind, direction="recvonly")
        await self.connection.setLocalDescription(await self.connection.createOffer())
        offer = {"type": "offer", "sdp": self.connection.localDescription.sdp}
        answer = await post(http, f"/v1/sessions/{id}/offer", offer)
        await self.connection.setRemoteDescription(RTCSessionDescription(**answer))

    async def record(self, track: MediaStreamTrack) -> None:
        stream: Any = self.video if track.kind == "video" else self.audio
        while True:
            self.film.mux(stream.encode(await track.recv()))

    async def close(self) -> None:
        await self.connection.close()
        for task in self.tasks:
            task.cancel()  # one whose media never came would wait forever
        await asyncio.gather(*self.tasks, return_exceptions=True)
        for stream in (self.video, self.audio):
            self.film.mux(stream.encode(None))
        self.film.close()
        self.file.close()


async def speak(server: str, session: dict[str, str], rate: int, pcm: bytes) -> None:
    """Sound goes as fast as the socket takes it; events tell what was heard of it."""
    url = f"{server}/v1/sessions/{session['id']}/speech?token={session['token']}"
    async with connect(url) as socket:
        await socket.send(json.dumps({"type": "speech.begin", "utterance": "wav", "rate": rate}))
        await socket.send(json.dumps({"type": "speech.cue", "emotion": {"happiness": 0.4}}))
        for start in range(0, len(pcm), rate):
            await socket.send(pcm[start : start + rate])  # half a second
        await socket.send(json.dumps({"type": "speech.end"}))
        async for message in socket:
            event = json.loads(message)
            print(message)
            if event["type"] in ("speech.ended", "speech.interrupted", "error"):
                await asyncio.sleep(0.5)
                return


try:
    asyncio.run(main())
except httpx.TransportError as error:
    raise SystemExit(f"the server does not answer ({error}): is `les-avatar serve` running?") from None
except (OSError, EOFError, wave.Error) as error:  # of the two files
    raise SystemExit(str(error) or "the WAV file ends too early") from None
