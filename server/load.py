"""What a busy machine still draws, in steps that clients are told of: fewer frames a second, then smaller pictures.

With fewer frames encoders also take less care of each (`Measures.hurried`).

Down soon when pictures are late for want of time, up again after a while in which the step above would have fitted.
Each time a climb fails, the next is tried later. Pure: reads no clock.
"""

from dataclasses import dataclass

from engine.units import FPS, MIN_SIZE, SIZE_STEP


@dataclass(frozen=True)
class Quality:
    fps: int = FPS
    share: float = 1.0
    """Of the side that was asked for."""

    def side(self, asked: int) -> int:
        """Pixels of a picture's side, of those that a renderer draws."""
        return max(MIN_SIZE, round(asked * self.share / SIZE_STEP) * SIZE_STEP)

    @property
    def cost(self) -> float:
        """Of an engine's time, about, where the best quality costs 1.

        Part of a frame's cost does not go with its size, and the network hears every slot, drawn or not.
        """
        return HEARING + (1 - HEARING) * self.fps / FPS * (0.4 + 0.6 * self.share**2)


HEARING = 0.35  # of an engine's time at the best quality
STEPS = (Quality(), Quality(20), Quality(15), Quality(15, 0.75), Quality(15, 0.5))
LATE = 0.1  # share of the pictures in a second, above which it was a bad one
FINE = 0.05  # up to which it was a good one
BUSY = 0.8  # share of its time that an engine thread may be at work
BAD_SECONDS = 4  # in a row, if there is too little time: the hold follows what engines need within less
UNEXPLAINED_SECONDS = 10  # if there seems to be enough
SETTLE_S = 4.0
PATIENCE_S, MAX_PATIENCE_S, RELAPSE_S = 10.0, 300.0, 30.0


@dataclass
class Governor:
    """Judges every second; `step` is an index of STEPS."""

    step: int = 0
    _changed: float = float("-inf")
    _climbed: float = float("-inf")
    _bad: int = 0
    _good_since: float | None = None
    _patience: float = PATIENCE_S

    @property
    def quality(self) -> Quality:
        return STEPS[self.step]

    @property
    def exhausted(self) -> bool:
        """Whether less can't be drawn."""
        return self.step == len(STEPS) - 1

    def observe(self, now: float, late: float, busy: float) -> bool:
        """Returns whether the quality changes.

        `late` is the share of the last second's pictures that were late or never came, `busy` the share of it that the
        busiest was at work, of the engine threads and the server itself.
        """
        if now - self._changed < SETTLE_S:
            return False
        self._bad = self._bad + 1 if late > LATE else 0
        if self._bad >= (BAD_SECONDS if busy > BUSY else UNEXPLAINED_SECONDS) and self.step + 1 < len(STEPS):
            relapse = now - self._climbed < RELAPSE_S
            self._patience = min(2 * self._patience, MAX_PATIENCE_S) if relapse else PATIENCE_S
            return self._go(self.step + 1, now)
        if not self._would_fit_above(late, busy):
            self._good_since = None
        elif self._good_since is None:
            self._good_since = now
        elif now - self._good_since >= self._patience:
            self._climbed = now
            return self._go(self.step - 1, now)
        return False

    def _would_fit_above(self, late: float, busy: float) -> bool:
        return self.step > 0 and late <= FINE and busy * STEPS[self.step - 1].cost <= BUSY * self.quality.cost

    def _go(self, step: int, now: float) -> bool:
        self.step, self._changed, self._bad, self._good_since = step, now, 0, None
        return True
