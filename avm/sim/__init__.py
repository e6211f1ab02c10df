"""Simulation: the cores of production in a world whose clock, disk and workers are made up."""
