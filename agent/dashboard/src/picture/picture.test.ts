import { describe, expect, it, vi } from 'vitest';

import { Frames } from './frames';
import { ASSETS_MAX, PAYLOAD_MAX, Picture, TRAIL_MAX } from './picture';
import { overstaySince, standing, tally } from './tally';

const P = 'steward/v1/longcheng/xuejia/xj-0412';
const AT = Date.UTC(2026, 5, 4, 4);

function told(picture: Picture, topic: string, body: unknown, at = AT, retained = false): void {
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  picture.take({ topic: `${P}/${topic}`, payload: new TextEncoder().encode(text), retained, at });
}

function connected(): Picture {
  const picture = new Picture('dash-1');
  picture.begin();
  return picture;
}

const state = (seq: number, more: object): object => ({ v: 1, boot: 1, seq, at: new Date(AT).toISOString(), ...more });
const ignored = (picture: Picture): Record<string, number> => Object.fromEntries(picture.ignored);

describe('the picture', () => {
  it('keeps the latest of each asset, whatever comes first', () => {
    const picture = connected();
    told(picture, 'bay/b-1/state', state(1, { status: 'free' }));
    told(picture, 'bay/b-1/info', { names: { en: 'Bay 1' }, max_stay_s: 60 });
    told(picture, 'bay/b-1/state', state(2, { status: 'occupied', since: new Date(AT - 90_000).toISOString() }));
    const bay = picture.bays.get(`${P}/bay/b-1`);
    expect(bay?.state?.status).toBe('occupied');
    expect(bay?.info?.names['en']).toBe('Bay 1');
    expect(bay && overstaySince(bay, AT)).toBe(AT - 30_000);
  });

  it('never lets an older message replace a newer one', () => {
    const picture = connected();
    told(picture, 'bin/b-1/state', state(9, { level_pct: 80, status: 'ok' }));
    told(picture, 'bin/b-1/state', state(8, { level_pct: 10, status: 'ok' }));
    expect(picture.bins.get(`${P}/bin/b-1`)?.state?.levelPct).toBe(80);
    expect(ignored(picture)).toEqual({ older: 1 });
    told(picture, 'bin/b-1/state', { ...state(1, { level_pct: 12, status: 'ok' }), boot: 2 });
    expect(picture.bins.get(`${P}/bin/b-1`)?.state?.levelPct).toBe(12);
  });

  it('believes a box that starts over after a new connection', () => {
    const picture = connected();
    told(picture, 'bay/b-1/state', state(900, { status: 'free' }));
    told(picture, 'ticket/t-1/state', state(1, { rev: 7, category: 'overstay' }));
    picture.begin();
    told(picture, 'bay/b-1/state', state(3, { status: 'occupied' }), AT, true);
    told(picture, 'ticket/t-1/state', state(1, { rev: 1, category: 'overstay' }), AT, true);
    expect(picture.bays.get(`${P}/bay/b-1`)?.state?.status).toBe('occupied');
    expect(picture.tickets.get(`${P}/ticket/t-1`)?.rev).toBe(1);
  });

  it('drops what the broker no longer has once the retained messages are in', () => {
    const picture = connected();
    told(picture, 'bay/b-1/info', {});
    told(picture, 'bay/b-2/info', {});
    told(picture, 'ticket/t-1/state', state(1, { rev: 1, category: 'overstay' }));
    picture.begin();
    told(picture, 'bay/b-2/info', {}, AT, true);
    expect(picture.bays.size).toBe(2);
    picture.settle();
    expect([...picture.bays.keys()]).toEqual([`${P}/bay/b-2`]);
    expect(picture.tickets.size).toBe(0);
  });

  it('takes only growing revisions of a ticket, and an empty payload removes it', () => {
    const picture = connected();
    const ticket = { category: 'bin_full', severity: 'high', state: 'raised' };
    told(picture, 'ticket/t-1/state', state(1, { ...ticket, rev: 2, state: 'acknowledged' }));
    told(picture, 'ticket/t-1/state', state(2, { ...ticket, rev: 1 }));
    expect(picture.tickets.get(`${P}/ticket/t-1`)?.state).toBe('acknowledged');
    told(picture, 'ticket/t-1/state', '');
    expect(picture.tickets.size).toBe(0);
  });

  it('refuses a ticket under the wrong id', () => {
    const picture = connected();
    told(picture, 'ticket/t-1/state', { ticket_id: 't-2', rev: 1, category: 'x' });
    expect(picture.tickets.size).toBe(0);
    expect(ignored(picture)).toEqual({ wrong_id: 1 });
  });

  it('counts what it cannot use and goes on', () => {
    const picture = connected();
    const raw = (topic: string, payload: Uint8Array): void => picture.take({ topic, payload, retained: false, at: AT });
    told(picture, 'bay/b-1/state', 'x'.repeat(PAYLOAD_MAX + 1));
    raw(`${P}/bay/b-1/state`, new Uint8Array([0xff, 0xfe]));
    told(picture, 'bay/b-1/state', '{"level_pct":NaN}');
    told(picture, 'bay/b-1/state', '[1]');
    told(picture, 'bay/b-1/state', '['.repeat(100_000));
    raw('steward/v1/A/b/c/status', new Uint8Array([123, 125]));
    told(picture, 'gauge/g-1/state', {});
    told(picture, 'status', { state: 'dreaming' });
    told(picture, 'bay/b-1/event', {});
    expect(ignored(picture)).toEqual({
      too_long: 1,
      not_text: 1,
      not_json: 3,
      unknown_topic: 1,
      not_shown: 1,
      unknown_word: 1,
      missing_field: 2,
    });
    told(picture, 'bay/b-1/state', state(1, { status: 'free' }));
    expect(picture.bays.size).toBe(1);
  });

  it('is not poisoned by keys of the prototype', () => {
    const picture = connected();
    told(picture, 'bay/b-1/info', '{"__proto__":{"polluted":1},"names":{"__proto__":{"en":"x"}},"constructor":1}');
    expect(picture.bays.get(`${P}/bay/b-1`)?.info?.names).toEqual({});
    expect(({} as Record<string, unknown>)['polluted']).toBeUndefined();
  });

  it('is bounded', () => {
    const picture = connected();
    for (let i = 0; i <= ASSETS_MAX; i += 1) told(picture, `bin/b-${i}/state`, '{"status":"ok"}');
    expect(picture.bins.size).toBe(ASSETS_MAX);
    expect(ignored(picture)).toEqual({ full: 1 });
  });

  it('breaks a trail where nothing was heard for long', () => {
    const picture = connected();
    const fix = (seq: number, seconds: number, lat: number): void =>
      told(picture, 'vehicle/v-1/state', {
        ...state(seq, { activity: 'working', position: { lat, lon: 119.97 } }),
        at: new Date(AT + seconds * 1000).toISOString(),
      });
    fix(1, 0, 31.81);
    fix(2, 60, 31.8101);
    expect(picture.vehicles.get(`${P}/vehicle/v-1`)?.trail).toHaveLength(2);
    fix(3, 121, 31.8102);
    expect(picture.vehicles.get(`${P}/vehicle/v-1`)?.trail.map((one) => one.lat)).toEqual([31.8102]);
  });

  it('keeps a bounded trail and starts a new one after a jump', () => {
    const picture = connected();
    const fix = (seq: number, lat: number): void =>
      told(picture, 'vehicle/v/state', state(seq, { activity: 'working', position: { lat, lon: 119.97, datum: 'WGS84' } }));
    for (let i = 1; i <= TRAIL_MAX + 20; i += 1) fix(i, 31.8 + i * 1e-5);
    const vehicle = picture.vehicles.get(`${P}/vehicle/v`);
    expect(vehicle?.trail).toHaveLength(TRAIL_MAX);
    fix(1000, 31.9);
    expect(vehicle?.trail).toHaveLength(1);
  });

  it('does not draw a position of another datum, but keeps it', () => {
    const picture = connected();
    told(picture, 'vehicle/v/state', state(1, { position: { lat: 31.8, lon: 119.9, datum: 'GCJ02' } }));
    const vehicle = picture.vehicles.get(`${P}/vehicle/v`);
    expect(vehicle?.state?.place?.datum).toBe('GCJ02');
    expect(vehicle?.trail).toEqual([]);
  });

  it('shows an event once, however often it is delivered', () => {
    const picture = connected();
    const event = { specversion: '1.0', id: 'e-1', type: 'parking.session', time: new Date(AT).toISOString(), data: { stay_s: 60 } };
    told(picture, 'bay/b-1/event', event);
    told(picture, 'bay/b-1/event', event);
    expect(picture.happenings).toHaveLength(1);
    expect(picture.happenings[0]).toMatchObject({ kind: 'parking.session', subject: 'b-1', facts: [{ name: 'stay_s', value: '60' }] });
  });

  it('hands replies to this page on, and only those', () => {
    const answered = vi.fn();
    const picture = new Picture('dash-1', answered);
    told(picture, 'reply/dash-1', { id: 'c', ok: true });
    told(picture, 'reply/dash-2', { id: 'd', ok: true });
    expect(answered).toHaveBeenCalledOnce();
  });
});

describe('how a box stands', () => {
  const box = (picture: Picture) => {
    const found = picture.boxes.get(P);
    if (found === undefined) throw new Error('no box');
    return found;
  };

  it('an old last will does not undo a newer birth', () => {
    const picture = connected();
    told(picture, 'status', { state: 'online', boot: 2, conn: 5 });
    told(picture, 'status', { state: 'lost', boot: 2, conn: 4 });
    expect(standing(box(picture), AT)).toBe('online');
    told(picture, 'status', { state: 'lost', boot: 2, conn: 5 });
    expect(standing(box(picture), AT)).toBe('lost');
  });

  it('online without health for three intervals is late', () => {
    const picture = connected();
    told(picture, 'status', { state: 'online', boot: 1, conn: 1 });
    told(picture, 'health', { at: new Date(AT - 80_000).toISOString() }, AT, true);
    expect(standing(box(picture), AT)).toBe('online');
    expect(standing(box(picture), AT + 30_000)).toBe('late');
    told(picture, 'health', {}, AT + 31_000);
    expect(standing(box(picture), AT + 32_000)).toBe('online');
  });
});

describe('key figures', () => {
  it('count what is known and what is not', () => {
    const picture = connected();
    told(picture, 'bay/a/state', state(1, { status: 'free' }));
    told(picture, 'bay/b/state', state(2, { status: 'occupied' }));
    told(picture, 'bay/c/info', {});
    told(picture, 'bin/a/info', { full_at_pct: 80 });
    told(picture, 'bin/a/state', state(3, { level_pct: 85, status: 'ok' }));
    told(picture, 'bin/b/state', state(4, { level_pct: null, status: 'unknown' }));
    told(picture, 'vehicle/v/state', state(5, { activity: 'working' }));
    told(picture, 'ticket/t/state', { rev: 1, category: 'x', state: 'raised', severity: 'high' });
    told(picture, 'ticket/u/state', { rev: 1, category: 'x', state: 'closed', severity: 'high' });
    told(picture, 'ticket/w/state', { rev: 1, category: 'x', state: 'acknowledged', severity: 'odd' });
    expect(tally(picture, AT)).toMatchObject({
      bays: { free: 1, occupied: 1, unknown: 1, out_of_service: 0 },
      bins: { full: 1, unknown: 1, total: 2 },
      levels: [85],
      vehicles: { working: 1 },
      tickets: { high: 1, unrated: 1, critical: 0 },
      open: 2,
      untaken: 1,
      boxes: { online: 0, total: 1 },
    });
  });
});

describe('frames', () => {
  it('tell of many messages once', () => {
    const picture = connected();
    const runs: (() => void)[] = [];
    const frames = new Frames(picture, (run) => void runs.push(run));
    const seen: string[][] = [];
    const stop = frames.on((parts) => void seen.push([...parts].sort()));
    for (let i = 0; i < 500; i += 1) {
      told(picture, 'bay/b/state', state(i, { status: 'free' }));
      frames.mark();
    }
    expect(runs).toHaveLength(1);
    runs.shift()?.();
    expect(seen).toEqual([['assets']]);
    frames.mark();
    runs.shift()?.();
    expect(seen).toHaveLength(1);
    stop();
    told(picture, 'street/s/info', {});
    frames.mark();
    runs.shift()?.();
    expect(seen).toHaveLength(1);
  });
});
