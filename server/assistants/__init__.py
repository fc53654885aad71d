"""Assistants that the server itself runs or connects to: each converses with one session."""
