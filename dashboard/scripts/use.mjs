// Uses the dashboard as a person would, in Chromium, and fails at the first thing that is not as it should be.
//
//   KEY=... node scripts/use.mjs SESSIONS OULAD [SCREENSHOTS]    servers of the two pipelines, and a key of both
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { launch } from './browser.mjs';
import { stayOpen } from './stay-open.mjs';
import { useOulad } from './use-oulad.mjs';
import { lookAtPipeline, usePipeline } from './use-pipeline.mjs';

const [url, oulad, pictures] = process.argv.slice(2);
const key = process.env.KEY;
const tools = await launch({ servers: [url, oulad], key, pictures });
const { browser, said, open, opened, logIn, settled, shown } = tools;

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
const other = await opened(page.url(), { colorScheme: 'dark' });
assert.equal(await other.locator('.part.table').innerText(), await page.locator('.part.table').innerText());
const phone = await opened(page.url(), { viewport: { width: 390, height: 844 } });
for (const [one, look] of [[other, 'dark'], [phone, 'phone']]) {
  await shown(one, `player-${look}`);
  await one.goto(`${url}/?page=country&country=${country}`);
  await settled(one);
  await shown(one, `country-${look}`);
  await one.goto(url);
  await settled(one);
  await shown(one, `sessions-${look}`);
}

// The pages of the pipeline, beside a page of data that stays open.
await usePipeline(await opened(url), tools);
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
said.length = 0;

await useOulad(oulad, tools);
const hours = await stayOpen(url, tools);
assert.deepEqual(said, []);

await browser.close();
for (const hour of hours) console.log(`an hour open: ${hour}`);
console.log(`used: no error, nothing that axe objects to, first paint after ${Math.round(paint)} ms`);
