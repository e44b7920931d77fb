"""The command line `dubber`: one file a group of commands, their arguments and actions side by side."""

import argparse
from collections.abc import Callable

# (name, action, help) -> the parser of a new command.
AddCommand = Callable[[str, Callable[[argparse.Namespace], int | None], str], argparse.ArgumentParser]
