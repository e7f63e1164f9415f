"""One thread for each test worker, and for the commands and processes that tests start.

Two workers fill two cores; more threads would wait for one another. And the last bits of float32 weights
depend on the number of threads: two processes equal one only where all use as many.
"""

import os

os.environ["OMP_NUM_THREADS"] = "1"  # before anything imports torch
