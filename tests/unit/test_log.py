"""FileLog on real files: appending, group commit, segments, reading back."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from hashrange_node.log import FileLog, LogDamaged, LogError, LogFailed, MemoryLog, hard_state, truncate
from hashrange_node.log.segment import list_segments

from tests.unit.log_support import (
    LATER_BOOT,
    LOG_ID,
    FailingFiles,
    Owner,
    crash_copy,
    entries,
    open_log,
    sync_now,
    wait_for_mark,
)


def test_what_was_appended_comes_back_after_a_clean_close(tmp_path: Path):
    owner = Owner()
    log, found = open_log(tmp_path, owner)
    assert found == []
    batch = [*entries(1, 5), hard_state(3, 7, 2), truncate(1, 4, 2), *entries(1, 2, group=2)]
    end = log.append(batch)
    assert log.append(entries(6, 1)) > end
    log.close()
    log, found = open_log(tmp_path)
    assert found == [*batch, *entries(6, 1)]
    log.close()


def test_replay_gives_the_positions_that_append_returned(tmp_path: Path):
    log, _ = open_log(tmp_path)
    ends = [log.append(entries(index, 1)) for index in range(1, 20)]
    log.close()
    log = FileLog.open(tmp_path, LOG_ID, call_soon=Owner().call_soon)
    assert [position for position, _ in log.replay()] == ends
    assert log.position == log.durable_position == ends[-1]
    log.close()


def test_a_killed_process_loses_nothing_that_it_appended(tmp_path: Path):
    log, _ = open_log(tmp_path / "log")
    log.append(entries(1, 30))
    copy = crash_copy(tmp_path / "log", tmp_path / "copy")
    log.close()
    again, found = open_log(copy)
    assert found == entries(1, 30)
    again.append(entries(31, 3))
    again.close()
    again, found = open_log(copy)
    assert found == entries(1, 33)
    again.close()


def test_the_log_cannot_be_written_before_it_was_read(tmp_path: Path):
    log = FileLog.open(tmp_path, LOG_ID, call_soon=Owner().call_soon)
    with pytest.raises(LogFailed, match="replay"):
        log.append(entries(1, 1))
    assert list(log.replay()) == []
    with pytest.raises(LogError, match="already"):
        next(log.replay())
    log.append(entries(1, 1))
    log.close()
    with pytest.raises(LogFailed, match="closed"):
        log.append(entries(2, 1))


def test_done_is_called_on_the_owner_after_the_fdatasync(tmp_path: Path):
    owner, files = Owner(), FailingFiles()
    log, _ = open_log(tmp_path, owner, files=files)
    before = files.syncs
    done: list[int] = []
    position = log.append(entries(1, 3))
    log.sync(position, done.append)
    assert not done
    owner.run_until(lambda: done)
    assert done == [position]
    assert files.syncs > before
    log.sync(position, done.append)
    assert done == [position, position], "what is durable already is reported at once"
    log.close()


def test_requests_during_an_fdatasync_share_the_next_one(tmp_path: Path):
    owner, seconds = Owner(), []
    log, _ = open_log(tmp_path, owner, observe_fsync=seconds.append)
    done: list[int] = []
    order: list[int] = []
    for index in range(1, 41):
        log.sync(
            log.append(entries(index, 1)),
            lambda durable, index=index: (order.append(index), done.append(durable)),
        )
    owner.run_until(lambda: len(order) == 40)
    assert order == sorted(order)
    assert len(seconds) == 2, "one for the first request, one for all that came meanwhile"
    assert log.statistics()["fsyncs"] == 2
    assert min(seconds) > 0
    log.close()


def test_a_callback_that_fails_does_not_hold_up_the_others(tmp_path: Path):
    owner = Owner()
    log, _ = open_log(tmp_path, owner)
    done: list[int] = []

    def fail(_: int) -> None:
        raise RuntimeError("a bug of the caller")

    log.sync(log.append(entries(1, 1)), fail)
    log.sync(log.append(entries(2, 1)), done.append)
    with pytest.raises(RuntimeError, match="a bug"):
        owner.run_until(lambda: done)
    owner.run_until(lambda: done)
    log.close()


def test_close_delivers_what_is_waiting(tmp_path: Path):
    log, _ = open_log(tmp_path)
    done: list[int] = []
    log.sync(log.append(entries(1, 1)), done.append)
    log.sync(log.append(entries(2, 1)), done.append)
    end = log.position
    log.close()
    log.close()
    assert done == [end, end]


def test_durability_os_answers_at_once_and_syncs_in_the_background(tmp_path: Path, monkeypatch):
    monkeypatch.setattr("hashrange_node.log.log.BACKGROUND_SYNC_SECONDS", 0.01)
    owner, done = Owner(), []
    log, _ = open_log(tmp_path, owner, durability="os")
    position = log.append(entries(1, 3))
    log.sync(position, done.append)
    assert done == [position]
    owner.run_until(lambda: log.durable_position == position)
    log.close()


def test_sync_works_on_an_event_loop(tmp_path: Path):
    async def run() -> None:
        loop = asyncio.get_running_loop()
        log, _ = open_log(tmp_path, call_soon=loop.call_soon_threadsafe)
        for index in range(1, 20):
            done = loop.create_future()
            log.sync(log.append(entries(index, 1)), done.set_result)
            assert await asyncio.wait_for(done, 30) == log.position
        log.close()

    asyncio.run(run())


def test_segments_roll_and_chain(tmp_path: Path):
    owner = Owner()
    log, _ = open_log(tmp_path, owner, segment_bytes=10_000)
    for index in range(1, 101):
        log.append(entries(index, 1, size=1000))
    sync_now(log, owner)
    log.append(entries(101, 1, size=50_000))  # larger than a segment
    assert log.statistics()["segments"] > 10
    assert log.size_bytes() == log.position
    log.close()
    sizes = [each.size for each in list_segments(tmp_path)]
    assert all(size <= 10_000 for size in sizes[:-1])
    log, found = open_log(tmp_path)
    assert found == [*entries(1, 100, size=1000), *entries(101, 1, size=50_000)]
    log.close()


def test_finished_segments_are_removed_and_only_those(tmp_path: Path):
    owner = Owner()
    log, _ = open_log(tmp_path, owner, segment_bytes=10_000)
    ends = [log.append(entries(index, 1, size=1000)) for index in range(1, 101)]
    sync_now(log, owner)
    log.remove_before(ends[49])
    log.remove_before(ends[49])
    kept = log.size_bytes()
    assert 50_000 <= kept < 70_000
    log.close()
    log, found = open_log(tmp_path, segment_bytes=10_000)
    assert found == entries(found[0].index, 101 - found[0].index, size=1000)
    assert found[0].index <= 51
    assert log.size_bytes() == kept
    log.remove_before(log.position)
    assert log.statistics()["segments"] == 1
    log.close()
    assert len(list_segments(tmp_path)) == 1


def test_segments_that_a_crash_kept_from_being_removed_are_leftovers(tmp_path: Path):
    owner = Owner()
    log, _ = open_log(tmp_path / "log", owner, segment_bytes=10_000)
    ends = [log.append(entries(index, 1, size=1000)) for index in range(1, 51)]
    sync_now(log, owner)
    first = list_segments(tmp_path / "log")[0].path
    kept = first.read_bytes()
    log.remove_before(ends[20])
    log.close()
    assert not first.exists()
    first.write_bytes(kept)
    log, found = open_log(tmp_path / "log")
    assert found[0].index > 1
    assert not first.exists()
    log.close()


def test_the_mark_follows_the_traffic(tmp_path: Path):
    owner = Owner()
    log, _ = open_log(tmp_path, owner)
    log.append(entries(1, 10))
    sync_now(log, owner)
    wait_for_mark(tmp_path, log.position)
    log.close()


def test_a_crash_while_the_next_segment_is_created_is_harmless(tmp_path: Path):
    owner = Owner()
    for size, boot in ((0, None), (0, LATER_BOOT), (64, LATER_BOOT)):
        directory = tmp_path / f"{size}-{boot}"
        log, _ = open_log(directory, owner)
        log.append(entries(1, 10))
        sync_now(log, owner)
        wait_for_mark(directory, log.position)
        copy = crash_copy(directory, tmp_path / f"copy-{size}-{boot}")
        (copy / f"{log.position:020d}.log").write_bytes(bytes(size))
        log.close()
        options = {"boot_id": boot} if boot else {}
        again, found = open_log(copy, **options)
        assert found == entries(1, 10)
        again.append(entries(11, 1))
        again.close()
        again, found = open_log(copy)
        assert found == entries(1, 11)
        again.close()


def test_another_directorys_log_is_refused(tmp_path: Path):
    log, _ = open_log(tmp_path)
    log.close()
    with pytest.raises(LogDamaged, match="another data directory"):
        FileLog.open(tmp_path, b"x" * 16, call_soon=Owner().call_soon)


def test_a_log_that_was_there_and_is_gone_is_damage(tmp_path: Path):
    with pytest.raises(LogDamaged, match="the log is gone"):
        FileLog.open(tmp_path, LOG_ID, call_soon=Owner().call_soon, must_exist=True)


def test_the_message_tells_the_operator_what_to_do(tmp_path: Path):
    damage = LogDamaged(tmp_path / "x.log", 17, "the checksum does not match", 99)
    assert str(tmp_path / "x.log") in str(damage)
    assert "byte 17" in str(damage)
    assert "hashrange repair" in str(damage)
    assert "nothing has been changed" in str(damage)


def test_the_memory_log_keeps_the_contract_without_encoding_anything():
    class NeverEncoded:
        def encode(self) -> bytes:
            raise AssertionError("a memory log encodes nothing")

    log, done = MemoryLog(), []
    position = log.append([(1, 1, 1, NeverEncoded(), 1), (1, 2, 1, NeverEncoded(), 1)])
    log.sync(position, done.append)
    assert done == [position]
    assert list(log.replay()) == []
    log.remove_before(position)
    assert log.size_bytes() == 0
    assert log.statistics() == {"records": 2.0}
    log.close()
