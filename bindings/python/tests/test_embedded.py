"""Daemons inside the program, and rings of them."""

import socket

import pytest
import spread


def test_a_daemon_lives_as_long_as_its_block(spread_ring):
    spread_ring.stop()
    with spread.Daemon(spread_ring.configuration, "d1") as daemon:
        mailbox = spread.connect(spread_ring.address(), "me")
        mailbox.join("group")
        mailbox.receive()
        while daemon.status().clients != 1:
            pass
        status = daemon.status()
        assert (status.crashed, status.daemons, status.networks) == (False, 1, 1)
        assert status.ring > 0 and status.ring_state
        assert daemon.paths() == []
    with pytest.raises(spread.ConnectionClosed):
        mailbox.receive()
    with pytest.raises(spread.DaemonError, match="no such daemon"):
        daemon.stop()


def test_a_file_is_a_configuration_too(spread_ring, tmp_path):
    spread_ring.stop()
    file = tmp_path / "spread.conf"
    file.write_text(spread_ring.configuration)
    with spread.Daemon(file, "d1"):
        spread.connect(spread_ring.address()).disconnect()


def test_mistakes_are_exceptions_with_the_words_of_the_parser(spread_ring):
    with pytest.raises(spread.DaemonError, match=r"^configuration:3:3: ") as caught:
        spread.Daemon("Spread_Segment unicast {\n  one 10.0.0.1\n  one 10.0.0.2\n}")
    assert isinstance(caught.value, spread.error) and caught.value.number == -2
    with pytest.raises(spread.DaemonError, match="/no/such/file: cannot be read"):
        spread.Daemon("/no/such/file")
    with pytest.raises(spread.DaemonError, match='no daemon "d2"; it has d1'):
        spread.Daemon(spread_ring.configuration, "d2")
    with pytest.raises(spread.DaemonError, match="the daemon d1 already runs in this process") as caught:
        spread.Daemon(spread_ring.configuration, "d1")
    assert caught.value.number == -4
    spread_ring.stop()
    with socket.socket() as holder:
        holder.bind(("127.77.0.1", spread_ring.port))
        holder.listen()
        with pytest.raises(spread.DaemonError, match="is in use"):
            spread.Daemon(spread_ring.configuration, "d1")


def test_paths_and_their_changes_are_told(make_spread_ring):
    ring = make_spread_ring(size=2, networks=2)
    events = ring.daemons[0].path_events(timeout=60)

    def until(*wanted):
        """Reads events until each of these states was told; there may be others between."""
        wanted = set(wanted)
        while wanted:
            path = next(events)
            assert path.daemon == "d2"
            wanted.discard((path.network, path.state))

    until((0, spread.PathState.HEALTHY), (1, spread.PathState.HEALTHY))
    ring.drill(1)
    until((1, spread.PathState.FAULTY))
    ring.drill(1, False)
    until((1, spread.PathState.HEALTHY))
    assert [path.network for path in ring.daemons[0].paths()] == [0, 1]
    while any(path.round_trip is None or path.loss_there is None for path in ring.daemons[0].paths()):
        pass
    for path in ring.daemons[0].paths():
        assert 0 <= path.loss <= 1 and 0 <= path.loss_there <= 1 and 0 < path.round_trip < 10
    again = list(ring.daemons[0].path_events(timeout=0))
    assert len(again) >= 4, "who begins anew sees what happened before"
    with pytest.raises(spread.DaemonError, match="2 networks"):
        ring.drill(7)


def test_everything_that_is_counted_is_told(spread_ring):
    daemon, mailbox = spread_ring.daemons[0], spread_ring.connect("me")
    mailbox.join("group")
    mailbox.receive()
    while True:
        counters = {(counter.section, counter.key, counter.network): counter for counter in daemon.counters()}
        if counters["ring", "delivery", None].value > 0:
            break
    assert len(counters) == len(daemon.counters()) > 80
    assert all(counter.meaning.endswith(".") for counter in counters.values())
    delivery, memory = counters["ring", "delivery", None], counters["clients", "memory_bytes", None]
    assert delivery.kind == "times" and 0 < delivery.p50 <= delivery.p99 and delivery.sum >= 0
    assert memory.kind == "level" and memory.value >= 0 and memory.sum is None
    assert counters["network", "sent", 0].kind == "count"


def test_a_ring_carries_messages_from_every_daemon_to_every_other(make_spread_ring):
    ring = make_spread_ring(size=3, networks=2)
    mailboxes = [ring.connect(f"m{number}", number) for number in range(3)]
    for mailbox in mailboxes:
        mailbox.join("group")
    for mailbox in mailboxes:
        while len(mailbox.receive().members) != 3:
            pass
    for number, mailbox in enumerate(mailboxes):
        for count in range(50):
            mailbox.multicast(spread.AGREED_MESS, "group", b"%d %d" % (number, count))
    sequences = [[mailbox.receive().message for _ in range(150)] for mailbox in mailboxes]
    assert sequences[0] == sequences[1] == sequences[2]
