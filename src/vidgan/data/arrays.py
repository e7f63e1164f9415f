"""Arrays in ``.npy`` files, as they lie on disk."""

from pathlib import Path
from typing import Any

import numpy as np


def map_array(path: Path) -> "np.memmap[Any, Any]":
    """The array that is all of a ``.npy`` file, mapped and not read.

    Raises:
        ValueError: where the file is damaged, holds something else, or more.
    """
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except MemoryError:
        raise
    except Exception as error:  # headers are Python text, and a damaged one makes numpy raise almost anything
        raise ValueError(" ".join(str(error).split()) or type(error).__name__) from error
    if not isinstance(array, np.memmap):
        raise ValueError("holds several arrays, not one")
    if path.stat().st_size != array.offset + array.nbytes:
        raise ValueError("does not end where its array does")
    return array
