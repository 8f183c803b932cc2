"""The spool directory: who may use it, what is in it, and that writing into it never raises."""

import gc
import logging
import os
import stat
import subprocess
import threading
import time
import traceback

import pytest

from heka.config import client_from_dict_config
from heka.exceptions import ConfigError
from heka_raven.sender.listing import FRESH_MTIME_S, Listing
from heka_raven.spool import spool as spool_module
from heka_raven.spool.directory import SpoolError, resolve_spool_path
from heka_raven.spool.ledger import read_snapshot
from heka_raven.spool.spool import Spool, parse_name
from heka_raven.streams import SpoolStream
from support.delivery import assert_exact, fill, run_app, waiting
from support.users import closed_above
from support.waiting import wait_for

ID = "0123456789abcdef" * 2
DSN = "http://k@h/1"
ROOT = os.geteuid() == 0
as_root = pytest.mark.skipif(not ROOT, reason="needs root to become somebody else")


def mode(path):
    return stat.S_IMODE(os.stat(path).st_mode)


def test_put(tmp_path):
    """An event is one file in new/, 0600, named by time, process and event, in directories that are 0700."""
    spool = Spool(str(tmp_path / "spool"))
    before = time.time_ns()
    assert spool.put(ID, b"envelope")
    (name,) = spool.names()
    entry = parse_name(name)
    assert before <= entry.timestamp_ns <= time.time_ns()
    assert (os.getpid(), ID) == (entry.pid, entry.event_id)
    assert b"envelope" == spool.read(name)
    assert 0o600 == mode(tmp_path / "spool" / "new" / name)
    assert [0o700] * 6 == [
        mode(tmp_path / "spool" / part) for part in (".", "new", "tmp", "dead", "state", "state/ledger")
    ]
    assert [] == os.listdir(tmp_path / "spool" / "tmp")


def test_modes_do_not_depend_on_the_umask(tmp_path):
    """umask 0: still nobody else may look, or write beside it."""
    spool = tmp_path / "a" / "b" / "spool"
    run_app(spool, "http://a@b/1", "os.umask(0)\ncapture(SpoolStream(path=path, sender='off'))")
    (name,) = waiting(spool)
    assert (0o700, 0o600) == (mode(spool), mode(spool / "new" / name))
    assert {0o600} == {mode(spool / "state/ledger" / n) for n in os.listdir(spool / "state/ledger")}
    assert {0o755} == {mode(tmp_path / "a"), mode(tmp_path / "a" / "b")}


@pytest.mark.parametrize("durability", ["process", "power"])
def test_durability(tmp_path, durability):
    """Both kinds of durability store the event; any other is refused by name."""
    assert Spool(str(tmp_path / "spool"), durability=durability).put(ID, b"x" * 100_000)
    with pytest.raises(ConfigError, match="durability"):
        Spool(str(tmp_path / "other"), durability="none")
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize("name", ["pth", "sender", "rate_limit", "max_bytes", "max_count", "durability"])
def test_a_wrong_option_of_the_stream(tmp_path, name):
    """It is named as it was written, with ``stream_``; for one that does not exist, all that do are listed."""
    with pytest.raises(ConfigError, match=f"^stream_{name}: ") as caught:
        client_from_dict_config(
            {
                "stream_class": "heka_raven.streams.SpoolStream",
                "stream_path": str(tmp_path / "spool"),
                f"stream_{name}": "nonsense",
            }
        )
    assert name != "pth" or all(f"stream_{known}" in str(caught.value) for known in ("path", "sender", "rate_limit"))


def test_power_durability_syncs_file_and_directory(tmp_path, monkeypatch):
    """durability = power: the file is on the disk before it appears, and its name before put returns."""
    spool = Spool(str(tmp_path / "spool"), durability="power")
    synced = []
    real = os.fsync

    def fsync(fd):
        synced.append(os.readlink(f"/proc/self/fd/{fd}").removeprefix(str(tmp_path)))
        real(fd)

    monkeypatch.setattr(spool_module.os, "fsync", fsync)
    assert spool.put(ID, b"x")
    assert [f"/spool/tmp/{spool.names()[0]}", "/spool/new"] == synced


def test_full_by_count(tmp_path, caplog):
    """Over the cap the new event is discarded and counted, and that is logged once."""
    spool = Spool(str(tmp_path / "spool"), max_count=3)
    assert [True, True, True, False, False] == [spool.put(ID, b"x") for _ in range(5)]
    for _ in range(5):
        spool.ledger.add("captured")
    assert_exact(tmp_path / "spool", cache_overflow=2, captured=5, write_failed=0)
    assert 1 == sum("is full" in record.message for record in caplog.records)


def test_full_by_bytes(tmp_path):
    """The cap in bytes counts the bytes of the files."""
    spool = Spool(str(tmp_path / "spool"), max_bytes=1000)
    assert [True, True, False, True] == [spool.put(ID, b"x" * n) for n in (400, 400, 400, 200)]


def test_room_again_after_delivery(tmp_path):
    """What another process removed makes room within a moment."""
    spool = Spool(str(tmp_path / "spool"), max_count=2)
    assert spool.put(ID, b"x") and spool.put(ID, b"x") and not spool.put(ID, b"x")
    other = Spool(str(tmp_path / "spool"))
    for name in other.names():
        assert other.remove(name, "delivered", 1)
    time.sleep(spool_module.LEVEL_FULL_S + 0.05)
    assert spool.put(ID, b"x")


def test_the_level_counts_other_processes(tmp_path):
    """The caps hold for all processes together."""
    fill(tmp_path / "spool", "http://a@b/1", 10)
    assert not Spool(str(tmp_path / "spool"), max_count=10).put(ID, b"x")


def test_remove_counts_only_what_it_removed(tmp_path):
    """A file that vanished is no error, and its end is counted by who really took it."""
    spool = Spool(str(tmp_path / "spool"))
    spool.put(ID, b"x")
    (name,) = spool.names()
    assert [True, False] == [spool.remove(name, "delivered", 1) for _ in range(2)]
    assert 1 == read_snapshot(spool.path)["delivered"]
    assert spool.read(name) is None


def test_dead_and_back(tmp_path):
    """What a server refused stays in dead/; retry_dead captures it anew under its old id."""
    (event_id,) = fill(tmp_path / "spool", "http://a@b/1", 1)
    spool = Spool(str(tmp_path / "spool"))
    (name,) = spool.names()
    data = spool.read(name)
    assert spool.bury(name, "discarded.send_error", len(data))
    assert ([], [name]) == (spool.names(), spool.dead_names())
    assert_exact(spool.path, captured=1, send_error=1)
    assert spool.retry_dead(name)
    assert [event_id] == [parse_name(name).event_id for name in spool.names()]
    assert data == spool.read(spool.names()[0])
    assert [] == spool.dead_names()
    assert_exact(spool.path, captured=2, send_error=1)


def test_sweep(tmp_path, monkeypatch):
    """Orphans in tmp/ go after an hour; dead/ keeps the newest within its caps."""
    spool = Spool(str(tmp_path / "spool"))
    now = time.time()
    for name, age in (("old.env", 3700), ("young.env", 10)):
        path = tmp_path / "spool" / "tmp" / name
        path.write_bytes(b"half")
        os.utime(path, (now - age, now - age))
    monkeypatch.setattr(spool_module, "DEAD_MAX_COUNT", 2)
    for i in range(4):
        (tmp_path / "spool" / "dead" / f"{i:020d}-1-{ID}.env").write_bytes(b"x")
    spool.sweep(now)
    assert ["young.env"] == os.listdir(tmp_path / "spool" / "tmp")
    assert [2, 3] == [parse_name(name).timestamp_ns for name in spool.dead_names()]


def test_a_server_that_refuses_everything_does_not_fill_dead(tmp_path, monkeypatch):
    """dead/ stays near its caps also between two sweeps; every refusal is counted."""
    monkeypatch.setattr(spool_module, "DEAD_MAX_COUNT", 10)
    monkeypatch.setattr(spool_module, "TRIM_DEAD_EVERY", 5)
    fill(tmp_path / "spool", "http://a@b/1", 40)
    spool = Spool(str(tmp_path / "spool"))
    for name in spool.names():
        assert spool.bury(name, "discarded.send_error", 1)
        assert len(spool.dead_names()) <= 15
    assert_exact(spool.path, captured=40, send_error=40)


def test_a_copy_that_a_killed_sender_left_in_dead(tmp_path):
    """The plugin's sender links into dead/, then unlinks; killed in between it leaves one file under both names.

    Whoever sends next takes it out of new/, and counts it once.
    """
    spool = Spool(str(tmp_path / "spool"))
    assert spool.put(ID, b"envelope")
    (name,) = spool.names()
    os.link(tmp_path / "spool" / "new" / name, tmp_path / "spool" / "dead" / name)
    assert spool.bury(name, "discarded.send_error", 8)
    assert not spool.bury(name, "discarded.send_error", 8)
    assert ([], [name]) == (spool.names(), spool.dead_names())
    assert 1 == read_snapshot(spool.path)["discarded.send_error"]


def test_no_dead_directory(tmp_path):
    """Without dead/ the copy is lost, not the count."""
    fill(tmp_path / "spool", "http://a@b/1", 1)
    spool = Spool(str(tmp_path / "spool"))
    os.rmdir(tmp_path / "spool" / "dead")
    assert spool.bury(spool.names()[0], "discarded.send_error", 1)
    assert not spool.bury(f"{1:020d}-1-{ID}.env", "discarded.send_error", 1)
    assert_exact(spool.path, captured=1, send_error=1)


def test_foreign_files_in_new_are_left_alone(tmp_path):
    """Only names of ours are read: no directories, links, pipes or notes."""
    spool = Spool(str(tmp_path / "spool"))
    new = tmp_path / "spool" / "new"
    (new / "README").write_text("mine")
    name = f"{1:020d}-1-{ID}.env"
    os.symlink("/etc/passwd", new / name)
    os.mkfifo(new / f"{2:020d}-1-{ID}.env")
    os.mkdir(new / f"{3:020d}-1-{ID}.env")
    assert 3 == len(spool.names())
    assert [None, None, None] == [spool.read(name) for name in spool.names()]


@pytest.mark.parametrize("gone", ["spool", "spool/new", "spool/tmp", "spool/state"])
def test_a_directory_deleted_under_us_is_made_again(tmp_path, gone):
    """A cleaner took the spool (or a part): the next event is stored all the same, and counted."""
    path = tmp_path / "spool"
    stream = SpoolStream(path=str(path), sender="off")
    stream.ledger.add("captured")
    assert stream.write_event(ID, "http://a@b/1", b"{}")
    subprocess.run(["rm", "-rf", str(tmp_path / gone)], check=True)
    stream.ledger.add("captured")
    assert stream.write_event(ID, "http://a@b/1", b"{}")
    assert 1 <= len(waiting(path))
    if gone in ("spool", "spool/tmp"):
        assert_exact(path, captured=1 if gone == "spool" else 2)


def test_a_path_that_cannot_be_written_is_counted_and_logged_once(tmp_path, caplog):
    """The spool became a file: events are counted as lost, one line a minute, nothing raised."""
    path = tmp_path / "spool"
    stream = SpoolStream(path=str(path), sender="off")
    stream.ledger.add("captured", 3)
    os.rename(path, tmp_path / "away")
    path.write_text("not a directory")
    with caplog.at_level(logging.ERROR, "heka_raven"):
        assert [False] * 3 == [stream.write_event(ID, "http://a@b/1", b"{}") for _ in range(3)]
    assert 1 == len(caplog.records)
    assert_exact(tmp_path / "away", captured=3, cache_overflow=3, write_failed=3)


def test_the_log_is_sparing(tmp_path, caplog, monkeypatch):
    """One kind of trouble is told once a minute, another kind at once."""
    spool = Spool(str(tmp_path / "spool"))
    now = [1000.0]
    monkeypatch.setattr(spool_module.time, "monotonic", lambda: now[0])
    for _ in range(3):
        spool.log_sparingly("a", "first")
    spool.log_sparingly("b", "second")
    now[0] += 60.0
    spool.log_sparingly("a", "first")
    assert ["first", "second", "first"] == [record.message for record in caplog.records]


def test_a_clock_that_goes_backwards(tmp_path, monkeypatch):
    """Events stay apart and are all stored when the clock is set back to a time that was used already."""
    spool = Spool(str(tmp_path / "spool"))
    monkeypatch.setattr(spool_module.time, "time_ns", lambda: 1_700_000_000_000_000_000)
    assert all(spool.put(f"{i:032x}", b"x") for i in range(5))
    assert 5 == len(spool.names())


def test_many_threads_and_processes_write_at_once(tmp_path):
    """Four processes of four threads: every event is there, and the ledger says so."""
    code = (
        "stream = SpoolStream(path=path, sender='off')\n"
        "for _ in range(2): os.fork()\n"
        "threads = [threading.Thread(target=capture, args=(stream, 25)) for _ in range(4)]\n"
        "[t.start() for t in threads]\n[t.join() for t in threads]\n"
        "try:\n while True: os.wait()\nexcept ChildProcessError: pass\n"
    )
    _, ids = run_app(tmp_path / "spool", "http://a@b/1", code)
    assert 400 == len(set(ids))
    assert 400 == len(waiting(tmp_path / "spool"))
    assert_exact(tmp_path / "spool", captured=400, count=0)


def test_the_path(monkeypatch):
    """The explicit setting, else the environment's, else the system's, else one in /tmp; each says why."""
    monkeypatch.setenv("HEKA_RAVEN_SPOOL", "/x/env")
    assert "/x/set" == resolve_spool_path("/x/set")[0]
    assert ("/x/env", "from $HEKA_RAVEN_SPOOL") == resolve_spool_path(None)
    monkeypatch.delenv("HEKA_RAVEN_SPOOL")
    path, reason = resolve_spool_path(None, uid=4711)
    assert path in ("/var/spool/heka-raven/4711", "/tmp/heka-raven-4711")
    assert reason


@pytest.mark.parametrize("kind", ["link", "file", "open", "dangling"])
def test_untrustworthy_paths_are_refused(tmp_path, kind, caplog):
    """A link, a file, a directory open to others: one line that names path and cure, and nothing is written.

    A stream says it at its first event, which is lost: an app that cannot report is an app that runs.
    """
    path = tmp_path / "spool"
    target = tmp_path / "target"
    target.mkdir(0o700)
    if kind == "link":
        path.symlink_to(target)
    elif kind == "dangling":
        path.symlink_to(tmp_path / "nowhere")
    elif kind == "file":
        path.write_text("")
    else:
        path.mkdir()
        path.chmod(0o750)
    with pytest.raises(SpoolError, match=str(path)) as caught:
        Spool(str(path))
    assert "\n" not in str(caught.value)
    stream = SpoolStream(path=str(path), sender="off")
    assert (False, False) == tuple(stream.write_event(ID, DSN, b"{}") for _ in range(2))
    assert [True] == [str(caught.value) in record.getMessage() for record in caplog.records]
    assert [] == os.listdir(target)


def test_a_stream_is_made_without_its_spool(tmp_path):
    """Nothing is decided when an app is imported: the first event makes the spool, and the next find it."""
    stream = SpoolStream(path=str(tmp_path / "spool"), sender="off")
    assert [] == os.listdir(tmp_path)
    stream.ledger.add("captured")
    assert stream.write_event(ID, DSN, b"{}")
    assert 1 == len(waiting(tmp_path / "spool"))
    counts = read_snapshot(str(tmp_path / "spool"))
    assert (1, 1, 0) == (counts["captured"], counts.pending, counts.missing)


def test_a_relative_path_is_that_of_the_start(tmp_path, monkeypatch):
    """A path without a slash in front means the directory where the stream was made, wherever the app goes then."""
    monkeypatch.chdir(tmp_path)
    stream = SpoolStream(path="spool", sender="off")
    monkeypatch.chdir("/")
    assert stream.write_event(ID, DSN, b"{}")
    assert ["spool"] == os.listdir(tmp_path)


def test_a_spool_that_can_be_had_later_is_used(tmp_path):
    """What is in the way may go: the events until then are counted as lost, in the ledger that is there at last."""
    path = tmp_path / "spool"
    path.write_text("")
    stream = SpoolStream(path=str(path), sender="off")
    stream.ledger.add("captured")
    assert not stream.write_event(ID, DSN, b"{}")
    path.unlink()
    stream.ledger.add("captured")
    assert stream.write_event(ID, DSN, b"{}")
    counts = read_snapshot(str(path))
    assert (2, 1, 1, 1) == tuple(
        counts[name] for name in ("captured", "discarded.cache_overflow", "write_failed", "spooled.count")
    )


@as_root
@pytest.mark.parametrize("fork", [True, False])
def test_events_of_the_user_who_has_them(tmp_path, monkeypatch, fork):
    """Made by root, used by another user, also where root itself had an event before: each has a spool of its own."""
    monkeypatch.delenv("HEKA_RAVEN_SPOOL", raising=False)
    monkeypatch.setattr("heka_raven.spool.directory.SYSTEM_PARENT", str(tmp_path / "system"))
    while closed := closed_above(str(tmp_path / "x")):  # pytest's own, one more of them where it has workers
        closed.chmod(0o755)
    (tmp_path / "system").mkdir()
    (tmp_path / "system").chmod(0o777)
    stream = SpoolStream(sender="off")
    pid = os.fork()
    if pid == 0:
        try:
            stream.ledger.add("captured")
            assert stream.write_event(ID, DSN, b"{}")
            if fork and (child := os.fork()) > 0:
                os._exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
            os.setgid(4711)
            os.setuid(4711)
            stream.ledger.add("captured")
            assert stream.write_event(ID, DSN, b"{}")
            os._exit(0)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(1)
    assert 0 == os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    for uid in ("0", "4711"):
        counts = read_snapshot(str(tmp_path / "system" / uid))
        assert (1, 1, 0) == (counts["captured"], counts.pending, counts.missing)


def test_a_shared_directory_is_not_to_be_closed_to_others(tmp_path):
    """Who names /tmp or /etc is told to name a directory of its own first; nothing is made or changed in there."""
    tmp_path.chmod(0o1777)
    with pytest.raises(SpoolError, match=r"mode 1777 lets others in; name a directory of its own \(or chmod 700 "):
        Spool(str(tmp_path))
    assert ([], 0o1777) == (os.listdir(tmp_path), tmp_path.stat().st_mode & 0o7777)


@as_root
def test_somebody_elses_spool_is_refused(tmp_path):
    """A directory of another owner is refused also for root: its owner could swap what is inside."""
    path = tmp_path / "spool"
    path.mkdir(0o700)
    os.chown(path, 4711, 4711)
    with pytest.raises(SpoolError, match="belongs to uid 4711"):
        Spool(str(path))


@as_root
def test_a_parent_that_is_not_ours(tmp_path):
    """Where nothing may be made the error says so, and for whom."""
    pid = os.fork()
    if pid == 0:
        os.setgid(4711)
        os.setuid(4711)
        try:
            Spool(str(tmp_path / "x"))
        except SpoolError as error:
            os._exit(0 if "uid 4711 may write" in str(error) else 1)
        os._exit(2)
    assert 0 == os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_write_event_never_raises(tmp_path, caplog):
    """A payload or options that cannot be encoded are counted, not raised."""
    stream = SpoolStream(path=str(tmp_path / "spool"), sender="off")
    stream.ledger.add("captured", 2)
    assert not stream.write_event(ID, "http://a@b/1", "text, not bytes")
    assert not stream.write_event(ID, "http://a@b/1", b"{}", hk={"timeout_s": object()})
    assert_exact(tmp_path / "spool", captured=2, internal_sdk_error=2)


def test_heka_records_are_refused_with_one_warning(tmp_path, caplog):
    """The spool carries events: other heka messages are refused, and that is said once."""
    stream = SpoolStream(path=str(tmp_path / "spool"), sender="off")
    stream.write(b"\x1e...")
    stream.write(b"\x1e...")
    assert 1 == len(caplog.records)
    assert [] == os.listdir(tmp_path)


def test_stream_options_are_checked(tmp_path, monkeypatch):
    """Options as text work; a wrong one is refused by name before anything is made."""
    stream = SpoolStream(path=str(tmp_path / "a"), sender="off", max_bytes="2M", max_count="10", timeout_s="3")
    assert (2 << 20, 10, 3.0) == (stream.spool.max_bytes, stream.spool.max_count, stream.options.timeout_s)
    for key, value in (
        ("max_bytes", "lots"),
        ("max_count", 0),
        ("sender", "maybe"),
        ("host", "x"),
        ("durability", "x"),
    ):
        with pytest.raises(ConfigError, match=key):
            SpoolStream(**{"path": str(tmp_path / "b"), "sender": "off", key: value})
    monkeypatch.setenv("HEKA_RAVEN_SENDER", "off")
    assert "off" == SpoolStream(path=str(tmp_path / "c")).sender
    assert "thread" == SpoolStream(path=str(tmp_path / "c"), sender="thread").sender
    monkeypatch.setenv("HEKA_RAVEN_SENDER", "nope")
    with pytest.raises(ConfigError, match="HEKA_RAVEN_SENDER"):
        SpoolStream(path=str(tmp_path / "c"))
    assert not (tmp_path / "b").exists()


def test_writing_imports_no_http_client(tmp_path):
    """What a request pays for its first event: no HTTP client, no protobuf, no TLS is imported."""
    code = (
        "capture(SpoolStream(path=path, sender='off'))\n"
        "heavy = {'urllib3', 'ssl', 'http.client', 'google.protobuf', 'asyncio', 'heka_raven.sender.loop'}\n"
        "os.write(1, repr(sorted(heavy & set(sys.modules))).encode())"
    )
    _, out = run_app(tmp_path / "spool", "http://a@b/1", code)
    assert "[]" == out[-1]


def test_nothing_is_left_open(tmp_path):
    """A thousand events leave no descriptor and no thread behind."""
    stream = SpoolStream(path=str(tmp_path / "spool"), sender="off")
    stream.write_event(ID, "http://a@b/1", b"{}")
    gc.collect()  # streams of earlier tests, which would go meanwhile and take theirs along
    before = len(os.listdir("/proc/self/fd")), threading.active_count()
    for _ in range(1000):
        stream.write_event(ID, "http://a@b/1", b"{}")
    assert before == (len(os.listdir("/proc/self/fd")), threading.active_count())


def test_a_file_that_comes_while_a_slow_listing_ends(tmp_path, monkeypatch):
    """It may leave the directory's time as it was: then new/ is listed once more, however long the listing took."""
    spool = Spool(str(tmp_path / "spool"))
    assert spool.put(ID, b"envelope")
    listing, names = Listing(spool), spool.names

    def slow():
        found, info = names(), os.stat(tmp_path / "spool" / "new")
        assert spool.put(ID[::-1], b"envelope")
        os.utime(tmp_path / "spool" / "new", ns=(info.st_atime_ns, info.st_mtime_ns))  # the same tick of its clock
        time.sleep(1.1 * FRESH_MTIME_S)
        return found

    monkeypatch.setattr(spool, "names", slow)
    assert 1 == len(listing.look())
    monkeypatch.undo()
    until = time.monotonic() + 20  # the next listing waits in proportion to the cost of the last
    found = []
    while not found and time.monotonic() < until:
        found = listing.look()
        time.sleep(0.02)
    assert 2 == len(found)


def test_a_pause_while_the_directory_is_looked_at(tmp_path, monkeypatch):
    """Nor does it matter that the machine is busy just before the listing, and an event comes meanwhile."""
    spool = Spool(str(tmp_path / "spool"))
    listing, names, mtime_ns = Listing(spool), spool.names, spool.new_mtime_ns

    def late():
        time.sleep(1.1 * FRESH_MTIME_S)
        assert spool.put(ID, b"envelope")
        return mtime_ns()

    def and_another():
        found, info = names(), os.stat(tmp_path / "spool" / "new")
        assert spool.put(ID[::-1], b"envelope")
        os.utime(tmp_path / "spool" / "new", ns=(info.st_atime_ns, info.st_mtime_ns))  # the same tick of its clock
        return found

    monkeypatch.setattr(spool, "new_mtime_ns", late)
    monkeypatch.setattr(spool, "names", and_another)
    assert 1 == len(listing.look())
    monkeypatch.undo()
    wait_for(lambda: len(listing.look()) == 2)


def test_retry_dead_into_a_full_spool(tmp_path):
    """What does not fit stays in dead/ and is counted nowhere: it is not lost."""
    fill(tmp_path / "spool", "http://a@b/1", 2)
    spool = Spool(str(tmp_path / "spool"), max_count=1)
    first, _ = spool.names()
    assert spool.bury(first, "discarded.send_error", len(spool.read(first)))
    assert not spool.retry_dead(first)
    assert [first] == spool.dead_names()
    assert_exact(spool.path, captured=2, send_error=1, cache_overflow=0)
