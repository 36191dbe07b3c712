// Uses the pages of the pipeline as somebody who operates it would; called by use.mjs.
import assert from 'node:assert/strict';

// Bad lines of the second file (scripts/dashboard-test.sh).
const BAD = 7;
const NAMES = ['_status', '_runs', '_rejects', '_plan'];

async function entry(page, name) {
  await page.getByRole('navigation', { name: 'Pipeline' }).getByRole('link', { name }).click();
}

async function status(page, { settled, shown }) {
  await entry(page, /^Pipeline/);
  await settled(page);
  assert.match(page.url(), /page=_status/);
  assert.match(await page.title(), /^Pipeline/);
  // The second file had bad lines.
  assert.equal(await page.locator('#verdict').innerText(), 'Needs attention');
  const badge = page.getByRole('navigation', { name: 'Pipeline' }).getByText('needs attention');
  assert.equal(await badge.count(), 1, 'the entry bears what the verdict says');

  // The picture: a card for each table, an edge for each reading, and a row for each card.
  const picture = page.locator('.zones');
  await page.waitForFunction(() => document.querySelectorAll('.edges > path').length > 0);
  assert.equal(await picture.locator('.edges > path').count(), await picture.locator('[data-port]').count());
  const cards = await picture.locator('[data-card]').count();
  const rows = await page.getByRole('region', { name: 'Tables of the pipeline' }).locator('tbody tr').count();
  assert.ok(rows === cards || rows === cards + 1, `${rows} rows for ${cards} cards and perhaps the quarantine`);
  await shown(page, 'status-light');

  // What was found leads to where it is seen.
  await page.locator('.findings').getByRole('link', { name: 'See the rejects' }).first().click();
  await settled(page);
  assert.match(page.url(), /page=_rejects$/);
  await page.goBack();
  await page.locator('#verdict').waitFor();
}

async function runs(page, { settled, shown, said }) {
  await entry(page, 'Runs');
  await settled(page);
  const rows = page.getByRole('region', { name: 'Rows of the runs' });
  await rows.locator('tbody tr').first().waitFor();
  assert.equal(await rows.locator('tbody tr').count(), 2, 'the runs that loaded the two files');
  await shown(page, 'runs-light');

  // A bar leads on by keys, and says which it is.
  await page.getByRole('application').focus();
  await page.keyboard.press('End');
  await page.getByText(/: (Done|Failed|Stopped|Cut off|Running), .*, \d+ of \d+$/).waitFor({ state: 'attached' });
  await page.keyboard.press('Enter');
  await settled(page);
  const byKeys = page.url();
  await page.goBack();

  await rows.locator('tbody a').first().click();
  await settled(page);
  assert.equal(page.url(), byKeys, 'the newest bar and the first row are the same run');
  await page.getByText('The accounting closes').waitFor();
  const loads = await page.getByRole('region', { name: 'Numbers of the stages' }).getByText('landing-to-raw').count();
  assert.equal(await page.getByText(/read [\d,]+ = accepted [\d,]+/).count(), loads);
  await shown(page, 'run-light');
  await page.goBack();
  await rows.waitFor();

  assert.deepEqual(said, []);
  await page.goto(`${new URL(page.url()).origin}/?page=_run&id=20000101000000000`);
  await page.getByText('There is no run').waitFor();
  // What the browser says of a 404 is expected here and nowhere else.
  said.length = 0;
}

async function rejects(page, { settled, shown }) {
  await entry(page, 'Rejects');
  await settled(page);
  const groups = page.locator('.reject');
  await page.getByText(`${BAD} records are set aside`).waitFor();
  for (let index = 0; index < (await groups.count()); index++) {
    const group = groups.nth(index);
    await group.locator('summary').click();
    assert.ok((await group.locator('pre').first().innerText()).length > 0, 'a sample has its bytes');
    const [list, replay] = await group.locator('.command code').allInnerTexts();
    assert.match(list, /^sluice rejects session_events --list /);
    assert.match(replay, /^sluice replay session_events /);
    assert.equal(await group.getByRole('button', { name: /^Copy the command/ }).count(), 2);
  }
  assert.ok((await page.locator('.reject pre').allInnerTexts()).some((text) => text.includes('not json')));
  await shown(page, 'rejects-light');
}

async function plan(page, { settled, shown }) {
  await entry(page, 'Plan');
  await settled(page);
  assert.match(await page.locator('#plan').innerText(), /^(Up to date|A run would)/);
  await page.getByRole('button', { name: 'Plan again' }).click();
  await page.getByRole('button', { name: 'Plan again' }).waitFor();
  await shown(page, 'plan-light');
}

export async function usePipeline(page, tools) {
  await status(page, tools);
  await runs(page, tools);
  await rejects(page, tools);
  await plan(page, tools);
}

// Each page on its own, as another person with another screen sees it.
export async function lookAtPipeline(page, url, look, { settled, shown }) {
  for (const name of NAMES) {
    await page.goto(`${url}/?page=${name}`);
    await settled(page);
    if (name === '_rejects') await page.locator('.reject summary').first().click();
    await shown(page, `${name.slice(1)}-${look}`);
    if (name !== '_runs') continue;
    await page.getByRole('region', { name: 'Rows of the runs' }).locator('tbody a').first().click();
    await settled(page);
    await shown(page, `run-${look}`);
  }
}
