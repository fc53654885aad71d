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
    async with httpx.AsyncClient(base_url=options.server, timeout=30) as http:
        answer = await http.post("/v1/sessions", json={"portrait": options.portrait, "source": "push"})
        session = answer.raise_for_status().json()
        http.headers["Authorization"] = f"Bearer {session['token']}"
        viewer = Viewer(options.film) if options.film else None
        try:
            if viewer:
                await viewer.watch(http, session["id"])
            else:
                print(f"{options.server}/#session={session['id']}&token={session['token']} shows it: open it now")
            await speak(options.server.replace("http", "ws", 1), session, options.sound)
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


class Viewer:
    """Any WebRTC client can watch: one offer, one answer. This one writes a film."""

    def __init__(self, path: str) -> None:
        self.connection, self.film = RTCPeerConnection(), av.open(path, "w")
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
        answer = await http.post(f"/v1/sessions/{id}/offer", json=offer)
        await self.connection.setRemoteDescription(RTCSessionDescription(**answer.raise_for_status().json()))

    async def record(self, track: MediaStreamTrack) -> None:
        stream: Any = self.video if track.kind == "video" else self.audio
        while True:
            self.film.mux(stream.encode(await track.recv()))

    async def close(self) -> None:
        await self.connection.close()
        await asyncio.gather(*self.tasks, return_exceptions=True)  # they end with MediaStreamError
        for stream in (self.video, self.audio):
            self.film.mux(stream.encode(None))
        self.film.close()


async def speak(server: str, session: dict[str, str], path: str) -> None:
    """Sound goes as fast as the socket takes it; events tell what was heard of it."""
    with wave.open(path) as sound:
        if (sound.getnchannels(), sound.getsampwidth()) != (1, 2):
            raise SystemExit(f"{path} is not mono with 16 bit: try `ffmpeg -i {path} -ac 1 -c:a pcm_s16le mono.wav`")
        rate, pcm = sound.getframerate(), sound.readframes(sound.getnframes())
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


asyncio.run(main())
