"""Where the checkout and the stored reference numbers are."""

import pathlib

ROOT = pathlib.Path(__file__).parent.parent
FIXTURES = ROOT / "tests" / "fixtures"
