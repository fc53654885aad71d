"""Speaks and hears by OpenAI-compatible `audio/speech` and `audio/transcriptions` services."""

import io
import json
import wave
from collections.abc import AsyncGenerator

from server.assistants.service import PATIENCE_S, Service
from server.assistants.slots import HEARING_RATE, Listening
from server.settings import Endpoint

SPEECH_RATE = 24_000  # Hz, of the format `pcm`
DEFAULT_VOICE = "alloy"
RIFF_HEADER = 44  # bytes: some services send a WAV file where samples are asked for
LEAST_S = 0.2  # of sound: less is no word


class HttpVoice:
    """`server.assistants.slots.Speak`: sound as it is made."""

    rate = SPEECH_RATE

    def __init__(self, endpoint: Endpoint, patience_s: float = PATIENCE_S) -> None:
        self._service = Service(endpoint, "speech", patience_s)

    async def close(self) -> None:
        await self._service.close()

    async def speak(self, text: str) -> AsyncGenerator[bytes, None]:
        """In pieces of whole samples."""
        endpoint = self._service.endpoint
        body = {
            "model": endpoint.model,
            "voice": endpoint.voice or DEFAULT_VOICE,
            "input": text,
            "response_format": "pcm",
        }
        async with self._service.post("/audio/speech", json=body) as response:
            if (kind := response.headers.get("content-type", "")).startswith(("text/", "application/json")):
                raise self._service.garbage(f"{kind} in the place of sound")
            sound, came = b"", False
            async for piece in response.aiter_bytes():
                sound += piece
                if not came and len(sound) < RIFF_HEADER:
                    continue
                if not came and sound.startswith(b"RIFF"):
                    sound = sound[RIFF_HEADER:]
                came = True
                whole = len(sound) // 2 * 2
                yield sound[:whole]
                sound = sound[whole:]
        if not came:
            raise self._service.garbage("no sound")


class HttpEar:
    """`server.assistants.slots.Hear`: the turn's sound is sent when it is over."""

    def __init__(self, endpoint: Endpoint, patience_s: float = PATIENCE_S) -> None:
        self._service = Service(endpoint, "transcription", patience_s)

    async def close(self) -> None:
        await self._service.close()

    def listen(self) -> Listening:
        return HttpTurn(self._service)


class HttpTurn:
    def __init__(self, service: Service) -> None:
        self._service, self._pcm = service, bytearray()

    def feed(self, pcm: bytes) -> None:
        self._pcm += pcm

    async def text(self) -> str:
        if len(self._pcm) < 2 * HEARING_RATE * LEAST_S:
            return ""
        file = {"file": ("turn.wav", wav(bytes(self._pcm)), "audio/wav")}
        fields = {"model": self._service.endpoint.model, "response_format": "json"}
        async with self._service.post("/audio/transcriptions", files=file, data=fields) as response:
            said = await response.aread()
        try:
            text = json.loads(said)["text"]
            return str(text).strip()
        except (ValueError, LookupError, TypeError, RecursionError):
            raise self._service.garbage(f"a transcription begins with {said[:60]!r}") from None

    def drop(self) -> None:
        self._pcm.clear()


def wav(pcm: bytes) -> bytes:
    """A file of mono PCM16 at 16 kHz."""
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(HEARING_RATE)
        out.writeframes(pcm)
    return file.getvalue()
