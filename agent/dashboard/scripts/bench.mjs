/**
 * Measures the built page and prints one table: sizes, first paint, memory and frames with a large city.
 *
 *   npm run build && npm run bench [-- --assets 10000 --rate 500 --seconds 20]
 *
 * A mosquitto of its own on free ports carries the simulated city to a headless Chromium; nothing leaves the
 * loopback. It fails when a target is missed; times by the clock count only while the machine is free.
 */

import { spawn } from 'node:child_process';
import { mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { availableParallelism, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { gzipSync } from 'node:zlib';

import { preview } from 'vite';

import { complaints, launch, missingBrowser } from './browser.mjs';
import { freePort } from './ports.mjs';

const { values: options } = parseArgs({
  options: {
    assets: { type: 'string', default: '10000' },
    rate: { type: 'string', default: '500' },
    seconds: { type: 'string', default: '20' },
  },
});
const HERE = fileURLToPath(new URL('..', import.meta.url));
const DIST = join(HERE, 'dist');
const ASSETS = Number(options.assets);
const SECONDS = Number(options.seconds);

const TARGET_KB = 350;
const TARGET_LONG_TASK_MS = 100;

async function sizes() {
  const names = (await readdir(DIST, { recursive: true })).sort();
  let packed = 0;
  let fonts = 0;
  for (const name of names) {
    if (/\.(html|js|css)$/.test(name)) packed += gzipSync(await readFile(join(DIST, name)), { level: 9 }).length;
    if (name.endsWith('.woff2')) fonts += (await readFile(join(DIST, name))).length;
  }
  return { packed: packed / 1000, fonts: fonts / 1000 };
}

/** Runs in the page before its own scripts: notes long tasks and the time of every frame. */
function observe() {
  const seen = { tasks: [], frames: [], isCounting: false };
  window.__seen = seen;
  new PerformanceObserver((list) => {
    for (const one of list.getEntries()) seen.tasks.push({ at: one.startTime, ms: one.duration });
  }).observe({ type: 'longtask', buffered: true });
  let last = performance.now();
  const frame = (now) => {
    if (seen.isCounting) seen.frames.push(now - last);
    last = now;
    requestAnimationFrame(frame);
  };
  requestAnimationFrame(frame);
}

const share = (sorted, of) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * of))] ?? 0;

/** Seconds of processor that the page's main thread has used: unlike the clock, other programs do not add to it. */
async function busy(devtools) {
  const { metrics } = await devtools.send('Performance.getMetrics');
  return metrics.find((one) => one.name === 'TaskDuration').value;
}

async function heap(page) {
  const devtools = await page.context().newCDPSession(page);
  await devtools.send('HeapProfiler.enable');
  await devtools.send('HeapProfiler.collectGarbage');
  await devtools.send('Performance.enable');
  const { metrics } = await devtools.send('Performance.getMetrics');
  return metrics.find((one) => one.name === 'JSHeapUsedSize').value / 1e6;
}

async function measure(browser, address) {
  const page = await browser.newPage({ viewport: { width: 1920, height: 1080 } });
  const said = complaints(page);
  await page.addInitScript(observe);
  await page.goto(address);
  await page.locator('.figure .big b').first().filter({ hasText: /\d/ }).waitFor({ timeout: 60_000 });
  const figures = await page.evaluate(() => performance.now());
  const count = page.locator('.figure .big span').first();
  const bays = (ASSETS - Math.round(ASSETS / 20)).toLocaleString('en-GB');
  await count.filter({ hasText: bays }).waitFor({ timeout: 120_000 });
  const whole = await page.evaluate(() => performance.now());
  const paint = await page.evaluate(() => performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? null);
  await page.waitForTimeout(5000);
  const from = await page.evaluate(() => {
    window.__seen.isCounting = true;
    return performance.now();
  });
  const devtools = await page.context().newCDPSession(page);
  await devtools.send('Performance.enable', { timeDomain: 'threadTicks' });
  const busyBefore = await busy(devtools);
  await page.waitForTimeout(SECONDS * 1000);
  const cpu = (await busy(devtools)) - busyBefore;
  const seen = await page.evaluate(() => window.__seen);
  const memory = await heap(page);
  const late = seen.tasks.filter((task) => task.at >= from).map((task) => task.ms);
  const frames = seen.frames.sort((a, b) => a - b);
  return { said, paint, figures, whole, memory, frames, cpu, late, loading: seen.tasks.filter((task) => task.at < from).map((task) => task.ms) };
}

const missing = missingBrowser();
if (missing !== null) {
  console.error(missing);
  process.exit(1);
}
const dir = await mkdtemp(join(tmpdir(), 'steward-bench-'));
const port = await freePort();
// The plain listener is needed too: mosquitto 2.0.11 does not start with a WebSocket listener alone.
await writeFile(join(dir, 'broker.conf'), `listener ${await freePort()} 127.0.0.1\nlistener ${port} 127.0.0.1\nprotocol websockets\nallow_anonymous true\nmax_queued_messages 0\nmax_inflight_messages 0\n`);
const children = [spawn('mosquitto', ['-c', join(dir, 'broker.conf')], { stdio: 'ignore' })];
let server;
let browser;
try {
  await new Promise((resolve) => setTimeout(resolve, 500));
  const bins = Math.round(ASSETS / 20);
  children.push(spawn(process.execPath, [join(HERE, 'scripts/simulate.mjs'), '--broker', `ws://127.0.0.1:${port}`, '--bays', String(ASSETS - bins), '--bins', String(bins), '--rate', options.rate], { stdio: 'ignore' }));
  await new Promise((resolve) => setTimeout(resolve, 8000));
  server = await preview({ root: HERE, logLevel: 'silent', preview: { port: await freePort(), host: '127.0.0.1' } });
  browser = await launch();
  const { packed, fonts } = await sizes();
  const found = await measure(browser, `${server.resolvedUrls.local[0]}?lang=en&theme=dark&broker=ws://127.0.0.1:${port}`);
  const worst = Math.max(0, ...found.late);
  const [load] = loadavg();
  const cores = availableParallelism();
  const isCrowded = load > cores + 1;
  const ms = (value) => `${Math.round(value)} ms`;
  const rows = [
    ['first load, with the map library', `${packed.toFixed(0)} kB`, `< ${TARGET_KB} kB`, 'gzip -9 of html, js and css'],
    ['fonts', `${fonts.toFixed(0)} kB`, '', 'woff2, already compressed; loaded after the text'],
    ['first contentful paint', found.paint === null ? 'not told' : ms(found.paint), '', 'paint timing of the browser, loopback'],
    ['first figures shown', ms(found.figures), '', 'since navigation, from retained messages'],
    [`all ${ASSETS} assets shown`, ms(found.whole), '', 'since navigation, count on the page'],
    ['JavaScript heap', `${found.memory.toFixed(0)} MB`, '', `after ${SECONDS} s of ${options.rate} updates/s, garbage collected`],
    ['main thread busy', `${((100 * found.cpu) / SECONDS).toFixed(0)} %`, '', 'processor time of its tasks, share of one core'],
    ['frame, median', ms(share(found.frames, 0.5)), '', `${found.frames.length} animation frames, ${options.rate} updates/s`],
    ['frame, 99 of 100', ms(share(found.frames, 0.99)), '', 'same'],
    ['longest task while loading', ms(Math.max(0, ...found.loading)), '', 'long task observer'],
    ['longest task after load', ms(worst), `< ${TARGET_LONG_TASK_MS} ms`, `${found.late.length} tasks over 50 ms in ${SECONDS} s, by the clock`],
    ['load of the machine', load.toFixed(1), `< ${cores} cores`, isCrowded ? 'other programs compete: clock times say little' : 'average of the last minute'],
  ];
  const width = rows[0].map((_, i) => Math.max(...rows.map((row) => row[i].length)));
  for (const row of rows) console.log(row.map((cell, i) => (i === 1 ? cell.padStart(width[i]) : cell.padEnd(width[i]))).join('  ').trimEnd());
  for (const text of found.said) console.error(`the page said: ${text}`);
  if (packed >= TARGET_KB || (!isCrowded && worst >= TARGET_LONG_TASK_MS) || found.said.length > 0) process.exitCode = 1;
} finally {
  await browser?.close();
  await server?.close();
  for (const child of children) child.kill();
  await rm(dir, { recursive: true });
}
