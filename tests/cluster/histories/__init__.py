"""Histories of concurrent operations, and the question whether a single correct server could explain them.

A history is what clients saw: when each operation was sent, when its answer came, and what it said
(`history`). A key's history is linearizable when every operation can be given one instant between its sending
and its answer, such that a register that does one operation at a time gives the same answers (`linear`). An
operation whose outcome nobody knows (a lost connection, a timeout, an error of the server) may have happened
at any instant after it was sent, or never.

    history = History(Path("run.jsonl"))
    operation = history.invoke(process=3, key="r1", kind="write", value=17)
    history.ok(operation)
    for violation in check_history(read_history(Path("run.jsonl"))):
        print(violation.text())

Transactions over several keys are another matter: they append to lists and read them (`lists`), and the lists tell who
came before whom (`list_check`, `cycles`).

    history = ListHistory(Path("lists.jsonl"))
    transaction = history.invoke(process=3, ops=[(APPEND, "k1", 17), (APPEND, "k2", 18)])
    history.ok(transaction)
    for finding in check_lists(history.transactions):
        print(finding.text())

`python -m tests.cluster.histories FILE` checks a file of either sort. A violation of a register is shown as the
smallest part of the history that still cannot be explained (`shrink`), as a table with the operations' times drawn
beside it (`report`); one of transactions as the cycle that they make.
"""
