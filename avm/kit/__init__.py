"""The conformance kit: what each pattern of `caps.patterns` promises, asked of a machine from outside. Pure.

    stage       what a scene has: a pattern's machine, puppets, asks, time
    scenes      the scenes, one list a pattern
    playing     plays scenes and tells what does not hold
    process     on one host in memory
    worlds      between hosts of the simulator: through the network of nodes, and in a storm

Real hosts are driven by `avm.cli.kit`. A scene sees capabilities, answers and refusals, nothing else: so
it can be played with anybody's machine that takes the pattern's messages.
"""
