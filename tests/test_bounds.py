"""Every number of a spec says what it may be, and what it may not be is refused in one line."""

import math
import typing
from collections.abc import Iterator
from pathlib import Path

import pytest

import vidgan.data.prepare
import vidgan.evaluation.classifier
import vidgan.evaluation.protocols
import vidgan.presets
from commands import require_one_line, vidgan
from vidgan.bounds import Bounds, Count, Length, declared
from vidgan.data.window import WindowSpec
from vidgan.presets import preset
from vidgan.run.experiment import AdamSpec
from vidgan.run.tiny import tiny
from vidgan.spec import Spec, SpecError, from_json, to_json

Capture = pytest.CaptureFixture[str]


def specs(kind: type[Spec] = Spec) -> Iterator[type[Spec]]:
    for child in kind.__subclasses__():
        if child.__module__.startswith("vidgan."):
            yield child
            yield from specs(child)


def is_number(hint: object) -> bool:
    """Whether a number stands somewhere in a type, without bounds."""
    if typing.get_origin(hint) is typing.Annotated:
        return False
    return hint in (int, float) or any(is_number(each) for each in typing.get_args(hint))


def test_every_number_of_a_spec_has_bounds() -> None:
    kinds = set(specs())
    assert len(kinds) > 50
    bare = [
        f"{kind.__name__}.{name}"
        for kind in kinds
        for name, hint in typing.get_type_hints(kind, include_extras=True).items()
        if is_number(hint)
    ]
    assert bare == []
    assert len({(kind, name) for kind in kinds for name, _ in declared(kind)}) > 80


@pytest.mark.parametrize(
    ("bounds", "right", "wrong"),
    [
        (Bounds(1, 5), (1, 3, 5), (0, 6, -1)),
        (Bounds(0, 1, open_most=True), (0, 0.5), (1, 1.0, -0.1, math.nan, math.inf)),
        (Bounds(0, open_least=True), (1e-9, 1e300), (0, -1, math.nan, math.inf)),
        (Bounds(-math.inf), (-1e300, 0), (-math.inf, math.nan)),
    ],
)
def test_bounds(bounds: Bounds, right: tuple[float, ...], wrong: tuple[float, ...]) -> None:
    assert [value for value in right if bounds.fault(value) is not None] == []
    assert [value for value in wrong if bounds.fault(value) is None] == []
    assert bounds.fault("1") is not None


class Nested(Spec):
    numbers: tuple[Length, ...] = ()
    maybe: Count | None = None
    window: WindowSpec | None = None


def test_bounds_hold_inside_lists_and_beside_none() -> None:
    Nested(numbers=(1, 2), maybe=None)
    Nested(maybe=3, window=WindowSpec())
    for wrong in ({"numbers": (1, 0)}, {"maybe": 0}):
        with pytest.raises(SpecError, match="must be at least 1, got 0"):
            Nested(**wrong)  # type: ignore[arg-type]
    with pytest.raises(SpecError, match="stride must be at least 1"):
        from_json(Nested, {"window": {"stride": 0}})


def test_a_class_of_types_that_only_its_function_knows_is_not_checked() -> None:
    class Local(Spec):
        inner: "Unknown | None" = None  # type: ignore[name-defined]  # noqa: F821

    assert Local().inner is None


def test_json_with_numbers_out_of_range() -> None:
    data = to_json(AdamSpec())
    for name, value in (("beta1", 1), ("beta2", -0.1), ("epsilon", -1), ("generator_rate", 1e999)):
        with pytest.raises(SpecError, match=name):
            from_json(AdamSpec, data | {name: value})


@pytest.mark.slow
@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("training.adam.beta1", 1, "beta1 must be below 1, got 1"),
        ("training.adam.epsilon", -1, "epsilon must be at least 0"),
        ("training.adam.generator-rate", "nan", "generator_rate must be a finite number"),
        ("levels.0.generator.channels", 0, "channels must be at least 1"),
        ("levels.0.generator.width", 10**9, "width must be at most 65536"),
        ("levels.0.discriminators.0.body.slope", 2, "slope must be below 1"),
        ("training.steps", 10**9, "steps must be at most 99999999"),
    ],
)
def test_options_of_an_experiment(
    capsys: Capture, tmp_path: Path, option: str, value: object, said: str
) -> None:
    train = ("train", "demo", "--tiny", "--data", "synthetic", "--out", tmp_path / "x")
    require_one_line(vidgan(capsys, *train, f"--{option}", value), said)
    assert not (tmp_path / "x").exists()


def test_presets_are_within_bounds() -> None:
    assert to_json(tiny(preset("dvd-gan-k600-12x64")))
