"""Why a photo or a prepared file can't be used."""


class PortraitError(ValueError):
    """`code` is for programs and keeps its meaning; the message is one line for people that says what to do."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code

    def __reduce__(self) -> tuple[type["PortraitError"], tuple[str, str]]:
        """Processes hand it on."""
        return type(self), (self.code, str(self))
