import { describe, expect, it } from 'vitest';

import type { ParkingDay } from '../picture/figures';
import { figures } from '../readers/figures';
import { sameHours, total, weekBefore } from './sums';

/** As a box publishes a day. */
function day(date: string, more: object = {}, occupancy: (number | null)[] = []): object {
  return {
    date, occupied_s: 0, free_s: 0, blind_s: 0, out_of_service_s: 0, due: 0, unbilled: 0,
    metrics: { total_sessions: -1, turnover: -1, average_dwell_time: -1, occupancy_percent: -1 },
    occupancy: Array.from({ length: 24 }, (_, i) => occupancy[i] ?? null),
    ...more,
  };
}

function read(...days: object[]): ParkingDay[] {
  return [...(figures({ parking: { today: null, days } }).parking?.days ?? [])];
}

describe('parking sums', () => {
  it('add seconds, never shares', () => {
    const metrics = (sessions: number, dwell: number) => ({ total_sessions: sessions, average_dwell_time: dwell });
    const [busy, quiet] = [
      day('2026-06-03', { occupied_s: 3600, free_s: 0, metrics: metrics(2, 1800), due: 500 }),
      day('2026-06-04', { occupied_s: 0, free_s: 10_800, metrics: metrics(1, 600), unbilled: 1 }),
    ];
    expect(total(read(busy, quiet))).toEqual({
      occupancyPct: 25, sessions: 3, turnover: 3 / 4, dwellS: 1400, due: 500, unbilled: 1, blindPct: 0, blindS: 0,
    });
  });

  it('say nothing of a time that was mostly blind, and nothing is not free', () => {
    const blind = total(read(day('2026-06-04', { occupied_s: 1000, blind_s: 1001 })));
    expect([blind.occupancyPct, blind.sessions, blind.dwellS]).toEqual([null, null, null]);
    expect(Math.round(blind.blindPct ?? 0)).toBe(50);
    expect(total([]).occupancyPct).toBeNull();
    expect(total(read(day('2026-06-04', { occupied_s: 1000, blind_s: 1000 }))).occupancyPct).toBe(100);
  });

  it('compare the same hours of the same weekday', () => {
    const [last, today] = read(day('2026-05-28', {}, [10, 20, 90, 90]), day('2026-06-04', {}, [20, 40, -1, null]));
    const week = { today: null, days: last === undefined ? [] : [last], currency: null };
    expect(weekBefore(week, '2026-06-04')).toBe(last);
    expect(weekBefore(week, '2026-06-05')).toBeNull();
    // The blind hour and those to come are left out of both.
    expect(today && last && sameHours(today, last)).toEqual({ now: 30, then: 15 });
    expect(today && sameHours(today, { ...today, hours: [] })).toBeNull();
  });

  it('are not misled by what no box sends', () => {
    expect(figures({}).parking).toBeNull();
    expect(read({ date: 'yesterday' }, { occupied_s: 5 }, day('2026-06-04', { occupied_s: 'x', due: -4 }))).toMatchObject([
      { date: '2026-06-04', occupiedS: 0, due: 0 },
    ]);
    expect(figures({ parking: { days: [], currency: '<b>' } }).parking?.currency).toBeNull();
  });
});
