"""The collapse watch: which rules fire when. Pure: what it says depends on the logged signals alone.

A rule, for each critic where it is about them, fires when its severity has been at least 1 for ``ticks`` ticks in a
row (some for twice as many); their first one is the onset. So that a model which has not learnt yet is no alarm, it
counts only once its severity was at most one half for ``ticks`` ticks in a row, or after ``grace`` ticks. It fires
again only after being as quiet.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from vidgan.run.rules import RULES, Reading, Rule, Scalars, WatchSpec

WELL: Final = 0.5
"""severity up to which a rule is content with a model"""


class Alarm(NamedTuple):
    """A rule that has fired."""

    rule: str
    step: int
    """at which it was noticed"""
    onset: int
    """step of the first tick at which it held"""
    text: str
    """in words, for people"""


class Course:
    """How a rule has fared so far, by one critic or by the whole model."""

    def __init__(self) -> None:
        self.seen = self.well = self.holding = 0
        self.armed = False
        self.told = False
        self.onset: int | None = None


class Watch:
    """Looks at the ticks of one level, in order. What it says depends on them alone: resumed runs feed it their log."""

    def __init__(self, spec: WatchSpec) -> None:
        self.spec = spec
        self._courses: dict[tuple[str, str], Course] = {}

    def see(self, step: int, scalars: Scalars) -> list[Alarm]:
        """The alarms of this tick, as a rule none."""
        readings = [
            (rule, about, reading)
            for rule in RULES
            for about, reading in rule.read(self.spec, scalars).items()
        ]
        return [alarm for each in readings if (alarm := self._follow(step, *each)) is not None]

    def counts(self, rule: Rule, about: str) -> bool:
        """Whether a rule may give alarm: the model, or its critic ``about``, has been well, or the grace is over."""
        return self._courses[rule.name, about].armed

    def onset(self) -> int | None:
        """First step of what may become an alarm, or is one still: what was kept before it is healthy."""
        steps = [course.onset for course in self._courses.values() if course.onset is not None]
        return min(steps, default=None)

    def _follow(self, step: int, rule: Rule, about: str, reading: Reading) -> Alarm | None:
        course = self._courses.setdefault((rule.name, about), Course())
        needed = 1 if rule.at_once else self.spec.ticks
        lasting = needed * rule.times
        course.seen += 1
        course.well = course.well + 1 if reading.severity <= WELL else 0
        course.armed |= rule.at_once or course.well >= needed or course.seen > self.spec.grace
        if reading.severity < 1:
            course.holding, course.onset = 0, None
            course.told &= course.well < needed
            return None
        course.onset = step if course.onset is None else course.onset
        course.holding += 1
        if course.told or not course.armed or course.holding < lasting:
            return None
        course.told = True
        since = f" since step {course.onset}" if course.onset != step else ""
        return Alarm(rule.name, step, course.onset, f"{rule.name} at step {step}: {reading.text}{since}")


def alarms_of(spec: WatchSpec, ticks: Iterable[tuple[int, Scalars]]) -> list[Alarm]:
    """All alarms of a level's ticks (step, signals), as :class:`Watch` gives them one by one."""
    watch = Watch(spec)
    return [alarm for step, scalars in ticks for alarm in watch.see(step, scalars)]


def alarms_in(lines: Iterable[Mapping[str, Any]], level: int) -> list[dict[str, Any]]:
    """The alarms that a run has logged for ``level``, as they stand in ``log.jsonl``."""
    return [alarm for line in lines if line.get("level") == level for alarm in line.get("alarms", [])]
