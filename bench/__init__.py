"""The bench: what a host does a second, how soon, and in how much memory, beside its peers."""
