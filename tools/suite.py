"""Makes the harness of the test suites importable for the tools: `from tools import suite`, then `from harness import …`."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TESTS = ROOT / "tests_py"
if str(TESTS) not in sys.path:
    sys.path.insert(0, str(TESTS))
