"""chat DAEMON NAME: what you type goes to everybody; the end of the input is the end of your visit."""

import sys
import threading

import spread


def type_along(mailbox):
    for line in sys.stdin:
        mailbox.multicast(spread.AGREED_MESS, "chat", line.rstrip("\n"))
    mailbox.leave("chat")


def main(daemon, name):
    with spread.connect(daemon, name) as mailbox:
        mailbox.join("chat")
        threading.Thread(target=type_along, args=(mailbox,), daemon=True).start()
        for message in mailbox:
            if isinstance(message, spread.RegularMsg):
                print(f"{message.sender}: {message.message.decode(errors='replace')}", flush=True)
            elif message.is_self_leave:
                break
            elif not message.is_transition:
                print("* here:", *message.members, flush=True)


if len(sys.argv) != 3:
    print("usage: chat DAEMON NAME", file=sys.stderr)
    sys.exit(2)
try:
    main(*sys.argv[1:])
except spread.error as problem:
    sys.exit(f"chat: {problem}")
