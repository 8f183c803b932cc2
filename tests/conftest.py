"""What every test may rely on: support modules beside this file import by their plain name."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
