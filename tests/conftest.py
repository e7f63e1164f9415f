"""One thread for each test worker, and for the commands and processes that tests start.

Two workers fill two cores; more threads would wait for one another. And the last bits of float32 weights
depend on the number of threads: two processes equal one only where all use as many.
"""

import os
import signal
from collections.abc import Iterator

import pytest

os.environ["OMP_NUM_THREADS"] = "1"  # before anything imports torch

# What a shell starts in the background ignores Ctrl-C, and so do its children; some tests send it to theirs.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(tryfirst=True)  # before pytest leaves out what ``-m`` says
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What is long is slow: ``-m "not slow"`` takes the place of pyproject.toml's ``-m "not long"``."""
    for item in items:
        if item.get_closest_marker("long") is not None:
            item.add_marker(pytest.mark.slow)


@pytest.fixture(autouse=True)
def same_answer_to_sigterm() -> Iterator[None]:
    """A process that ends with others ignores it to the end; what later tests start would inherit that."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.fixture(autouse=True, scope="session")
def cache_of_features(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Features that evaluations keep go to a folder of the tests, not to the user's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(autouse=True, scope="session")
def quick_runs() -> Iterator[None]:
    """Runs in this process show few samples, and nothing waits for the disk: no power fails here."""
    from vidgan.sample import previews

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(previews, "COLUMNS", 3)
        patch.setattr(previews, "ROWS", 1)
        patch.setattr(os, "fsync", lambda file: None)
        yield


@pytest.fixture
def whole_previews(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many samples as users get."""
    from vidgan.sample import previews

    monkeypatch.setattr(previews, "COLUMNS", 8)
    monkeypatch.setattr(previews, "ROWS", 4)
