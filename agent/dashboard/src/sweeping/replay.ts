/** What a moment of the past looked like: where each vehicle was, and which way it had come. */

import type { TrackPoint, Vehicle } from '../picture/model';

/** A vehicle at a moment. */
export interface Moment {
  readonly key: string;
  /** The pieces of its way up to then; a gap divides them. */
  readonly way: readonly (readonly TrackPoint[])[];
  /** Where it was; `null` in a gap, before its track and after it. */
  readonly here: { readonly lat: number; readonly lon: number } | null;
}

/** The points of a vehicle: its track, and behind that what has been seen since it was sent. */
export function pointsOf(vehicle: Vehicle): TrackPoint[] {
  const last = vehicle.track.at(-1)?.at ?? -Infinity;
  const fresh = vehicle.trail.filter((point) => point.at > last);
  return [...vehicle.track, ...fresh.map((point) => ({ ...point, isGapEnd: false }))];
}

/** From the first to the last moment that any vehicle has points of. */
export function extent(vehicles: Iterable<Vehicle>): readonly [number, number] | null {
  let from = Infinity;
  let until = -Infinity;
  for (const vehicle of vehicles) {
    const points = pointsOf(vehicle);
    from = Math.min(from, points[0]?.at ?? Infinity);
    until = Math.max(until, points.at(-1)?.at ?? -Infinity);
  }
  return from < until ? [from, until] : null;
}

/** A vehicle at time `at`. */
export function momentOf(vehicle: Vehicle, at: number): Moment {
  const way: TrackPoint[][] = [];
  let here: Moment['here'] = null;
  let last: TrackPoint | null = null;
  for (const point of pointsOf(vehicle)) {
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
