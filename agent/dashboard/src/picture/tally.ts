/** The key figures: counts over the picture. Pure; the time is an argument. */

import {
  ACTIVITIES,
  BAY_STATUSES,
  SEVERITIES,
  isOpen,
  isUntaken,
  type Activity,
  type Bay,
  type BayStatus,
  type Bin,
  type Box,
  type Severity,
  type Ticket,
} from './model';
import type { Picture } from './picture';

/** Health is due every 30 s; after three of them it is late. */
export const HEALTH_LATE_MS = 90_000;

/** How a box stands. `late`: it says online, but its health did not come. */
export type Standing = 'online' | 'late' | 'offline' | 'lost' | 'unknown';

/** Brokers can lose a last will, so "online" also needs a health that is not late. */
export function standing(box: Box, now: number): Standing {
  if (box.status === null) return 'unknown';
  if (box.status.state !== 'online') return box.status.state;
  if (box.healthAt === null) return 'online';
  return now - box.healthAt > HEALTH_LATE_MS ? 'late' : 'online';
}

/** Whether a bin needs to be emptied. */
export function isFull(bin: Bin): boolean {
  const state = bin.state;
  if (state === null) return false;
  if (state.status === 'full' || state.status === 'overflow') return true;
  const limit = bin.info?.fullAtPct ?? null;
  return limit !== null && state.levelPct !== null && state.levelPct >= limit;
}

/** Since when a car stands longer than the bay allows; `null` when it does not, or nobody knows. */
export function overstaySince(bay: Bay, now: number): number | null {
  const since = bay.state?.since ?? null;
  const limit = bay.info?.maxStayS ?? null;
  if (bay.state?.status !== 'occupied' || since === null || limit === null) return null;
  const over = since + limit * 1000;
  return over < now ? over : null;
}

export interface Tally {
  readonly bays: Readonly<Record<BayStatus, number>>;
  readonly overstays: number;
  readonly bins: { readonly full: number; readonly unknown: number; readonly total: number };
  /** Levels of the bins that have one, fullest first. */
  readonly levels: readonly number[];
  readonly vehicles: Readonly<Record<Activity, number>>;
  readonly tickets: Readonly<Record<Severity, number>> & { readonly unrated: number };
  readonly open: number;
  readonly untaken: number;
  readonly boxes: { readonly online: number; readonly total: number };
}

function zeros<K extends string>(keys: readonly K[]): Record<K, number> {
  return Object.fromEntries(keys.map((key) => [key, 0])) as Record<K, number>;
}

/** `now` is the browser's time, by which boxes are late; bays are over time by the street's. */
export function tally(picture: Picture, now: number): Tally {
  const street = picture.clock.at(now);
  const bays = zeros(BAY_STATUSES);
  let overstays = 0;
  for (const bay of picture.bays.values()) {
    bays[bay.state?.status ?? 'unknown'] += 1;
    if (overstaySince(bay, street) !== null) overstays += 1;
  }
  const vehicles = zeros(ACTIVITIES);
  for (const vehicle of picture.vehicles.values()) {
    vehicles[vehicle.state?.activity ?? 'unknown'] += 1;
  }
  let online = 0;
  for (const box of picture.boxes.values()) if (standing(box, now) === 'online') online += 1;
  return {
    bays,
    overstays,
    ...tallyBins(picture.bins.values()),
    vehicles,
    ...tallyTickets(picture.tickets.values()),
    boxes: { online, total: picture.boxes.size },
  };
}

function tallyBins(bins: Iterable<Bin>): Pick<Tally, 'bins' | 'levels'> {
  const levels: number[] = [];
  const sum = { full: 0, unknown: 0, total: 0 };
  for (const bin of bins) {
    sum.total += 1;
    if (isFull(bin)) sum.full += 1;
    const level = bin.state?.levelPct ?? null;
    if (level === null) sum.unknown += 1;
    else levels.push(level);
  }
  return { bins: sum, levels: levels.sort((a, b) => b - a) };
}

function tallyTickets(tickets: Iterable<Ticket>): Pick<Tally, 'tickets' | 'open' | 'untaken'> {
  const bySeverity = { ...zeros(SEVERITIES), unrated: 0 };
  let open = 0;
  let untaken = 0;
  for (const ticket of tickets) {
    if (!isOpen(ticket)) continue;
    open += 1;
    if (isUntaken(ticket)) untaken += 1;
    bySeverity[ticket.severity ?? 'unrated'] += 1;
  }
  return { tickets: bySeverity, open, untaken };
}
