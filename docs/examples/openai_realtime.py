"""Lets a portrait say what an assistant says, through the official OpenAI client: on the page, or in a film.

    pip install openai websockets aiortc httpx hibari-tts
    les-avatar serve
    python docs/examples/openai_realtime.py "Hello! I have a face now." [talk.mp4]

The other way round, the server itself talks to a Realtime backend and the portrait answers who calls it:

    LES_ASSISTANT_KEY=sk-... les-avatar serve --assistant-url wss://api.openai.com/v1 --assistant-model gpt-realtime
"""

import argparse
import asyncio
import base64
import re
from collections.abc import AsyncIterator
from typing import Any

import av
import httpx
import numpy as np
from aiortc import MediaStreamTrack, RTCPeerConnection, RTCSessionDescription
from hibari import Hibari
from openai import AsyncOpenAI
from openai.resources.realtime.realtime import AsyncRealtimeConnection

VOICE = Hibari()


async def assistant(text: str) -> AsyncIterator[bytes]:
    """Your own goes here: whatever yields speech as PCM16 at 24 kHz, in pieces, as they come."""
    for sentence in re.split(r"(?<=[.!?])\s+", text):
        samples = await asyncio.to_thread(VOICE, sentence)
        yield (np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes()


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
            # The session's token is the key, its id the model.
            openai = AsyncOpenAI(base_url=f"{options.server}/v1", api_key=session["token"])
            async with openai.realtime.connect(model=session["id"]) as connection:
                await speak(connection, options.text, options.emotion)
        finally:
            if viewer:
                await viewer.close()
            await http.delete(f"/v1/sessions/{session['id']}")


async def speak(connection: AsyncRealtimeConnection, text: str, emotion: str) -> None:
    """A response speaks what is appended until the commit; it is done when its last sound was heard."""
    await connection.response.create(response={"metadata": {"emotion": emotion}})
    async for pcm in assistant(text):
        await connection.input_audio_buffer.append(audio=base64.b64encode(pcm).decode())
    await connection.input_audio_buffer.commit()
    async for event in connection:
        print(event.type)
        if event.type == "response.done":
            print(event.response.status, event.response.metadata)  # completed, or cancelled: who calls can interrupt
            await asyncio.sleep(0.5)
            return


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


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("text", help="what to say")
    parser.add_argument("film", nargs="?", help="an MP4 file to write; without, the page shows it")
    parser.add_argument("--emotion", default="happiness=0.5")
    parser.add_argument("--portrait", default="anna")
    parser.add_argument("--server", default="http://localhost:8080")
    return parser.parse_args()


asyncio.run(main())
