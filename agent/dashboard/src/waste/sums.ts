/** What the bins of a city come to, and which of them is full first. Pure; the time is an argument. */

import type { Capacity, WasteDay } from '../picture/figures';
import type { Bin, Street } from '../picture/model';
import { isFull } from '../picture/tally';

/** How far ahead forecasts are drawn. */
export const HORIZON_MS = 72 * 3_600_000;

export interface WasteTotal {
  readonly overflowMs: number;
  readonly collections: number;
  readonly early: number;
  readonly litres: number;
  readonly liftedG: number;
  readonly deposits: number;
  readonly violations: number;
}

/** Days of one bin or several together. */
export function total(days: readonly WasteDay[]): WasteTotal {
  const sum = { overflowMs: 0, collections: 0, early: 0, litres: 0, liftedG: 0, deposits: 0, violations: 0 };
  for (const day of days) {
    for (const key of Object.keys(sum) as (keyof WasteTotal)[]) sum[key] += day[key];
  }
  return sum;
}

/** Days by their date, added up over bins, oldest first. */
export function byDate(days: readonly WasteDay[]): WasteDay[] {
  const dates = new Map<string, WasteDay[]>();
  for (const day of days) {
    const known = dates.get(day.date);
    if (known === undefined) dates.set(day.date, [day]);
    else known.push(day);
  }
  return [...dates].map(([date, some]) => ({ date, ...total(some) })).sort((a, b) => (a.date < b.date ? -1 : 1));
}

/** When a bin will be full. `now`: it is; `unknown`: nobody can say. */
export type Prospect =
  | { readonly is: 'full' }
  | { readonly is: 'filling'; readonly inMs: number; readonly earliestMs: number | null; readonly latestMs: number | null }
  | { readonly is: 'unknown' };

export function prospect(bin: Bin, now: number): Prospect {
  if (isFull(bin)) return { is: 'full' };
  const state = bin.state;
  const at = state?.expected?.at ?? state?.fullAt ?? null;
  if (at === null) return { is: 'unknown' };
  const until = (time: number | null | undefined): number | null => (time == null ? null : Math.max(0, time - now));
  return { is: 'filling', inMs: Math.max(0, at - now), earliestMs: until(state?.expected?.earliest), latestMs: until(state?.expected?.latest) };
}

export interface Ranked {
  readonly bin: Bin;
  readonly prospect: Prospect;
}

/** Full bins first, then by the time that is left; bins of which nobody can say stand last, the fullest first. */
export function ranked(bins: Iterable<Bin>, now: number): Ranked[] {
  const order = { full: 0, filling: 1, unknown: 2 } as const;
  const level = (one: Ranked): number => one.bin.state?.levelPct ?? -1;
  return [...bins]
    .map((bin) => ({ bin, prospect: prospect(bin, now) }))
    .sort((a, b) => {
      const groups = order[a.prospect.is] - order[b.prospect.is];
      if (groups !== 0) return groups;
      if (a.prospect.is === 'filling' && b.prospect.is === 'filling') return a.prospect.inMs - b.prospect.inMs;
      return level(b) - level(a) || a.bin.id.localeCompare(b.bin.id);
    });
}

/** The streets whose boxes add up what their bins hold. */
export function capacities(streets: Iterable<Street>): { readonly street: Street; readonly capacity: Capacity }[] {
  const found: { street: Street; capacity: Capacity }[] = [];
  for (const street of streets) {
    const capacity = street.figures?.waste?.capacity ?? null;
    if (capacity !== null && capacity.bins > 0) found.push({ street, capacity });
  }
  return found.sort((a, b) => b.capacity.filledL / (b.capacity.capacityL || 1) - a.capacity.filledL / (a.capacity.capacityL || 1));
}
