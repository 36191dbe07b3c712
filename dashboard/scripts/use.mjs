// Uses the dashboard as a person would, in Chromium, and fails at the first thing that is not as it should be.
//
//   node scripts/use.mjs URL KEY [SCREENSHOTS]    a server of session events, and a key of it
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { chromium } from 'playwright-core';
import { lookAtPipeline, overflow, usePipeline } from './use-pipeline.mjs';

const [url, key, pictures] = process.argv.slice(2);
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const flags = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'];
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: flags });
if (pictures) mkdirSync(pictures, { recursive: true });
const said = [];

async function open(options = {}) {
  const context = await browser.newContext({ viewport: { width: 1366, height: 900 }, ...options });
  const page = await context.newPage();
  page.on('console', (message) => message.type() === 'error' && said.push(message.text()));
  page.on('pageerror', (error) => said.push(String(error)));
  page.on('request', (request) => assert.ok(/^(blob|data):/.test(request.url()) || request.url().startsWith(url), `it asks ${request.url()}`));
  return page;
}

async function logIn(page, wanted = key) {
  await page.getByLabel('API key').fill(wanted);
  await page.getByRole('button', { name: 'Log in' }).click();
}

async function settled(page) {
  await page.waitForFunction(() => document.querySelectorAll('.part').length > 0 && !document.querySelector('[aria-busy=true]'));
}

async function shown(page, name) {
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => globalThis.axe.run());
  const told = violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html).slice(0, 3).join(' ')}`);
  assert.deepEqual(told, [], `axe on ${name}`);
  if (pictures) await page.screenshot({ path: `${pictures}/${name}.png`, fullPage: true });
}

const page = await open();
await page.goto(url);
await shown(page, 'login');
await logIn(page, 'sluice_nobody_has_this_key');
await page.getByText('This key does not open').waitFor();
// What the browser says of a 401 is expected here and nowhere else.
said.length = 0;
await logIn(page);
await settled(page);
const paint = await page.evaluate(() => performance.getEntriesByName('first-contentful-paint')[0]?.startTime);
assert.ok(paint < 1000, `first paint after ${paint} ms`);
assert.match(await page.title(), /^Sessions/);
const started = await page.locator('.part.tile .figure').first().innerText();
assert.match(started, /^[1-9][0-9,]*$/);
await shown(page, 'sessions-light');

// Pick: it stands in the address, and another span has other figures.
await page.getByLabel('Time', { exact: true }).selectOption('24 hours');
await settled(page);
assert.match(page.url(), /span=24\+hours/);
await page.waitForFunction((before) => document.querySelector('.part.tile .figure')?.textContent !== before, started);
await page.goBack();
await page.waitForFunction((before) => document.querySelector('.part.tile .figure')?.textContent === before, started);

// A bar leads on by keys as by the mouse.
await page.getByRole('application', { name: /^Started by country/ }).focus();
await page.keyboard.press('ArrowDown');
await page.keyboard.press('ArrowDown');
await page.getByText(/, 2 of \d+$/).waitFor({ state: 'attached' });
await page.keyboard.press('Enter');
await settled(page);
assert.match(page.url(), /page=country/);
await page.goBack();
await settled(page);

// A chart has its table and its file; a row of it leads on.
const countries = page.getByRole('region', { name: 'Rows of Started by country' });
await page.getByRole('button', { name: 'Table: Started by country' }).click();
const [file] = await Promise.all([page.waitForEvent('download'), page.getByRole('button', { name: 'CSV: Started by country' }).click()]);
const rows = readFileSync(await file.path(), 'utf8').trim().split('\r\n');
assert.equal(rows[0], 'country,Started by country');
const country = await countries.getByRole('link').first().innerText();
assert.ok(rows[1].startsWith(`${country},`), rows[1]);
await countries.getByRole('link').first().click();
await settled(page);
assert.match(page.url(), new RegExp(`page=country.*country=${country}`));
assert.equal(await page.getByLabel('Country').inputValue(), country);
await shown(page, 'country-light');
await page.locator('.part.table td a').first().click();
await settled(page);
await shown(page, 'player-light');

// The address is all there is to share: whoever logs in with it sees the same.
const shared = page.url();
const other = await open({ colorScheme: 'dark' });
await other.goto(shared);
await logIn(other);
await settled(other);
assert.equal(await other.locator('.part.table').innerText(), await page.locator('.part.table').innerText());
await other.goto(url);
await settled(other);
await shown(other, 'sessions-dark');

const phone = await open({ viewport: { width: 390, height: 844 } });
await phone.goto(url);
await logIn(phone);
await settled(phone);
await overflow(phone, 'the page on a phone');
await shown(phone, 'sessions-phone');

// The pages of the pipeline, beside a page of data that stays open.
const tools = { settled, shown, said };
const operator = await open();
await operator.goto(url);
await logIn(operator);
await settled(operator);
await usePipeline(operator, tools);
await lookAtPipeline(other, url, 'dark', tools);
await lookAtPipeline(phone, url, 'phone', tools);

// The connection is lost, which is said; and comes back, by itself.
assert.deepEqual(said, []);
await page.context().setOffline(true);
await page.evaluate(() => dispatchEvent(new Event('online')));
await page.getByText('Not up to date').first().waitFor();
await shown(page, 'player-stale');
await page.context().setOffline(false);
await page.evaluate(() => dispatchEvent(new Event('online')));
await page.getByText('Not up to date').first().waitFor({ state: 'detached' });

await browser.close();
console.log(`used: no error, nothing that axe objects to, first paint after ${Math.round(paint)} ms`);
