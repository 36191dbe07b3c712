// Leaves pages open for an hour of their own time, in which every answer is a new one to them, and compares what they hold.
import assert from 'node:assert/strict';

const MINUTE = 60_000;
// More than the collector leaves about by chance, less than one list of answers a minute would come to.
const SPARE = 3 * 1024 * 1024;

// The least of some looks: one of them may fall into the drawing of an answer, when there are old and new parts at once.
async function held(session, goOn) {
  const least = { bytes: Infinity, nodes: Infinity, listeners: Infinity };
  for (let look = 0; look < 4; look++) {
    await goOn();
    for (let round = 0; round < 2; round++) await session.send('HeapProfiler.collectGarbage');
    const { usedSize } = await session.send('Runtime.getHeapUsage');
    const { nodes, jsEventListeners } = await session.send('Memory.getDOMCounters');
    least.bytes = Math.min(least.bytes, usedSize);
    least.nodes = Math.min(least.nodes, nodes);
    least.listeners = Math.min(least.listeners, jsEventListeners);
  }
  return least;
}

async function stay(name, url, step, { open, logIn, settled }) {
  const page = await open();
  await page.clock.install();
  let asked = 0;
  let waiting = 0;
  // Without its tag a question is answered in full, so that all is read and drawn anew.
  await page.route('**/v1/**', async (route) => {
    asked++;
    waiting++;
    const { 'if-none-match': _, ...headers } = route.request().headers();
    await route.continue({ headers });
  });
  for (const end of ['requestfinished', 'requestfailed']) page.on(end, (request) => request.url().includes('/v1/') && waiting--);
  const pass = async (time) => {
    for (let passed = 0; passed < time; passed += step) {
      await page.clock.runFor(step);
      while (waiting > 0) await new Promise((done) => setTimeout(done, 5));
    }
  };
  await page.goto(url);
  await logIn(page);
  await settled(page);
  const session = await page.context().newCDPSession(page);
  await pass(10 * MINUTE);
  const goOn = async () => {
    await pass(step);
    await settled(page);
  };
  const before = await held(session, goOn);
  const askedBefore = asked;
  await pass(60 * MINUTE);
  const after = await held(session, goOn);
  assert.ok(asked - askedBefore >= 3600 / 15, `${name} asked only ${asked - askedBefore} times in an hour`);
  assert.ok(after.bytes <= Math.max(before.bytes * 1.2, before.bytes + SPARE), `${name} grew from ${before.bytes} to ${after.bytes} bytes in an hour`);
  assert.ok(after.nodes <= before.nodes * 1.1, `${name} grew from ${before.nodes} to ${after.nodes} nodes in an hour`);
  assert.ok(after.listeners <= before.listeners, `${name} grew from ${before.listeners} to ${after.listeners} listeners in an hour`);
  await page.context().close();
  const mib = (bytes) => `${(bytes / 1024 / 1024).toFixed(1)} MiB`;
  return `${name} asked ${asked - askedBefore} times and held ${mib(before.bytes)} before, ${mib(after.bytes)} after, with ${before.nodes} and ${after.nodes} nodes`;
}

export async function stayOpen(url, tools) {
  return Promise.all([stay('the page of data', url, 15_000, tools), stay('the pipeline', `${url}/?page=_status`, 5_000, tools)]);
}
