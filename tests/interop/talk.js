// One locker, told what to do line by line: "acquire NAME TTL", "extend TTL", "release".  It
// answers each with "ok VALUE" or "no REASON".
//
//     node talk.js LIBRARY PORT,PORT,...
import readline from 'node:readline';
import { open } from './lockers.js';

const [library, ports] = process.argv.slice(2);
const locker = await open(library, ports.split(',').map(Number));
let lock;

async function obey(verb, first, second) {
  if (verb === 'acquire') {
    lock = await locker.acquire(first, Number(second));
  } else if (verb === 'extend') {
    await lock.extend(Number(first));
  } else {
    await lock.release();
  }
  return lock.value;
}

console.log('ready');
for await (const line of readline.createInterface({ input: process.stdin })) {
  try {
    console.log('ok', await obey(...line.split(' ')));
  } catch (error) {
    console.log('no', error.message.split('\n')[0]);
  }
}
locker.close();
