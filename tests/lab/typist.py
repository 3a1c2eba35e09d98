"""A person at a terminal: runs a command on a pseudo-terminal and types into it.

Owns: one child process and its terminal.
In:   typist.py SECONDS SEED COMMAND...  Out: keystrokes with a person's rhythm.
Never: longer than SECONDS plus a few; the last line typed is always `exit`.
"""

import os
import pty
import random
import select
import sys
import time

LINES = [
    "uptime", "date", "ls -l", "cat notes.txt", "echo build 4417 done", "pwd", "df -h .",
    "grep -c error notes.txt", "date -u", "id -un", "wc notes.txt", "echo checking the queue",
]


def drain(terminal, seconds):
    """Read whatever the far end prints for a while. False once it has closed."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        if select.select([terminal], [], [], left)[0]:
            try:
                if not os.read(terminal, 65536):
                    return False
            except OSError:
                return False
    return True


def type_line(terminal, line, rng):
    """One line, key by key: log-normal gaps around 200 ms, then a return."""
    for key in line + "\r":
        os.write(terminal, key.encode())
        if not drain(terminal, min(1.2, rng.lognormvariate(-1.6, 0.45))):
            return False
    return True


def main():
    seconds, rng = float(sys.argv[1]), random.Random(sys.argv[2])
    child, terminal = pty.fork()
    if child == 0:
        os.execvp(sys.argv[3], sys.argv[3:])
    end = time.monotonic() + seconds
    alive = drain(terminal, 4)
    while alive and time.monotonic() < end:
        alive = type_line(terminal, rng.choice(LINES), rng) and drain(terminal, rng.uniform(1, 5))
    if alive:
        type_line(terminal, "exit", rng)
        drain(terminal, 5)
    os.close(terminal)
    os.waitpid(child, 0)


if __name__ == "__main__":
    main()
