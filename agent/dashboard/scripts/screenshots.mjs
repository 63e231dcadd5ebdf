/**
 * Takes pictures of a running page: both themes, both languages, three widths, and the main views.
 *
 *   npm run screenshots -- --url http://127.0.0.1:4173/ [--out DIR] [--chromium /usr/bin/chromium]
 *                          [--only NAME] [--settle MS]
 *
 * It fails when the page logs an error or runs into its content security policy.
 */

import { mkdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

import { chromium } from 'playwright-core';

const { values: options } = parseArgs({
  options: {
    url: { type: 'string', default: 'http://127.0.0.1:4173/' },
    out: { type: 'string', default: join(tmpdir(), 'steward-screenshots') },
    chromium: { type: 'string', default: '/usr/bin/chromium' },
    only: { type: 'string', default: '' },
    settle: { type: 'string', default: '4000' },
  },
});

const WIDE = { width: 1920, height: 1080 };
const LAPTOP = { width: 1280, height: 800 };
const PHONE = { width: 390, height: 844 };

const openFirst = async (page) => page.locator('[data-ticket]').first().click();
const legend = async (page) => page.locator('.legend summary').click();

const SHOTS = [
  { name: 'wide-light-en', size: WIDE, theme: 'light', lang: 'en', act: legend },
  { name: 'wide-dark-zh', size: WIDE, theme: 'dark', lang: 'zh', act: legend },
  { name: 'wide-dark-en-drawer', size: WIDE, theme: 'dark', lang: 'en', act: openFirst },
  { name: 'wide-light-zh-bins', size: WIDE, theme: 'light', lang: 'zh', view: 'bins' },
  { name: 'laptop-light-zh', size: LAPTOP, theme: 'light', lang: 'zh' },
  { name: 'laptop-dark-en', size: LAPTOP, theme: 'dark', lang: 'en' },
  { name: 'laptop-light-en-drawer', size: LAPTOP, theme: 'light', lang: 'en', act: openFirst },
  { name: 'laptop-dark-en-bays', size: LAPTOP, theme: 'dark', lang: 'en', view: 'bays' },
  { name: 'phone-light-zh', size: PHONE, theme: 'light', lang: 'zh' },
  { name: 'phone-dark-en-tickets', size: PHONE, theme: 'dark', lang: 'en', view: 'tickets' },
  { name: 'phone-light-en-drawer', size: PHONE, theme: 'light', lang: 'en', view: 'tickets', act: openFirst },
  { name: 'phone-dark-zh-bins', size: PHONE, theme: 'dark', lang: 'zh', view: 'bins' },
  { name: 'phone-light-en-box', size: PHONE, theme: 'light', lang: 'en', view: 'box' },
];

function address({ theme, lang, view }) {
  const url = new URL(options.url);
  url.searchParams.set('theme', theme);
  url.searchParams.set('lang', lang);
  if (view !== undefined) url.hash = view;
  return url.href;
}

const browser = await chromium.launch({
  executablePath: options.chromium,
  args: [
    '--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
    '--disable-background-networking', '--disable-component-update', '--disable-sync',
  ],
});
await mkdir(options.out, { recursive: true });
let faults = 0;
for (const shot of SHOTS) {
  if (!shot.name.includes(options.only)) continue;
  const context = await browser.newContext({ viewport: shot.size, deviceScaleFactor: shot.size === PHONE ? 2 : 1 });
  const page = await context.newPage();
  page.on('pageerror', (error) => report(shot.name, error.message));
  page.on('console', (message) => {
    if (message.type() === 'error' || message.type() === 'warning') report(shot.name, message.text());
  });
  await page.goto(address(shot));
  await page.waitForTimeout(Number(options.settle));
  if (shot.act !== undefined) {
    await shot.act(page).catch((error) => report(shot.name, error.message));
    await page.waitForTimeout(600);
  }
  await page.screenshot({ path: join(options.out, `${shot.name}.png`) });
  await context.close();
}
await browser.close();
console.log(`${options.out}: ${faults === 0 ? 'no faults' : `${faults} faults`}`);
process.exitCode = faults === 0 ? 0 : 1;

function report(name, text) {
  faults += 1;
  console.error(`${name}: ${text}`);
}
