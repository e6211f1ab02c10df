"""Values and capabilities: what machines say to each other, and the authority they hand on."""
