"""What ``--data`` names."""

from vidgan.run.data import OPEN, SYNTHETIC, TEXTURED, built_in, data_of_run, open_data, open_held_out
from vidgan.sample.standing import given_frames

__all__ = [
    "OPEN",
    "SYNTHETIC",
    "TEXTURED",
    "built_in",
    "data_of_run",
    "given_frames",
    "open_data",
    "open_held_out",
]
