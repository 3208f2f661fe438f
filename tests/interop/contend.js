// Wants a lock again and again with Redlock clients of other people, and writes down when it
// believed to have it, as tests/soak/contender.c does.
//
//     node contend.js PORT,PORT,... NAME SECONDS FILE COUNT
import fs from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { open } from './lockers.js';

const LIBRARIES = ['redlock4', 'redlock5', 'universal'];
const TTL = 2000;
// A Redlock client that releases wakes nobody: who waits in line finds out by looking.  So these
// pause for long, or they would get nearly all.
const PAUSE = 600;
const LINE_SIZE = 128;

const [ports, name, seconds, file, count] = process.argv.slice(2);
const now = process.hrtime.bigint;
const end = now() + BigInt(seconds) * 1000000000n;
const outcomes = {};

function write(fd, at, times) {
  const line = 'foreign '.padEnd(8) + [0, ...times].map(n => ' ' + String(n).padStart(20)).join('');
  fs.writeSync(fd, line.padEnd(LINE_SIZE - 1) + '\n', at);
}

// UNTIL is read before it is asked whether the lock is good.
async function use(fd, at, lock, wanted, asked) {
  const from = now();
  const leave = from + BigInt(Math.floor(Math.random() * 15)) * 1000000n;
  let isWritten = false;
  for (;;) {
    const until = now();
    if (!lock.isValid()) break;
    write(fd, at, [wanted, asked, from, until]);
    isWritten = true;
    if (until >= leave) break;
    await sleep(1);
  }
  return isWritten ? at + LINE_SIZE : at;
}

async function contend(index) {
  const library = LIBRARIES[index % LIBRARIES.length];
  const locker = await open(library, ports.split(',').map(Number));
  const fd = fs.openSync(`${file}-${index}`, 'w');
  let at = 0;
  let wanted = now();
  while (now() < end) {
    const asked = now();
    const lock = await locker.acquire(name, TTL).catch(() => null);
    const outcome = `${library} ${lock ? 'ok' : 'no'}`;
    outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
    if (!lock) {
      await sleep(Math.random() * PAUSE);
      continue;
    }
    at = await use(fd, at, lock, wanted, asked);
    await lock.release().catch(() => {});
    await sleep(Math.random() * PAUSE);
    wanted = now();
  }
  locker.close();
}

await Promise.all([...Array(Number(count)).keys()].map(contend));
console.log('foreign: ' + Object.keys(outcomes).sort().map(k => `${k} ${outcomes[k]}`).join(', '));
process.exit(0);
