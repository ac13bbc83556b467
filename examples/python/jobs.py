"""jobs DAEMON NAME work: do jobs until the end of the input.
jobs DAEMON NAME give: every line of the input is a job; ends when all are done.

All workers get the same jobs and the same views in the same order, so each knows whose turn it is without asking. A job falls to
one of those who were there when it came; if he goes before it is done, to the next of them. A job can then be done twice: its
worker may have gone between doing it and saying so.
"""

import sys
import threading

import spread


class Worker:
    def __init__(self, mailbox):
        self.mailbox, self.members, self.jobs = mailbox, (), {}

    def turn(self, number, there):
        """Whose turn a job is: of those who were there when it came and still are."""
        left = [member for member in there if member in self.members]
        return left[number % len(left)] if left else None

    def do_mine(self):
        for (giver, number), (text, there) in list(self.jobs.items()):
            if self.turn(number, there) == self.mailbox.private_group:
                print(f"did {number} {text}", flush=True)
                del self.jobs[giver, number]
                self.mailbox.multigroup_multicast(spread.AGREED_MESS, ("workers", giver), f"done {giver} {number}")

    def on_message(self, sender, words):
        # Anybody can send to a group: what is neither of the two is not for us.
        if words[:1] == ["job"] and words[1:] and words[1].isdecimal():
            self.jobs[sender, int(words[1])] = " ".join(words[2:]), self.members
        elif words[:1] == ["done"] and len(words) == 3 and words[2].isdecimal():
            self.jobs.pop((words[1], int(words[2])), None)

    def run(self):
        self.mailbox.join("workers")
        threading.Thread(target=lambda: (sys.stdin.read(), self.mailbox.leave("workers")), daemon=True).start()
        for message in self.mailbox:
            if isinstance(message, spread.RegularMsg):
                self.on_message(message.sender, message.message.decode(errors="replace").split())
            elif message.is_self_leave:
                return
            elif not message.is_transition:
                self.members = message.members
            self.do_mine()


def give(mailbox):
    jobs = dict(enumerate(map(str.strip, sys.stdin), 1))
    for number, text in jobs.items():
        mailbox.multicast(spread.AGREED_MESS, "workers", f"job {number} {text}")
    done = {}
    for number, text in jobs.items():
        while number not in done:
            message = mailbox.receive()
            words = message.message.decode(errors="replace").split()
            if words[:1] == ["done"] and len(words) == 3 and words[2].isdecimal():
                done[int(words[2])] = message.sender
        print(f"{text}: done by {done[number]}", flush=True)


def main(daemon, name, role):
    with spread.connect(daemon, name) as mailbox:
        give(mailbox) if role == "give" else Worker(mailbox).run()


if len(sys.argv) != 4 or sys.argv[3] not in ("work", "give"):
    print("usage: jobs DAEMON NAME work|give", file=sys.stderr)
    sys.exit(2)
try:
    main(*sys.argv[1:])
except spread.error as problem:
    sys.exit(f"jobs: {problem}")
