"""Everything the server can be told at its start. Parsed once by the command line, then passed on in parts."""

from dataclasses import dataclass, field
from pathlib import Path

from engine.places import cache_home, data_home
from engine.units import MAX_SIZE

MEGABYTE = 1_000_000


@dataclass(frozen=True)
class IceSettings:
    """STUN and TURN, for the clients and for the server itself. TURN takes a fixed login or a shared secret."""

    stun_urls: tuple[str, ...] = ()
    """`stun:host:port`."""
    turn_urls: tuple[str, ...] = ()
    """`turn:host:port?transport=udp` or `turns:host:port?transport=tcp`; the server itself uses the first."""
    turn_username: str | None = None
    turn_password: str | None = None
    turn_secret: str | None = None
    """coturn's `static-auth-secret`; each session then gets credentials of its own."""
    turn_ttl_s: int = 6 * 3600
    """How long those are good for a new allocation."""


@dataclass(frozen=True)
class Endpoint:
    """One OpenAI-compatible HTTP or WebSocket service."""

    url: str
    """Up to and including `/v1`, for instance `https://api.openai.com/v1`."""
    model: str
    key: str = field(default="", repr=False)
    """Sent as a bearer token; empty: none is sent."""
    voice: str = ""

    def __post_init__(self) -> None:
        if not (self.key.isascii() and self.key.isprintable()):  # else whoever refuses the header quotes the key
            raise ValueError("a key holds nothing but printable ASCII characters")


@dataclass(frozen=True)
class AssistantSettings:
    """Who may talk in the portrait's place. What is not given is filled by the built-in assistant's own."""

    chat: Endpoint | None = None
    speech: Endpoint | None = None
    transcription: Endpoint | None = None
    realtime: Endpoint | None = None
    """OpenAI's Realtime protocol: hears, thinks and speaks in one."""
    realtime_transcription: str = ""
    """The model of that backend that writes down what the user says, for captions; empty: it does not."""
    twilio_url: str = ""
    """An application made for Twilio's Media Streams, which is called as if by phone."""
    instructions: str = ""
    """What the language model is told to be; empty: a short text of our own."""
    emotion_tool: bool = False
    """Whether the language model shows feelings by calling `set_emotion` instead of by tags in its text."""
    default: str = ""
    """The name of the one that sessions get unless they ask for another; empty: the most capable one given."""


@dataclass(frozen=True)
class Settings:
    host: str = "127.0.0.1"
    port: int = 8080
    max_sessions: int | None = None
    """Calls at once; further ones get 503. None: as many as the machine is measured to carry."""
    capacity_file: Path = field(default_factory=lambda: cache_home() / "capacity.json")
    """Where that measurement is kept."""
    engines: int = 1
    """That step sessions; on a CPU each is a process that uses one core."""
    max_size: int = MAX_SIZE
    """Largest picture a client may ask for, pixels square."""
    portraits_dir: Path = field(default_factory=lambda: data_home() / "portraits")
    """Prepared portraits: the defaults' cache and the uploads."""
    max_uploads: int = 200
    """Uploaded portraits kept; further ones are refused until some are deleted."""
    max_photo_bytes: int = 25 * MEGABYTE
    prepare_timeout_s: float = 300.0
    """2 to 4 s of an idle core, but a crowded machine's first start must not go without the default portraits."""
    ice: IceSettings = IceSettings()
    assistant: AssistantSettings = AssistantSettings()
    allowed_origins: tuple[str, ...] = ()
    """Origins besides the server's own whose pages may call, for instance `https://example.org`, and by whose names
    this server may be called."""
