/** The way of a vehicle: its track as the box sent it, and behind that what has been seen since. */

import type { TrackPoint, Vehicle } from './model';

/** Most points of a vehicle's track: a week of shifts. The oldest goes first. */
export const TRACK_MAX = 20_000;

/** Adds the points that are not known, in their place; answers whether there were any. */
export function addTrack(vehicle: Vehicle, points: readonly TrackPoint[]): boolean {
  const { track } = vehicle;
  const last = track.at(-1)?.at ?? -Infinity;
  const later = points.filter((point, i) => point.at > last && point.at > (points[i - 1]?.at ?? -Infinity));
  if (later.length === points.length) {
    // As pieces come one after the other: nothing is to be sorted.
    track.push(...later);
  } else {
    const known = new Set(track.map((point) => point.at));
    const fresh = points.filter((point) => !known.has(point.at) && known.add(point.at));
    if (fresh.length === 0) return false;
    const all = [...track, ...fresh].sort((a, b) => a.at - b.at);
    track.splice(0, track.length, ...all);
  }
  track.splice(0, track.length - TRACK_MAX);
  return points.length > 0;
}

/** The points of a vehicle: its track, and behind that what has been seen since it was sent. */
export function pointsOf(vehicle: Vehicle): TrackPoint[] {
  const last = vehicle.track.at(-1)?.at ?? -Infinity;
  const fresh = vehicle.trail.filter((point) => point.at > last);
  return [...vehicle.track, ...fresh.map((point) => ({ ...point, isGapEnd: false }))];
}

/** The latest of the way, as far back as the vehicle has been seen; corners as the track has them. */
export function trailOf(vehicle: Vehicle): readonly { readonly lat: number; readonly lon: number }[] {
  const from = vehicle.trail[0]?.at;
  if (from === undefined) return [];
  const last = vehicle.track.at(-1)?.at ?? -Infinity;
  const tracked = vehicle.track.slice(vehicle.track.findLastIndex((point) => point.at < from) + 1);
  return [...tracked, ...vehicle.trail.filter((point) => point.at > last)];
}
