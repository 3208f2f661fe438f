/* handoff - how long after a release the next waiter has the lock, for clients of Node.js.
 *
 *     node handoff.mjs CLIENT PORT,... ROUNDS HOLD_MS_MIN HOLD_MS_MAX
 *
 * Holder and waiter have connections of their own.  The waiter asks as soon as the holder has the
 * lock; the holder keeps it for a random while; the clock runs from the call that releases it until
 * the waiter's promise is fulfilled.  Prints one line of JSON. */
import { setTimeout as sleep } from "node:timers/promises";

import { clientNames, connect, makeClient, quantile } from "./clients.mjs";

const NAME = `bench/handoff/${process.pid}`;

/* One hand-off from `from` to `to`; microseconds. */
async function handOver(from, to, holdMs) {
  const held = await from.acquire(NAME);
  let ended;
  const acquired = to.acquire(NAME).then((next) => {
    ended = process.hrtime.bigint();
    return next;
  });
  await sleep(holdMs);
  if (ended) throw new Error("granted while held");
  const begun = process.hrtime.bigint();
  const [, next] = await Promise.all([from.release(held), acquired]);
  await to.release(next);
  return Number(ended - begun) / 1000;
}

async function main() {
  const [name, ports, rounds, holdMsMin, holdMsMax] = process.argv.slice(2);
  if (!clientNames.includes(name) || !holdMsMax) {
    console.error("usage: handoff.mjs CLIENT PORT,... ROUNDS HOLD_MS_MIN HOLD_MS_MAX\n"
      + `clients: ${clientNames.join(" ")}`);
    process.exit(64);
  }
  const connections = [0, 1].map(() => connect(ports));
  const [from, to] = connections.map((mine) => makeClient(name, mine));
  const times = [];
  for (let round = 0; round < Number(rounds); round++) {
    const span = Number(holdMsMax) - Number(holdMsMin);
    times.push(await handOver(from, to, Number(holdMsMin) + Math.random() * span));
  }
  const sorted = [...times].sort((a, b) => a - b);
  console.log(JSON.stringify({
    mode: name,
    rounds: times.length,
    p50_us: quantile(sorted, 0.5),
    p90_us: quantile(sorted, 0.9),
    p99_us: quantile(sorted, 0.99),
    max_us: sorted.at(-1),
    samples_us: times,
  }));
  process.exit(0);
}

await main();
