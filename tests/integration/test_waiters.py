#!/usr/bin/python3
"""Many waiters: order, the dead, one wake-up for each release, no starving, no deadlock."""

import selectors
import threading
import time

from lib import RespError, Server, equal, pairs, run, wait_for

COUNT = 1000


def waiting(client, name, count):
    return wait_for(
        lambda: (pairs(client("LOCK.GET", name)) or {}).get("waiter_count") == count,
        "%d waiters" % count, 30,
    )


def test_a_thousand_waiters_of_which_half_are_killed():
    server = Server()
    holder = server.resp()
    token = pairs(holder("LOCK.ACQUIRE", "a", "first", 60000))["token"]
    waiters = []
    for index in range(COUNT):
        waiter = server.resp()
        waiter.send("LOCK.ACQUIRE", "a", "w%04d" % index, 60000, "WAIT", 120000)
        waiters.append(waiter)
        if index % 100 == 99:
            waiting(holder, "a", index + 1)
    for index in range(0, COUNT, 2):
        waiters[index].close()
    waiting(holder, "a", COUNT // 2)
    holder("LOCK.RELEASE", "a", "first", token)
    begun = time.monotonic()
    last = token
    for index in range(1, COUNT, 2):
        grant = pairs(waiters[index].read())
        equal(grant["owner"], "w%04d" % index)
        assert grant["token"] > last
        last = grant["token"]
        if index + 2 < COUNT:
            assert not waiters[index + 2].buffer
        equal(waiters[index]("LOCK.RELEASE", "a", grant["owner"], last), ["released"])
    print("     %.3f ms a hand-off" % ((time.monotonic() - begun) * 2000 / COUNT))


def test_each_release_wakes_one():
    server = Server()
    holder = server.resp()
    token = pairs(holder("LOCK.ACQUIRE", "a", "first", 60000))["token"]
    selector = selectors.DefaultSelector()
    for index in range(200):
        waiter = server.resp()
        waiter.send("LOCK.ACQUIRE", "a", "w%d" % index, 60000, "WAIT", 60000)
        selector.register(waiter.socket, selectors.EVENT_READ, waiter)
    waiting(holder, "a", 200)
    owner = "first"
    for _ in range(50):
        equal(holder("LOCK.RELEASE", "a", owner, token), ["released"])
        woken = selector.select(5)
        equal(len(woken), 1)
        grant = pairs(woken[0][0].data.read())
        owner, token = grant["owner"], grant["token"]
        selector.unregister(woken[0][0].fileobj)
    equal(selector.select(0.1), [])


def test_two_streams_of_readers_do_not_starve_a_writer():
    server = Server()
    is_over = threading.Event()

    def read_on(owner):
        client = server.resp()
        while not is_over.is_set():
            grant = pairs(client("LOCK.ACQUIRE", "a", owner, 60000, "SHARED", "WAIT", 60000))
            time.sleep(0.02)
            client("LOCK.RELEASE", "a", owner, grant["token"])

    readers = [threading.Thread(target=read_on, args=("r%d" % i,), daemon=True) for i in range(2)]
    for index, reader in enumerate(readers):
        reader.start()
        time.sleep(0.01 * index)
    writer = server.resp()
    time.sleep(0.1)
    begun = time.monotonic()
    for _ in range(10):
        grant = pairs(writer("LOCK.ACQUIRE", "a", "writer", 60000, "WAIT", 5000))
        writer("LOCK.RELEASE", "a", "writer", grant["token"])
    took = time.monotonic() - begun
    is_over.set()
    for reader in readers:
        reader.join(10)
    assert took < 3, took


def test_overlapping_sets_of_names_do_not_deadlock():
    server = Server()
    faults = []
    done = []

    def work(number):
        client = server.resp()
        owner = "w%d" % number
        try:
            for turn in range(20):
                names = ["n%d" % ((number * 3 + turn * 5 + step * 7) % 10) for step in range(4)]
                names = list(dict.fromkeys(names))
                words = [names[0], owner, 60000, "WAIT", 30000, "AND"] + names[1:]
                grants = client("LOCK.ACQUIRE", *words)
                for grant in map(pairs, grants):
                    token = grant["token"]
                    equal(client("LOCK.RELEASE", grant["name"], owner, token), ["released"])
            done.append(number)
        except (RespError, AssertionError, OSError, EOFError) as error:
            faults.append("%s: %r" % (owner, error))

    threads = [threading.Thread(target=work, args=(n,), daemon=True) for n in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    equal(faults, [])
    equal(len(done), 20)
    equal(pairs(server.resp()("LOCK.LIST"))["locks"], [])


run()
