"""The collapse detector: rules over the logged signals of a run.

A rule gives a severity at a tick, some of them one per discriminator: 1 is its threshold. docs/monitoring.md
has the evidence.

A rule, for each discriminator where it is about them, fires when its severity has been at least 1 for
``ticks`` ticks in a row (some for twice as many); their first one is the onset. So that a model which has
not learnt yet is no alarm, it counts only once its severity was at most one half for ``ticks`` ticks in a
row, or after ``grace`` ticks. It fires again only after being as quiet.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from vidgan.bounds import Count, NotNegative, Number, PartBelowOne, Positive
from vidgan.spec import Spec

Scalars = Mapping[str, float | None]
"""The signals of a tick; None where one was not finite."""

COLOURS: Final = ("red", "green", "blue")


class CollapseSpec(Spec):
    """When the collapse detector gives alarm. A limit of 0 switches its rule off, save for divergence.

    Our choice, all thresholds: the thesis gives curves and no numbers.
    """

    stop: bool = False
    """end training at an alarm, with all saved, instead of going on"""
    ticks: Count = 5
    """ticks in a row at which a rule must hold"""
    grace: Number = 40
    """ticks that a model is given to become well at all"""
    dark_share: NotNegative = 0.5
    """dark-output: by how much the share of dark videos exceeds that of real ones, or"""
    dark_ratio: PartBelowOne = 0.5
    """mean pixel value over that of real clips, below which it counts as dark"""
    frozen_ratio: NotNegative = 0.1
    """frozen-video: mean frame difference over that of real clips"""
    one_mode_ratio: NotNegative = 0.15
    """one-mode-per-class: mean distance of two samples of a class over that of real clips"""
    discriminator_gap: NotNegative = 0.05
    """discriminator-overwhelmed: a discriminator's mean output on real clips less that on fakes; the hinge's
    margins are 2 apart"""
    discriminator_loss: NotNegative = 0.02
    """generator-overwhelmed: the discriminators' loss; 2 per discriminator is guessing"""
    memory_gap: NotNegative = 0.3
    """discriminator-memorises: a discriminator's accuracy on training clips less that on held-out ones"""
    largest: Positive = 1e4
    """diverged: an absolute loss from which on training is lost although it is finite"""


class Signal(NamedTuple):
    """What a rule makes of a tick."""

    severity: float
    """from 1 on the rule holds"""
    text: str
    """what is seen, in words"""


Signals = Mapping[str, Signal]
"""By what they are about: a discriminator, or "" for the model as a whole; empty where the tick lacks a
rule's signals."""


class Rule(NamedTuple):
    """A way to fail."""

    name: str
    about: str
    """what to think of it, in a sentence"""
    read: Callable[[CollapseSpec, Scalars], Signals]
    """what it makes of a tick"""
    at_once: bool = False
    """whether a single tick is enough"""
    times: int = 1
    """how many times ``ticks`` it must hold: generator and discriminators win by turns"""


def dark(spec: CollapseSpec, scalars: Scalars) -> Signals:
    """Du 2020, 4.5: more and more videos are black, and the mean pixel value falls."""
    fake, real = (
        mean(scalars, [f"pixel/{kind} {colour}" for colour in COLOURS]) for kind in ("fake", "real")
    )
    shares = scalars.get("dark/fake"), scalars.get("dark/real")
    if fake is None or real is None or shares[0] is None or shares[1] is None:
        return {}
    by_share = (shares[0] - shares[1]) / spec.dark_share if spec.dark_share else 0.0
    # Our choice: how far below the real mean, not the limit over it, which at the real mean itself is one half already.
    below = 1 - fake / real if real else 0.0
    by_ratio = below / (1 - spec.dark_ratio) if spec.dark_ratio else 0.0
    text = (
        f"{100 * shares[0]:.0f} % of the videos are dark ({100 * shares[1]:.0f} % of the real ones), their mean pixel "
        f"value is {fake:.3f} ({real:.3f})"
    )
    return {"": Signal(max(by_share, by_ratio, 0.0), text)}


def frozen(spec: CollapseSpec, scalars: Scalars) -> Signals:
    """Du 2020, 4.5: a generator that ignores the clip discriminator makes samples with almost no movement."""
    return lower(scalars, "motion", spec.frozen_ratio, "neighbouring frames differ by {} ({} in real clips)")


def one_mode(spec: CollapseSpec, scalars: Scalars) -> Signals:
    """Du 2020, 4.3.2: the same or very similar samples for the same class."""
    text = "two videos of a class are {} apart ({} for real ones)"
    return lower(scalars, "diversity", spec.one_mode_ratio, text)


def lower(scalars: Scalars, signal: str, limit: float, text: str) -> Signals:
    """A signal of fakes that is a small part of that of real clips; nothing where real clips have none of it."""
    fake, real = scalars.get(f"{signal}/fake"), scalars.get(f"{signal}/real")
    if fake is None or not real:
        return {}
    return {"": Signal(over(limit * real, fake), text.format(f"{fake:.2g}", f"{real:.2g}"))}


def discriminator_overwhelmed(spec: CollapseSpec, scalars: Scalars) -> Signals:
    """A discriminator that finds fakes as real as real clips has nothing left to teach."""
    found = {}
    for name, gap in between(scalars, "discriminator", "real", "fake").items():
        more = f"real clips only {gap:.3g} more than fakes"
        words = more if gap > 0 else f"fakes {-gap:.3g} more than real clips"
        found[name] = Signal(over(spec.discriminator_gap, gap), f"the discriminator {name!r} gives {words}")
    return found


def generator_overwhelmed(spec: CollapseSpec, scalars: Scalars) -> Signals:
    """Discriminators without loss learn nothing more, and the generator makes nothing that they take for real."""
    loss = scalars.get("loss/discriminators")
    if loss is None:
        return {}
    text = f"the discriminators' loss is {loss:.2g}: they tell every clip, by a margin"
    return {"": Signal(over(spec.discriminator_loss, loss), text)}


def discriminator_memorises(spec: CollapseSpec, scalars: Scalars) -> Signals:
    """Brock et al. 2018, 4.2: 98 % on training images and 50 to 55 % on others; the discriminator remembers
    its data."""
    if not spec.memory_gap:
        return {}
    found = {}
    for name, gap in between(scalars, "accuracy", "trained on", "held out").items():
        known, other = scalars[f"accuracy/{name}/trained on"], scalars[f"accuracy/{name}/held out"]
        assert known is not None
        assert other is not None
        text = (
            f"the discriminator {name!r} takes {100 * known:.0f} % of training clips for real, "
            f"{100 * other:.0f} % of held-out ones"
        )
        found[name] = Signal(max(0.0, gap) / spec.memory_gap, text)
    return found


def diverged(spec: CollapseSpec, scalars: Scalars) -> Signals:
    """A number that is not finite, or a loss that is as good as infinite."""
    for name, value in scalars.items():
        if value is None or not math.isfinite(value):
            return {"": Signal(math.inf, f"{name} is not finite")}
    losses = {name: abs(value) for name, value in scalars.items() if value and name.startswith("loss/")}
    if not losses:
        return {"": Signal(0.0, "")}
    name = max(losses, key=lambda name: losses[name])
    return {"": Signal(losses[name] / spec.largest, f"{name} is {scalars[name]:.3g}")}


RULES: Final = (
    Rule(
        "dark-output",
        "a hinge per frame, and a clip discriminator with time in the batch, as guide-k400-12x64",
        dark,
    ),
    Rule(
        "frozen-video",
        "the frame discriminator outweighs the clip discriminator: take means over its frames",
        frozen,
    ),
    Rule("one-mode-per-class", "the noise is ignored: stop early, or train on more clips", one_mode),
    Rule(
        "discriminator-overwhelmed",
        "lower the generator's rate or raise the discriminators'",
        discriminator_overwhelmed,
        times=2,
    ),
    Rule(
        "generator-overwhelmed",
        "lower the discriminators' rate or raise the generator's",
        generator_overwhelmed,
        times=2,
    ),
    Rule("discriminator-memorises", "stop early, or train on more clips", discriminator_memorises),
    Rule("diverged", "start again with lower learning rates or another seed", diverged, at_once=True),
)


def over(limit: float, value: float) -> float:
    """Severity of a value that must not fall to ``limit``; 0 where the rule is switched off."""
    if limit <= 0:
        return 0.0
    return limit / value if value > 0 else math.inf


def mean(scalars: Scalars, names: Sequence[str]) -> float | None:
    """The mean of some signals; None where one is missing."""
    found = [value for name in names if (value := scalars.get(name)) is not None]
    return sum(found) / len(found) if len(found) == len(names) else None


def between(scalars: Scalars, group: str, one: str, other: str) -> dict[str, float]:
    """By discriminator, how much its ``group/NAME/one`` exceeds its ``group/NAME/other``."""
    names = [
        name.split("/")[1] for name in scalars if name.startswith(f"{group}/") and name.endswith(f"/{other}")
    ]
    found = {}
    for name in names:
        a, b = scalars.get(f"{group}/{name}/{one}"), scalars.get(f"{group}/{name}/{other}")
        if a is not None and b is not None:
            found[name] = a - b
    return found


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


class History:
    """What a rule has made of the ticks so far, of one discriminator or of the whole model."""

    def __init__(self) -> None:
        self.seen = self.well = self.holding = 0
        self.armed = False
        self.told = False
        self.onset: int | None = None


class CollapseDetector:
    """Looks at the ticks of one level, in order. What it says depends on them alone: resumed runs feed it their log."""

    def __init__(self, spec: CollapseSpec) -> None:
        self.spec = spec
        self._histories: dict[tuple[str, str], History] = {}

    def see(self, step: int, scalars: Scalars) -> list[Alarm]:
        """The alarms of this tick, as a rule none."""
        signals = [
            (rule, about, signal) for rule in RULES for about, signal in rule.read(self.spec, scalars).items()
        ]
        return [alarm for each in signals if (alarm := self._follow(step, *each)) is not None]

    def counts(self, rule: Rule, about: str) -> bool:
        """Whether a rule may give alarm: the model, or its discriminator ``about``, has been well, or the
        grace is over."""
        return self._histories[rule.name, about].armed

    def onset(self) -> int | None:
        """First step of what may become an alarm, or is one still: what was kept before it is healthy."""
        steps = [history.onset for history in self._histories.values() if history.onset is not None]
        return min(steps, default=None)

    def _follow(self, step: int, rule: Rule, about: str, signal: Signal) -> Alarm | None:
        history = self._histories.setdefault((rule.name, about), History())
        needed = 1 if rule.at_once else self.spec.ticks
        lasting = needed * rule.times
        history.seen += 1
        history.well = history.well + 1 if signal.severity <= WELL else 0
        history.armed |= rule.at_once or history.well >= needed or history.seen > self.spec.grace
        if signal.severity < 1:
            history.holding, history.onset = 0, None
            history.told &= history.well < needed
            return None
        history.onset = step if history.onset is None else history.onset
        history.holding += 1
        if history.told or not history.armed or history.holding < lasting:
            return None
        history.told = True
        since = f" since step {history.onset}" if history.onset != step else ""
        return Alarm(rule.name, step, history.onset, f"{rule.name} at step {step}: {signal.text}{since}")


def alarms_in(lines: Iterable[Mapping[str, Any]], level: int) -> list[dict[str, Any]]:
    """The alarms that a run has logged for ``level``, as they stand in ``log.jsonl``."""
    return [alarm for line in lines if line.get("level") == level for alarm in line.get("alarms", [])]
