"""From one photo to a prepared portrait: everything the renderer needs to know of a person."""

from engine.portrait.default import default_names, default_photo
from engine.portrait.errors import PortraitError
from engine.portrait.file import Portrait
from engine.portrait.prepare import prepare
from engine.portrait.report import Remark, Report

__all__ = ["Portrait", "PortraitError", "Remark", "Report", "default_names", "default_photo", "prepare"]
