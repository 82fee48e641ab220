"""How a worker is started with the least rights, and the guard process that starts and ends all of them.

`process` is the guard: a small process of its own, without threads, so that it can fork. `child` is what happens
between the fork and the program; `mounts` what the worker sees of the file system; `kernel` the system calls that
Python does not have; `isolation` the ways of separating workers and the search for the best that works here.
These load nothing but the standard library. `hashrange_router.triggers.guard` is the pool's side.
"""
