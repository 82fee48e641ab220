"""Asynchronous invocations: a durable queue, the runners that empty it, and where outcomes are sent.

store = EventStore(client, clock)
queue = DurableEventQueue(store)                                  # contracts.EventQueue, in every process
runner = EventRunner(store, pool, directory, destinations, ...)   # in a pool
queue.attach(runner); await runner.start()
"""
