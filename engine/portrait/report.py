"""What the preparation found about a photo, in numbers for programs and in words for people."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self


@dataclass(frozen=True)
class Remark:
    """One finding."""

    subject: str
    """What it is about, for instance "sharpness"."""
    words: str
    """One sentence; a warning says what will suffer."""
    warning: bool = False


@dataclass(frozen=True)
class Report:
    """The quality of a photo as a portrait."""

    face_px: int
    """Height of the face in the photo, pixels."""
    yaw: float
    """Degrees, to the person's left."""
    pitch: float
    """Degrees, up."""
    roll: float
    """Degrees, to the person's left shoulder."""
    remarks: tuple[Remark, ...]

    @property
    def warnings(self) -> list[str]:
        """The sentences that say what will suffer."""
        return [remark.words for remark in self.remarks if remark.warning]

    def lines(self) -> list[str]:
        """The report as text, one finding a line."""
        return [f"{'warning' if r.warning else 'ok':<9}{r.subject:<12}{r.words}" for r in self.remarks]

    def to_json(self) -> dict[str, Any]:
        """As plain data; `warnings` stands beside the rest for those who only want that."""
        return asdict(self) | {"warnings": self.warnings}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """KeyError or TypeError for data that is no report."""
        fields = {name: data[name] for name in ("face_px", "yaw", "pitch", "roll")}
        return cls(**fields, remarks=tuple(Remark(**remark) for remark in data["remarks"]))
