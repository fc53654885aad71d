"""An OpenAI-compatible HTTP service: every way in which it fails is a `SlotFailure` that says what to do.

Keys go into headers and nowhere else; httpx logs addresses, and is told to keep even those.
"""

import logging
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from typing import Any
from urllib.parse import urlsplit

import httpx

from server.assistants.slots import SlotFailure
from server.settings import Endpoint

logging.getLogger("httpx").setLevel(logging.WARNING)

CONNECT_S, PATIENCE_S = 5.0, 20.0
KEYS = {"chat": "LES_CHAT_KEY", "speech": "LES_TTS_KEY", "transcription": "LES_STT_KEY"}
"""Where the command line takes each slot's key from."""


@cache
def authorities() -> ssl.SSLContext:
    """Read once: it takes as long as a picture."""
    return httpx.create_ssl_context()


class Service:
    def __init__(self, endpoint: Endpoint, slot: str, patience_s: float = PATIENCE_S) -> None:
        """`slot` begins the codes of its failures: `chat`, `speech` or `transcription`.

        A service that is silent for longer than `patience_s` hangs.
        """
        self.endpoint = endpoint
        self._slot, self._patience_s = slot, patience_s
        self._host = urlsplit(endpoint.url).netloc.rpartition("@")[2]
        self._client: httpx.AsyncClient | None = None

    async def close(self) -> None:
        """Connections are kept from one request to the next until then."""
        if self._client:
            await self._client.aclose()
            self._client = None

    @asynccontextmanager
    async def post(self, path: str, **request: Any) -> AsyncIterator[httpx.Response]:
        """The answer, whose body is still to come. Raises `SlotFailure`, inside the block too."""
        client = self._client = self._client or self._new_client()
        try:
            async with client.stream("POST", self.endpoint.url.rstrip("/") + path, **request) as response:
                if response.is_error:
                    raise self.failure("refused", await self._refusal(response))
                yield response
        except httpx.TimeoutException:
            raise self.failure("silent", f"says nothing for {self._patience_s:g} s") from None
        except httpx.DecodingError:
            raise self.garbage("its answer can't be decompressed") from None
        except httpx.RemoteProtocolError:
            raise self.failure("lost", "broke off in the middle of its answer") from None
        except (httpx.TransportError, httpx.InvalidURL) as error:
            problem = f"can't be reached ({error or type(error).__name__}); is its address right?"
            raise self.failure("unreachable", problem) from None

    def _new_client(self) -> httpx.AsyncClient:
        headers = {"Authorization": f"Bearer {self.endpoint.key}"} if self.endpoint.key else {}
        timeout = httpx.Timeout(self._patience_s, connect=min(CONNECT_S, self._patience_s))
        return httpx.AsyncClient(timeout=timeout, headers=headers, verify=authorities())

    def failure(self, kind: str, problem: str) -> SlotFailure:
        return SlotFailure(f"{self._slot}_{kind}", f"the {self._slot} service at {self._host} {problem}")

    def garbage(self, problem: str) -> SlotFailure:
        return self.failure("garbage", f"sends what nobody understands: {problem}")

    async def _refusal(self, response: httpx.Response) -> str:
        status = response.status_code
        if status in (401, 403):
            return f"refuses the key ({status}); check {KEYS[self._slot]}"
        said = (await response.aread())[:200].decode(errors="replace")
        return f"answers {status}; check its address and model. It says: {' '.join(said.split())}"
