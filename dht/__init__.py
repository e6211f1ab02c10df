"""Where an address lives: signed records, and the Kademlia network that keeps and finds them."""
