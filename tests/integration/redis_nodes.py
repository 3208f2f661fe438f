"""Real redis-servers for the tests, and ways to harm them.

    nodes = Nodes(5)                nodes.url("ttl-max=5s")
    nodes.kill(3)                   nodes.restart(3)         nodes.restart_empty(3)
    nodes.stop(4)                   nodes.cont(4)
    nodes.cli(0, "GET", "x")        nodes.expire_all(0)

Nodes are counted from 0.  Everything ends with the test; when the test program itself is killed,
the kernel kills the servers.  The servers are set up as tools/redis_nodes does it.
"""

import ctypes
import importlib.machinery
import importlib.util
import os
import signal
import sys

from lib import ROOT, RespError, Resp, cleanup, need, scratch, wait_for

_LOADER = importlib.machinery.SourceFileLoader(
    "redis_nodes_tool", os.path.join(ROOT, "tools", "redis_nodes"))
_SPEC = importlib.util.spec_from_loader("redis_nodes_tool", _LOADER)
tool = importlib.util.module_from_spec(_SPEC)
sys.dont_write_bytecode = True  # or it would lie beside the tool
_SPEC.loader.exec_module(tool)

PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)


def die_with_parent():
    """For preexec_fn: whoever kills us kills our servers."""
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def need_redis():
    need("no redis-server", "redis-server", "--version")


class _BySocket:
    """What Resp wants to know of a server."""

    def __init__(self, path):
        self.socket_path = path


class Node:
    """One server of ours, a child of this process."""

    def __init__(self, setup, name):
        self.setup = setup
        self.server = tool.Server(setup, name)
        self.process = None
        self.connection = None

    @property
    def port(self):
        return self.server.port

    @property
    def address(self):
        return "127.0.0.1:%d" % self.port

    def spawn(self):
        self.process = self.server.spawn(preexec_fn=die_with_parent)

    def await_ready(self):
        if not self.server.await_ready(lambda: self.process.poll() is None):
            raise AssertionError("%s did not start: %s" % (
                self.server.name, self.server.last_words()))

    def start(self):
        self.spawn()
        self.await_ready()

    def signal(self, number):
        self.process.send_signal(number)

    def is_running(self):
        return self.process is not None and self.process.poll() is None

    def kill(self):
        """SIGKILL."""
        if self.connection is not None:
            self.connection.close()
            self.connection = None
        if self.is_running():
            self.process.kill()
        if self.process is not None:
            self.process.wait()

    def cli(self, *words):
        """One command, as a user who may do everything; errors are raised.  A connection that has
        died meanwhile (a Sentinel does that to a server that it promotes) is made again."""
        if self.connection is not None:
            try:
                return self.connection(*words)
            except (OSError, EOFError):
                self.connection.close()
        self.connection = Resp(_BySocket(self.server.socket_path), True)
        if self.setup.has_user:
            self.connection("AUTH", "admin", "admin")
        return self.connection(*words)


class Nodes:
    """N independent servers.  Options: is_durable is_tls is_client_cert has_user keys config."""

    def __init__(self, count, **options):
        need_redis()
        self.setup = tool.Setup(os.path.join(scratch(), "nodes"), count, **options)
        self.setup.save()
        self.nodes = [Node(self.setup, name) for name in self.setup.names()]
        cleanup(self.kill_all)
        for node in self.nodes:
            node.spawn()
        for node in self.nodes:
            node.await_ready()

    def __len__(self):
        return len(self.nodes)

    def each(self):
        return self.nodes

    def __getitem__(self, index):
        return self.nodes[index]

    def url(self, *options, is_unix=False):
        return self.setup.url(*options, is_unix=is_unix)

    def path(self, *names):
        return self.setup.path(*names)

    def kill(self, index):
        self.nodes[index].kill()

    def kill_all(self):
        for node in self.nodes:
            node.kill()

    def stop(self, index):
        """SIGSTOP: connections stay, nothing is answered."""
        self.nodes[index].signal(signal.SIGSTOP)

    def cont(self, index):
        self.nodes[index].signal(signal.SIGCONT)

    def restart(self, index):
        """Kill, and start with what is on its disk."""
        self.nodes[index].kill()
        self.nodes[index].start()

    def restart_empty(self, index):
        """Kill, and start with nothing."""
        self.nodes[index].kill()
        self.nodes[index].server.forget()
        self.nodes[index].start()

    def cli(self, index, *words):
        return self.nodes[index].cli(*words)

    def expire_all(self, index, of_name=None):
        """What a jump of its clock does: all locks of this node, or one, have run out."""
        names = [of_name] if of_name else self.lock_names(index)
        for name in names:
            self.cli(index, "PEXPIRE", name, 1)

    def lock_names(self, index):
        return [k for k in self.cli(index, "KEYS", "*") if not k.startswith("tenure:")]

    def holders(self, name):
        """What each node has as the lock's value; None where it is free or the node is down."""
        return [n.cli("GET", name) if n.is_running() else None for n in self.nodes]


class Sentinel:
    """A master, a replica and three Sentinels."""

    def __init__(self, **options):
        need_redis()
        self.setup = tool.Setup(
            os.path.join(scratch(), "sentinel"), is_sentinel=True, **options)
        self.setup.save()
        self.nodes = {name: Node(self.setup, name) for name in self.setup.names()}
        cleanup(self.kill_all)
        for name, node in self.nodes.items():
            if name == "s1":  # which looks for replicas at once, and then not for 10 s
                self.nodes["2"].server.await_synced()
            node.start()
        wait_for(self._is_complete, "three Sentinels that know each other", 30)

    def each(self):
        return list(self.nodes.values())

    def _is_complete(self):
        for name in ("s1", "s2", "s3"):
            try:
                flat = self.nodes[name].cli("SENTINEL", "MASTER", tool.MASTER)
            except RespError:
                return False
            known = dict(zip(flat[::2], flat[1::2]))
            if known["num-other-sentinels"] != "2" or known["num-slaves"] != "1":
                return False
        return True

    def url(self, *options):
        return self.setup.url(*options)

    def kill(self, name):
        self.nodes[name].kill()

    def stop(self, name):
        self.nodes[name].signal(signal.SIGSTOP)

    def cont(self, name):
        self.nodes[name].signal(signal.SIGCONT)

    def restart(self, name):
        self.nodes[name].kill()
        self.nodes[name].start()

    def kill_all(self):
        for node in self.nodes.values():
            node.kill()

    def cli(self, name, *words):
        return self.nodes[name].cli(*words)

    def master(self):
        """The name of the node that the Sentinels call the master."""
        for sentinel in ("s1", "s2", "s3"):
            if not self.nodes[sentinel].is_running():
                continue
            port = int(self.cli(sentinel, "SENTINEL", "get-master-addr-by-name", tool.MASTER)[1])
            return "1" if port == self.nodes["1"].port else "2"
        return None

    def wait_for_failover(self, old, limit_s=30):
        """Until the Sentinels agree on another master that takes writes."""

        def look():
            new = self.master()
            if new == old or not self.nodes[new].is_running():
                return None
            return new if self.cli(new, "ROLE")[0] == "master" else None

        return wait_for(look, "the Sentinels to promote the replica", limit_s)
