"""Draws a prepared portrait with coefficients of the face: layers warped by fields and put together back to front."""

from engine.renderer.cpu import CpuRenderer

__all__ = ["CpuRenderer"]
