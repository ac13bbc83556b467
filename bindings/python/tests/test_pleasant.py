"""What is new beside the classic names: context managers, iteration, timeouts, values, asyncio."""

import asyncio
import dataclasses
import os
import pickle
import sys
import threading
import time

import pytest
import spread
import spread.aio


def test_a_mailbox_ends_with_its_block_and_other_threads_notice(spread_ring):
    got = []
    with spread_ring.connect("me", membership=0) as mailbox:
        reader = threading.Thread(target=lambda: got.extend(message.message for message in mailbox))
        mailbox.join("group")
        reader.start()
        for number in range(3):
            mailbox.multicast(spread.AGREED_MESS, "group", b"%d" % number)
        while len(got) < 3:
            time.sleep(0.001)
    reader.join()
    assert got == [b"0", b"1", b"2"] and mailbox.closed and "closed" in repr(mailbox)


def test_iteration_fails_when_the_daemon_goes(spread_ring):
    mailbox = spread_ring.connect("me")
    spread_ring.stop()
    with pytest.raises(spread.ConnectionClosed):
        list(mailbox)


def test_receiving_may_have_a_time_limit(spread_ring):
    mailbox = spread_ring.connect("me")
    for timeout in [0, 0.01]:
        with pytest.raises(TimeoutError):
            mailbox.receive(timeout=timeout)
    mailbox.join("group")
    assert mailbox.receive(timeout=60).group == "group"


def test_connecting_may_have_a_time_limit(spread_ring):
    assert spread.connect(spread_ring.address(), "me", timeout=60).private_group == "#me#d1"


def test_messages_are_values(spread_ring):
    mailbox = spread_ring.connect("me")
    mailbox.join("group")
    view = mailbox.receive()
    with pytest.raises(dataclasses.FrozenInstanceError):
        view.group = "other"
    assert pickle.loads(pickle.dumps(view)) == view
    assert spread.RegularMsg("a", ("b",), b"c") == spread.RegularMsg("a", ("b",), b"c")


@pytest.mark.skipif(sys.version_info < (3, 10), reason="the language has match since 3.10")
def test_messages_can_be_matched():
    code = """
match spread.RegularMsg("#a#d1", ("group",), b"body", 3):
    case spread.RegularMsg(sender, (group,), b"body", msg_type=3):
        found = sender, group
"""
    names = {"spread": spread}
    exec(code, names)
    assert names["found"] == ("#a#d1", "group")


def test_anything_in_memory_can_be_sent(spread_ring):
    mailbox = spread_ring.connect("me", membership=0)
    mailbox.join("group")
    service = spread.ServiceType.SAFE | spread.ServiceType.SELF_DISCARD
    assert mailbox.multicast(service, "group", b"not for me") == 10
    body = bytearray(b"0123456789")
    for sent in [body, memoryview(body), memoryview(body)[2:5], "0123456789"]:
        mailbox.multicast(spread.ServiceType.SAFE, "group", sent)
        message = mailbox.receive()
        assert message.message == (sent.encode() if isinstance(sent, str) else bytes(sent))
        assert message.service_type is spread.ServiceType.SAFE


def test_the_package_says_that_it_is_typed_and_its_version():
    assert os.path.exists(os.path.join(os.path.dirname(spread.__file__), "py.typed"))
    assert spread.__version__.count(".") == 2
    assert set(spread.__all__) <= set(dir(spread))


def test_asyncio_carries_a_thousand_messages_at_once(spread_ring):
    async def program():
        async with await spread.aio.connect(spread_ring.address(), "me", membership=0) as mailbox:
            await mailbox.join("group")
            sending = [mailbox.multicast(spread.AGREED_MESS, "group", b"%d" % number) for number in range(1000)]
            receiving = [mailbox.receive() for _ in range(1000)]
            results = await asyncio.gather(*sending, *receiving)
            assert results[:1000] == [len(b"%d" % number) for number in range(1000)]
            return [message.message for message in results[1000:]]

    assert asyncio.run(program()) == [b"%d" % number for number in range(1000)]


def test_asyncio_iterates_and_ends_with_the_mailbox(spread_ring):
    async def program():
        mailbox = await spread.aio.connect(spread_ring.address(), "me")
        await mailbox.join("group")
        got = []

        async def read():
            async for message in mailbox:
                got.append(message)
                if len(got) == 2:
                    asyncio.get_running_loop().call_soon(lambda: asyncio.ensure_future(mailbox.disconnect()))

        reader = asyncio.ensure_future(read())
        await mailbox.multigroup_multicast(spread.SAFE_MESS, ("group", "other"), b"x")
        await asyncio.wait_for(reader, 60)
        assert mailbox.closed and mailbox.private_group == "#me#d1"
        return [type(message) for message in got]

    assert asyncio.run(program()) == [spread.MembershipMsg, spread.RegularMsg]


def test_asyncio_loses_no_message_to_a_cancelled_receive(spread_ring):
    async def program():
        async with await spread.aio.connect(spread_ring.address(), "me", membership=0) as mailbox:
            await mailbox.join("group")
            for _ in range(3):
                with pytest.raises(asyncio.TimeoutError):
                    await asyncio.wait_for(mailbox.receive(), 0.01)
            await mailbox.multicast(spread.SAFE_MESS, "group", b"kept")
            return (await mailbox.receive()).message

    assert asyncio.run(program()) == b"kept"


def test_asyncio_tells_that_the_daemon_has_gone_or_is_not_there(spread_ring):
    async def program():
        mailbox = await spread.aio.connect(spread_ring.address(), "me")
        waiting = asyncio.ensure_future(mailbox.receive())
        await asyncio.sleep(0)
        spread_ring.stop()
        with pytest.raises(spread.ConnectionClosed):
            await waiting
        await mailbox.disconnect()
        with pytest.raises(spread.ConnectError):
            await spread.aio.connect(spread_ring.address())

    asyncio.run(program())


def test_a_message_that_is_too_long_says_the_limit_and_what_raises_it(spread_ring):
    with spread_ring.connect("me") as mailbox, pytest.raises(spread.MessageTooLong) as caught:
        mailbox.multicast(spread.SAFE_MESS, "group", bytes(16 << 20))
    assert caught.value.number == spread.MESSAGE_TOO_LONG and caught.value.limit == 16 << 20
    assert "16777216" in str(caught.value) and "MaxMessageSize" in str(caught.value)
    assert "SPREAD_MAX_MESSAGE" in str(caught.value)


def test_a_large_message_needs_nothing_but_a_daemon_that_takes_it(spread_ring):
    with spread_ring.connect("me") as mailbox:
        body = bytes(range(256)) * (4 << 12)
        assert mailbox.multicast(spread.AGREED_MESS, mailbox.private_group, body) == len(body)
        assert mailbox.receive(timeout=60).message == body


def test_every_call_after_the_end_of_an_asyncio_mailbox_says_that_it_is_closed(spread_ring):
    async def main():
        mailbox = await spread.aio.connect(spread_ring.address(), "me")
        await mailbox.disconnect()
        calls = [
            lambda: mailbox.multicast(spread.AGREED_MESS, "group", b"late"),
            lambda: mailbox.multigroup_multicast(spread.AGREED_MESS, ("group",), b"late"),
            lambda: mailbox.join("group"),
            lambda: mailbox.leave("group"),
            lambda: mailbox.receive(),
        ]
        for call in calls * 2:
            with pytest.raises(spread.ConnectionClosed, match="closed mbox"):
                await call()
        await mailbox.disconnect()

    asyncio.run(main())


def test_what_was_begun_before_an_asyncio_mailbox_ended_is_done_or_fails_as_closed(spread_ring):
    async def main():
        mailbox = await spread.aio.connect(spread_ring.address(), "me")
        sends = [asyncio.ensure_future(mailbox.multicast(spread.AGREED_MESS, "group", b"x")) for _ in range(50)]
        await asyncio.sleep(0)
        await mailbox.disconnect()
        for result in await asyncio.gather(*sends, return_exceptions=True):
            assert result == 1 or isinstance(result, spread.ConnectionClosed), result

    asyncio.run(main())
