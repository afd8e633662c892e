"""The whole bundle in one process, in virtual time: a seed decides every order and every fault, and gives both back."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "layers" / "clipferry"))
