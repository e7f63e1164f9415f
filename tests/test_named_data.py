"""What ``--data`` names: built-in clips, plain or textured."""

import numpy as np

from vidgan.data.synthetic import SyntheticDataset
from vidgan.presets.demo import demo
from vidgan.run.data import open_data, open_held_out


def test_textured_clips_are_built_in_too() -> None:
    plain = open_data("synthetic", demo())
    textured = open_data("synthetic-textured", demo())
    assert isinstance(textured, SyntheticDataset)
    assert textured.spec.textured
    assert textured.source == "synthetic-textured"
    assert textured.fingerprint != plain.fingerprint
    held_out = open_held_out("synthetic-textured", demo())
    assert isinstance(held_out, SyntheticDataset)
    assert held_out.spec == textured.spec.replace(seed=held_out.spec.seed)
    first, other = (data.read(0, 0, 4) for data in (textured, held_out))
    assert first.shape == (4, 24, 24, 3)
    assert not np.array_equal(first, other)
