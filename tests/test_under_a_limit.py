"""A run goes from start to samples and evaluation in the memory that `vidgan plan` says, and a share above it."""

import sys

import pytest

from under_a_limit import ABOVE, LIVES, MANY, live, planned, with_statistics


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.skipif(sys.platform != "linux", reason="the limit of addresses is Linux's")
@pytest.mark.parametrize("name", LIVES)
def test_a_life_takes_what_the_plan_says(name: str) -> None:
    says = planned(name, with_statistics(LIVES[name], MANY))
    ended = live(name, LIVES[name], (1 + ABOVE) * says)
    assert ended.status == 0, ended.said
    assert ended.mapped is not None
    assert ended.mapped > says / 2  # the statistics were taken
