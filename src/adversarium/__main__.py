"""``python -m adversarium``."""

import sys

from adversarium.cli import main

sys.exit(main())
