import { describe, expect, it } from 'vitest';

import type { TrackPoint, Vehicle } from '../picture/model';
import { extent, momentOf } from './replay';

function vehicle(track: TrackPoint[]): Vehicle {
  const name = { prefix: 'steward/v1/t/s/b', tenant: 't', site: 's', box: 'b' };
  return {
    key: 'v', name, class: 'vehicle', id: 'v', info: null, state: null, header: null, figures: null, epoch: 1, trail: [], track,
  };
}

const point = (at: number, lon: number, isGapEnd = false): TrackPoint => ({ lat: 31, lon, at, isGapEnd });

describe('a replay', () => {
  const driven = vehicle([point(1000, 119, true), point(3000, 121), point(9000, 125, true), point(11_000, 127)]);

  it('puts the vehicle between two points, and nowhere in a gap', () => {
    expect(momentOf(driven, 2000).here).toEqual({ lat: 31, lon: 120 });
    expect(momentOf(driven, 500)).toEqual({ key: 'v', way: [], here: null });
    expect(momentOf(driven, 5000).here).toBeNull();
    expect(momentOf(driven, 10_000).way.map((piece) => piece.length)).toEqual([2, 2]);
    expect(momentOf(driven, 99_000).here).toMatchObject({ lon: 127 });
  });

  it('reaches from the first to the last point', () => {
    expect(extent([driven])).toEqual([1000, 11_000]);
    expect(extent([vehicle([])])).toBeNull();
  });
});
