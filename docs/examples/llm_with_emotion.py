"""A language model with feelings: you type, the portrait answers, and its face follows the tags in the model's text.

pip install httpx websockets
les-avatar serve
export LLM_KEY=... TTS_KEY=...                       # if your services want keys
python docs/examples/llm_with_emotion.py --chat-url http://localhost:11434/v1 --chat-model llama3.2 \\
                                         --tts-url http://localhost:8880/v1 --tts-model kokoro --voice af_heart
"""

import argparse
import asyncio
import json
import os
import re
import webbrowser
from collections.abc import AsyncIterator
from typing import Any

import httpx
from websockets.asyncio.client import ClientConnection, connect

FEELINGS = ("anger", "contempt", "disgust", "fear", "happiness", "sadness", "surprise")
SYSTEM = (
    "You talk on a video call: two or three short spoken sentences, no markup. Before words that you feel something"
    " about put a tag with a level from 0 to 1, such as [happiness 0.6]; [neutral] ends it. There are "
    f"{', '.join(FEELINGS)}."
)
TAG = re.compile(r"\[\s*(\w+)\s*=?\s*([\d.]*)\s*\]")


async def main() -> None:
    options = parse_options()
    async with httpx.AsyncClient(timeout=60) as http:
        wish = {"portrait": options.portrait, "source": "push"}
        session = (await http.post(f"{options.server}/v1/sessions", json=wish)).raise_for_status().json()
        page = f"{options.server}/#session={session['id']}&token={session['token']}"
        print(f"watch it: {page}", flush=True)
        if options.browser:
            webbrowser.open(page)
        sockets = options.server.replace("http", "ws", 1)
        async with connect(f"{sockets}/v1/sessions/{session['id']}/speech?token={session['token']}") as speech:
            await talk(http, speech, options)


async def talk(http: httpx.AsyncClient, speech: ClientConnection, options: argparse.Namespace) -> None:
    messages = [{"role": "system", "content": SYSTEM}]
    while line := await asyncio.to_thread(ask):
        messages.append({"role": "user", "content": line})
        await speech.send('{"type": "activity.set", "activity": "thinking"}')
        await speech.send('{"type": "speech.begin"}')
        said = []
        async for sentence in sentences(text_of(http, options, messages)):
            said.append(sentence)
            print(sentence, flush=True)
            await say(http, speech, options, sentence)
        await speech.send('{"type": "speech.end"}')
        messages.append({"role": "assistant", "content": " ".join(said)})
        await until_heard(speech)


def ask() -> str:
    try:
        return input("you: ").strip()
    except EOFError:
        return ""


async def text_of(
    http: httpx.AsyncClient, options: argparse.Namespace, messages: list[dict[str, str]]
) -> AsyncIterator[str]:
    """Pieces of the model's answer as they come."""
    body = {"model": options.chat_model, "messages": messages, "stream": True}
    async with http.stream("POST", f"{options.chat_url}/chat/completions", json=body, headers=key("LLM_KEY")) as answer:
        answer.raise_for_status()
        async for line in answer.aiter_lines():
            if line.startswith("data: {") and (choices := json.loads(line[6:])["choices"]):
                yield choices[0]["delta"].get("content") or ""


async def sentences(pieces: AsyncIterator[str]) -> AsyncIterator[str]:
    """Each as soon as it is whole: the voice need not wait for the last one."""
    text = ""
    async for piece in pieces:
        *whole, text = re.split(r"(?<=[.!?])\s+", text + piece)
        for sentence in whole:
            yield sentence
    if text.strip():
        yield text.strip()


async def say(http: httpx.AsyncClient, speech: ClientConnection, options: argparse.Namespace, sentence: str) -> None:
    """The sentence's words, and each feeling where its words begin."""
    first, *rest = TAG.split(sentence)  # words, then of each tag its name, its level and the words after it
    for name, level, words in [("", "", first), *zip(rest[0::3], rest[1::3], rest[2::3], strict=True)]:
        if name:
            await speech.send(json.dumps(cue(name, level)))
        if any(sign.isalnum() for sign in words):
            async for sound in sound_of(http, options, words.strip()):
                await speech.send(sound)


def cue(name: str, level: str) -> dict[str, Any]:
    """The face eases there when the sound sent next is heard."""
    emotion = {name: min(float(level or 1), 1.0)} if name in FEELINGS else {}
    return {"type": "speech.cue", "emotion": emotion, "transition_ms": 300}


async def sound_of(http: httpx.AsyncClient, options: argparse.Namespace, words: str) -> AsyncIterator[bytes]:
    """16 bit, 24 kHz, mono, as it is made."""
    body = {"model": options.tts_model, "voice": options.voice, "input": words, "response_format": "pcm"}
    async with http.stream("POST", f"{options.tts_url}/audio/speech", json=body, headers=key("TTS_KEY")) as answer:
        answer.raise_for_status()
        async for sound in answer.aiter_bytes():
            yield sound


async def until_heard(speech: ClientConnection) -> None:
    """The user may also have interrupted it."""
    async for message in speech:
        event = json.loads(message)
        if event["type"] == "error":
            print(event["message"], flush=True)
        if event["type"] in ("speech.ended", "speech.interrupted", "closed"):
            print(f"({event['type']} after {event.get('playback_ms', 0) / 1000:.1f} s)", flush=True)
            return


def key(variable: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {os.environ[variable]}"} if os.environ.get(variable) else {}


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--chat-url", required=True, help="OpenAI-compatible, up to and including /v1")
    parser.add_argument("--chat-model", required=True)
    parser.add_argument("--tts-url", required=True)
    parser.add_argument("--tts-model", required=True)
    parser.add_argument("--voice", default="alloy")
    parser.add_argument("--portrait", default="anna")
    parser.add_argument("--server", default="http://localhost:8080")
    parser.add_argument("--no-browser", dest="browser", action="store_false", help="only print where to watch")
    return parser.parse_args()


if __name__ == "__main__":
    asyncio.run(main())
