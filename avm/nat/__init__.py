"""Hosts behind routers: who introduces them, how two of them meet, and who relays for them. Pure."""
