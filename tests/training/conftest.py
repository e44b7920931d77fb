import sys
from pathlib import Path

sys.path += [str(Path(__file__).parent), str(Path(__file__).parents[1])]  # processes.py, which children import too

from packed_set import config, packed  # noqa: E402, F401 (fixtures)
