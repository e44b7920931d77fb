"""Where the shipped weights and data lie inside the package."""

from pathlib import Path

ASSETS = Path(__file__).parents[1] / 'assets'  # one folder a network: weights, manifest, card
