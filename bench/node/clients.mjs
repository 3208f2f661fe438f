/* clients - the lock clients of Node.js that are compared, behind one shape.
 *
 *     const client = makeClient("redlock4", connections);    one connection to each node
 *     const held = await client.acquire(name);               waits for as long as it takes
 *     await client.release(held);
 *
 * Each has its defaults, except that none gives up waiting, and that a lock lives for TTL_MS. */
import { randomBytes } from "node:crypto";

import Redis from "ioredis";
import { Mutex, RedlockMutex } from "redis-semaphore";
import Redlock4 from "redlock";
import { createLock, createRedlock, IoredisAdapter } from "redlock-universal";
import Redlock5 from "redlock5";

const TTL_MS = 60_000;
const NEVER = 1_000_000_000; // of attempts, or of milliseconds

/* The locks of clients that want an object for each name, made once for each. */
function byName(make) {
  const made = new Map();
  return (name) => {
    if (!made.has(name)) made.set(name, make(name));
    return made.get(name);
  };
}

function redlock4(connections) {
  const redlock = new Redlock4(connections, { retryCount: -1 });
  return {
    acquire: (name) => redlock.lock(name, TTL_MS),
    release: (lock) => lock.unlock(),
  };
}

function redlock5(connections) {
  const redlock = new Redlock5(connections, { retryCount: -1 });
  return {
    acquire: (name) => redlock.acquire([name], TTL_MS),
    release: (lock) => lock.release(),
  };
}

function universal(connections) {
  const adapters = connections.map((connection) => new IoredisAdapter(connection));
  const common = { ttl: TTL_MS, retryAttempts: NEVER };
  const lockOf = byName((key) => adapters.length === 1
    ? createLock({ ...common, adapter: adapters[0], key })
    : createRedlock({ ...common, adapters, key }));
  return {
    acquire: async (name) => [lockOf(name), await lockOf(name).acquire()],
    release: async ([lock, handle]) => {
      if (!(await lock.release(handle))) throw new Error("redlock-universal: not released");
    },
  };
}

function semaphore(connections) {
  const options = { lockTimeout: TTL_MS, acquireTimeout: NEVER };
  const mutexOf = byName((name) => connections.length === 1
    ? new Mutex(connections[0], name, options)
    : new RedlockMutex(connections, name, options));
  return {
    acquire: async (name) => {
      const mutex = mutexOf(name);
      await mutex.acquire();
      return mutex;
    },
    release: (mutex) => mutex.release(),
  };
}

/* Not a client library: the commands of tenured, through ioredis. */
function tenured([connection]) {
  return {
    acquire: async (name) => {
      const owner = `bench-${randomBytes(8).toString("hex")}`;
      const pairs = await connection.call("LOCK.ACQUIRE", name, owner, TTL_MS, "WAIT", TTL_MS);
      const token = pairs[pairs.indexOf("token") + 1];
      if (!(token > 0)) throw new Error(`not a grant: ${JSON.stringify(pairs)}`);
      return { name, owner, token };
    },
    release: async ({ name, owner, token }) => {
      const reply = await connection.call("LOCK.RELEASE", name, owner, token);
      const outcome = Array.isArray(reply) ? reply[0] : reply;
      if (outcome !== "released") throw new Error(`not released: ${JSON.stringify(reply)}`);
    },
  };
}

const makers = { redlock4, redlock5, universal, semaphore, tenured };
export const clientNames = Object.keys(makers);

/* PORTS: "7001,7002,…", all on this machine. */
export function connect(ports) {
  return ports.split(",").map((port) => new Redis({ host: "127.0.0.1", port: Number(port) }));
}

export function makeClient(name, connections) {
  return makers[name](connections);
}

export function quantile(sorted, fraction) {
  return sorted[Math.min(sorted.length - 1, Math.floor(fraction * sorted.length))];
}
