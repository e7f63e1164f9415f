"""The table of reported situations names tests that there are."""

from pathlib import Path

from field_cases import CASES


def test_every_case_names_tests() -> None:
    for tests in CASES.values():
        for test in tests:
            file, _, name = test.partition("::")
            text = (Path(__file__).parent / file).read_text()
            assert f"def {name}(" in text if name else "def test_" in text, test
