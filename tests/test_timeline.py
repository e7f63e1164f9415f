"""When frames are shown: holes, wrong stamps and joined recordings are bounded; resampling by definition."""

from fractions import Fraction

import numpy as np
import pytest

from vidgan.data.timeline import Stamp, Timeline, at_rate, timeline_of

MS = Fraction(1, 1000)


def timeline(*times: int, keys: tuple[int, ...] = (0,), max_gap: float = 10) -> Timeline:
    """Frames that are sent in this order (ms); ``keys``: places at which decoding can begin."""
    return timeline_of([Stamp(time, place in keys) for place, time in enumerate(times)], MS, max_gap)


def test_a_frame_that_stays_is_repeated_and_of_several_at_once_the_last_is_kept() -> None:
    assert timeline(0, 100, 200, 500, 600).shown().tolist() == [0, 1, 2, 2, 2, 3, 4]
    assert timeline(0, 100, 200, 240, 300).shown().tolist() == [0, 1, 3, 4]
    assert timeline(7).shown().tolist() == [0]
    assert timeline(7, 7).shown().tolist() == [0]


def test_frames_whose_stamps_are_the_same_follow_each_other() -> None:
    line = timeline_of([Stamp(5, True)] * 4, MS, rate=Fraction(25))
    assert line.shown().tolist() == [0, 1, 2, 3]
    assert line.rate == 25
    assert line.remarks == ("time stamps are all the same",)


def test_frames_that_are_sent_out_of_order_are_shown_in_order() -> None:
    line = timeline(0, 400, 200, 100, 300, 800, 600, 500, 700)
    assert line.stamps.tolist() == [0, 100, 200, 300, 400, 500, 600, 700, 800]
    assert line.is_ordered
    assert not line.remarks


@pytest.mark.parametrize("hole", [3_600_000, 2_000_000_000_000])
def test_a_hole_is_closed(hole: int) -> None:
    times = [40 * number + (hole if number >= 24 else 0) for number in range(48)]
    line = timeline(*times)
    assert line.shown().tolist() == list(range(48))
    assert line.rate == pytest.approx(25)
    assert line.remarks == ("gaps of more than 10 s closed",)
    with pytest.raises(ValueError, match=r"would make 90048 frames of 48"):
        timeline(*times[:24], *(time - hole + 3_600_000 for time in times[24:]), max_gap=4000).shown()


def test_a_short_hole_is_a_frame_that_stays() -> None:
    times = [40 * number + (8_000 if number >= 24 else 0) for number in range(48)]
    assert len(timeline(*times).shown()) == 248
    assert len(timeline(*times, max_gap=5).shown()) == 48


def test_stamps_of_any_size_are_bounded() -> None:
    most = 2**63 - 1
    for times in ([0, most], [-most, 0, most], [most, -most, 3, most - 1], [5, 4, 3, 2, 1]):
        for base in (MS, Fraction(1, 10**9), Fraction(10**9)):
            line = timeline_of([Stamp(time, False) for time in times], base)
            assert 1 <= len(line.shown()) <= len(times)


def test_a_slow_rate_is_no_hole() -> None:
    line = timeline(0, 20_000, 40_000)
    assert line.shown().tolist() == [0, 1, 2]
    assert not line.remarks


def test_joined_recordings_keep_their_frames() -> None:
    for interval in (40, 41):  # with the same stamps, and with others between them
        times = [*(40 * number for number in range(30)), *(interval * number for number in range(30))]
        line = timeline(*times, keys=(0, 30))
        assert line.shown().tolist() == list(range(60))
        assert line.remarks == ("time stamps start anew",)
        assert not line.is_ordered


@pytest.mark.parametrize("wrong", [0, 500_000, 9_000_000_000])
def test_one_wrong_stamp_costs_no_frame(wrong: int) -> None:
    times = [40 * number for number in range(200)]
    times[90] = wrong
    shown = timeline(*times).shown()
    assert sorted(set(shown.tolist())) == list(range(200))
    assert len(shown) <= 210


@pytest.mark.parametrize("tick", [0, 1])
def test_frames_behind_a_stamp_that_is_too_late_are_kept(tick: int) -> None:
    # Stamps must not go back, so writers repeat a wrong one, or put the next ticks, until the right ones catch up.
    times = [*(40 * number for number in range(50)), *(9_000_000 + tick * number for number in range(25))]
    line = timeline(*times)
    assert line.shown().tolist() == list(range(75))
    assert line.remarks == ("time stamps stand still", "gaps of more than 10 s closed")


def test_frames_that_are_passed_over_are_told_where_they_are_many() -> None:
    steady = [40 * number for number in range(100)]
    faster = [4000 + 10 * number for number in range(40)]
    line = timeline(*steady, *faster)
    assert len(line.shown()) < 115
    assert line.remarks == (
        "more than 10% of the frames come faster than the usual rate and are passed over",
    )
    assert line.is_ordered
    assert not timeline(*steady, *faster[:8]).remarks


def test_stamps_cannot_fill_the_disk() -> None:
    # Pairs of frames a millisecond apart, and nine seconds to the next pair.
    times = [9000 * (number // 2) + number % 2 for number in range(200)]
    with pytest.raises(ValueError, match="would make"):
        timeline(*times, *(1_000_000 + number for number in range(200))).shown()


def test_a_part_is_what_lies_between_its_times() -> None:
    line = timeline(*(round(1000 * number / 24) + 80 for number in range(48)))
    first, part = line.part(0.5, 1.5)
    assert (first, len(part.stamps)) == (12, 24)
    assert line.part(0, 1)[0] == 0
    with pytest.raises(ValueError, match="no frames between second 5 and 6"):
        line.part(5, 6)
    with pytest.raises(ValueError, match="no frames between"):
        timeline().part(0, 1)


def pictures(count: int) -> list[np.ndarray[tuple[int, ...], np.dtype[np.uint8]]]:
    return [np.full((1, 1, 3), number, np.uint8) for number in range(count)]


@pytest.mark.parametrize(
    ("rate", "fps"), [(24, 12), (24, 30), (30, 24), (25, 25), (24000 / 1001, 24), (10, 3)]
)
@pytest.mark.parametrize("count", [1, 2, 48])
def test_resampled_frames_are_the_nearest_in_time(rate: float, fps: float, count: int) -> None:
    found = [int(frame[0, 0, 0]) for frame in at_rate(iter(pictures(count)), rate, fps)]
    expected = []
    number = 0
    while number / fps < count / rate - 1e-9:
        distances = [abs(number / fps - own / rate) for own in range(count)]
        expected.append(min(range(count), key=lambda own: round(distances[own], 9)))
        number += 1
    assert found == expected
