"""``python -m vidgan`` is the ``vidgan`` command."""

import sys

from vidgan.cli import main

sys.exit(main())
