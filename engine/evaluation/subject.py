"""One way of driving the face, and all that was seen of it, each condition watched once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from engine.cdan.training.voices import Utterance
from engine.evaluation.drivers import Driver
from engine.evaluation.judges import Judge
from engine.evaluation.speaking import Sample, Spoken, gather, speak
from engine.les import Les


@dataclass(frozen=True)
class Condition:
    """What is said, and with which emotion."""

    said: Sequence[Utterance]
    les: Les


@dataclass(frozen=True, eq=False)
class Subject:
    """A driver before a judge."""

    name: str
    driver: Driver
    judge: Judge
    conditions: Mapping[str, Condition]
    skipped: frozenset[str] = frozenset()
    """Conditions that this subject is not watched in."""
    _seen: dict[str, list[Spoken]] = field(default_factory=dict)

    def spoken(self, condition: str) -> list[Spoken]:
        if condition not in self._seen:
            asked = self.conditions[condition]
            self._seen[condition] = speak(self.driver, self.judge, asked.said, asked.les)
        return self._seen[condition]

    def found(self, condition: str) -> list[Sample]:
        return gather(self.spoken(condition))
