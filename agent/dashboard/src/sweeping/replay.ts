/** What a moment of the past looked like: where each vehicle was, and which way it had come. */

import type { TrackPoint, Vehicle } from '../picture/model';
import { pointsOf } from '../picture/way';

/** A vehicle at a moment. */
export interface Moment {
  readonly key: string;
  /** The pieces of its way up to then; a gap divides them. */
  readonly way: readonly (readonly TrackPoint[])[];
  /** Where it was; `null` in a gap, before its track and after it. */
  readonly here: { readonly lat: number; readonly lon: number } | null;
}

/** The first and the last moment that any vehicle has points of. */
export type Extent = readonly [number, number];

/** The days that any vehicle has points of, oldest first, by the name that `dayOf` gives them. */
export function days(vehicles: Iterable<Vehicle>, dayOf: (at: number) => string): Map<string, Extent> {
  const found = new Map<string, Extent>();
  for (const vehicle of vehicles) {
    for (const { at } of pointsOf(vehicle)) {
      const day = dayOf(at);
      const [from, until] = found.get(day) ?? [at, at];
      found.set(day, [Math.min(from, at), Math.max(until, at)]);
    }
  }
  const lasting = [...found].filter(([, [from, until]]) => from < until);
  return new Map(lasting.sort(([, a], [, b]) => a[0] - b[0]));
}

/** A vehicle at time `at`, and its way since `from`. */
export function momentOf(vehicle: Vehicle, from: number, at: number): Moment {
  const way: TrackPoint[][] = [];
  let here: Moment['here'] = null;
  let last: TrackPoint | null = null;
  for (const point of pointsOf(vehicle)) {
    if (point.at < from) continue;
    if (point.at > at) {
      if (last !== null && !point.isGapEnd) {
        // A track says that the vehicle went straight, at one speed, from point to point.
        const part = (at - last.at) / (point.at - last.at);
        here = { lat: last.lat + (point.lat - last.lat) * part, lon: last.lon + (point.lon - last.lon) * part };
        way.at(-1)?.push({ ...here, at, isGapEnd: false });
      }
      return { key: vehicle.key, way, here };
    }
    if (point.isGapEnd || way.length === 0) way.push([]);
    way.at(-1)?.push(point);
    last = point;
    here = point.at === at ? point : null;
  }
  return { key: vehicle.key, way, here: here ?? last };
}
