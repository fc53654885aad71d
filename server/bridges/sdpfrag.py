"""Candidates as WHIP and WHEP trickle them: `application/trickle-ice-sdpfrag` (RFC 8840, section 9). Pure."""

from server.protocol import Candidate

MOST = 64


def parse_candidates(fragment: str) -> list[Candidate]:
    """Each with the section it stands in. ValueError for what is no fragment."""
    found: list[Candidate] = []
    mid, section = None, None
    for line in fragment.splitlines():
        kind, _, value = line.partition("=")
        if not line.strip():
            continue
        if kind not in ("a", "m"):
            raise ValueError(f"a line that belongs into no fragment: {line[:40]!r}")
        if kind == "m":
            section, mid = 0 if section is None else section + 1, None
        elif value.startswith("mid:"):
            mid = value.removeprefix("mid:").strip()
        elif value.startswith("candidate:"):
            # Which section it is tells `mid`; the fragment leaves sections out that have nothing to say.
            found.append(Candidate(candidate=value.strip(), sdpMid=mid, sdpMLineIndex=section if mid is None else None))
    if len(found) > MOST:
        raise ValueError(f"at most {MOST} candidates at a time")
    return found
