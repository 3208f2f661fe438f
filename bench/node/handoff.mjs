/* handoff - how long after a release the next waiter has the lock, for clients of Node.js.
 *
 *     node handoff.mjs redlock|tenured HOST PORT ROUNDS HOLD_MS_MIN HOLD_MS_MAX
 *
 * Holder and waiter have a connection each.  The waiter asks as soon as the holder has the lock;
 * the holder keeps it for a random while; the clock runs from the call that releases it until the
 * waiter's promise is fulfilled.  redlock runs with its defaults, except that it never gives up.
 * Prints one line of JSON. */
import { randomBytes } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";

import Redis from "ioredis";
import Redlock from "redlock";

const TTL_MS = 60_000;
const NAME = `bench/handoff/${process.pid}`;

class RedlockCaller {
  constructor(connection) {
    this.redlock = new Redlock([connection], { retryCount: -1 });
  }

  async acquire() {
    this.lock = await this.redlock.lock(NAME, TTL_MS);
  }

  async release() {
    await this.lock.unlock();
  }
}

class TenuredCaller {
  constructor(connection) {
    this.connection = connection;
  }

  async acquire() {
    this.owner = `bench-${randomBytes(8).toString("hex")}`;
    const pairs = await this.connection.call(
      "LOCK.ACQUIRE", NAME, this.owner, TTL_MS, "WAIT", TTL_MS);
    this.token = pairs[pairs.indexOf("token") + 1];
    if (!(this.token > 0)) throw new Error(`not a grant: ${JSON.stringify(pairs)}`);
  }

  async release() {
    const reply = await this.connection.call("LOCK.RELEASE", NAME, this.owner, this.token);
    const outcome = Array.isArray(reply) ? reply[0] : reply;
    if (outcome !== "released") throw new Error(`not released: ${JSON.stringify(reply)}`);
  }
}

const callers = { redlock: RedlockCaller, tenured: TenuredCaller };

/* One hand-off from `from` to `to`; microseconds. */
async function handOver(from, to, holdMs) {
  await from.acquire();
  const acquired = to.acquire().then(() => process.hrtime.bigint());
  await sleep(holdMs);
  const begun = process.hrtime.bigint();
  const [, ended] = await Promise.all([from.release(), acquired]);
  await to.release();
  return Number(ended - begun) / 1000;
}

function quantile(sorted, fraction) {
  return sorted[Math.min(sorted.length - 1, Math.floor(fraction * sorted.length))];
}

async function main() {
  const [peer, host, port, rounds, holdMsMin, holdMsMax] = process.argv.slice(2);
  const Caller = callers[peer];
  if (!Caller || !holdMsMax) {
    console.error("usage: handoff.mjs redlock|tenured HOST PORT ROUNDS HOLD_MS_MIN HOLD_MS_MAX");
    process.exit(64);
  }
  const connections = [0, 1].map(() => new Redis({ host, port: Number(port) }));
  const [from, to] = connections.map((connection) => new Caller(connection));
  const times = [];
  for (let round = 0; round < Number(rounds); round++) {
    const span = Number(holdMsMax) - Number(holdMsMin);
    times.push(await handOver(from, to, Number(holdMsMin) + Math.random() * span));
  }
  for (const connection of connections) connection.disconnect();
  const sorted = [...times].sort((a, b) => a - b);
  console.log(JSON.stringify({
    mode: peer,
    rounds: times.length,
    p50_us: quantile(sorted, 0.5),
    p90_us: quantile(sorted, 0.9),
    p99_us: quantile(sorted, 0.99),
    max_us: sorted.at(-1),
    samples_us: times,
  }));
}

await main();
