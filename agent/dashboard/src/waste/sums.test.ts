import { describe, expect, it } from 'vitest';

import { Picture } from '../picture/picture';
import { event as eventOf } from '../readers/events';
import { byDate, capacities, prospect, ranked, total } from './sums';

const P = 'steward/v1/longcheng/xuejia/xj-0412';
const NOW = Date.UTC(2026, 5, 4, 4);
const iso = (hours: number): string => new Date(NOW + hours * 3_600_000).toISOString();

function heard(messages: Record<string, object>): Picture {
  const picture = new Picture();
  picture.begin();
  for (const [topic, body] of Object.entries(messages)) {
    picture.take({ topic: `${P}/${topic}`, payload: new TextEncoder().encode(JSON.stringify(body)), retained: true, at: NOW });
  }
  return picture;
}

describe('the bins', () => {
  it('are ranked by the time until they are full, what nobody knows last', () => {
    const picture = heard({
      'bin/late/state': { level_pct: 10, status: 'ok', full_expected: { at: iso(30), earliest: iso(20), latest: iso(50) } },
      'bin/soon/state': { level_pct: 60, status: 'ok', full_at: null, full_expected: { at: iso(2), earliest: iso(1), latest: iso(3) } },
      'bin/full/state': { level_pct: 84, status: 'full' },
      'bin/blind/state': { level_pct: null, status: 'unknown' },
      'bin/half/state': { level_pct: 50, status: 'ok' },
    });
    const order = ranked(picture.bins.values(), NOW);
    expect(order.map((one) => one.bin.id)).toEqual(['full', 'soon', 'late', 'half', 'blind']);
    expect(order[1]?.prospect).toEqual({ is: 'filling', inMs: 2 * 3_600_000, earliestMs: 3_600_000, latestMs: 3 * 3_600_000 });
    const bin = picture.bins.get(`${P}/bin/soon`);
    expect(bin && prospect(bin, NOW + 5 * 3_600_000)).toMatchObject({ is: 'filling', inMs: 0, earliestMs: 0 });
  });

  it('add up by day and street', () => {
    const picture = heard({
      'bin/a/figures': { waste: { today: { day: '2026-06-04', overflow_ms: 60_000, collections: 1, early: 1 }, days: [{ day: '2026-06-03', collections: 2 }] } },
      'bin/b/figures': { waste: { today: { day: '2026-06-04', collections: 3, litres: 90 }, days: [] } },
      'street/x/figures': { waste: { days: [], capacity: { bins: 2, unknown: 1, capacity_l: 240, filled_l: 60, full: 0, ahead: [{ hours: 24, filled_l: 120, full: 1 }, {}] } } },
      'street/y/figures': { parking: { days: [] } },
    });
    const days = [...picture.bins.values()].flatMap((bin) => {
      const waste = bin.figures?.waste;
      return waste == null ? [] : [...waste.days, ...(waste.today === null ? [] : [waste.today])];
    });
    expect(byDate(days).map((day) => [day.date, day.collections])).toEqual([['2026-06-03', 2], ['2026-06-04', 4]]);
    expect(total(days)).toMatchObject({ collections: 6, early: 1, litres: 90, overflowMs: 60_000, deposits: 0 });
    const held = capacities(picture.streets.values());
    expect(held.map(({ capacity }) => [capacity.bins, capacity.ahead.length])).toEqual([[2, 1]]);
    expect(capacities(heard({ 'street/z/figures': { waste: { capacity: { bins: 'many' } } } }).streets.values())).toEqual([]);
  });

  it('leave a trace of events that a bin or a vehicle is the subject of', () => {
    const event = (type: string, data: object, n: number): object => ({ specversion: '1.0', id: `e-${n}`, type, time: iso(0), data });
    const picture = heard({
      'bin/a/event': event('waste.collection', { level_before_pct: 90, level_after_pct: 4, volume_l: 200, by: { vehicle: 'c-1', known_by: 'tag', net_g: 41_000 } }, 1),
      'vehicle/c-1/event': event('waste.trip', { lifts: 9, lifted_kg: 400, station_kg: 380, difference_pct: -5 }, 2),
      'bay/b/event': event('parking.session', { quality: 'exact', billable: true, duration_s: 60, fee: { total: 500 } }, 3),
      'street/x/event': event('sweep.road', { cells: 3 }, 4),
    });
    expect(picture.chronicle.custody.map((one) => [one.subject, one.what.what, one.what.by, one.what.kg])).toEqual([
      ['a', 'collection', 'c-1', 41], ['c-1', 'trip', null, 400],
    ]);
    expect(picture.chronicle.stays[0]?.what).toMatchObject({ quality: 'exact', isBillable: true, total: 500 });
  });

  it('keep what boxes remember in its place, once', () => {
    const picture = heard({ 'bin/a/state': { status: 'ok' } });
    const at = (minutes: number): number => NOW + minutes * 60_000;
    const lift = (minutes: number) => ({
      class: 'bin' as const, id: 'a', at: at(minutes), track: [],
      meaning: eventOf({ type: 'waste.lift', data: { net_kg: minutes } }),
    });
    picture.recall(P, [lift(5), lift(1)]);
    picture.recall(P, [lift(3), lift(5)]);
    expect(picture.chronicle.custody.map((one) => one.what.kg)).toEqual([1, 3, 5]);
  });
});
