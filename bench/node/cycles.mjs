/* cycles - acquire and release of locks that nobody else wants, for clients of Node.js.
 *
 *     node cycles.mjs CLIENT PORT,... CONCURRENCY SECONDS WARMUP_MS [SERVER_PID,...]
 *
 * One process, one connection to each node, CONCURRENCY callers with a lock of their own.  Prints
 * one line of JSON with the same figures as bench-client. */
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";

import { clientNames, connect, makeClient, quantile } from "./clients.mjs";

const TICK_US = 10_000; // of /proc/PID/stat

const state = { isMeasuring: false, isStopping: false, cycles: [], acquires: [] };

async function call(client, name) {
  while (!state.isStopping) {
    const begun = performance.now();
    const held = await client.acquire(name);
    const granted = performance.now();
    await client.release(held);
    if (state.isMeasuring) {
      state.cycles.push(performance.now() - begun);
      state.acquires.push(granted - begun);
    }
  }
}

/* Of all these processes. */
function cpuUs(pids) {
  let ticks = 0;
  for (const pid of pids) {
    const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ").at(-1).split(" ");
    ticks += Number(fields[11]) + Number(fields[12]);
  }
  return ticks * TICK_US;
}

function ownCpuUs(since) {
  const { user, system } = process.cpuUsage(since);
  return user + system;
}

async function main() {
  const [name, ports, concurrency, seconds, warmupMs, pidList = ""] = process.argv.slice(2);
  if (!clientNames.includes(name) || !warmupMs) {
    console.error("usage: cycles.mjs CLIENT PORT,... CONCURRENCY SECONDS WARMUP_MS [PID,...]\n"
      + `clients: ${clientNames.join(" ")}`);
    process.exit(64);
  }
  const pids = pidList.split(",").filter(Boolean);
  const client = makeClient(name, connect(ports));
  const callers = [];
  for (let index = 0; index < Number(concurrency); index++) {
    callers.push(call(client, `bench/lock/${String(index).padStart(9, "0")}`));
  }
  const all = Promise.all(callers); // one that fails ends the run
  await Promise.race([all, sleep(Number(warmupMs))]);
  const begun = performance.now();
  const own = process.cpuUsage();
  const servers = cpuUs(pids);
  state.isMeasuring = true;
  await Promise.race([all, sleep(Number(seconds) * 1000)]);
  state.isMeasuring = false;
  const clientCpuUs = ownCpuUs(own);
  const serverCpuUs = cpuUs(pids) - servers;
  const elapsedS = (performance.now() - begun) / 1000;
  state.isStopping = true;
  await all;
  const count = state.cycles.length;
  const us = (list, fraction) => quantile(list, fraction) * 1000;
  const cycles = Float64Array.from(state.cycles).sort();
  const acquires = Float64Array.from(state.acquires).sort();
  console.log(JSON.stringify({
    mode: name,
    concurrency: Number(concurrency),
    cycles: count,
    cycles_per_s: count / elapsedS,
    p50_us: us(cycles, 0.5),
    p90_us: us(cycles, 0.9),
    p99_us: us(cycles, 0.99),
    acquire_p50_us: us(acquires, 0.5),
    acquire_p99_us: us(acquires, 0.99),
    client_cpu_us: clientCpuUs / count,
    server_cpu_us: pids.length > 0 ? serverCpuUs / count : -1,
  }));
  process.exit(0);
}

await main();
