"""Movie dubbing with a director."""
