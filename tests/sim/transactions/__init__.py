"""Transactions in the simulated cluster: real coordinators, ledger and locks, with everything broken around them.

    python -m tests.sim --plan transactions --seeds 100
    python -m tests.sim --plan transactions --seed 17 --trace
    python -m tests.sim --plan transactions --sabotage "no delete watermark"

Requests of the API run through the operations of real routers (`router.py`). Clients (`clients.py`) ask what
`intents.py` thinks of, again under the same token where they got no answer; `faults.py` adds to the faults of whole
clusters what hurts coordinators: death between any two steps, pauses, wrong clocks, and messages that arrive twice,
seconds later. `run.py` judges what the clients saw, and what is left in the ledger and of locks.
"""
