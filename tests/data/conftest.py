import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))

from packed_set import config, packed  # noqa: E402, F401 (fixtures)
