/**
 * Measures the built page and prints one table: sizes, first paint, memory and frames with a large city.
 *
 *   npm run build && npm run bench [-- --assets 10000 --rate 500 --seconds 20 --json]
 *
 * A mosquitto of its own on free ports carries the simulated city to a headless Chromium; nothing leaves the
 * loopback. Tasks are measured twice: by the clock, which other programs add to, and by the processor time
 * of the page's own thread, which they do not. `--json` prints the rows for programs; without Chromium
 * there are sizes only, and that is said.
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
    json: { type: 'boolean', default: false },
  },
});
const HERE = fileURLToPath(new URL('..', import.meta.url));
const DIST = join(HERE, 'dist');
const ASSETS = Number(options.assets);
const SECONDS = Number(options.seconds);

const TARGET_KB = 350;
const TARGET_WITH_MAP_KB = 700;
const TARGET_LONG_TASK_MS = 100;

/** Kilobytes of what is loaded first, packed; the map's library is a file of its own. */
async function sizes() {
  const names = (await readdir(DIST, { recursive: true })).sort();
  const sum = { page: 0, map: 0, fonts: 0 };
  for (const name of names) {
    const bytes = async () => gzipSync(await readFile(join(DIST, name)), { level: 9 }).length;
    if (/\.(html|js|css)$/.test(name)) sum[/leaflet/.test(name) ? 'map' : 'page'] += (await bytes()) / 1000;
    if (name.endsWith('.woff2')) sum.fonts += (await readFile(join(DIST, name))).length / 1000;
  }
  return sum;
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

/** The longest tasks of the page's main thread in its own processor time, from the browser's trace. */
function longestTasks(trace) {
  const { traceEvents } = JSON.parse(trace.toString());
  const name = (event) => (event.name === 'thread_name' ? event.args.name : null);
  const main = new Set(traceEvents.filter((event) => name(event) === 'CrRendererMain').map((event) => `${event.pid}/${event.tid}`));
  const isTask = (event) => event.ph === 'X' && event.name === 'ThreadControllerImpl::RunTask' && main.has(`${event.pid}/${event.tid}`);
  const tasks = traceEvents.filter(isTask);
  // The first and the last second are the tracer's own: it starts and ends inside the page's thread.
  const times = tasks.map((event) => event.ts);
  const [from, until] = [times.reduce((a, b) => Math.min(a, b), Infinity) + 1e6, times.reduce((a, b) => Math.max(a, b), 0) - 1e6];
  const own = tasks.filter((event) => event.ts > from && event.ts < until);
  return own.map((event) => (event.tdur ?? 0) / 1000).sort((a, b) => b - a);
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
  await browser.startTracing(page, { categories: ['toplevel', '__metadata'] });
  await page.waitForTimeout(SECONDS * 1000);
  const tasks = longestTasks(await browser.stopTracing());
  const cpu = (await busy(devtools)) - busyBefore;
  const seen = await page.evaluate(() => window.__seen);
  const memory = await heap(page);
  const late = seen.tasks.filter((task) => task.at >= from).map((task) => task.ms);
  const frames = seen.frames.sort((a, b) => a - b);
  return { said, paint, figures, whole, memory, frames, cpu, tasks, late, loading: seen.tasks.filter((task) => task.at < from).map((task) => task.ms) };
}

/** A row of the table; `most` is the target. */
const row = (figure, value, unit, how, most = null) => ({ figure, value, unit, how, most });

async function sizeRows() {
  const { page, map, fonts } = await sizes();
  return [
    row('first load without the map library', page, 'kB', 'gzip -9 of html, js and css', TARGET_KB),
    row('first load with the map library', page + map, 'kB', 'the same and Leaflet', TARGET_WITH_MAP_KB),
    row('fonts', fonts, 'kB', 'woff2, packed already; loaded after the text'),
  ];
}

function liveRows(found) {
  const [load] = loadavg();
  const cores = availableParallelism();
  const crowd = load > cores + 1 ? `by the clock, with a load of ${load.toFixed(0)} on ${cores} cores` : 'by the clock';
  const updates = `${options.rate} updates/s, ${ASSETS} assets`;
  return [
    row('first contentful paint', found.paint ?? Number.NaN, 'ms', `paint timing of the browser, loopback, ${crowd}`),
    row('first figures shown', found.figures, 'ms', `from retained messages, since navigation, ${crowd}`),
    row(`all ${ASSETS} assets shown`, found.whole, 'ms', `the count on the page, since navigation, ${crowd}`),
    row('JavaScript heap', found.memory, 'MB', `after ${SECONDS} s of ${updates}, garbage collected`),
    row('main thread busy', (100 * found.cpu) / SECONDS, '%', 'processor time of its tasks, share of one core'),
    row('frame, median', share(found.frames, 0.5), 'ms', `${found.frames.length} animation frames, ${updates}, ${crowd}`),
    row('frame, 99 of 100', share(found.frames, 0.99), 'ms', 'same'),
    row('longest task while loading', Math.max(0, ...found.loading), 'ms', `long task observer, ${crowd}`),
    row('longest task after load', found.tasks[0] ?? 0, 'ms', `processor time of the task, ${found.tasks.length} tasks in ${SECONDS} s, ${updates}`, TARGET_LONG_TASK_MS),
    row('the same by the clock', Math.max(0, ...found.late), 'ms', `${found.late.length} tasks over 50 ms, ${crowd}`),
  ];
}

async function live() {
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
    const found = await measure(browser, `${server.resolvedUrls.local[0]}?lang=en&theme=dark&broker=ws://127.0.0.1:${port}`);
    for (const text of found.said) console.error(`the page said: ${text}`);
    if (found.said.length > 0) process.exitCode = 1;
    return liveRows(found);
  } finally {
    await browser?.close();
    await server?.close();
    for (const child of children) child.kill();
    await rm(dir, { recursive: true });
  }
}

function print(rows) {
  const text = ({ value, unit }) => (Number.isNaN(value) ? 'not told' : `${Math.round(value)} ${unit}`);
  const verdict = ({ value, most }) => (most === null ? '' : `< ${most} ${value < most ? 'met' : 'MISSED'}`);
  const lines = rows.map((one) => [one.figure, text(one), verdict(one), one.how]);
  const width = [0, 1, 2].map((i) => Math.max(...lines.map((line) => line[i].length)));
  for (const line of lines) console.log(line.map((cell, i) => (i === 1 ? cell.padStart(width[i]) : cell.padEnd(width[i] ?? 0))).join('  ').trimEnd());
}

const missing = missingBrowser();
const rows = await sizeRows();
if (missing === null) rows.push(...(await live()));
else console.error(`sizes only: ${missing}`);
if (options.json) console.log(JSON.stringify(rows));
else print(rows);
