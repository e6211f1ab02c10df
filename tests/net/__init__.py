"""Real processes, sockets and signals: the host as its users meet it."""
