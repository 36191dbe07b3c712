// Uses the pages of the second pipeline: a choice, a table that leads on, lines by group.
import assert from 'node:assert/strict';

export async function useOulad(url, { opened, settled, shown, said }) {
  const page = await opened(url);
  assert.match(await page.title(), /^A course/);
  const lines = page.getByRole('img', { name: /^Clicks per day/ });
  await lines.waitFor();
  assert.doesNotMatch(await lines.getAttribute('aria-label'), /: 0 values/);
  // What a point is of is a day, wherever on the line it stands.
  await lines.hover();
  await lines.getByText(/^\d{1,2} \w+ 201[45]/).first().waitFor();
  await page.mouse.move(0, 0);
  assert.ok((await page.getByRole('region', { name: 'Rows of Most used items' }).locator('tbody tr').count()) > 0);
  await shown(page, 'course-light');

  const students = page.getByRole('region', { name: 'Rows of Students' });
  // The link is in the column that it is made of, though that is not the first.
  const registered = students.getByRole('row').filter({ has: page.getByRole('cell', { name: 'yes', exact: true }) });
  const link = registered.first().getByRole('link');
  const student = await link.innerText();
  await link.click();
  await settled(page);
  assert.match(page.url(), new RegExp(`page=student&id_student=${student}$`));
  assert.equal(await page.getByLabel('Student').inputValue(), student);
  assert.ok((await page.getByRole('region', { name: 'Rows of Days' }).locator('tbody tr').count()) > 0);
  await shown(page, 'student-light');
  const address = page.url();

  const dark = await opened(url, { colorScheme: 'dark' });
  await shown(dark, 'course-dark');
  await dark.goto(address);
  await settled(dark);
  await shown(dark, 'student-dark');
  const phone = await opened(url, { viewport: { width: 390, height: 844 } });
  await shown(phone, 'course-phone');
  await phone.goto(address);
  await settled(phone);
  await shown(phone, 'student-phone');

  // Seven landings of one archive: each raw table has an edge from it.
  await page.goto(`${url}/?page=_status`);
  await settled(page);
  await page.waitForFunction(() => document.querySelectorAll('.edges > path').length > 0);
  assert.equal(await page.locator('[data-port^="landing."]').count(), 7);
  assert.equal(await page.locator('.edges > path').count(), await page.locator('[data-port]').count());
  await shown(page, 'oulad-status-light');
  await dark.goto(`${url}/?page=_status`);
  await settled(dark);
  await shown(dark, 'oulad-status-dark');
  await phone.goto(`${url}/?page=_status`);
  await settled(phone);
  await shown(phone, 'oulad-status-phone');
  assert.deepEqual(said, []);
}
