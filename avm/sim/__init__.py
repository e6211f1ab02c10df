"""Simulation: the cores of production in a world whose clock, disk and workers are made up. Pure, but for `disk`.

    from avm.sim.world import World, Watcher       a network of whole hosts in virtual time
    from avm.sim.plan import Plan, Crash, Loss     what goes wrong, as data
    from avm.sim.drawing import draw               a plan from a seed
    from avm.sim.events import Committed           what happens, for those who watch

    world = World(seed, plan=Plan(), limits=None, dht=True)
    host = world.add_host("a")                     a `SimHost`: .name .core .store .clients .up
    host.create("counter", code, content, caps)    acts let the world's time pass until they are done
    client = world.client(host, durable=False)     a `Client`: send, ask, inbox, outcomes
    world.outside(host, cap)                       a capability as any client may send to it
    world.run(seconds), world.run_until(done, limit_s), world.quiet(limit_s), world.step()
    world.inject(fault), world.watch(watcher)
    world.save() -> bytes, World.load_untrusted(body, codes), world.fork() -> World
    world.now_ms, world.counts, world.digest, world.hosts, world.host(name)

Beside it a `Net` (`avm.sim.net`) of the same hosts knows no time: whatever could happen next may.
"""
