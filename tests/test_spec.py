"""Specs: plain frozen data, JSON both ways, and errors that name the place and the nearest name."""

import dataclasses
import json
from typing import Any

import pytest

from vidgan.errors import UserError, did_you_mean
from vidgan.presets import presets
from vidgan.run.experiment import AdamSpec, Experiment
from vidgan.run.tiny import tiny
from vidgan.spec import Spec, SpecError, differences, from_json, require, to_json


class Circle(Spec):
    radius: float = 1.0

    def validate(self) -> None:
        require(self.radius > 0, f"radius must be positive, got {self.radius}")


class Square(Spec):
    side: int
    rounded: bool = False


class Drawing(Spec):
    title: str
    shape: Circle | Square = Circle()
    shapes: tuple[Circle | Square, ...] = ()
    frame: Square | None = None
    limit: int | None = None
    middle: tuple[int, float] = (0, 0.0)


DRAWING = Drawing(
    title="house",
    shape=Square(side=3, rounded=True),
    shapes=(Circle(radius=2.5), Square(side=1)),
    frame=Square(side=9),
    limit=4,
    middle=(1, 2.5),
)
JSON = {
    "is": "test_spec.py:Drawing",
    "title": "house",
    "shape": {"is": "test_spec.py:Square", "side": 3, "rounded": True},
    "shapes": [
        {"is": "test_spec.py:Circle", "radius": 2.5},
        {"is": "test_spec.py:Square", "side": 1, "rounded": False},
    ],
    "frame": {"is": "test_spec.py:Square", "side": 9, "rounded": False},
    "limit": 4,
    "middle": [1, 2.5],
}


def test_json_both_ways() -> None:
    assert to_json(DRAWING) == JSON
    assert from_json(Drawing, json.loads(json.dumps(JSON))) == DRAWING


def test_defaults_and_none() -> None:
    read = from_json(Drawing, {"title": "empty"})
    assert read == Drawing(title="empty")
    assert from_json(Drawing, to_json(read)) == read
    assert from_json(Drawing, {"title": "a", "frame": None, "limit": None}).frame is None
    # Where only one class may stand, its name may be left out.
    assert from_json(Drawing, {"title": "a", "frame": {"side": 2}}).frame == Square(side=2)


@pytest.mark.parametrize("name", presets())
def test_every_preset_survives_json(name: str) -> None:
    for experiment in (presets()[name], tiny(presets()[name])):
        text = json.dumps(to_json(experiment))
        read = from_json(Experiment, json.loads(text))
        assert read == experiment
        assert json.dumps(to_json(read)) == text
        assert list(differences(to_json(experiment), to_json(read))) == []


def test_a_whole_number_may_stand_for_a_float() -> None:
    read = from_json(Circle, {"radius": 2})
    assert read.radius == 2.0
    assert type(read.radius) is float


def test_specs_are_frozen_keyword_only_and_compare_by_value() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        DRAWING.title = "other"
    with pytest.raises(TypeError):
        Circle(2.0)
    assert Circle(radius=2.0) == Circle(radius=2.0) != Circle(radius=3.0)
    assert hash(Circle(radius=2.0)) == hash(Circle(radius=2.0))


def test_replace() -> None:
    changed = DRAWING.replace(title="tree")
    assert changed.title == "tree"
    assert DRAWING.title == "house"
    assert changed.replace(title="house") == DRAWING
    with pytest.raises(SpecError, match=r"^Drawing has no field 'titel' \(did you mean 'title'\?\)$"):
        DRAWING.replace(titel="tree")
    with pytest.raises(SpecError, match="radius must be positive, got -1"):
        Circle().replace(radius=-1.0)


def broken(**changes: Any) -> dict[str, Any]:
    return JSON | changes


WRONG: list[tuple[dict[str, Any] | Any, str]] = [
    (broken(titel="x"), r"Drawing: Drawing has no field 'titel' \(did you mean 'title'\?\)"),
    (
        broken(frame={"is": "test_spec.py:Square", "side": 2, "round": True}),
        r"Drawing\.frame: Square has no field 'round' \(did you mean 'rounded'\?\)",
    ),
    (broken(zzz=1), r"Drawing: Drawing has no field 'zzz'$"),
    (broken(shape={"is": ["test_spec.py:Square"], "side": 2}), r"Drawing\.shape: 'is' names a class, got \["),
    (
        broken(shape={"is": "test_spec.py:Sqare", "side": 2}),
        r"Drawing\.shape: 'test_spec.py:Sqare' is none of test_spec.py:Circle, "
        r"test_spec.py:Square \(did you mean 'test_spec.py:Square'\?\)",
    ),
    (broken(shape={"side": 2}), r"Drawing\.shape: None is none of test_spec.py:Circle, test_spec.py:Square"),
    (
        broken(shape={"is": "test_spec.py:Drawing", "title": "x"}),
        r"Drawing\.shape: 'test_spec.py:Drawing' is none of",
    ),
    (
        broken(shapes=[{"is": "test_spec.py:Circle", "radius": "2"}]),
        r"Drawing\.shapes\.0\.radius: expected float, got '2'",
    ),
    (broken(shapes={"is": "test_spec.py:Circle"}), r"Drawing\.shapes: expected a list"),
    (broken(shape=3), r"Drawing\.shape: 3 fits none of"),
    (broken(shape=None), r"Drawing\.shape: None fits none of"),
    (broken(frame={"rounded": True}), r"Drawing\.frame: the field 'side' is missing"),
    (broken(frame={"side": 2.0}), r"Drawing\.frame\.side: expected int, got 2\.0"),
    (broken(frame={"side": True}), r"Drawing\.frame\.side: expected int, got True"),
    (broken(frame={"side": 2, "rounded": 1}), r"Drawing\.frame\.rounded: expected bool, got 1"),
    (broken(limit="4"), r"Drawing\.limit: expected int, got '4'"),
    (broken(limit=True), r"Drawing\.limit: expected int, got True"),
    (broken(title=3), r"Drawing\.title: expected str, got 3"),
    (broken(title=None), r"Drawing\.title: expected str, got None"),
    (broken(middle=[1]), r"Drawing\.middle: expected 2 values, got 1"),
    (broken(middle=[1, 2, 3]), r"Drawing\.middle: expected 2 values, got 3"),
    (broken(middle=[1, True]), r"Drawing\.middle\.1: expected float, got True"),
    (broken(middle=[1.5, 2]), r"Drawing\.middle\.0: expected int, got 1\.5"),
    (broken(shape={"is": "test_spec.py:Circle", "radius": -1}), r"radius must be positive, got -1"),
    (
        {"is": "test_spec.py:Circle", "title": "x"},
        r"Drawing: 'test_spec.py:Circle' is none of test_spec.py:Drawing",
    ),
    ({"is": "test_spec.py:Drawing"}, r"Drawing: the field 'title' is missing"),
    ([], r"Drawing: expected an object, got \[\]"),
    (None, r"Drawing: expected an object, got None"),
]


@pytest.mark.parametrize(("data", "message"), WRONG, ids=[message for _, message in WRONG])
def test_wrong_json_is_refused_with_its_place(data: Any, message: str) -> None:
    with pytest.raises(SpecError, match=f"^{message}") as caught:
        from_json(Drawing, data)
    assert isinstance(caught.value, UserError)
    assert "\n" not in str(caught.value)


def test_a_deep_typo_in_a_preset_is_named() -> None:
    data = to_json(presets()["demo"])
    del data["training"]["adam"]["beta1"]
    data["training"]["adam"]["beta_1"] = 0.0
    with pytest.raises(
        SpecError, match=r"^Experiment\.training\.adam: .* 'beta_1' \(did you mean 'beta1'\?\)$"
    ):
        from_json(Experiment, data)


def test_differences_name_every_place() -> None:
    new = DRAWING.replace(title="tree", shapes=(Circle(radius=3.0), Square(side=1)), limit=None)
    assert list(differences(to_json(DRAWING), to_json(new))) == [
        "title: house -> tree",
        "shapes.0.radius: 2.5 -> 3.0",
        "limit: 4 -> None",
    ]
    assert list(differences(JSON, JSON)) == []


def test_differences_of_another_class_and_of_other_lengths() -> None:
    other = to_json(DRAWING.replace(shape=Circle(radius=2.0)))
    assert set(differences(JSON, other)) == {
        "shape.is: test_spec.py:Square -> test_spec.py:Circle",
        "shape.side: 3 -> None",
        "shape.rounded: True -> None",
        "shape.radius: None -> 2.0",
    }
    shorter = to_json(DRAWING.replace(shapes=(Circle(radius=2.5),)))
    assert list(differences(JSON, shorter)) == [
        "shapes.1: test_spec.py:Square(side=1, rounded=False) -> None"
    ]
    assert list(differences(shorter, JSON)) == [
        "shapes.1: None -> test_spec.py:Square(side=1, rounded=False)"
    ]
    assert list(differences({"a": [1, 2]}, {"a": []})) == ["a: [1, 2] -> []"]
    assert list(differences({"a": 1}, {"a": 1, "b": False})) == ["b: None -> False"]
    assert list(differences({"a": 0}, {})) == ["a: 0 -> None"]


def test_the_nearest_name() -> None:
    assert did_you_mean("fames", ["frames", "stride"]) == " (did you mean 'frames'?)"
    assert did_you_mean("xyz", ["frames", "stride"]) == ""


def test_a_class_level_default_is_no_shared_state() -> None:
    assert AdamSpec() == AdamSpec()
    assert AdamSpec().replace(beta1=0.5) != AdamSpec()
