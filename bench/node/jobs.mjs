/* jobs - jobs that are processed, for queue clients of Node.js.
 *
 *     node jobs.mjs CLIENT PORT CONCURRENCY COUNT
 *
 * COUNT jobs with a body of a hundred bytes are put first; then one worker process does them,
 * CONCURRENCY at a time.  The work is nothing, so that what is measured is the queue.  Every job
 * must be done once.  Prints one line of JSON. */
import Redis from "ioredis";
import { Queue, Worker } from "bullmq";

const BATCH = 500;
const PATIENCE_MS = 300_000;

const bodyOf = (number) => `bench/item/${String(number).padStart(12, "0")}`.padEnd(100, ".");

const nothing = async () => {};

/* Counts the jobs, each once; `all` is settled when every one was done. */
class Account {
  constructor(count) {
    this.isDone = new Uint8Array(count);
    this.left = count;
    this.all = new Promise((resolve, reject) => Object.assign(this, { resolve, reject }));
  }

  add(body) {
    const number = Number(body.slice(11, 23));
    if (body !== bodyOf(number) || this.isDone[number] !== 0) {
      this.reject(new Error(`done twice, or never put: ${body}`));
    }
    this.isDone[number] = 1;
    this.left -= 1;
    if (this.left === 0) this.resolve();
  }
}

async function putAll(count, putBatch) {
  for (let first = 0; first < count; first += BATCH) {
    const size = Math.min(BATCH, count - first);
    await putBatch(Array.from({ length: size }, (_, index) => bodyOf(first + index)));
  }
}

/* BullMQ with its defaults, except that what is done is removed, as it is by tenured. */
async function bullmq(port, concurrency, count) {
  const connection = { host: "127.0.0.1", port, maxRetriesPerRequest: null };
  const queue = new Queue("bench", { connection });
  const opts = { removeOnComplete: true };
  await putAll(count, (bodies) =>
    queue.addBulk(bodies.map((body) => ({ name: "job", data: { body }, opts }))));
  return {
    work: (account) => {
      const worker = new Worker("bench", nothing, { connection, concurrency });
      worker.on("completed", (job) => account.add(job.data.body));
      worker.on("failed", (_, error) => account.reject(error));
      worker.on("error", account.reject);
    },
    left: async () => {
      const counts = await queue.getJobCounts();
      return Object.values(counts).reduce((sum, number) => sum + number, 0);
    },
  };
}

/* The commands of tenured, through ioredis: a worker takes as many items as it has hands free, and
 * what it says in one turn of the event loop goes out in one write. */
async function tenured(port, concurrency, count) {
  const connection = new Redis({ host: "127.0.0.1", port });
  await putAll(count, async (bodies) => {
    const answers = await connection.call(
      "QUEUE.PUT", "bench", bodies[0], ...bodies.slice(1).flatMap((body) => ["AND", body]));
    if (answers.length !== bodies.length) throw new Error("not all were put");
  });
  let free = concurrency;
  let isTaking = false;
  let isInTurn = false;
  const enterTurn = (account) => {
    if (isInTurn) return;
    isInTurn = true;
    connection.stream.cork();
    process.nextTick(() => {
      isInTurn = false;
      take(account).catch(account.reject);
      connection.stream.uncork();
    });
  };
  const finish = async (account, item) => {
    const valueOf = (key) => item[item.indexOf(key) + 1];
    await nothing();
    free += 1; // the next is asked for along with the done, as BullMQ's worker does it
    enterTurn(account);
    const answer = await connection.call("QUEUE.DONE", "bench", valueOf("id"), valueOf("token"));
    if (answer[answer.indexOf("state") + 1] !== "done") throw new Error(`not done: ${answer}`);
    account.add(valueOf("body"));
  };
  const take = async (account) => {
    if (isTaking || free === 0 || account.left === 0) return;
    isTaking = true;
    const items = await connection.call("QUEUE.TAKE", "bench", "worker", "COUNT", free);
    isTaking = false;
    free -= items.length;
    for (const item of items) finish(account, item).catch(account.reject);
  };
  return {
    work: enterTurn,
    left: async () => {
      const stat = await connection.call("QUEUE.STAT", "bench");
      if (stat === null) return 0;
      const counts = stat[stat.indexOf("counts") + 1];
      return counts.filter((value) => typeof value === "number").reduce((a, b) => a + b, 0);
    },
  };
}

const makers = { bullmq, tenured };

async function main() {
  const [name, port, concurrency, count] = process.argv.slice(2);
  if (!(name in makers) || !(count > 0)) {
    console.error("usage: jobs.mjs CLIENT PORT CONCURRENCY COUNT\n"
      + `clients: ${Object.keys(makers).join(" ")}`);
    process.exit(64);
  }
  const account = new Account(Number(count));
  const queue = await makers[name](Number(port), Number(concurrency), Number(count));
  setTimeout(() => account.reject(new Error("not all jobs were done in time")), PATIENCE_MS);
  const begun = performance.now();
  const cpu = process.cpuUsage();
  queue.work(account);
  await account.all;
  const elapsedS = (performance.now() - begun) / 1000;
  const { user, system } = process.cpuUsage(cpu);
  const left = await queue.left();
  if (left !== 0) throw new Error(`${left} jobs are left`);
  console.log(JSON.stringify({
    jobs: account.isDone.length,
    jobs_per_s: account.isDone.length / elapsedS,
    client_cpu_us: (user + system) / account.isDone.length,
  }));
  process.exit(0);
}

await main();
