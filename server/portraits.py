"""The portraits a client can choose from: prepared once, kept as files, loaded when a session shows them.

A portrait is three files in one directory: ID.portrait, ID.jpg (thumbnail) and ID.json (name and report). They are
written under another name first, so that a portrait is there whole or not at all.
"""

import asyncio
import hashlib
import json
import logging
import os
import re
import secrets
import shutil
import sys
import tempfile
import time
import weakref
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import engine.face
import engine.portrait
from engine.portrait import Portrait, PortraitError, default_names, default_photo

log = logging.getLogger(__name__)

SUFFIX = ".portrait"
ID = re.compile(r"[a-z0-9]{1,32}")
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")  # of the preparing process: one each
MAX_WAITING = 4  # photos, for the one that is being prepared
_PREPARING = "preparing-"  # begins the name of a folder that holds a photo while it is prepared
_ABANDONED_S = 3600.0  # after which nobody is preparing it any more, be it another server


class Protected(Exception):
    """A default portrait can't be deleted."""


class Busy(Exception):
    """Too many photos wait to be prepared."""


class NoSpace(Exception):
    """As many uploads are kept as may be."""


@dataclass(frozen=True)
class Entry:
    id: str
    name: str
    default: bool
    report: dict[str, Any]

    def for_client(self) -> dict[str, Any]:
        thumbnail = f"/v1/portraits/{self.id}/thumbnail"
        report = {"warnings": []} | self.report
        return {"id": self.id, "name": self.name, "default": self.default, "thumbnail": thumbnail, "report": report}


Load = Callable[[Path], Portrait]
Prepare = Callable[[bytes, Path], Awaitable[dict[str, Any]]]
"""Photo and path in; writes the portrait and its thumbnail there and returns the report; raises PortraitError."""


class Portraits:
    def __init__(self, directory: Path, prepare: Prepare, load: Load, max_uploads: int) -> None:
        self._directory, self._prepare, self._load, self._max_uploads = directory, prepare, load, max_uploads
        self._loaded: weakref.WeakValueDictionary[str, Portrait] = weakref.WeakValueDictionary()
        self._preparing = asyncio.Lock()  # one at a time: the cores belong to the calls
        self._waiting = 0

    async def prepare_defaults(self, there: Callable[[], object] = bool) -> None:
        """Whatever is missing, or was prepared from another photo or by other code. `there` is called after each."""
        self._directory.mkdir(parents=True, exist_ok=True)
        self._sweep()
        for name in default_names():
            photo = default_photo(name)
            stamp = await asyncio.to_thread(stamp_of, photo)
            if not self._path(name, SUFFIX).exists() or self._stamp(name) != stamp:
                log.info("preparing the default portrait %r, which takes some seconds", name)
                try:
                    await self._add(name, name.capitalize(), photo, stamp)
                except PortraitError as error:  # calls can be taken with the others, or with its last good version
                    log.error("the default portrait %r could not be prepared: %s", name, error)
            if self._path(name, SUFFIX).exists():
                there()
        if not self.list():
            raise PortraitError("failed", "no default portrait could be prepared")

    def list(self) -> list[Entry]:
        ids = [path.stem for path in sorted(self._directory.glob("*.json"), key=os.path.getmtime)]
        defaults = [id for id in default_names() if id in ids]
        return [*self._entries(defaults + [id for id in ids if id not in defaults])]

    def _entries(self, ids: Iterable[str]) -> Iterator[Entry]:
        for id in ids:
            try:
                yield self.get(id)
            except LookupError:
                log.warning("%s is no portrait's description", self._path(id, ".json"))

    def get(self, id: str) -> Entry:
        """LookupError for an unknown one."""
        try:
            data = json.loads(self._path(id, ".json").read_text())
            return Entry(id, data["name"], id in default_names(), data["report"])
        except (OSError, ValueError, TypeError, KeyError):
            raise LookupError(id) from None

    def thumbnail(self, id: str) -> bytes:
        """JPEG. LookupError for an unknown portrait."""
        try:
            return self._path(id, ".jpg").read_bytes()
        except OSError:
            raise LookupError(id) from None

    async def load(self, id: str) -> Portrait:
        """LookupError for an unknown one. Sessions that show the same portrait share it."""
        portrait = self._loaded.get(id)
        if portrait is None:
            try:
                portrait = self._loaded[id] = await asyncio.to_thread(self._load, self._path(id, SUFFIX))
            except OSError:
                raise LookupError(id) from None
        return portrait

    async def add(self, photo: bytes, name: str) -> Entry:
        """Prepares an uploaded photo. Raises PortraitError, Busy or NoSpace."""
        if self._waiting > MAX_WAITING:
            raise Busy
        if len(self.list()) - len(default_names()) >= self._max_uploads:
            raise NoSpace
        self._waiting += 1
        try:
            return await self._add(secrets.token_hex(8), name, photo)
        finally:
            self._waiting -= 1

    def delete(self, id: str) -> None:
        """LookupError for an unknown one, Protected for a default."""
        self.get(id)
        if id in default_names():
            raise Protected
        self._loaded.pop(id, None)
        for suffix in (".json", SUFFIX, ".jpg"):
            self._path(id, suffix).unlink(missing_ok=True)

    def _sweep(self) -> None:
        """Removes photos that a server left behind when it was killed while it prepared them."""
        for folder in self._directory.glob(f"{_PREPARING}*"):
            if time.time() - folder.stat().st_mtime > _ABANDONED_S:
                shutil.rmtree(folder, ignore_errors=True)

    def _stamp(self, id: str) -> str:
        try:
            stamp: str = json.loads(self._path(id, ".json").read_text())["stamp"]
        except (OSError, ValueError, KeyError):
            return ""
        return stamp

    async def _add(self, id: str, name: str, photo: bytes, stamp: str = "") -> Entry:
        with tempfile.TemporaryDirectory(dir=self._directory, prefix=_PREPARING) as folder:
            made = Path(folder) / f"{id}{SUFFIX}"
            async with self._preparing:
                report = await self._prepare(photo, made)
            made.with_suffix(".json").write_text(json.dumps({"name": name, "report": report, "stamp": stamp}))
            for suffix in (SUFFIX, ".jpg", ".json"):
                shutil.move(made.with_suffix(suffix), self._path(id, suffix))
        return self.get(id)

    def _path(self, id: str, suffix: str) -> Path:
        if not ID.fullmatch(id):
            raise LookupError(id)
        return self._directory / f"{id}{suffix}"


def stamp_of(photo: bytes) -> str:
    """What a default portrait is made of: its photo, and the code and data that prepare it."""
    digest = hashlib.sha256(photo)
    for package in (engine.portrait, engine.face):
        for path in sorted(Path(package.__path__[0]).rglob("*")):
            if path.is_file() and path.suffix != ".pyc":
                digest.update(path.read_bytes())
    return digest.hexdigest()


async def prepare_in_process(photo: bytes, out: Path, timeout_s: float = 300.0) -> dict[str, Any]:
    """`Prepare` by `server.prepare_worker`."""
    source = out.with_name("photo")
    source.write_bytes(photo)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "server.prepare_worker", str(source), str(out),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, env=os.environ | dict.fromkeys(THREADS, "1"),
    )  # fmt: skip
    try:
        output, errors = await asyncio.wait_for(process.communicate(), timeout_s)
    except TimeoutError:
        told = f"the photo could not be prepared in {timeout_s:.0f} s: this machine is too busy; try again later"
        raise PortraitError("too_slow", told) from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return _report(process.returncode, output, errors)


def _report(status: int | None, output: bytes, errors: bytes) -> dict[str, Any]:
    lines = output.decode(errors="replace").strip().splitlines()
    if status == 0 and lines:
        report: dict[str, Any] = json.loads(lines[-1])
        return report
    if status == 2 and lines:
        refusal = json.loads(lines[-1])
        raise PortraitError(refusal["code"], refusal["message"])
    log.error("preparing a portrait failed with status %s\n%s", status, errors.decode(errors="replace"))
    raise PortraitError("failed", "the photo could not be prepared; try another one")
