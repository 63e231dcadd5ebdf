/**
 * Takes pictures of every view: both themes, both languages, three widths.
 *
 *   npm run screenshots [-- --url http://127.0.0.1:4173/] [--out DIR] [--only NAME,NAME] [--speed N] [--warm MS]
 *
 * Without `--url` it starts a demo itself and lets its street live for most of a day first, with somebody on
 * duty who takes tickets. It fails when the page
 * logs an error or runs into its content security policy, so it is a smoke test as well.
 */

import { mkdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

import { complaints, launch, missingBrowser } from './browser.mjs';
import { startDemo } from './demo.mjs';
import { onDuty } from './duty.mjs';

const { values: options } = parseArgs({
  options: {
    url: { type: 'string' },
    out: { type: 'string', default: join(tmpdir(), 'steward-screenshots') },
    only: { type: 'string', default: '' },
    speed: { type: 'string', default: '120' },
    /** How long a demo lives before the first picture. */
    warm: { type: 'string', default: '150000' },
  },
});

const SIZES = { wide: { width: 1920, height: 1080 }, laptop: { width: 1280, height: 800 }, phone: { width: 390, height: 844 } };
const VIEWS = ['map', 'tickets', 'parking', 'bays', 'waste', 'bins', 'sweeping', 'vehicles', 'assessment', 'box', 'drawer', 'wall'];
const SETTLE_MS = 2600;
const STEP_MS = 450;

/** Brings the page to a view; the drawer is the ticket view with its first ticket open. */
async function show(page, view) {
  const tab = view === 'drawer' ? 'tickets' : view;
  await page.evaluate((hash) => {
    location.hash = hash;
  }, tab);
  await page.waitForTimeout(STEP_MS);
  if (view === 'drawer') await page.locator('[data-ticket]:visible').first().click();
  await page.waitForTimeout(STEP_MS);
}

const missing = missingBrowser();
if (missing !== null) {
  console.error(missing);
  process.exit(1);
}
const demo = options.url === undefined ? await startDemo({ speed: Number(options.speed) }) : null;
const offDuty = demo === null ? null : await onDuty(demo.mqtt);
const browser = await launch();
await mkdir(options.out, { recursive: true });
let faults = 0;
let taken = 0;
try {
  if (demo !== null) await new Promise((resolve) => setTimeout(resolve, Number(options.warm)));
  for (const [size, viewport] of Object.entries(SIZES)) {
    for (const theme of ['light', 'dark']) {
      for (const lang of ['en', 'zh']) await shoot(size, viewport, theme, lang);
    }
  }
} finally {
  await browser.close();
  await offDuty?.();
  await demo?.stop();
}
console.log(`${taken} pictures in ${options.out}: ${faults === 0 ? 'no faults' : `${faults} faults`}`);
process.exitCode = faults === 0 ? 0 : 1;

async function shoot(size, viewport, theme, lang) {
  const names = options.only.split(',');
  const wanted = VIEWS.filter((view) => names.some((name) => `${view}-${size}-${theme}-${lang}`.includes(name)));
  if (wanted.length === 0) return;
  const context = await browser.newContext({ viewport, deviceScaleFactor: size === 'phone' ? 2 : 1, timezoneId: 'Asia/Shanghai' });
  const page = await context.newPage();
  const said = complaints(page);
  let isWall = false;
  for (const view of wanted) {
    const name = `${view}-${size}-${theme}-${lang}`;
    if (view === 'wall' || page.url() === 'about:blank') {
      isWall = view === 'wall';
      await page.goto(`${options.url ?? demo.url}?theme=${theme}&lang=${lang}${isWall ? '&wall' : ''}`);
      await page.waitForTimeout(SETTLE_MS);
    }
    try {
      if (!isWall) await show(page, view);
      await page.screenshot({ path: join(options.out, `${name}.png`) });
      taken += 1;
      if (view === 'drawer') await page.keyboard.press('Escape');
    } catch (error) {
      said.push(error.message);
    }
    for (const text of said.splice(0)) {
      faults += 1;
      console.error(`${name}: ${text}`);
    }
  }
  await context.close();
}
