"""Phase 5 attacked, starved and interrupted; what came of it is one row of a table for each attack."""

import sys
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TOP / "tests_py"))
