"""Situations that users of video tools reported, each with the tests that make such inputs and know the right answers.

``python tests/field_cases.py`` runs them and prints a line for each; the status is 1 unless all are right.
"""

import contextlib
import io
import sys
from pathlib import Path
from typing import Final

import pytest

CASES: Final[dict[str, tuple[str, ...]]] = {
    "grey frames of every level come out as they are, whatever the width": ("test_colours.py",),
    "a cut made without encoding anew, whose edit list hides frames": (
        "test_reading.py::test_what_an_edit_list_hides_is_not_missing",
    ),
    "tags that are not UTF-8": (
        "test_reading.py::test_tags_that_are_not_utf8_are_harmless",
        "test_reading.py::test_a_comment_of_a_gif_that_is_not_utf8",
    ),
    "a display matrix that mirrors": ("test_reading.py::test_display_matrix_of_a_container",),
    "rotation told by key frames only": (
        "test_reading.py::test_orientation_told_by_key_frames_holds_until_the_next",
    ),
    "frames that change shape within a video": (
        "test_reading.py::test_frames_that_change_shape_are_an_error_of_their_video",
    ),
    "a recorder that paused for an hour, one wrong time stamp, joined recordings": (
        "test_timeline.py",
        "test_reading.py::test_holes_and_wrong_stamps_never_stop_other_videos",
        "test_reading.py::test_recordings_that_were_joined_keep_their_frames",
    ),
    "parts of long videos, also of AVI whose frames are sent in another order": (
        "test_reading.py::test_windows_and_parts_are_those_of_the_whole",
    ),
    "frame rates that differ": ("test_rates.py",),
    "awkward names": ("test_names.py",),
    "files that are never mentioned: other suffixes, dead links": ("test_listing.py",),
    "a mended file is read again": ("test_prepare.py::test_mended_files_are_read_again_after_the_end_too",),
    "two trainings in one run folder": ("test_lock.py",),
}
"""what is reported, and tests of this folder"""


def main() -> int:
    """Run each case's tests."""
    here, wrong = Path(__file__).parent, 0
    for case, tests in CASES.items():
        with contextlib.redirect_stdout(io.StringIO()) as said:
            status = pytest.main(["-q", "-x", *(str(here / test) for test in tests)])
        wrong += status != 0
        print(f"{'right' if status == 0 else 'WRONG'}  {case}")
        if status:
            print(said.getvalue())
    print(f"{len(CASES) - wrong} of {len(CASES)} right")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
