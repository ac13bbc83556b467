"""The classic module: names, arguments, results and errors that old scripts rely on."""

import socket
import subprocess
import sys

import pytest
import spread

SERVICES = ["UNRELIABLE", "RELIABLE", "FIFO", "CAUSAL", "AGREED", "SAFE"]


def view(mailbox):
    message = mailbox.receive()
    assert type(message) is spread.MembershipMsgType
    return message


def test_the_version_is_that_of_the_interface():
    assert spread.version() == (4, 4, 0)
    assert spread.SPREAD_VERSION == 0x04040000


def test_constants_have_their_classic_values():
    assert (spread.LOW_PRIORITY, spread.MEDIUM_PRIORITY, spread.HIGH_PRIORITY) == (0, 1, 2)
    assert [getattr(spread, name + "_MESS") for name in SERVICES] == [1, 2, 4, 8, 16, 32]
    assert spread.SELF_DISCARD == 64 and spread.DROP_RECV == 0x01000000
    assert (spread.CAUSED_BY_JOIN, spread.CAUSED_BY_LEAVE) == (0x100, 0x200)
    assert (spread.CAUSED_BY_DISCONNECT, spread.CAUSED_BY_NETWORK) == (0x400, 0x800)
    assert (spread.REG_MEMB_MESS, spread.TRANSITION_MESS, spread.MEMBERSHIP_MESS) == (0x1000, 0x2000, 0x3F00)
    assert (spread.ILLEGAL_SPREAD, spread.REJECT_AUTH, spread.ILLEGAL_SESSION, spread.MESSAGE_TOO_LONG) == (-1, -9, -11, -17)
    assert (spread.NET_ERROR_ON_SESSION, spread.SP_BUG, spread.ACCEPT_SESSION) == (-18, -19, 1)
    assert (spread.DEFAULT_SPREAD_PORT, spread.DEFAULT_BUFFER_SIZE, spread.DEFAULT_GROUPS_SIZE) == (4803, 10000, 10)
    assert (spread.MAX_GROUP_NAME, spread.MAX_PRIVATE_NAME, spread.MAX_PROC_NAME) == (32, 10, 20)


def test_connect_takes_four_keywords_in_this_order(spread_ring):
    address = spread_ring.address()
    named = spread.connect(daemon=address, name="named", priority=0, membership=1)
    ordered = spread.connect(address, "ordered", 0, 0)
    assert type(named) is spread.MailboxType
    assert (named.private_group, ordered.private_group) == ("#named#d1", "#ordered#d1")
    for wrong in [{"spread_name": address}, {"private_name": "x"}, {"daemon": 4803}]:
        with pytest.raises((TypeError, AttributeError)):
            spread.connect(**wrong)


def test_a_mailbox_without_a_name_is_given_one_and_a_long_name_is_cut(spread_ring):
    nameless, other = spread_ring.connect(), spread_ring.connect()
    assert nameless.private_group != other.private_group and nameless.private_group.endswith("#d1")
    assert spread_ring.connect("abcdefghijklmn").private_group == "#abcdefghij#d1"


def test_a_message_comes_back_with_everything_it_was_sent_with(spread_ring):
    mailbox = spread_ring.connect("me", membership=0)
    mailbox.join("group")
    for number, name in enumerate(SERVICES):
        service = getattr(spread, name + "_MESS")
        assert mailbox.multicast(service, "group", b"hello\0world", number - 3) == 11
        message = mailbox.receive()
        assert type(message) is spread.RegularMsgType
        assert (message.sender, message.groups, message.message) == ("#me#d1", ("group",), b"hello\0world")
        assert (message.msg_type, message.endian, message.service_type) == (number - 3, 0, service)


def test_membership_messages_say_who_came_and_went(spread_ring):
    first, second = spread_ring.connect("first"), spread_ring.connect("second")
    first.join("group")
    alone = view(first)
    assert (alone.reason, alone.group, alone.members) == (spread.CAUSED_BY_JOIN, "group", ("#first#d1",))
    second.join("group")
    joined, same = view(first), view(second)
    assert joined == same and joined.group_id == same.group_id and joined.group_id != alone.group_id
    assert joined.members == ("#first#d1", "#second#d1")
    assert joined.changed_member == "#second#d1" and joined.extra == ("#second#d1",)
    assert joined.orig_members == (("#second#d1",),) and joined.msg_subtype == spread.REG_MEMB_MESS
    assert repr(joined.group_id).startswith("<group_id ") and repr(joined.group_id).count(":") == 2
    second.leave("group")
    left, own = view(first), view(second)
    assert (left.reason, left.changed_member) == (spread.CAUSED_BY_LEAVE, "#second#d1")
    assert (own.reason, own.members, own.orig_members) == (spread.CAUSED_BY_LEAVE, (), None)
    assert own.is_self_leave and not left.is_self_leave
    second.join("group")
    view(first), view(second)
    second.disconnect()
    gone = view(first)
    assert (gone.reason, gone.members) == (spread.CAUSED_BY_DISCONNECT, ("#first#d1",))


def test_a_partition_is_a_transition_and_a_view_with_its_sets(make_spread_ring):
    ring = make_spread_ring(size=2)
    here, there = ring.connect("here", 0), ring.connect("there", 1)
    here.join("group")
    while len(view(here).members) != 1:
        pass
    there.join("group")
    while len(view(here).members) != 2:
        pass
    ring.split(1)
    transition = view(here)
    assert (transition.reason, transition.orig_members) == (0, None)
    assert transition.is_transition and transition.msg_subtype == spread.TRANSITION_MESS
    rest = view(here)
    assert (rest.reason, rest.members, rest.extra) == (spread.CAUSED_BY_NETWORK, ("#here#d1",), ("#here#d1",))
    ring.drill(0, False)
    merged = view(here)
    assert merged.reason == spread.CAUSED_BY_NETWORK and merged.members == ("#here#d1", "#there#d2")
    assert sorted(merged.orig_members) == [("#here#d1",), ("#there#d2",)] and merged.extra == ("#here#d1",)


def test_who_asks_for_no_membership_gets_none(spread_ring):
    mailbox = spread_ring.connect("quiet", membership=0)
    mailbox.join("group")
    mailbox.multicast(spread.AGREED_MESS, "group", b"first")
    assert mailbox.receive().message == b"first"


def test_several_groups_are_one_message(spread_ring):
    mailbox = spread_ring.connect("me", membership=0)
    mailbox.join("a")
    mailbox.join("b")
    groups = ("a", "b", "#me#d1")
    assert mailbox.multigroup_multicast(spread.SAFE_MESS, groups, b"once", 5) == 4
    mailbox.multicast(spread.SAFE_MESS, "a", b"next")
    assert mailbox.receive().groups == groups
    assert mailbox.receive().message == b"next"


def test_many_groups_and_large_messages_make_the_buffers_grow(spread_ring):
    mailbox = spread_ring.connect("me", membership=0)
    mailbox.join("g7")
    groups = tuple(f"g{number}" for number in range(80))
    body = bytes(range(256)) * 400
    mailbox.multigroup_multicast(spread.FIFO_MESS, groups, body)
    message = mailbox.receive()
    assert (message.groups, message.message) == (groups, body)


def test_arguments_that_cannot_be_are_refused(spread_ring):
    mailbox = spread_ring.connect("me")
    for service in [0x80, 0x1000, -1]:
        with pytest.raises(ValueError, match="invalid service type"):
            mailbox.multicast(service, "group", b"")
        with pytest.raises(ValueError, match="invalid service type"):
            mailbox.multigroup_multicast(service, ("group",), b"")
    with pytest.raises(TypeError):
        mailbox.multigroup_multicast(spread.SAFE_MESS, ["group"], b"")
    with pytest.raises(ValueError):
        mailbox.multigroup_multicast(spread.SAFE_MESS, (), b"")
    with pytest.raises(ValueError):
        mailbox.join("nul\0")
    with pytest.raises(spread.error) as caught:
        mailbox.multicast(0, "group", b"")
    assert caught.value.args[0] == spread.ILLEGAL_SERVICE
    for group in ["", "with space", "x" * 32, "#me#d1"]:
        with pytest.raises(spread.error) as caught:
            mailbox.join(group)
        assert caught.value.args[0] == spread.ILLEGAL_GROUP and isinstance(caught.value.args[1], str)
    with pytest.raises(spread.MessageTooLong):
        mailbox.multicast(spread.SAFE_MESS, "group", bytes(16 << 20))


def test_a_message_type_is_cut_to_16_bits(spread_ring):
    mailbox = spread_ring.connect("me", membership=0)
    mailbox.join("group")
    for given, got in [(0x7FFF, 0x7FFF), (0x8000, -0x8000), (0x12345, 0x2345), (-1, -1)]:
        mailbox.multicast(spread.AGREED_MESS, "group", b"", given)
        assert mailbox.receive().msg_type == got


def test_poll_tells_what_waits_and_the_descriptor_is_readable(spread_ring):
    mailbox = spread_ring.connect("me", membership=0)
    assert mailbox.poll() == 0
    mailbox.join("group")
    mailbox.multicast(spread.AGREED_MESS, "group", b"hello")
    waiting = socket.socket(fileno=mailbox.fileno())
    waiting.recv(1, socket.MSG_PEEK)
    waiting.detach()
    assert mailbox.poll() >= 5
    mailbox.receive()
    assert mailbox.poll() == 0


def test_a_closed_mailbox_says_so_in_every_call_but_disconnect(spread_ring):
    mailbox = spread_ring.connect("me")
    mailbox.disconnect()
    mailbox.disconnect()
    calls = {
        "receive": mailbox.receive,
        "poll": mailbox.poll,
        "fileno": mailbox.fileno,
        "join": lambda: mailbox.join("group"),
        "leave": lambda: mailbox.leave("group"),
        "multicast": lambda: mailbox.multicast(spread.SAFE_MESS, "group", b""),
        "multigroup_multicast": lambda: mailbox.multigroup_multicast(spread.SAFE_MESS, ("group",), b""),
    }
    for name, call in calls.items():
        with pytest.raises(spread.error) as caught:
            call()
        assert caught.value.args == (f"{name}() called on closed mbox",)


def test_when_the_daemon_goes_a_mailbox_is_closed(spread_ring):
    mailbox = spread_ring.connect("me")
    spread_ring.stop()
    with pytest.raises(spread.ConnectionClosed) as caught:
        mailbox.receive()
    assert caught.value.args[0] == spread.CONNECTION_CLOSED
    with pytest.raises(spread.error, match="closed mbox"):
        mailbox.receive()


def test_connecting_fails_with_a_number_and_a_text(spread_ring):
    spread_ring.connect("taken").join("group")
    holder = spread_ring.connect("held")
    expected = {
        ("4803@", ""): spread.ILLEGAL_SPREAD,
        ("1@127.0.0.1", ""): spread.COULD_NOT_CONNECT,
        (spread_ring.address(), "a b"): spread.REJECT_ILLEGAL_NAME,
        (spread_ring.address(), "held"): spread.REJECT_NOT_UNIQUE,
    }
    for (daemon, name), number in expected.items():
        with pytest.raises(spread.error) as caught:
            spread.connect(daemon, name)
        assert caught.value.args[0] == number and caught.value.args[1]
    holder.disconnect()


def test_bytes_are_answered_with_bytes_and_str_with_str(spread_ring):
    mailbox = spread.connect(spread_ring.address().encode(), b"me")
    assert mailbox.private_group == b"#me#d1"
    mailbox.join(b"group")
    assert mailbox.receive().members == (b"#me#d1",)
    mailbox.multicast(spread.AGREED_MESS, "group", b"hello")
    message = mailbox.receive()
    assert (message.sender, message.groups, message.message) == (b"#me#d1", (b"group",), b"hello")
    assert isinstance(spread.connect(spread_ring.address(), b"x").private_group, bytes)
    assert isinstance(spread.connect(spread_ring.address(), "y").private_group, str)


def test_group_names_that_are_no_text_survive(spread_ring):
    mailbox = spread_ring.connect("me", membership=0)
    odd = b"\xff\xfe".decode("utf-8", "surrogateescape")
    mailbox.multigroup_multicast(spread.AGREED_MESS, (odd, "#me#d1"), "text")
    message = mailbox.receive()
    assert (message.groups[0], message.message) == (odd, b"text")


def test_mailboxes_have_no_constructor():
    with pytest.raises(TypeError):
        spread.MailboxType(0, b"", str)


def test_another_library_can_take_its_place(spread_ring):
    import spread._native as native
    import os

    bundled = next(name for name in os.listdir(os.path.dirname(native.__file__)) if name.endswith(".so"))
    path = os.path.join(os.path.dirname(native.__file__), bundled)
    program = "import sys, spread; print(spread.version(), 'spread._native' in sys.modules)"
    environment = dict(os.environ, SPREAD_LIBRARY=path)
    assert subprocess.check_output([sys.executable, "-c", program], env=environment) == b"(4, 4, 0) False\n"
    environment["SPREAD_LIBRARY"] = "/no/such/library"
    assert b"OSError" in subprocess.run([sys.executable, "-c", program], env=environment, stderr=subprocess.PIPE).stderr
