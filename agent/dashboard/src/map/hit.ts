/** What is under the pointer: vehicles before bins before bays, within a finger's reach. */

import type L from 'leaflet';

import type { Point } from '../picture/geometry';
import type { Picture } from '../picture/picture';
import type { Atlas } from './atlas';
import type { Fleet } from './fleet';

const REACH_PX = 15;

/** The key of the asset nearest to a point of the map's container, or `null`. */
export function nearest(
  map: L.Map,
  point: L.Point,
  atlas: Atlas,
  fleet: Fleet,
  picture: Picture,
  now: number,
): string | null {
  const scale = 256 * 2 ** map.getZoom();
  const corner = map.getPixelBounds().min;
  if (corner === undefined) return null;
  const x = (corner.x + point.x) / scale;
  const y = (corner.y + point.y) / scale;
  const reach = REACH_PX / scale;
  const vehicles: [string, Point][] = [];
  for (const key of picture.vehicles.keys()) {
    const at = fleet.at(key, now);
    if (at !== null) vehicles.push([key, at]);
  }
  return (
    closest(vehicles, x, y, reach) ??
    closest(points(atlas.bins), x, y, reach * 0.8) ??
    closest(points(atlas.bays), x, y, reach)
  );
}

function* points(spots: ReadonlyMap<string, { readonly at: Point }>): Generator<[string, Point]> {
  for (const [key, spot] of spots) yield [key, spot.at];
}

function closest(
  candidates: Iterable<[string, Point]>,
  x: number,
  y: number,
  reach: number,
): string | null {
  let found: string | null = null;
  let best = reach;
  for (const [key, at] of candidates) {
    const distance = Math.hypot(at.x - x, at.y - y);
    if (distance >= best) continue;
    best = distance;
    found = key;
  }
  return found;
}
