"""STUN and TURN servers as a client gets them, and as aiortc does."""

import base64
import hashlib
import hmac
from dataclasses import dataclass

from aiortc import RTCIceServer

from server.settings import IceSettings


@dataclass(frozen=True)
class IceServer:
    urls: tuple[str, ...]
    username: str | None = None
    credential: str | None = None

    def for_client(self) -> dict[str, object]:
        """What `new RTCPeerConnection({iceServers: [...]})` takes."""
        login = {"username": self.username, "credential": self.credential} if self.username else {}
        return {"urls": list(self.urls), **login}

    def for_server(self) -> RTCIceServer:
        return RTCIceServer(list(self.urls), self.username, self.credential)


def ice_servers(settings: IceSettings, session_id: str, unix_time: float) -> tuple[IceServer, ...]:
    """The servers of one session; `unix_time` dates its credentials."""
    username, password = settings.turn_username, settings.turn_password
    if settings.turn_secret:
        username, password = ephemeral(settings.turn_secret, session_id, int(unix_time) + settings.turn_ttl_s)
    stun = (IceServer(settings.stun_urls),) if settings.stun_urls else ()
    turn = (IceServer(settings.turn_urls, username, password),) if settings.turn_urls else ()
    return stun + turn


def ephemeral(secret: str, user: str, expires: int) -> tuple[str, str]:
    """(user name, password) by the "TURN REST API" convention that coturn's `use-auth-secret` follows."""
    username = f"{expires}:{user}"
    digest = hmac.new(secret.encode(), username.encode(), hashlib.sha1).digest()
    return username, base64.b64encode(digest).decode()
