// What must hold for a report in a real browser. Usage: report.mjs NODE_MODULES REPORT CHROMIUM [SHOTS]
// Prints one line for each check that failed, and `checked: N`; exits with 1 if one failed.
import { createRequire } from 'node:module';
import { mkdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

const [modules, report, executablePath, shots] = process.argv.slice(2);
const require = createRequire(join(resolve(modules), 'x.js'));
const { chromium } = require('playwright-core');
const axe = require.resolve('axe-core/axe.min.js');
const address = pathToFileURL(resolve(report)).href;

let checked = 0;
let failed = 0;
const check = (right, what) => {
  checked += 1;
  if (!right) {
    failed += 1;
    console.log(`failed: ${what}`);
  }
};

const browser = await chromium.launch({
  executablePath,
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
    '--disable-background-networking', '--disable-component-update', '--disable-sync'],
});

const open = async (options) => {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type())) check(false, `console: ${message.text()}`);
  });
  page.on('pageerror', (error) => check(false, `script: ${error.message}`));
  page.on('dialog', (dialog) => { check(false, 'a dialog opened'); dialog.dismiss(); });
  page.on('request', (request) => check(request.url() === address, `request: ${request.url()}`));
  const begun = performance.now();
  await page.goto(address);
  return { context, page, took: performance.now() - begun };
};

// The page renders, and opens in time.
const desk = await open({ viewport: { width: 1280, height: 900 } });
console.log(`opened: ${Math.round(desk.took)} ms`);
const page = desk.page;
check(await page.locator('h1').isVisible(), 'the heading is visible');
check(await page.locator('.subject').count() > 0, 'there is a chapter');
for (const svg of await page.locator('figure > svg').all()) {
  const box = await svg.boundingBox();
  check(box && box.width > 200 && box.height > 40, 'a picture has no size');
}

// The skip link is the first thing that the keyboard reaches.
await page.keyboard.press('Tab');
check(await page.locator('.skip:focus').count() === 1, 'the skip link comes first');

// Filters hide rows and say how many are left.
const alerts = page.locator('section[aria-labelledby=alerts]');
const filtered = alerts.locator('.wide');
const input = alerts.locator('.filter input');
const rows = await filtered.locator('tbody tr').count();
const word = await filtered.locator('tbody tr').first().locator('td').last().innerText();
await input.fill(word);
const left = await filtered.locator('tbody tr:visible').count();
check(left >= 1 && left < rows, `filter: ${left} of ${rows} rows with ${word}`);
const told = await alerts.locator('.filter output').innerText();
check(told === `${left} of ${rows} rows`, `the filter says ${told}`);
const seam = await filtered.locator('tbody tr').first().evaluate((row) =>
  row.cells[0].textContent.trim().slice(-3) + row.cells[1].textContent.trim().slice(0, 3));
await input.fill(seam);
check(await filtered.locator('tbody tr:visible').count() === 0, `a filter joins cells: ${seam}`);
await input.fill('no row has this');
check(await filtered.locator('tbody tr:visible').count() === 0, 'a filter that fits nothing');
await input.fill('');
check(await filtered.locator('tbody tr:visible').count() === rows, 'an empty filter shows all');

// Every column sorts, up and down, by keyboard, with numbers as numbers.
const order = async (column) => filtered.locator('tbody tr').evaluateAll((all, at) =>
  all.map((row) => row.cells[at]).filter((cell) => !cell.classList.contains('no'))
    .map((cell) => {
      const held = cell.dataset.v === undefined ? cell.querySelector('[data-v]') : cell;
      if (held) return Number(held.dataset.v);
      return cell.classList.contains('n') ? Number(cell.textContent.replaceAll(',', '')) : cell.textContent;
    }), column);
const heads = filtered.locator('thead th');
for (let column = 0; column < await heads.count(); column += 1) {
  const button = heads.nth(column).locator('button');
  await button.focus();
  await page.keyboard.press('Enter');
  check(await heads.nth(column).getAttribute('aria-sort') === 'ascending', `column ${column} up`);
  const up = await order(column);
  const least = (a, b) => typeof a === 'number' ? a - b
    : a.localeCompare(b, 'en', { numeric: true });
  const sorted = (all) => all.every((value, at) => at === 0 || least(all[at - 1], value) <= 0);
  check(sorted(up), `column ${column} sorts up`);
  await page.keyboard.press('Space');
  check(await heads.nth(column).getAttribute('aria-sort') === 'descending', `column ${column} down`);
  const down = await order(column);
  check(sorted([...down].reverse()), `column ${column} sorts down`);
  check(down.length === up.length && down[0] === up.at(-1), `column ${column} is turned round`);
  check(await filtered.locator('[aria-sort]').count() === 1, 'one column is sorted');
}

// Pictures have their tables.
const pictures = await page.locator('figure').count();
check(await page.locator('figure details table').count() === pictures, 'each picture has its table');

// Prints; the tables behind pictures are part of it.
await page.emulateMedia({ media: 'print' });
const heights = await page.locator('figure details table').evaluateAll((all) =>
  all.map((table) => table.getBoundingClientRect().height));
check(heights.length > 0 && heights.every((height) => height > 20),
  `tables behind pictures are printed: ${heights}`);
await page.emulateMedia({ media: null });
const pdf = await page.pdf({ format: 'A4' });
check(pdf.subarray(0, 5).toString() === '%PDF-' && pdf.length > 20_000, `PDF of ${pdf.length} bytes`);

// Nothing serious for people who use other senses or inputs: both schemes, a phone.
const views = [
  { name: 'light', viewport: { width: 1280, height: 900 }, colorScheme: 'light' },
  { name: 'dark', viewport: { width: 1280, height: 900 }, colorScheme: 'dark' },
  { name: 'phone', viewport: { width: 360, height: 740 }, colorScheme: 'light', isMobile: true },
];
for (const { name, ...options } of views) {
  // The policy keeps axe out, as it does everything else; without it the page is the same.
  const { context, page: view } = await open({ ...options, bypassCSP: true });
  await view.addScriptTag({ path: axe });
  await view.evaluate(() => document.querySelectorAll('details').forEach((one) => { one.open = true; }));
  const { violations } = await view.evaluate(() => window.axe.run(document, { resultTypes: ['violations'] }));
  for (const { id, impact, help, nodes } of violations) {
    const where = nodes[0] ? nodes[0].html.slice(0, 160) : '';
    check(!['serious', 'critical'].includes(impact), `${name}: ${impact} ${id}: ${help}: ${where}`);
  }
  checked += 1;
  const wide = await view.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
  check(wide <= 0, `${name}: the page is ${wide} px wider than the screen`);
  await context.close();
}

// Without a script the page is whole.
const bare = await open({ javaScriptEnabled: false });
check(await bare.page.locator('tbody tr').count() > 0, 'tables without a script');
check(await bare.page.locator('.filter').count() === 0, 'no control without a script');

if (shots) {
  mkdirSync(shots, { recursive: true });
  const take = async (name, options, selector) => {
    const view = await open({ deviceScaleFactor: 1, ...options });
    if (selector) await view.page.evaluate((s) => document.querySelector(s).scrollIntoView(), selector);
    await view.page.screenshot({ path: join(shots, name) });
  };
  await take('report.png', { viewport: { width: 1120, height: 840 } });
  await take('report-pictures.png', { viewport: { width: 1120, height: 840 }, colorScheme: 'dark' }, '#s4 .pictures');
}

await browser.close();
console.log(`checked: ${checked}`);
process.exit(failed ? 1 : 0);
