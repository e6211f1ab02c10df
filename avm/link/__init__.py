"""Links: authenticated connections between hosts, the way of a committed batch to another host."""
