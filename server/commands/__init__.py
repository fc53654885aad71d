"""One module a command; each has `run(options) -> exit status` and raises `Refusal` for what it can't do."""


class Refusal(Exception):
    """What can't be done, and what to do instead, in one line for the user."""
