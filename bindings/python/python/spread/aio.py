"""Mailboxes for asyncio.

    async with await spread.aio.connect("4803") as mailbox:
        await mailbox.join("chat")
        async for message in mailbox:
            print(message)

Receiving waits for the descriptor in the event loop. What may block, connecting and sending, is done by a thread of the
mailbox's own, in the order of the calls.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any, AsyncIterator, Callable, Generic, Optional, Tuple, Type, TypeVar, Union

from . import _mailbox
from ._errors import error
from ._messages import Text

_Result = TypeVar("_Result")


async def connect(*arguments: Any, **keywords: Any) -> Mailbox[Any]:
    """Opens a session; the arguments are those of spread.connect."""
    thread = ThreadPoolExecutor(1, "spread")
    loop = asyncio.get_running_loop()
    try:
        mailbox = await loop.run_in_executor(thread, lambda: _mailbox.connect(*arguments, **keywords))
    except BaseException:
        thread.shutdown(wait=False)
        raise
    return Mailbox(mailbox, thread)


class Mailbox(Generic[Text]):
    """A session whose calls are awaited."""

    def __init__(self, mailbox: _mailbox.Mailbox[Text], thread: ThreadPoolExecutor) -> None:
        self._mailbox: _mailbox.Mailbox[Text] = mailbox
        self._thread = thread
        self._receiving = asyncio.Lock()
        self._readable: Optional[asyncio.Future[None]] = None
        self._thread_ended = False

    @property
    def private_group(self) -> Text:
        """The name of this session in the whole system."""
        return self._mailbox.private_group

    @property
    def closed(self) -> bool:
        """Whether the session has ended."""
        return self._mailbox.closed

    def fileno(self) -> int:
        """The descriptor."""
        return self._mailbox.fileno()

    async def join(self, group: Union[str, bytes]) -> None:
        """Asks to join a group."""
        await self._do(self._mailbox.join, group)

    async def leave(self, group: Union[str, bytes]) -> None:
        """Asks to leave a group."""
        await self._do(self._mailbox.leave, group)

    async def multicast(
        self, service_type: int, group: Union[str, bytes], message: _mailbox.Body, message_type: int = 0
    ) -> int:
        """Sends to a group or private group."""
        return await self._do(self._mailbox.multicast, service_type, group, message, message_type)

    async def multigroup_multicast(
        self, service_type: int, groups: Tuple[Union[str, bytes], ...], message: _mailbox.Body, message_type: int = 0
    ) -> int:
        """Sends to several groups."""
        return await self._do(self._mailbox.multigroup_multicast, service_type, groups, message, message_type)

    async def receive(self) -> _mailbox.Message[Text]:
        """Waits for a message. If it is cancelled, no message is lost."""
        async with self._receiving:
            while True:
                try:
                    return self._mailbox.receive(timeout=0)
                except TimeoutError:
                    await self._await_readable()

    async def _await_readable(self) -> None:
        loop = asyncio.get_running_loop()
        descriptor = self._mailbox.fileno()
        readable = self._readable = loop.create_future()
        loop.add_reader(descriptor, _wake, readable)
        try:
            await readable
        finally:
            # After a disconnect the number may be another mailbox's.
            if self._readable is readable:
                self._readable = None
                loop.remove_reader(descriptor)

    async def __aiter__(self) -> AsyncIterator[_mailbox.Message[Text]]:
        """All messages until this mailbox is disconnected; it is an error if the daemon goes."""
        while not self.closed:
            try:
                message = await self.receive()
            except error:
                if not self._mailbox._disconnected:
                    raise
                return
            yield message

    async def disconnect(self) -> None:
        """Ends the session, after what was sent before. Whoever receives gets an error."""
        if not self.closed:
            await self._do(lambda: None)
        readable, self._readable = self._readable, None
        if readable is not None:
            asyncio.get_running_loop().remove_reader(self._mailbox.fileno())
            _wake(readable)
        self._mailbox.disconnect()
        self._thread_ended = True
        self._thread.shutdown(wait=False)

    async def __aenter__(self) -> Mailbox[Text]:
        return self

    async def __aexit__(
        self, kind: Optional[Type[BaseException]], value: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        await self.disconnect()

    async def _do(self, call: Callable[..., _Result], *arguments: Any) -> _Result:
        if self._thread_ended:
            # On a session that has ended a call raises ConnectionClosed at once.
            return call(*arguments)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, lambda: call(*arguments))


def _wake(readable: asyncio.Future[None]) -> None:
    if not readable.done():
        readable.set_result(None)
