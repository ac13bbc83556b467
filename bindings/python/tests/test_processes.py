"""Threads, signals, forks and the end of the interpreter."""

import os
import pathlib
import signal
import subprocess
import sys
import threading

import pytest
import spread

SERVED = """
import os, signal, sys, threading, time
import spread
ring = spread.Ring()
mailbox = ring.connect("me")
mailbox.join("group")
mailbox.receive()
"""


def run(program, code=0):
    done = subprocess.run(
        [sys.executable, "-c", SERVED + program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=100
    )
    assert done.returncode == code, done.stderr.decode()
    return done.stdout.decode().split()


def test_eight_threads_share_a_mailbox(spread_ring):
    count, threads = 200, 4
    mailbox = spread_ring.connect("shared", membership=0)
    mailbox.join("group")
    got, lock = [], threading.Lock()

    def send(sender):
        for number in range(count):
            mailbox.multicast(spread.AGREED_MESS, "group", b"%d %d" % (sender, number))

    def receive():
        for _ in range(count):
            message = mailbox.receive()
            with lock:
                got.append(tuple(map(int, message.message.split())))

    workers = [threading.Thread(target=send, args=(sender,)) for sender in range(threads)]
    workers += [threading.Thread(target=receive) for _ in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert sorted(got) == [(sender, number) for sender in range(threads) for number in range(count)]


def test_disconnecting_wakes_those_who_receive_and_frees_the_descriptor(spread_ring):
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        mailbox, outcomes = spread_ring.connect("me"), []

        def receive():
            try:
                mailbox.receive()
            except spread.error as failure:
                outcomes.append(failure)

        receivers = [threading.Thread(target=receive) for _ in range(3)]
        for receiver in receivers:
            receiver.start()
        mailbox.disconnect()
        other = spread_ring.connect()
        for receiver in receivers:
            receiver.join()
        assert len(outcomes) == 3
        other.multicast(spread.SAFE_MESS, other.private_group, b"mine")
        assert other.receive().message == b"mine"
        other.disconnect()
    # The daemon is in this process too, and closes its side in its own time.
    while len(os.listdir("/proc/self/fd")) > before:
        pass


def test_an_interrupt_ends_a_receive():
    # Whoever runs the tests in the background may have had interrupts ignored.
    program = """
signal.signal(signal.SIGINT, signal.default_int_handler)
threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT)).start()
try:
    mailbox.receive()
except KeyboardInterrupt:
    mailbox.multicast(spread.SAFE_MESS, "group", b"goes on")
    print(mailbox.receive().message.decode())
"""
    assert run(program) == ["goes", "on"]


def test_the_interpreter_ends_with_open_mailboxes_and_running_receivers():
    program = """
threading.Thread(target=mailbox.receive, daemon=True).start()
others = [ring.connect() for _ in range(5)]
print("end")
"""
    assert run(program) == ["end"]


def test_a_forked_child_leaves_the_session_to_its_parent():
    program = """
child = os.fork()
if child == 0:
    del mailbox
    sys.exit(0)
assert os.waitpid(child, 0)[1] == 0
mailbox.multicast(spread.SAFE_MESS, "group", b"still mine")
print(mailbox.receive().message.decode())
"""
    assert run(program) == ["still", "mine"]


def test_a_forked_child_can_take_the_session_over_while_a_thread_receives():
    program = """
reader = threading.Thread(target=lambda: print(mailbox.receive().message.decode(), flush=True))
reader.start()
time.sleep(0.05)
child = os.fork()
if child == 0:
    mailbox.multicast(spread.SAFE_MESS, "group", b"from the child")
    mailbox.kill()
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
reader.join()
"""
    assert run(program) == ["from", "the", "child"]


def test_a_mailbox_that_is_forgotten_is_disconnected(spread_ring):
    watcher = spread_ring.connect("watcher")
    watcher.join("group")
    watcher.receive()
    forgotten = spread_ring.connect("forgotten")
    forgotten.join("group")
    watcher.receive()
    del forgotten
    assert watcher.receive().reason == spread.CAUSED_BY_DISCONNECT


def test_signal_handlers_run_while_a_receive_waits(spread_ring):
    mailbox, seen = spread_ring.connect("me"), []
    before = signal.signal(signal.SIGUSR1, lambda *_: (seen.append(1), mailbox.join("group")))
    try:
        threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGUSR1)).start()
        assert mailbox.receive().group == "group" and seen == [1]
    finally:
        signal.signal(signal.SIGUSR1, before)


@pytest.mark.parametrize("variable, address", [("{conf}#d1", "{port}"), ("{conf}", "{port}@127.77.0.1")])
def test_an_old_script_gets_its_daemon_from_a_variable(tmp_path, variable, address):
    ring = spread.Ring()
    ring.stop()
    configuration = tmp_path / "spread.conf"
    configuration.write_text(ring.configuration)
    script = f"""
import spread
mailbox = spread.connect("{address.format(port=ring.port)}", "old")
mailbox.join("group")
print(mailbox.receive().members[0])
"""
    environment = dict(os.environ, SPREAD_EMBEDDED=variable.format(conf=configuration))
    said = subprocess.check_output([sys.executable, "-c", script], env=environment, timeout=100)
    assert said == b"#old#d1\n"


@pytest.mark.parametrize("readme", ["README.md", "../../README.md"])
def test_the_program_of_a_readme_runs_as_printed(readme):
    text = (pathlib.Path(__file__).parents[1] / readme).read_text()
    program = text.split("```python\n")[1].split("```")[0]
    said = subprocess.check_output([sys.executable, "-c", program], timeout=100).decode()
    assert "hello" in said.lower()
