"""What a leader sends to one follower: entries as far as the follower's state allows, a probe, or a snapshot."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .messages import Append, Entry, Heartbeat, InstallSnapshot
from .progress import REPLICATE, Progress

if TYPE_CHECKING:
    from .leader import Leader


def send_available(leader: Leader, progress: Progress) -> None:
    """Send all entries that may go to a follower now, and the commit index if no entry takes it along."""
    core = leader.core
    log = core.log
    settings = core.settings
    last = log.last_index
    if progress.state is not REPLICATE:
        if not progress.paused(settings):
            send_probe(leader, progress)
        return
    while progress.next <= last and not progress.paused(settings):
        entries = log.entries_from(progress.next, settings.append_bytes_max)
        if entries is None:
            progress.become_probe()
            send_snapshot(leader, progress)
            return
        _send_append(leader, progress, entries)
    known = log.commit if log.commit < progress.match else progress.match
    if known > progress.commit_sent:
        # A heartbeat that wants no answer: the follower has the entries and only has to learn that they count.
        progress.commit_sent = known
        core.send(Heartbeat(core.id, progress.id, core.term, known, 0))


def send_probe(leader: Leader, progress: Progress) -> None:
    """Send one message that will be answered: entries when the follower is probed, else an empty one."""
    log = leader.core.log
    if progress.next < log.first_index():
        send_snapshot(leader, progress)
        return
    entries: list[Entry] = []
    if progress.state is not REPLICATE and progress.next <= log.last_index:
        entries = log.entries_from(progress.next, leader.core.settings.append_bytes_max) or []
    _send_append(leader, progress, entries)


def _send_append(leader: Leader, progress: Progress, entries: list[Entry]) -> None:
    core = leader.core
    log = core.log
    prev_index = progress.next - 1
    prev_term = log.term(prev_index)
    assert prev_term >= 0, f"the term of entry {prev_index} is not known"
    commit = log.commit
    core.send(Append(core.id, progress.id, core.term, prev_index, prev_term, entries, commit, leader.round))
    if entries:
        size = entries[0].size if len(entries) == 1 else sum(entry.size for entry in entries)
        last = entries[-1].index
        progress.sent(last, size)
        progress.commit_sent = max(progress.commit_sent, min(commit, last))
    elif progress.state is not REPLICATE:
        progress.probe_sent = True


def send_snapshot(leader: Leader, progress: Progress) -> None:
    """Send a snapshot, if the storage has one now and the follower seems to be there to take it.

    Otherwise it is tried again when the follower answers the next heartbeat.
    """
    core = leader.core
    progress.probe_sent = True
    if not progress.active:
        return
    snapshot = core.log.storage.snapshot()
    if snapshot is None or not snapshot.index:
        return
    assert snapshot.index >= core.log.first_index() - 1, "the snapshot leaves a gap to the log"
    progress.become_snapshot(snapshot.index)
    core.send(InstallSnapshot(core.id, progress.id, core.term, snapshot, leader.round))
