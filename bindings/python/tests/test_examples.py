"""The examples run as examples/README.md prints them."""

import pathlib
import re
import socket
import subprocess
import sys

import pytest
import spread

EXAMPLES = pathlib.Path(__file__).parents[3] / "examples"
SESSIONS = re.findall(r"```session\n(.*?)```", (EXAMPLES / "README.md").read_text(), re.S)
PROGRAMS = ["chat", "map", "jobs", "paths"]
#: What no program of an example sends to its group.
NONSENSE = [
    b"", b" ", b"\xff\x00\xfe", b"set", b"set colour", b"set colour red green", b"set a=b c", b"set " + b"x" * 40 + b" y",
    b"state", b"state 0:0:0 many", b"state 0:0:0 3 novalue", b"job", b"job x y", b"done", b"done #a#d1 x",
]


class Session:
    """The programs of a session, by letter."""

    def __init__(self, port, configuration, ring):
        self.port, self.configuration, self.ring, self.programs = str(port), str(configuration), ring, {}
        self.seen = {}

    def play(self, line):
        letter, sign, rest = line[0], line[1:2], line[3:]
        if line.startswith("("):
            self.happen(line)
        elif sign == "$":
            name, *arguments = rest.split()
            arguments = [word.replace("4803", self.port).replace("examples/ring.conf", self.configuration) for word in arguments]
            command = [sys.executable, str(EXAMPLES / "python" / f"{name}.py"), *arguments]
            self.programs[letter] = subprocess.Popen(command, stdin=-1, stdout=-1, text=True)
        elif sign == ">":
            # What was said before does not count from here on.
            self.seen.clear()
            print(rest, file=self.programs[letter].stdin, flush=True)
        elif sign == "^":
            self.programs[letter].stdin.close()
        elif sign == "~":
            self.await_line(letter, rest)
        else:
            self.expect(letter, rest)

    def expect(self, letter, line):
        """The program says this line next."""
        assert self.programs[letter].stdout.readline().rstrip() == line

    def await_line(self, letter, line):
        """The program says this line sooner or later, or has since something was typed."""
        seen = self.seen.setdefault(letter, set())
        while line not in seen:
            said = self.programs[letter].stdout.readline()
            assert said, f"ended before it said {line}"
            seen.add(said.rstrip())

    def happen(self, event):
        if event == "(d3 is cut off)":
            self.ring.split(2)
        elif event == "(d3 is back)":
            self.ring.drill(0, False), self.ring.drill(1, False)
        elif event.startswith("(a stranger sends nonsense to "):
            with self.ring.connect("stranger") as stranger:
                for nonsense in NONSENSE:
                    groups = (event.rstrip(")").split()[-1], stranger.private_group)
                    stranger.multigroup_multicast(spread.SAFE_MESS, groups, nonsense)
                    stranger.receive()
        else:
            workers = self.ring.connect("watcher")
            workers.join("workers")
            while len(workers.receive().members) != 3:
                pass
            workers.leave("workers")
            while not workers.receive().is_self_leave:
                pass


@pytest.mark.parametrize("session", SESSIONS, ids=PROGRAMS)
def test_a_session_is_as_printed(session, make_spread_ring, tmp_path):
    ring = make_spread_ring(size=3, networks=2)
    configuration = tmp_path / "ring.conf"
    configuration.write_text((EXAMPLES / "ring.conf").read_text().replace("4803", str(ring.port)))
    if "paths" in session:
        ring.stop()
    played = Session(ring.port, configuration, ring)
    try:
        for line in session.splitlines():
            played.play(line)
        for program in played.programs.values():
            # Daemons go one by one, and who is left may still say so.
            assert "paths" in session or program.stdout.read() == ""
            assert program.wait(60) == 0
    finally:
        for program in played.programs.values():
            program.kill()
            program.wait()


@pytest.mark.parametrize("arguments", [[], ["4803"], ["4803", "x", "nonsense"], ["4803", "x", "1", "more"]])
@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_with_wrong_arguments_prints_its_usage(program, arguments):
    command = [sys.executable, str(EXAMPLES / "python" / f"{program}.py"), *arguments]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"usage: {program} ") and done.stderr.count("\n") == 1


@pytest.fixture
def unused_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


@pytest.mark.parametrize("program", ["chat", "map", "jobs"])
def test_a_program_without_a_daemon_says_so_in_a_line(program, unused_port):
    arguments = {"map": ["1"], "jobs": ["work"]}.get(program, [])
    command = [sys.executable, str(EXAMPLES / "python" / f"{program}.py"), f"{unused_port}@127.0.0.1", "me", *arguments]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and done.stderr.startswith(f"{program}: ") and "Traceback" not in done.stderr
