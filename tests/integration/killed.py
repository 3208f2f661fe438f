"""A server that is killed again and again, and those who use it meanwhile."""

import subprocess
import threading
import time

from lib import TENURED, Server


class World:
    """The server, what is wrong, and whether it is over."""

    def __init__(self, *options):
        self.server = Server("--snapshot-bytes", "256K", "--segment-bytes", "64K", *options)
        self.is_up = threading.Event()
        self.is_up.set()
        self.is_over = False
        self.lock = threading.Lock()
        self.faults = []

    def client(self):
        end = time.monotonic() + 30
        while time.monotonic() < end:
            if self.is_up.wait(0.1):
                try:
                    return self.server.resp()
                except OSError:
                    time.sleep(0.01)
        raise AssertionError("the server did not come back")

    def kill(self, chance):
        """kill -9, and a new start; sometimes one that is killed on its way."""
        self.is_up.clear()
        self.server.process.kill()
        self.server.process.wait()
        if chance.random() < 0.2:
            self.kill_a_start(chance.uniform(0, 0.05))
        self.server.start()
        self.is_up.set()

    def kill_a_start(self, after_s):
        command = [TENURED, "--data", self.server.data, "--listen", "127.0.0.1:0"]
        with subprocess.Popen(
            command + list(self.server.options),
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        ) as process:
            time.sleep(after_s)
            process.kill()


def guarded(function, faults, *arguments):
    """A thread; when it fails, the test does."""
    def outer():
        try:
            function(*arguments)
        except Exception as error:  # pylint: disable=broad-except
            faults.append("%s: %r" % (function.__qualname__, error))

    return threading.Thread(target=outer, daemon=True)
