"""Machines inside a worker: their code, their turns, and the process that runs them."""
