"""Scripts that drive a simulated group and show what it does, as text (tests/testdata/raft/*.txt).

A script is a sequence of blocks: commands, a line `----`, and the output that they give; a blank line ends the
block, `#` begins a comment. The commands, with replicas given by number:

    group voters=1,2,3 [learners=4] [extra=5] [SETTING=VALUE ..]   a new group; `extra` are replicas without state
    campaign 1                     stand for election
    tick 1,2 [10]                  time passes there (`all` for everyone), nothing moves
    run all [10]                   time passes, and after each tick everything settles
    propose 1 a b c                propose payloads at 1; `x*100` is a payload of 100 bytes
    change 1 +4 ~3 -2 [joint]      add voter 4, make 3 a learner, remove 2; `joint` stays joint until `leave 1`
    turn 1                         what 1 wants done is done
    deliver [1>2 ..]               deliver what is on the network, or on some links of it
    drop [1>2 ..]                  lose it
    settle                         turns and deliveries until nothing moves
    hold 1, release 1 [2]          1's disk makes nothing durable; it does (the oldest two writes)
    pause 1, resume 1              1's state machine applies nothing; it does
    cut 1, partition 1,2 3, heal   links
    lose Append, lose none         the network loses all messages of a type; it does not
    crash 1 [0 [1]], restart 1     1 loses what is not durable: all but the oldest pending writes, and of what its
                                   state machine has, all but the oldest states
    compact 1 [5]                  1 takes a snapshot and drops its log (up to 5)
    transfer 1 2                   1 hands leadership to 2
    read 1 x, lease 1              a read by quorum; may 1 answer from its lease now?
    quiesce 1, wake 1 [10]         idle groups
    unreachable 1 2, snapshot 1 2 ok|failed          reports to the leader
    status, log, members 1         what can be seen from outside
    quiet, loud                    stop and go on telling what happens

Terms and indices are written index/term.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hashrange_node.raft import (
    CONFIG,
    NOOP,
    Append,
    AppendReply,
    Change,
    ChangeKind,
    ConfChange,
    Configuration,
    Entry,
    Heartbeat,
    HeartbeatReply,
    InstallSnapshot,
    Message,
    Ready,
    Refusal,
    Settings,
    TimeoutNow,
    Transition,
    VoteReply,
    VoteRequest,
)
from hashrange_node.raft.leader import Leader

from tests.unit.raft_checker import Checker
from tests.unit.raft_support import Cluster, Host, log_of

SIGNS = {"+": ChangeKind.ADD_VOTER, "~": ChangeKind.ADD_LEARNER, "-": ChangeKind.REMOVE}


def show_entry(entry: Entry) -> str:
    place = f"{entry.index}/{entry.term}"
    if entry.kind == NOOP:
        return f"{place}:noop"
    if entry.kind == CONFIG:
        return f"{place}:{show_change(entry.payload)}"
    payload = entry.payload if entry.size < 20 else f"{entry.size} bytes"
    return f"{place}:{payload}"


def show_change(change: ConfChange) -> str:
    signs = {kind: sign for sign, kind in SIGNS.items()}
    return "change(" + ",".join(f"{signs[c.kind]}{c.replica}" for c in change.changes) + ")"


def show_configuration(found: Configuration) -> str:
    parts = ["voters=" + show_ids(found.voters)]
    if found.outgoing:
        parts.append("outgoing=" + show_ids(found.outgoing))
    if found.learners:
        parts.append("learners=" + show_ids(found.learners))
    if found.learners_next:
        parts.append("learners_next=" + show_ids(found.learners_next))
    return " ".join(parts)


def show_ids(replicas: Any) -> str:
    return ",".join(map(str, sorted(replicas)))


def show_entries(entries: Any) -> str:
    return "[" + " ".join(map(show_entry, entries)) + "]"


def show_message(message: Message) -> str:
    """One line for a message."""
    head = f"{message.sender} -> {message.to} {type(message).__name__} term={message.term}"
    match message:
        case Append():
            prev = f"{message.prev_index}/{message.prev_term}"
            return f"{head} prev={prev} {show_entries(message.entries)} commit={message.commit}"
        case AppendReply(rejected=True):
            hint = f"{message.hint_index}/{message.hint_term}"
            return f"{head} rejected={message.index} hint={hint}" + " needs snapshot" * message.needs_snapshot
        case AppendReply():
            return f"{head} index={message.index}"
        case Heartbeat():
            unanswered = "" if message.round else " (no answer)"
            return f"{head} commit={message.commit}{unanswered}" + " quiesce" * message.quiesce
        case HeartbeatReply():
            return head + " quiesced" * message.quiesced
        case VoteRequest():
            kind = " pre" * message.pre + " transfer" * message.transfer
            return f"{head} last={message.last_index}/{message.last_term}{kind}"
        case VoteReply():
            answer = "granted" if message.granted else "refused"
            extra = " pre" * message.pre + " healthy" * message.healthy
            lease = f" lease={message.lease_ticks}" if message.lease_ticks else ""
            return f"{head} {answer}{extra}{lease}"
        case InstallSnapshot():
            snapshot = message.snapshot
            place = f"{snapshot.index}/{snapshot.term}"
            return f"{head} {place} {show_configuration(snapshot.configuration)}"
        case TimeoutNow():
            return head
    raise AssertionError(f"no text for {head}")


class Trace(Checker):
    """Writes down what hosts do; the rules of the checker hold in scripts too."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []
        self.quiet = False

    def say(self, line: str) -> None:
        if not self.quiet:
            self.lines.append(line)

    def worked(self, host: Host, work: Ready) -> None:
        super().worked(host, work)
        found = work.leadership
        if found is not None:
            leader = "" if found.leader in (0, host.id) else f", leader {found.leader}"
            self.say(f"{host.id} is {found.role.value} of term {found.term}{leader}")
        parts = []
        if work.hard_state is not None:
            parts.append(f"term={work.hard_state.term} vote={work.hard_state.vote}")
        if work.snapshot is not None:
            parts.append(f"snapshot {work.snapshot.index}/{work.snapshot.term}")
        if work.truncate_from is not None:
            parts.append(f"truncate from {work.truncate_from}")
        if work.entries:
            parts.append(show_entries(work.entries))
        if parts:
            self.say(f"{host.id} writes {', '.join(parts)}")
        for read in work.reads:
            self.say(f"{host.id} may read {read.context} at {read.index}")

    def sent(self, host: Host, message: Message) -> None:
        super().sent(host, message)
        self.say(show_message(message))

    def applied(self, host: Host, entry: Entry) -> None:
        super().applied(host, entry)
        suffix = f" -> {show_configuration(host.core.configuration)}" if entry.kind == CONFIG else ""
        self.say(f"{host.id} applies {show_entry(entry)}{suffix}")


class Script:
    """Runs the commands of one script."""

    def __init__(self) -> None:
        self.trace = Trace()
        self.cluster = Cluster([])

    def run(self, command: str) -> None:
        """One command; what happens is appended to the trace."""
        name, *arguments = command.split()
        method: Callable[..., None] = getattr(self, "do_" + name.replace("-", "_"))
        method(*arguments)
        if self.trace.cluster is not None:
            self.trace.look()

    def output(self) -> str:
        """What happened since the last call, as text."""
        lines, self.trace.lines = self.trace.lines, []
        return "\n".join(lines) or "ok"

    # ---- the commands

    def do_group(self, *options: str) -> None:
        found = dict(option.split("=") for option in options)
        ids = {
            name: [int(each) for each in found.pop(name, "").split(",") if each]
            for name in ("voters", "learners", "extra")
        }
        settings = Settings(**{name: int(value) for name, value in found.items()})
        quiet, self.trace = self.trace.quiet, Trace()
        self.trace.quiet = quiet
        self.cluster = Cluster(
            ids["voters"], ids["learners"], extra=ids["extra"], settings=settings, watcher=self.trace
        )
        self.trace.cluster = self.cluster

    def _host(self, replica: str) -> Host:
        return self.cluster[int(replica)]

    def _hosts(self, replicas: str) -> list[int]:
        return list(self.cluster.hosts) if replicas == "all" else [int(each) for each in replicas.split(",")]

    def _answer(self, found: object) -> None:
        if isinstance(found, Refusal):
            self.trace.lines.append(f"refused: {found.value}")

    def do_campaign(self, replica: str) -> None:
        self._host(replica).core.campaign()

    def do_tick(self, replicas: str, count: str = "1") -> None:
        self.cluster.tick(*self._hosts(replicas), count=int(count), settle=False)

    def do_run(self, replicas: str, count: str = "1") -> None:
        self.cluster.tick(*self._hosts(replicas), count=int(count))

    def do_propose(self, replica: str, *payloads: str) -> None:
        for payload in payloads:
            text, _, size = payload.partition("*")
            self._answer(self._host(replica).core.propose(payload, int(size or len(text))))

    def do_change(self, replica: str, *steps: str) -> None:
        explicit = "joint" in steps
        changes = tuple(Change(SIGNS[step[0]], int(step[1:])) for step in steps if step != "joint")
        transition = Transition.JOINT_UNTIL_LEFT if explicit else Transition.SIMPLE_IF_POSSIBLE
        self._answer(self._host(replica).core.propose_change(ConfChange(changes, transition)))

    def do_leave(self, replica: str) -> None:
        self._answer(self._host(replica).core.propose_change(ConfChange()))

    def do_turn(self, replicas: str) -> None:
        for replica in self._hosts(replicas):
            self.cluster[replica].turn()

    def _wanted(self, links: tuple[str, ...]) -> Callable[[Message], bool]:
        return lambda message: not links or f"{message.sender}>{message.to}" in links

    def do_deliver(self, *links: str) -> None:
        self.cluster.deliver(self._wanted(links))

    def do_drop(self, *links: str) -> None:
        self.cluster.drop(self._wanted(links))

    def do_settle(self) -> None:
        self.cluster.settle()

    def do_hold(self, replica: str) -> None:
        self._host(replica).holds_writes = True

    def do_release(self, replica: str, count: str = "") -> None:
        host = self._host(replica)
        host.holds_writes = bool(count)
        host.persist(int(count) if count else None)

    def do_pause(self, replica: str) -> None:
        self._host(replica).holds_apply = True

    def do_resume(self, replica: str) -> None:
        self._host(replica).holds_apply = False
        self._host(replica).apply()

    def do_cut(self, *replicas: str) -> None:
        self.cluster.cut(*map(int, replicas))

    def do_partition(self, *sides: str) -> None:
        self.cluster.partition(*([int(each) for each in side.split(",")] for side in sides))

    def do_heal(self) -> None:
        self.cluster.heal()

    def do_lose(self, kind: str) -> None:
        self.cluster.loses = kind

    def do_crash(self, replica: str, writes: str = "0", states: str = "") -> None:
        self._host(replica).crash(int(writes), int(states) if states else None)

    def do_restart(self, replica: str) -> None:
        self._host(replica).restart(self.cluster.now)

    def do_compact(self, replica: str, index: str = "") -> None:
        self._host(replica).compact(int(index) if index else None)

    def do_transfer(self, replica: str, target: str) -> None:
        self._answer(self._host(replica).core.transfer(int(target)))

    def do_read(self, replica: str, context: str) -> None:
        self._answer(self._host(replica).core.read_index(context))

    def do_lease(self, replica: str) -> None:
        core = self._host(replica).core
        now = self.cluster.now
        valid = core.lease_valid(now)
        self.trace.lines.append(
            f"at tick {now}: " + (f"valid until {core.lease_until}" if valid else "no lease")
        )

    def do_quiesce(self, replica: str) -> None:
        self._answer(self._host(replica).core.quiesce())

    def do_wake(self, replica: str, silent: str = "0") -> None:
        self._host(replica).core.wake(int(silent))

    def do_unreachable(self, replica: str, other: str) -> None:
        self._host(replica).core.report_unreachable(int(other))

    def do_snapshot(self, replica: str, other: str, outcome: str) -> None:
        self._host(replica).core.report_snapshot(int(other), outcome == "ok")

    def do_status(self) -> None:
        for host in self.cluster.hosts.values():
            core = host.core
            log = core.log
            state = "" if host.up else " DOWN"
            state += " idle" if core.quiesced else ""
            self.trace.lines.append(
                f"{host.id}: {core.role.name.value} term={core.term} vote={core.vote} leader={core.leader} "
                f"last={log.last_index}/{log.last_term} durable={log.durable} commit={log.commit} "
                f"applied={log.applied}{state}"
            )

    def do_log(self) -> None:
        for host in self.cluster.hosts.values():
            first = host.core.log.first_index()
            self.trace.lines.append(f"{host.id}: from {first} {show_entries(log_of(host))}")

    def do_members(self, replica: str) -> None:
        core = self._host(replica).core
        self.trace.lines.append(show_configuration(core.configuration))
        role = core.role
        if isinstance(role, Leader):
            self.trace.lines += map(repr, role.tracker.members.values())

    def do_quiet(self) -> None:
        self.trace.quiet = True

    def do_loud(self) -> None:
        self.trace.quiet = False


def play(text: str) -> str:
    """Run a script; the same text with the output that it gives now."""
    script = Script()
    found: list[str] = []
    in_output = False
    for line in text.rstrip("\n").split("\n"):
        if in_output:
            in_output = bool(line.strip())
            if not in_output:
                found.append("")
            continue
        found.append(line)
        if line == "----":
            found.append(script.output())
            in_output = True
        elif line.strip() and not line.startswith("#"):
            script.run(line)
    return "\n".join(found) + "\n"
