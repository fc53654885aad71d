"""A prepared portrait and its file: a header in JSON, then the arrays one after the other, so that loading is one read.

Bytes: the magic, the header's length (uint32, little-endian), the header, padding to 64, arrays each padded to 64.
"""

import json
import mmap
import os
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from engine.portrait.errors import PortraitError
from engine.portrait.report import Report

Layers = Mapping[str, npt.NDArray[Any]]
Content = bytes | mmap.mmap

MAGIC = b"LESAVATR"
VERSION = 7
_ALIGN = 64
_DTYPES = ("uint8", "float16", "float32", "int32")
_LENGTH = struct.Struct("<I")


@dataclass(frozen=True, eq=False)
class Portrait:
    """What the renderer needs of one person. Two are equal only if they are the same object."""

    layers: Layers = field(repr=False)
    """The renderer's portrait inputs by name."""
    report: Report
    thumbnail: bytes = field(repr=False)
    """JPEG of the whole frame."""
    file: Path | None = None
    """Whose mapped content the layers are."""

    @property
    def source(self) -> npt.NDArray[np.float32]:
        """[63] the photo's own expression."""
        own: npt.NDArray[np.float32] = self.layers["source"]
        return own

    @staticmethod
    def is_prepared(data: bytes) -> bool:
        """Whether `data` is such a file, of whatever version."""
        return data.startswith(MAGIC)

    @classmethod
    def from_bytes(cls, data: Content) -> Self:
        """PortraitError for a file that is damaged or of another version."""
        try:
            header, start = _header(data)
            arrays = {item["name"]: _array(data, start, item) for item in header["arrays"]}
            thumbnail = arrays.pop("thumbnail").tobytes()
            return cls(arrays, Report.from_json(header["report"]), thumbnail)
        except (KeyError, TypeError, ValueError, struct.error) as error:
            if isinstance(error, PortraitError):
                raise
            raise PortraitError("broken_file", "the prepared portrait is damaged: prepare the photo again") from error

    def to_bytes(self) -> bytes:
        """The file's content."""
        arrays = {**self.layers, "thumbnail": np.frombuffer(self.thumbnail, np.uint8)}
        items, offset = [], 0
        for name, array in arrays.items():
            items.append({"name": name, "dtype": str(array.dtype), "shape": array.shape, "offset": offset})
            offset += _padded(array.nbytes)
        text = json.dumps({"version": VERSION, "report": self.report.to_json(), "arrays": items}).encode()
        head = MAGIC + _LENGTH.pack(len(text)) + text
        return b"".join([head.ljust(_padded(len(head)), b"\0"), *_blocks(arrays)])

    @classmethod
    def load(cls, path: Path) -> Self:
        """Maps the file: processes that load the same share its memory, also once it is deleted.

        OSError if there is none, PortraitError if it is no usable one.
        """
        with path.open("rb") as file:
            empty = os.fstat(file.fileno()).st_size == 0  # which can't be mapped
            content = b"" if empty else mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        return replace(cls.from_bytes(content), file=path)

    def save(self, path: Path) -> None:
        """Writes the whole file or none of it."""
        part = path.with_name(path.name + ".part")
        part.write_bytes(self.to_bytes())
        part.replace(path)


def _blocks(arrays: Layers) -> Iterator[bytes]:
    for array in arrays.values():
        yield array.tobytes().ljust(_padded(array.nbytes), b"\0")


def _padded(size: int) -> int:
    return -(-size // _ALIGN) * _ALIGN


def _header(data: Content) -> tuple[dict[str, Any], int]:
    """The header and where the arrays begin."""
    if data[: len(MAGIC)] != MAGIC:
        raise PortraitError("not_prepared", "this is no prepared portrait: give a photo, or prepare it first")
    (length,) = _LENGTH.unpack_from(data, len(MAGIC))
    start = len(MAGIC) + _LENGTH.size
    header = json.loads(data[start : start + length])
    if header["version"] != VERSION:
        raise PortraitError("other_version", "this portrait was prepared by another version: prepare the photo again")
    return header, _padded(start + length)


def _array(data: Content, start: int, item: Mapping[str, Any]) -> npt.NDArray[Any]:
    """A read-only view of one array."""
    if item["dtype"] not in _DTYPES:
        raise ValueError(item["dtype"])
    shape = [int(n) for n in item["shape"]]
    count = int(np.prod(shape))
    return np.frombuffer(data, item["dtype"], count, start + int(item["offset"])).reshape(shape)
