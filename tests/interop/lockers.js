// Redlock clients of other people, all with one face:
//
//   const locker = await open('redlock4', [7001, 7002, 7003]);
//   const lock = await locker.acquire('name', 2000);      // throws when it is held
//   lock.value, lock.isValid(), await lock.extend(2000), await lock.release()
import Redis from 'ioredis';

const QUIET = { retryCount: 0, driftFactor: 0.01 };

function connect(port) {
  const redis = new Redis({
    port,
    host: '127.0.0.1',
    commandTimeout: 500,
    connectTimeout: 500,
    maxRetriesPerRequest: 0,
    enableOfflineQueue: false,
    retryStrategy: () => 100,
    lazyConnect: true,
  });
  redis.on('error', () => {}); // a node that is down is what we are here for
  return redis;
}

async function redlock4(nodes) {
  const { default: Redlock } = await import('redlock4');
  const redlock = new Redlock(nodes, QUIET);
  redlock.on('clientError', () => {});
  const wrap = lock => ({
    value: lock.value,
    isValid: () => Date.now() < lock.expiration,
    extend: async ttl => { lock = await lock.extend(ttl); },
    release: () => lock.unlock(),
  });
  return async (name, ttl) => wrap(await redlock.lock(name, ttl));
}

async function redlock5(nodes) {
  const { default: Redlock } = await import('redlock5');
  const redlock = new Redlock(nodes, { ...QUIET, automaticExtensionThreshold: 0 });
  redlock.on('error', () => {});
  const wrap = lock => ({
    value: lock.value,
    isValid: () => Date.now() < lock.expiration,
    extend: async ttl => { lock = await lock.extend(ttl); },
    release: () => lock.release(),
  });
  return async (name, ttl) => wrap(await redlock.acquire([name], ttl));
}

async function universal(nodes) {
  const { createRedlock, createLock, IoredisAdapter } = await import('redlock-universal');
  const adapters = nodes.map(node => new IoredisAdapter(node));
  const common = { retryAttempts: 0, logger: { info() {}, warn() {}, error() {}, debug() {} } };
  return async (name, ttl) => {
    const lock = adapters.length === 1
      ? createLock({ ...common, adapter: adapters[0], key: name, ttl })
      : createRedlock({ ...common, adapters, key: name, ttl });
    const since = Date.now();
    const handle = await lock.acquire();
    let until = since + ttl - ttl * 0.01 - 2;
    return {
      value: handle.value,
      isValid: () => Date.now() < until,
      extend: async more => {
        const now = Date.now();
        if (!await lock.extend(handle, more)) throw new Error('not extended');
        until = now + more - more * 0.01 - 2;
      },
      release: () => lock.release(handle),
    };
  };
}

export async function open(library, ports) {
  const nodes = ports.map(connect);
  await Promise.allSettled(nodes.map(node => node.connect()));
  const acquire = await { redlock4, redlock5, universal }[library](nodes);
  return { acquire, close: () => nodes.forEach(node => node.disconnect()) };
}
