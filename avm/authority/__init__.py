"""Who holds what: the authority graph of a host, out of its tables and its journals. Pure.

Beside the journey, for `caps`. `holding` is an edge, `tables` makes the graph of the store's rows, `past`
adds where each capability came from and to whom it was handed, `reach` asks the graph, `picture`
draws it. Nothing here holds a key, and nothing prints a capability's bytes.
"""
