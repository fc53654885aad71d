"""A real coturn on this machine, for tests that must go through a relay."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

SECRET = "a shared secret"


def address() -> str:
    """An address of this machine other than loopback, which ICE and TURN leave out; empty if there is none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # nothing is sent
        except OSError:
            return ""
        name: str = probe.getsockname()[0]
        return "" if name.startswith("127.") else name


def free_port(host: str) -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return port


@asynccontextmanager
async def coturn(folder: Path) -> AsyncIterator[str]:
    """Yields its `turn:` URL; logins are made from SECRET."""
    host = address()
    port = free_port(host)
    options = [
        "-n", "--lt-cred-mech", "--use-auth-secret", f"--static-auth-secret={SECRET}", "-r", "test",
        f"--listening-ip={host}", f"--relay-ip={host}", f"--listening-port={port}",
        "--min-port=50000", "--max-port=50100", "--no-tls", "--no-dtls", "--no-cli",
        f"--userdb={folder / 'turn.db'}", f"--pidfile={folder / 'turn.pid'}", "--log-file=stdout",
    ]  # fmt: skip
    process = await asyncio.create_subprocess_exec(
        "turnserver", *options, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        await _listening(host, port)
        yield f"turn:{host}:{port}?transport=udp"
    finally:
        process.terminate()
        await process.wait()


async def _listening(host: str, port: int) -> None:
    async with asyncio.timeout(10):
        while True:
            try:
                _, writer = await asyncio.open_connection(host, port)
            except OSError:
                await asyncio.sleep(0.05)
            else:
                writer.close()
                await writer.wait_closed()
                return
