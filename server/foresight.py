"""What the engine hears of speech before it is said: the slots that are known, and silence where none is yet.

With a look-ahead of L frames the picture of a slot comes with the L-th chunk after it. What is pushed is mostly known
that far ahead, so it is fed ahead of time and the look-ahead costs no delay. Where a guess was wrong, because sound
came in, or was taken back, the engine forgets the chunks from there on and hears the right ones. Pure.
"""

from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from server.microphone import Decimator, Samples

MOST_OWED = 10  # slots; an engine that is farther behind hears no more of what has long been said


class Fed(NamedTuple):
    """What the engine is to do for one slot."""

    forget: int
    """Chunks, the last it heard, that it should not have heard."""
    chunks: Samples
    """[n, 640] to hear then; the picture comes with the last."""


class Foresight:
    def __init__(self) -> None:
        self._decimate = Decimator()
        self._owed: deque[Samples] = deque(maxlen=MOST_OWED)  # slots said without a picture that it has not heard
        self._ahead: deque[tuple[Samples, Samples]] = deque()  # slots fed and not yet said, each with the filter's past

    def feed(self, window: Sequence[Samples]) -> Fed:
        """`window` is the slot that is said now, then the L that follow as far as is known, float32[1920] each."""
        pairs = zip(self._ahead, window, strict=False)
        right = next((i for i, ((fed, _), slot) in enumerate(pairs) if not np.array_equal(fed, slot)), len(self._ahead))
        forget = len(self._ahead) - right
        for _ in range(forget):
            self._decimate.past = self._ahead.pop()[1]
        chunks = [self._decimate(slot) for slot in self._owed] + [self._hear(slot) for slot in window[right:]]
        self._owed.clear()
        self._ahead.popleft()
        return Fed(forget, np.stack(chunks))

    def skip(self, slot: Samples) -> None:
        """The slot that is said now has no picture; what the engine has not heard of it comes with the next."""
        if self._ahead:
            self._ahead.popleft()
        else:
            self._owed.append(slot)

    def start_over(self) -> None:
        """The engine has forgotten everything."""
        self._owed.clear()
        while self._ahead:
            self._decimate.past = self._ahead.pop()[1]

    def _hear(self, slot: Samples) -> Samples:
        self._ahead.append((slot, self._decimate.past))
        return self._decimate(slot)
