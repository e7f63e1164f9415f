"""Built-in clips: a pure function of (seed, index), drawn as their specification says."""

import colorsys
import math
import pickle

import numpy as np
import pytest

from vidgan.data.synthetic import (
    LARGEST,
    MOTIONS,
    SHAPES,
    SyntheticDataset,
    SyntheticSpec,
    draw_scene,
    path,
)
from vidgan.errors import UserError
from vidgan.spec import SpecError

DEMO = SyntheticSpec()


def test_pure_function_of_seed_and_index() -> None:
    one, two = SyntheticDataset(DEMO), pickle.loads(pickle.dumps(SyntheticDataset(DEMO)))
    two.read(3, 0, 8)  # what was read before does not matter
    assert (one.read(17, 0, 8) == two.read(17, 0, 8)).all()
    other = SyntheticDataset(DEMO.replace(seed=1))
    assert (one.read(17, 0, 8) != other.read(17, 0, 8)).any()
    assert one.fingerprint == two.fingerprint != other.fingerprint


def test_windows_are_parts_of_the_whole() -> None:
    dataset = SyntheticDataset(DEMO)
    whole = dataset.read(5, 0, 8)
    assert whole.shape == (8, 24, 24, 3)
    assert whole.dtype == np.uint8
    assert (dataset.read(5, 1, 3, stride=2) == whole[1:6:2]).all()


AREAS = {"disc": math.pi, "square": 4.0, "triangle": 4 / math.sqrt(3), "cross": 20 / 9}
"""areas of shapes of radius 1: a triangle 2 high is 4 / sqrt(3) wide, a cross is five squares of side 2 / 3"""


def test_out_of_range() -> None:
    dataset = SyntheticDataset(DEMO)
    with pytest.raises(IndexError):
        dataset.info(len(dataset))
    with pytest.raises(UserError, match="clip 2 has 8 frames"):
        dataset.read(2, 4, 3, stride=2)


@pytest.mark.parametrize(
    ("field", "value", "hint"), [("shapes", ("disk",), "disc"), ("motions", ("rigth",), "right")]
)
def test_unknown_names_are_answered_with_the_nearest(field: str, value: tuple[str, ...], hint: str) -> None:
    with pytest.raises(SpecError, match=f"did you mean '{hint}'"):
        SyntheticSpec(**{field: value})


@pytest.mark.parametrize("shape", SHAPES)
def test_coverage_equals_supersampling(shape: str) -> None:
    """Anti-aliased area and pixels against point-in-shape tests of 16 x 16 points per pixel."""
    spec = SyntheticSpec(shapes=(shape,), motions=("right",), size=32)
    index, frame = 4, 2
    scene = draw_scene(spec, index)
    x, y, radius = (32 * float(part[0]) for part in path(spec, "right", scene, np.array([2 / 7], np.float32)))
    points = (np.arange(32 * 16) + 0.5) / 16
    u, v = points[None, :] - x, points[:, None] - y
    arm, inner = radius / 3, radius * 2 / 3
    inside = {
        "disc": u**2 + v**2 <= radius**2,
        "square": (abs(u) <= radius) & (abs(v) <= radius),
        "cross": ((abs(u) <= 3 * arm) & (abs(v) <= arm)) | ((abs(u) <= arm) & (abs(v) <= 3 * arm)),
        "triangle": (v <= inner) & (abs(u) * math.sqrt(3) - v <= 2 * inner),
    }[shape]
    expected = inside.reshape(32, 16, 32, 16).mean((1, 3))
    assert expected.sum() == pytest.approx(AREAS[shape] * radius**2, rel=0.02)
    frames = SyntheticDataset(spec).read(index, frame, 1)[0].astype(float) / 255
    colour = np.array(colorsys.hsv_to_rgb(scene.hue, 0.9, 0.95))
    channel = int(np.argmax(np.abs(colour - scene.base)))
    at = (np.arange(32) + 0.5) / 32 - 0.5
    back = scene.base[channel] + scene.slope[0] * at[None, :] + scene.slope[1] * at[:, None]
    seen = (frames[..., channel] - back) / (colour[channel] - back)
    # Distance is not coverage in the pixel that a corner cuts, least so at the triangle's tip; it is elsewhere.
    error = np.abs(seen - expected)
    assert error.max() < 0.4
    assert np.sort(error.ravel())[-13] < 0.07
    assert seen.sum() == pytest.approx(expected.sum(), rel=0.05)


@pytest.mark.parametrize("motion", MOTIONS)
def test_shapes_stay_inside_and_do_what_their_class_says(motion: str) -> None:
    when = np.linspace(0, 1, 8, dtype=np.float32)
    for index in range(60):
        scene = draw_scene(DEMO, index)
        assert 0.11 <= scene.radius <= 0.19
        x, y, radius = path(DEMO, motion, scene, when)
        for centre in (x, y):  # the soft edge takes half a pixel
            assert (centre - radius > 0.5 / 24 - 1e-6).all()
            assert (centre + radius < 1 - 0.5 / 24 + 1e-6).all()
        dx, dy = x[-1] - x[0], y[-1] - y[0]
        if motion in ("right", "left"):
            assert 0.2499 <= dx * (1 if motion == "right" else -1) <= 0.4501
            assert dy == pytest.approx(0, abs=1e-6)
        elif motion in ("down", "up"):
            assert 0.2499 <= dy * (1 if motion == "down" else -1) <= 0.4501
        elif motion == "grow":
            assert radius[-1] == pytest.approx(LARGEST)
            assert (np.diff(radius) > 0).all()
            assert dx == pytest.approx(0, abs=1e-6)
        else:
            assert np.hypot(np.diff(x), np.diff(y)).min() > 0


def test_clips_that_begin_in_the_middle_do_not_tell_where_they_go() -> None:
    spec = SyntheticSpec(motions=MOTIONS, size=16, middle=True)
    when = np.linspace(0, 1, 8, dtype=np.float32)
    for index in range(60):
        scene, ends = draw_scene(spec, index), set()
        for motion in MOTIONS:
            x, y, radius = path(spec, motion, scene, when)
            assert (x[0], y[0]) == pytest.approx((0.5, 0.5), abs=1e-6)
            for centre in (x, y):
                assert (centre - radius > 0.5 / 16 - 1e-6).all()
                assert (centre + radius < 1 - 0.5 / 16 + 1e-6).all()
            ends.add((round(float(x[-1] - x[0]), 3), round(float(y[-1] - y[0]), 3)))
        # Four ways to go; to circle ends where it began, as to grow does.
        assert len(ends) == 5
        assert min(max(abs(x), abs(y)) for x, y in ends if (x, y) != (0, 0)) > 0.24


def test_no_shape_is_cut_by_the_frame() -> None:
    """What is drawn has its whole area in every frame, so nothing of it lies outside."""
    spec = SyntheticSpec(shapes=tuple(AREAS), motions=MOTIONS, size=48)
    dataset, when = SyntheticDataset(spec), np.linspace(0, 1, 8, dtype=np.float32)
    for index in range(96):
        scene = draw_scene(spec, index)
        radius = 48 * path(spec, MOTIONS[index % 6], scene, when)[2].astype(float)
        colour = np.array(colorsys.hsv_to_rgb(scene.hue, 0.9, 0.95))
        channel = int(np.argmax(np.abs(colour - scene.base)))
        at = (np.arange(48) + 0.5) / 48 - 0.5
        back = scene.base[channel] + scene.slope[0] * at[None, :] + scene.slope[1] * at[:, None]
        frames = dataset.read(index, 0, 8)[..., channel].astype(float) / 255
        area = ((frames - back) / (colour[channel] - back)).sum((1, 2))
        assert area == pytest.approx(AREAS[spec.shapes[index // 6 % 4]] * radius**2, rel=0.04)


def test_textured_clips_have_a_second_still_object_in_front() -> None:
    plain = SyntheticDataset(DEMO.replace(size=48))
    textured = SyntheticDataset(DEMO.replace(size=48, textured=True))
    hidden = 0
    for index in range(40):
        scene = draw_scene(DEMO, index)
        x, y = (int(48 * (0.2 + 0.6 * part)) for part in scene.hider[:2])
        opposite = 1 - np.array(colorsys.hsv_to_rgb(scene.hue, 0.9, 0.95))
        seen = textured.read(index, 0, 8)[:, y, x] / 255
        assert np.abs(seen - opposite).max() < 0.01  # in front in every frame
        own = np.array(colorsys.hsv_to_rgb(scene.hue, 0.9, 0.95))
        hidden += bool((np.abs(plain.read(index, 0, 8)[:, y, x] / 255 - own).max(-1) < 0.01).any())
    assert hidden >= 3  # and it does hide the moving one in some clips


def test_a_shape_named_twice_is_refused() -> None:
    with pytest.raises(SpecError, match="once"):
        SyntheticSpec(shapes=("disc", "disc"))


def test_labels_take_turns() -> None:
    dataset = SyntheticDataset(DEMO)
    labels = [dataset.info(i).label for i in range(16)]
    assert labels == [*range(8), *range(8)]
    assert all(dataset.info(i).frames == 8 for i in range(3))
