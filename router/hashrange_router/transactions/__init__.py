"""Transactions as a router runs them: TransactWriteItems and TransactGetItems over the messages of the nodes.

One request, from end to end. `actions` makes the request's elements into writes, refusing what can be refused without
any item; `grouping` sorts them by partition. If one partition has them all, `local` commits them with one message.
Otherwise `spread` prepares every partition, decides with one compare-and-set in the ledger and finishes every
partition. `tokens` keeps a request that carries a client request token from being carried out twice, and takes over
what another router has left unfinished. `reads` reads items of several partitions as of one moment. `reasons` words
why a transaction was cancelled, `replies` what a successful one answers.

Everything here is a generator that yields messages and is resumed with their answers (`hashrange_router.api.call`).
It knows no event loop; clock, stamps and randomness come from the `RouterContext`.
"""
