/**
 * Places on the sheet: Web Mercator in the unit square, lengths on the ground, and which way a street
 * runs beside a point.
 */

/** A point of the Web Mercator square, 0 to 1 from west to east and north to south. */
export interface Point {
  readonly x: number;
  readonly y: number;
}

/** Beyond this latitude the projection has no square. */
const LAT_MAX = 85.0511287798;
/** The equator in the projection's metres. */
const EQUATOR_M = 40_075_016.686;

export function mercator(lat: number, lon: number): Point {
  const bounded = Math.max(-LAT_MAX, Math.min(LAT_MAX, lat));
  const sine = Math.sin((bounded * Math.PI) / 180);
  return {
    x: (lon + 180) / 360,
    y: 0.5 - Math.log((1 + sine) / (1 - sine)) / (4 * Math.PI),
  };
}

/** How much of the unit square one metre on the ground takes at a latitude. */
export function unitsPerMetre(lat: number): number {
  return 1 / (EQUATOR_M * Math.cos((lat * Math.PI) / 180));
}

/** The angle in radians (0 = east, clockwise on the sheet) of the segment nearest to a point. */
export function angleBeside(
  point: Point,
  lines: Iterable<readonly Point[]>,
): { readonly angle: number; readonly distance: number } | null {
  let angle = 0;
  let best = Infinity;
  for (const line of lines) {
    for (let i = 1; i < line.length; i += 1) {
      const a = line[i - 1];
      const b = line[i];
      if (a === undefined || b === undefined) continue;
      const distance = distanceToSegment(point, a, b);
      if (distance >= best) continue;
      best = distance;
      angle = Math.atan2(b.y - a.y, b.x - a.x);
    }
  }
  return best === Infinity ? null : { angle, distance: best };
}

function distanceToSegment(p: Point, a: Point, b: Point): number {
  const dx = b.x - a.x;
  const dy = b.y - a.y;
  const squared = dx * dx + dy * dy;
  const along = squared === 0 ? 0 : ((p.x - a.x) * dx + (p.y - a.y) * dy) / squared;
  const t = Math.max(0, Math.min(1, along));
  return Math.hypot(p.x - (a.x + t * dx), p.y - (a.y + t * dy));
}
