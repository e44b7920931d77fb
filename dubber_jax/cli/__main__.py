"""Runs the command `dubber`: python -m dubber_jax.cli."""

import sys

from dubber_jax.cli.main import main

sys.exit(main())
