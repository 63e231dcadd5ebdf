/**
 * What bays and streets come to together. Sums are added as the domain adds them; nothing is averaged that
 * is a share already.
 */

import type { ParkingDay, ParkingWeek } from '../picture/figures';
import { BAY_STATUSES, type Bay, type BayStatus, type Street } from '../picture/model';

/** Several days or streets together. `null`: nobody knows. */
export interface Total {
  /** Share of the seen time that was occupied, in percent. */
  readonly occupancyPct: number | null;
  readonly sessions: number | null;
  /** Stays per bay and hour in service. */
  readonly turnover: number | null;
  readonly dwellS: number | null;
  readonly due: number;
  readonly unbilled: number;
  /** Share of the time in service that nobody saw, in percent. */
  readonly blindPct: number | null;
  readonly blindS: number;
}

/** Days of one place or several, added up. More than half of the time blind has no figures, as in the domain. */
export function total(days: readonly ParkingDay[]): Total {
  const sum = { occupied: 0, free: 0, blind: 0, sessions: 0, dwell: 0, due: 0, unbilled: 0 };
  for (const day of days) {
    sum.occupied += day.occupiedS;
    sum.free += day.freeS;
    sum.blind += day.blindS;
    sum.sessions += day.sessions ?? 0;
    sum.dwell += (day.sessions ?? 0) * (day.dwellS ?? 0);
    sum.due += day.due;
    sum.unbilled += day.unbilled;
  }
  const inService = sum.occupied + sum.free + sum.blind;
  const isBlind = inService === 0 || sum.blind * 2 > inService;
  return {
    occupancyPct: isBlind ? null : (sum.occupied * 100) / (sum.occupied + sum.free),
    sessions: isBlind ? null : sum.sessions,
    turnover: isBlind ? null : sum.sessions / (inService / 3600),
    dwellS: isBlind || sum.sessions === 0 ? null : sum.dwell / sum.sessions,
    due: sum.due,
    unbilled: sum.unbilled,
    blindPct: inService === 0 ? null : (sum.blind * 100) / inService,
    blindS: sum.blind,
  };
}

/** The day a week before `date`, where it is known: what today is compared with. */
export function weekBefore(week: ParkingWeek, date: string): ParkingDay | null {
  const wanted = new Date(Date.parse(`${date}T12:00:00Z`) - 7 * 86_400_000).toISOString().slice(0, 10);
  return week.days.find((day) => day.date === wanted) ?? null;
}

/** The same hours of another day: a morning is not compared with a whole day. */
export function sameHours(today: ParkingDay, other: ParkingDay): { readonly now: number; readonly then: number } | null {
  let now = 0;
  let then = 0;
  let hours = 0;
  today.hours.forEach((hour, i) => {
    const before = other.hours[i];
    if (typeof hour !== 'number' || typeof before !== 'number') return;
    now += hour;
    then += before;
    hours += 1;
  });
  return hours === 0 ? null : { now: now / hours, then: then / hours };
}

export type StatusCounts = Readonly<Record<BayStatus, number>>;

/** How the bays stand now. */
export function statuses(bays: Iterable<Bay>): StatusCounts & { readonly total: number } {
  const counts = Object.fromEntries(BAY_STATUSES.map((status) => [status, 0])) as Record<BayStatus, number>;
  let all = 0;
  for (const bay of bays) {
    counts[bay.state?.status ?? 'unknown'] += 1;
    all += 1;
  }
  return { ...counts, total: all };
}

/** Share of the bays that are known which is occupied, in percent. */
export function occupiedPct(counts: StatusCounts): number | null {
  const known = counts.free + counts.occupied;
  return known === 0 ? null : (counts.occupied * 100) / known;
}

/** A street with bays, and its bays. */
export interface ParkedStreet {
  readonly key: string;
  readonly street: Street;
  readonly bays: readonly Bay[];
  readonly week: ParkingWeek | null;
}

/** The streets that have bays, by their key. */
export function parkedStreets(streets: ReadonlyMap<string, Street>, bays: Iterable<Bay>): ParkedStreet[] {
  const byStreet = new Map<string, Bay[]>();
  for (const bay of bays) {
    const key = `${bay.name.prefix}/street/${bay.info?.street ?? ''}`;
    if (!streets.has(key)) continue;
    const known = byStreet.get(key);
    if (known === undefined) byStreet.set(key, [bay]);
    else known.push(bay);
  }
  const found: ParkedStreet[] = [];
  for (const [key, members] of byStreet) {
    const street = streets.get(key);
    if (street !== undefined) found.push({ key, street, bays: members, week: street.figures?.parking ?? null });
  }
  return found;
}
