"""Parts of the scale benchmark. The cluster of real components is that of the tests."""

import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "tests"))
