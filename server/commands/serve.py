"""`les-avatar serve`: the page and its calls, until interrupted."""

import argparse
import os
from functools import partial

from engine.avatar import Avatar
from server.app import serve
from server.commands import Refusal
from server.settings import IceSettings, Settings, data_home


def run(options: argparse.Namespace) -> int:
    try:
        serve(settings(options), partial(Avatar, look_ahead=options.look_ahead))
    except SystemExit as stopped:  # uvicorn's way to say that it could not start; it has logged why
        raise Refusal(f"can't serve on {options.host}:{options.port}; see above, or try another --port") from stopped
    return 0


def settings(options: argparse.Namespace) -> Settings:
    """Secrets come from the environment, so that they stay out of the list of processes."""
    ice = IceSettings(
        stun_urls=tuple(options.stun),
        turn_urls=tuple(options.turn),
        turn_username=options.turn_username,
        turn_password=os.environ.get("LES_TURN_PASSWORD"),
        turn_secret=os.environ.get("LES_TURN_SECRET"),
    )
    return Settings(
        host=options.host,
        port=options.port,
        max_sessions=options.max_sessions,
        portraits_dir=options.portraits or data_home() / "portraits",
        ice=ice,
        allowed_origins=tuple(options.allow_origin),
    )
