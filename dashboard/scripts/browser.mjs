// A browser as the tests use it: whatever goes wrong in a page is told, and nothing is asked of anybody but the servers.
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { chromium } from 'playwright-core';

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const flags = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'];

export async function launch({ servers, key, pictures }) {
  const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: flags });
  if (pictures) mkdirSync(pictures, { recursive: true });
  const said = [];

  async function open(options = {}) {
    const context = await browser.newContext({ viewport: { width: 1366, height: 900 }, ...options });
    const page = await context.newPage();
    page.on('console', (message) => message.type() === 'error' && said.push(message.text()));
    page.on('pageerror', (error) => said.push(String(error)));
    page.on('request', (request) => {
      const isOurs = /^(blob|data):/.test(request.url()) || servers.some((server) => request.url().startsWith(server));
      if (!isOurs) said.push(`it asks ${request.url()}`);
    });
    return page;
  }

  async function logIn(page, wanted = key) {
    await page.getByLabel('API key').fill(wanted);
    await page.getByRole('button', { name: 'Log in' }).click();
  }

  async function opened(url, options = {}) {
    const page = await open(options);
    await page.goto(url);
    await logIn(page);
    await settled(page);
    return page;
  }

  async function settled(page) {
    await page.waitForFunction(() => document.querySelectorAll('.part').length > 0 && !document.querySelector('[aria-busy=true]'));
  }

  async function overflow(page, what) {
    const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    assert.ok(wide <= 0, `${what} is ${wide} px too wide`);
  }

  async function shown(page, name) {
    await page.evaluate(axe);
    const { violations } = await page.evaluate(() => globalThis.axe.run());
    const told = violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html).slice(0, 3).join(' ')}`);
    assert.deepEqual(told, [], `axe on ${name}`);
    await overflow(page, name);
    if (pictures) await page.screenshot({ path: `${pictures}/${name}.png`, fullPage: true });
  }

  return { browser, said, open, opened, logIn, settled, overflow, shown };
}
