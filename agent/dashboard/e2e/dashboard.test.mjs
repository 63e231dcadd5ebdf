/**
 * The page in a real browser against the real program: `npm run e2e`.
 *
 * What the page shows is compared with what a second MQTT client reads from the same broker, so no
 * expected value is written down here. The tests run in order, on one demo and one page each.
 */

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { after, before, describe, it } from 'node:test';

import { complaints, launch, missingBrowser } from '../scripts/browser.mjs';
import { startDemo } from '../scripts/demo.mjs';
import { sendHostile } from '../scripts/hostile.mjs';
import { startBroker } from './broker.mjs';
import { policy, servePlain } from './plain.mjs';
import { until, witness } from './witness.mjs';

const skip = missingBrowser() ?? false;
const axe = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
/** Of the hostile messages so many can be used for nothing. */
const HOSTILE_IGNORED = 10;
const HOSTILE_BOX = 'steward/v1/longcheng/xuejia/hostile';

let demo;
let eyes;
let browser;

async function open(query = '?lang=en&theme=light', size = { width: 1280, height: 800 }, more = {}) {
  const context = await browser.newContext({ viewport: size, ...more });
  const page = await context.newPage();
  // A killed demo is tested: the browser's own report of the lost socket is no fault of the page.
  const said = complaints(page, (text) => /WebSocket connection to .* failed/.test(text));
  await page.goto(demo.url + query);
  await complete(page);
  return { page, said, close: () => context.close() };
}

/** The page is connected and has everything that the broker kept. */
const complete = (page) => page.locator('.page[data-settled="true"]:has(.state[data-is="live"])').waitFor({ timeout: 30_000 });

/** What was begun on the page is over: it has drawn, and nothing moves but what moves for ever. */
const still = (page) =>
  page.evaluate(async () => {
    const frame = () => new Promise((resolve) => requestAnimationFrame(resolve));
    await document.fonts.ready;
    await frame();
    await frame();
    const passing = document.getAnimations().filter((one) => Number.isFinite(one.effect?.getComputedTiming().endTime));
    await Promise.allSettled(passing.map((one) => one.finished));
  });

/** Presses a tab or a page behind one, and waits until it is the present one. */
async function press(button) {
  await button.click();
  await until('the view is the present one', async () => (await button.getAttribute('aria-current')) === 'page');
}

/** Goes to a tab, or to a page behind it. */
async function go(page, tab, behind = null) {
  await press(page.locator('.view-tabs').getByRole('button', { name: new RegExp(`^${tab}`) }));
  if (behind !== null) await press(page.locator('.view-pages').getByRole('button', { name: behind, exact: true }));
}

/** Calls `look` in every view, and on every page behind it. */
async function everyView(page, look) {
  for (const tab of await page.locator('.view-tabs button').all()) {
    await press(tab);
    await still(page);
    await look((await tab.textContent()) ?? '');
    const behind = page.locator('.view-pages button').nth(1);
    if ((await behind.count()) === 0) continue;
    await press(behind);
    await still(page);
    await look((await behind.textContent()) ?? '');
  }
}

const tile = async (page, label) => (await page.locator('.tile', { hasText: label }).first().locator('b').textContent())?.trim();

const figure = async (page, n) => (await page.locator('.figure').nth(n).locator('.big b').textContent())?.trim();

async function seriousFindings(page) {
  // By the debugger's way in: the page's policy refuses foreign scripts, and shall.
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() =>
    window.axe.run(document, { resultTypes: ['violations'] }),
  );
  return violations
    .filter((one) => one.impact === 'serious' || one.impact === 'critical')
    .map((one) => `${one.id}: ${one.nodes.map((node) => node.target.join(' ')).join(', ')}`);
}

/** What the box of the demo remembers, asked for as anybody could. */
async function history() {
  const [prefix] = eyes.topics(/\/status$/)[0].split('/status');
  const entries = [];
  for (let from = 0; from !== undefined; ) {
    const id = `eyes-${from}-${Date.now()}`;
    eyes.client.publish(`${prefix}/cmd/history`, JSON.stringify({ id, by: 'eyes', args: { from } }), { qos: 1 });
    const answer = await until('the box answers', () => eyes.all(/\/reply\/eyes$/).find((one) => one.id === id));
    entries.push(...answer.result.entries);
    from = answer.result.next;
  }
  return { prefix, entries };
}

before(async () => {
  if (skip) return;
  demo = await startDemo({ speed: 120 });
  eyes = await witness(demo.mqtt);
  browser = await launch();
});

after(async () => {
  await browser?.close();
  await eyes?.end();
  await demo?.stop();
});

describe('the dashboard on a running demo', { skip }, () => {
  it('connects and shows the bays and levels that the broker holds', async () => {
    const { page, said, close } = await open();
    await until('all 20 bays and 12 bins have reported', () =>
      eyes.all(/\/bay\/.*\/state$/).length >= 20 && eyes.all(/\/bin\/.*\/state$/).length >= 12, 60_000);
    await until('the free bays agree', async () => {
      const free = eyes.all(/\/bay\/.*\/state$/).filter((one) => one.status === 'free').length;
      return (await figure(page, 0)) === String(free);
    });
    await go(page, 'Waste', 'Bins');
    await until('every level agrees', async () => {
      const shown = (await page.locator('td.is-level').allTextContents()).map((text) => Number.parseInt(text, 10));
      const held = eyes.all(/\/bin\/.*\/state$/).map((one) => one.level_pct).filter((level) => level !== null);
      const wanted = held.map((level) => Math.round(level)).sort((a, b) => b - a);
      return held.length > 0 && wanted.every((level, i) => Math.abs(level - shown[i]) <= 1);
    });
    assert.deepEqual(said, []);
    await close();
  });

  it('shows a ticket that is raised while one looks, and takes it for the agent to see', async () => {
    const { page, said, close } = await open();
    await page.evaluate(() => (window.__sameDocument = true));
    const rows = page.locator('.side [data-ticket]');
    const before = new Set(await rows.evaluateAll((all) => all.map((one) => one.dataset.ticket)));
    const key = await until('a new ticket', async () => {
      const now = await rows.evaluateAll((all) => all.map((one) => one.dataset.ticket));
      return now.find((one) => !before.has(one));
    }, 90_000);
    assert.equal(await page.evaluate(() => window.__sameDocument), true, 'the page was loaded anew');

    await page.locator(`.side [data-ticket="${key}"]`).click();
    const note = `e2e ${Date.now()}`;
    await page.locator('.drawer textarea').fill(note);
    await page.locator('.drawer').getByRole('button', { name: 'Acknowledge' }).click();
    const held = await until('the agent has taken it', () =>
      eyes.all(/\/ticket\/.*\/state$/).find((one) => key.endsWith(`/ticket/${one.ticket_id}`) && one.flow.some((step) => step.note === note)));
    const step = held.flow.find((one) => one.note === note);
    assert.match(step.by, /^dash-/);
    assert.equal(held.rev >= 2, true);
    await page.locator('.drawer .outcome.done').waitFor();
    assert.match(await page.locator('.drawer .flow').textContent(), new RegExp(note));
    await page.locator('.drawer').getByRole('button', { name: 'Assign' }).click();
    await page.locator('.drawer .asked').getByRole('button', { name: 'Assign' }).click();
    await until('the agent has given it to a crew', () =>
      eyes.all(/\/ticket\/.*\/state$/).find((one) => key.endsWith(`/ticket/${one.ticket_id}`) && one.state === 'dispatched' && one.crew !== undefined));
    assert.deepEqual(said, []);
    await close();
  });

  it('shows the figures of the day that the boxes keep, and adds streets up', async () => {
    const { page, said, close } = await open();
    await go(page, 'Parking');
    await until('the occupancy of today agrees with the sums that are retained', async () => {
      const days = eyes.all(/\/street\/.*\/figures$/).map((one) => one.parking?.today).filter((day) => day != null);
      const sum = (name) => days.reduce((all, day) => all + day[name], 0);
      const share = Math.round((100 * sum('occupied_s')) / (sum('occupied_s') + sum('free_s')));
      return days.length > 0 && (await tile(page, 'Occupied today')) === `${share}%`;
    }, 90_000);
    await go(page, 'Waste');
    await until('the collections of today agree', async () => {
      const days = eyes.all(/\/bin\/.*\/figures$/).map((one) => one.waste.today).filter((day) => day !== null);
      return (await tile(page, 'Collections')) === String(days.reduce((all, day) => all + day.collections, 0));
    }, 60_000);
    await until('the bins that are full agree', async () => {
      const full = eyes.all(/\/bin\/.*\/state$/).filter((one) => ['full', 'overflow'].includes(one.status)).length;
      return (await tile(page, 'Full now')) === String(full);
    });
    assert.deepEqual(said, []);
    await close();
  });

  it('shows what is due, when bins will be full, and what the box remembers of the time before', async () => {
    const { page, said, close } = await open();
    await go(page, 'Parking');
    await until('what is due agrees with the sums that are retained', async () => {
      const days = eyes.all(/\/street\/.*\/figures$/).map((one) => one.parking?.today).filter((day) => day != null);
      const due = days.reduce((all, day) => all + day.due, 0) / 100;
      return due > 0 && (await tile(page, 'Due today')) === new Intl.NumberFormat('en-GB', { style: 'currency', currency: 'CNY', currencyDisplay: 'narrowSymbol' }).format(due);
    }, 60_000);
    await go(page, 'Waste');
    await until('every bin that is filling has its forecast', async () => {
      const bins = eyes.all(/\/bin\/.*\/state$/);
      const foreseen = bins.filter((one) => one.full_expected && !['full', 'overflow'].includes(one.status)).length;
      return foreseen > 0 && (await page.locator('.lane .point:not(.full)').count()) === foreseen;
    });
    await page.getByText('as the boxes remember them').waitFor();
    const { prefix, entries } = await history();
    const collections = entries.filter((one) => one.type === 'waste.collection');
    assert.equal(collections.length > 10, true, `${collections.length} collections below ${prefix}`);
    await until('collections from before the page was opened', async () => (await page.locator('li.collection').count()) > 10);
    await go(page, 'Sweeping');
    const track = entries.find((one) => one.type === 'track');
    await until('the replay begins where the first track does', async () => {
      const from = Number(await page.locator('.time input[type=range]').getAttribute('min'));
      return Math.abs(from - Date.parse(track.data.from)) < 60_000;
    });
    assert.deepEqual(said, []);
    await close();
  });

  it('counts the cases of the assessment, and leads from a figure to a flow log', async () => {
    const { page, said, close } = await open();
    await go(page, 'Assessment');
    await until('every established case is counted once', async () => {
      const cases = eyes.all(/\/ticket\/.*\/state$/).filter((one) => one.flow.some((step) => ['raised', 'suppressed'].includes(step.step)));
      const own = cases.filter((one) => one.internal === true).length;
      const shown = await page.locator('.assessment table').first().locator('tbody tr td:nth-child(2) b').allTextContents();
      return shown.length === 2 && Number(shown[0]) === cases.length - own && Number(shown[1]) === own;
    });
    await page.locator('.assessment').getByRole('button', { name: /^City cases, Cases/ }).click();
    await page.locator('.assessment section tbody button').first().click();
    await page.locator('.drawer .flow li').first().waitFor();
    await page.locator('.drawer .chain', { hasText: 'every hash fits' }).waitFor();
    assert.deepEqual(said, []);
    await close();
  });

  it('shows the clocks of the street, not those of the reader', async () => {
    const { page, close } = await open('?lang=en&theme=light', { width: 1280, height: 800 }, { timezoneId: 'America/New_York' });
    await page.locator('.clock .zone', { hasText: 'GMT+8' }).waitFor();
    const shown = await page.locator('.clock').evaluate((clock) => ({ text: clock.querySelector('.hours').textContent, at: clock.dateTime }));
    const there = new Intl.DateTimeFormat('en-GB', { timeStyle: 'medium', timeZone: 'Asia/Shanghai' }).format(new Date(shown.at));
    assert.equal(shown.text, there);
    await close();
  });

  it('switches language and theme without loading anew, and keeps both', async () => {
    const { page, close } = await open('');
    await page.getByRole('button', { name: '中文' }).click();
    await page.locator('html[lang="zh-CN"]').waitFor();
    assert.equal(await page.locator('.figure h2').first().textContent(), '停车泊位');
    const theme = () => page.locator('html').getAttribute('data-theme');
    const background = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    const seen = new Set();
    for (let i = 0; i < 3; i += 1) {
      await page.locator('button.theme').click();
      seen.add(`${await theme()} ${await background()}`);
    }
    assert.equal(seen.size, 2, [...seen].join(', '));
    await page.reload();
    await page.locator('html[lang="zh-CN"]').waitFor();
    await close();
  });

  it('fits a phone: no sideways scrolling in any view, tabs within reach of a thumb', async () => {
    const { page, said, close } = await open('?lang=en&theme=dark', { width: 390, height: 844 });
    await everyView(page, async (name) => {
      const over = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      assert.equal(over <= 0, true, `${name} is ${over} px too wide`);
    });
    for (const tab of await page.locator('.view-tabs button').all()) {
      const box = await tab.boundingBox();
      assert.equal(box !== null && box.height >= 44 && box.y > 700, true, JSON.stringify(box));
    }
    assert.deepEqual(said, []);
    await close();
  });

  for (const [theme, lang] of [['light', 'en'], ['dark', 'zh']]) {
    it(`has no serious accessibility finding in any view (${theme}, ${lang})`, async () => {
      const { page, close } = await open(`?lang=${lang}&theme=${theme}`);
      await everyView(page, async (name) => assert.deepEqual(await seriousFindings(page), [], name));
      await page.locator('.view-tabs button').nth(1).click();
      await page.locator('[data-ticket]:visible').first().click();
      await page.locator('.drawer').waitFor();
      await still(page);
      assert.deepEqual(await seriousFindings(page), [], 'the ticket drawer');
      await close();
    });
  }

  it('shows hostile messages as text or counts them, and goes on', async () => {
    const { page, said, close } = await open();
    const title = await page.title();
    sendHostile((topic, payload, retain) => eyes.client.publish(topic, payload, { qos: 0, retain }), HOSTILE_BOX);
    await page.locator('[data-ticket$="/ticket/t-hostile1"]').first().click();
    assert.match(await page.locator('.drawer h2').textContent(), /<img src=x/i);
    assert.equal(await page.locator('.drawer img, .drawer script').count(), 0);
    await page.locator('.page-health summary').click();
    await until('what could not be used is counted', async () => {
      const ignored = (await page.locator('.page-health .numbers b').last().textContent()) ?? '';
      return Number(ignored.replaceAll(',', '')) >= HOSTILE_IGNORED;
    });
    for (const [tab, behind] of [['Parking', 'Bays'], ['Waste', 'Bins'], ['Sweeping', 'Vehicles']]) {
      await go(page, tab, behind);
      await page.locator('table tbody tr:not(.space)').first().waitFor();
    }
    await everyView(page, async (name) => {
      assert.equal(await page.locator('.failed').count(), 0, `a part of ${name} has failed`);
      const { seen, script } = await page.evaluate(() => ({
        seen: document.querySelector('main')?.innerText.trim().length ?? 0,
        script: document.querySelectorAll('main script, main img:not(.leaflet-tile), [onerror]').length,
      }));
      assert.equal(seen > 20 && seen < 400_000, true, `${name} shows ${seen} characters`);
      assert.equal(script, 0, `${name} has elements that a message made`);
    });
    assert.equal(await page.title(), title, 'a script of a message has run');
    assert.deepEqual(said, []);
    await close();
  });

  it('asks for credentials only when the broker does, and keeps them in the tab alone', async () => {
    const guard = await startBroker({ user: 'duty', password: 'right' });
    const context = await browser.newContext();
    const page = await context.newPage();
    await page.goto(`${demo.url}?lang=en&broker=ws://127.0.0.1:${guard.port}`);
    const enter = async (password) => {
      await page.getByLabel('User name').fill('duty');
      await page.getByLabel('Password').fill(password);
      await page.getByRole('button', { name: 'Log in' }).click();
    };
    await page.getByRole('heading', { name: 'Log in to the broker' }).waitFor();
    await still(page);
    assert.deepEqual(await seriousFindings(page), []);
    await enter('wrong');
    await page.getByRole('alert').filter({ hasText: 'did not accept' }).waitFor();
    await enter('right');
    await page.locator('.state[data-is="live"]').waitFor();
    await page.reload();
    await page.locator('.state[data-is="live"]').waitFor();
    assert.equal(await page.evaluate(() => JSON.stringify(localStorage).includes('right')), false);
    await context.close();
    await guard.stop();
  });

  it('runs as plain files below any path, beside any broker, and shows tiles only where it is told of some', async () => {
    const broker = await startBroker();
    const away = `ws://127.0.0.1:${broker.port}`;
    const writer = await witness(broker.mqtt);
    const box = 'steward/v1/plain/files/b-1';
    const tell = (topic, body) => writer.client.publishAsync(`${box}/${topic}`, JSON.stringify(body), { qos: 1, retain: true });
    await tell('status', { state: 'online', boot: 1, conn: 1, at: new Date().toISOString() });
    await tell('bay/b-1/info', { names: { en: 'The only bay' }, position: { lat: 31.81, lon: 119.97 } });
    await tell('bay/b-1/state', { status: 'free', at: new Date().toISOString() });
    for (const tiles of [null, { url: '/tiles/{z}/{x}/{y}.png', attribution: '© <b>them</b>' }]) {
      const site = await servePlain({ csp: policy(away), base: '/city/', page: tiles === null ? null : { tiles } });
      const context = await browser.newContext();
      const page = await context.newPage();
      const said = complaints(page);
      await page.goto(`${site.url}?lang=en&broker=${away}`);
      await complete(page);
      await until('the bay is shown', async () => (await figure(page, 0)) === '1');
      if (tiles !== null) {
        await page.locator('img.leaflet-tile-loaded').first().waitFor();
        assert.equal(await page.locator('.attribution').textContent(), tiles.attribution);
      }
      assert.equal(site.asked.some((path) => path.startsWith('/tiles/')), tiles !== null);
      assert.deepEqual(said, []);
      await context.close();
      await site.stop();
    }
    await writer.end();
    await broker.stop();
  });

  it('is read-only on a wall: no buttons but the map, no commands', async () => {
    const { page, said, close } = await open('?lang=en&theme=dark&wall', { width: 1920, height: 1080 });
    assert.equal(await page.locator('nav').count(), 0);
    await page.locator('.side [data-ticket]').first().click();
    await page.locator('.drawer .flow').waitFor();
    await still(page);
    assert.equal(await page.locator('.drawer textarea').count(), 0);
    assert.equal(await page.locator('.drawer').getByRole('button', { name: /Acknowledge|Reject/ }).count(), 0);
    assert.deepEqual(await seriousFindings(page), []);
    assert.deepEqual(said, []);
    await close();
  });

  it('takes the tickets by keyboard: search, arrows, Enter, Escape', async () => {
    const { page, close } = await open('?lang=en&theme=light#tickets');
    const rows = page.locator('.stage [data-ticket]');
    await rows.first().waitFor();
    await page.keyboard.press('/');
    assert.equal(await page.evaluate(() => document.activeElement?.matches('input[type=search]')), true);
    await page.keyboard.press('ArrowDown');
    assert.equal(await rows.first().evaluate((one) => one === document.activeElement), true);
    await page.keyboard.press('Enter');
    await page.locator('.drawer').waitFor();
    await page.keyboard.press('Escape');
    await page.locator('.drawer').waitFor({ state: 'detached' });
    await page.getByRole('button', { name: /^Opened/ }).click();
    assert.equal(await page.locator('th', { hasText: 'Opened' }).getAttribute('aria-sort'), 'descending');
    await page.locator('input[type=search]').fill('no such ticket anywhere');
    await page.getByText('No ticket matches the filter.').waitFor();
    await close();
  });

  it('says when the link is lost, keeps the picture with its age, and comes back', async () => {
    const { page, said, close } = await open();
    await until('bays', async () => (await figure(page, 0)) !== '—');
    const { http, mqtt } = demo;
    await eyes.end();
    await demo.stop('SIGKILL');
    await page.locator('.state[data-is="lost"]').waitFor({ timeout: 10_000 });
    await page.locator('.banner strong', { hasText: /What you see is .* old/ }).waitFor();
    assert.notEqual(await figure(page, 0), '—');
    await still(page);
    assert.deepEqual(await seriousFindings(page), []);
    demo = await startDemo({ speed: 120, http, mqtt });
    await page.locator('.state[data-is="live"]').waitFor({ timeout: 30_000 });
    await page.locator('.banner').waitFor({ state: 'detached' });
    assert.deepEqual(said, []);
    await close();
  });
});
