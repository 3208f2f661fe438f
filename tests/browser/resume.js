// A browser's EventSource over a connection that is cut again and again: no gap, no repeat.
//
//     node resume.js PORT CUTS
//
// Between the page and tenured is a proxy that serves the page (so that both have one origin) and
// cuts each stream after some bytes, in the middle of an event as well.  Meanwhile locks come and
// go.  The page keeps the number of every event that it is given; in the end they must be
// 1, 2, 3 … up to the last one of the server.  The result is printed as JSON.
import http from 'node:http';
import { chromium } from 'playwright-core';

const [port, cutsWanted] = process.argv.slice(2).map(Number);
const limitMs = 240_000;

let cuts = 0;
let isCutting = true;
let seed = 1;
const random = (below) => {
  seed = (seed * 48271) % 2147483647;
  return seed % below;
};

const page = `<!doctype html><title>events</title><script>
  window.seen = [];
  window.opened = 0;
  const source = new EventSource('/v1/events?since=0');
  source.onopen = () => window.opened++;
  for (const kind of ['granted', 'released']) {
    source.addEventListener(kind, (event) => {
      const data = JSON.parse(event.data);
      window.seen.push(data.seq === Number(event.lastEventId) ? data.seq : -1);
    });
  }
</script>`;

const pipeStream = (answer, response) => {
  let left = isCutting ? 1 + random(1500) : Infinity;
  answer.on('data', (data) => {
    // The server asks clients to wait a second before they come back; that would be a long test.
    const text = Buffer.from(data.toString('latin1').replace('retry: 1000', 'retry: 1'), 'latin1');
    response.write(text.subarray(0, Math.min(left, text.length)));
    left -= text.length;
    if (left > 0 || response.destroyed) return;
    cuts++;
    answer.destroy();
    response.socket.end();
    setTimeout(() => response.destroy(), 1);
  });
  answer.on('close', () => response.end());
};

const proxy = http.createServer((request, response) => {
  if (request.url === '/page') {
    response.setHeader('Content-Type', 'text/html');
    response.end(page);
    return;
  }
  const { method, url: path, headers } = request;
  const upstream = http.request({ host: '127.0.0.1', port, method, path, headers }, (answer) => {
    response.writeHead(answer.statusCode, answer.headers);
    if (path.startsWith('/v1/events')) pipeStream(answer, response);
    else answer.pipe(response);
  });
  upstream.on('error', () => response.destroy());
  response.on('close', () => upstream.destroy());
  request.pipe(upstream);
});

const agent = new http.Agent({ keepAlive: true });
const ask = (method, path, body) =>
  new Promise((resolve, reject) => {
    const headers = body ? { 'Content-Type': 'application/json' } : {};
    const options = { agent, host: '127.0.0.1', port, method, path, headers };
    const request = http.request(options, (answer) => {
      let text = '';
      answer.on('data', (data) => (text += data));
      answer.on('end', () => resolve(JSON.parse(text)));
    });
    request.on('error', reject);
    request.end(body && JSON.stringify(body));
  });

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

const churn = async () => {
  const hold = await ask('POST', '/v1/locks/browser/x', { owner: 'o', meta: 'ä€😀' });
  await ask('DELETE', `/v1/locks/browser/x?owner=o&token=${hold.token}`);
};

const main = async () => {
  await new Promise((resolve) => proxy.listen(0, '127.0.0.1', resolve));
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM || '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage'],
  });
  const tab = await browser.newPage();
  await tab.goto(`http://127.0.0.1:${proxy.address().port}/page`);
  const end = Date.now() + limitMs;
  while (cuts < cutsWanted && Date.now() < end) {
    await churn();
    await sleep(1);
  }
  isCutting = false;
  const { seq } = await ask('GET', '/v1/server');
  let seen = [];
  while (seen.length < seq && Date.now() < end) {
    await sleep(50);
    seen = await tab.evaluate('window.seen');
  }
  const opened = await tab.evaluate('window.opened');
  const isExact = seen.length === seq && seen.every((number, index) => number === index + 1);
  // A page of another site must not get at the stream, nor at the paths that act.
  await tab.goto('data:text/html,<title>foreign</title>');
  const stolen = await tab.evaluate(
    (url) => fetch(url, { mode: 'no-cors' }).then(() => true, () => false),
    `http://127.0.0.1:${port}/acquire/browser/stolen`,
  );
  const lock = await ask('GET', '/v1/locks/browser/stolen');
  const result = { cuts, opened, seq, seen: seen.length, isExact, stolen, status: lock.status };
  console.log(JSON.stringify(result));
  await browser.close();
  process.exit(0);
};

await main();
