"""`python -m toylab` is the command `toylab`."""

import sys

from toylab.cli import main

sys.exit(main())
