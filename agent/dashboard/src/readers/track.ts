/**
 * A track as boxes send it: for each point the difference to the one before in milliseconds and
 * 1e-6 degrees of latitude and longitude, and why it is kept, in the code of encoded polylines.
 */

import type { TrackPoint } from '../picture/model';

/** Longer texts are not read: a box sends some forty points. */
const CODE_MAX = 32 * 1024;
/** Why a point is kept: the first one after a gap, or at all. */
const GAP_ENDS = 6;

/** The points of a text; those before the first damage, where there is one. */
export function decodeTrack(code: string): TrackPoint[] {
  const points: TrackPoint[] = [];
  if (code.length > CODE_MAX) return points;
  let at = 0;
  const next = (): number | null => {
    let value = 0;
    let factor = 1;
    for (let n = 0; n < 11; n += 1) {
      const byte = code.charCodeAt(at) - 63;
      if (!(byte >= 0 && byte < 64)) return null;
      at += 1;
      value += (byte & 31) * factor;
      factor *= 32;
      // Zigzag: the sign is the lowest bit. The numbers are too large for the bits of an integer.
      if (byte < 32) return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
    }
    return null;
  };
  const sum = { ms: 0, lat: 0, lon: 0 };
  while (at < code.length) {
    const [ms, lat, lon, why] = [next(), next(), next(), next()];
    if (ms === null || lat === null || lon === null || why === null) break;
    sum.ms += ms;
    sum.lat += lat;
    sum.lon += lon;
    const point = { lat: sum.lat / 1e6, lon: sum.lon / 1e6, at: sum.ms, isGapEnd: why === GAP_ENDS };
    if (Math.abs(point.lat) > 90 || Math.abs(point.lon) > 180) break;
    points.push(point);
  }
  return points;
}
