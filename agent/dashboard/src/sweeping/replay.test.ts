import { describe, expect, it } from 'vitest';

import type { TrackPoint, Vehicle } from '../picture/model';
import { addTrack, trailOf } from '../picture/way';
import { days, momentOf } from './replay';

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
    expect(momentOf(driven, 0, 2000).here).toEqual({ lat: 31, lon: 120 });
    expect(momentOf(driven, 0, 500)).toEqual({ key: 'v', way: [], here: null });
    expect(momentOf(driven, 0, 5000).here).toBeNull();
    expect(momentOf(driven, 0, 10_000).way.map((piece) => piece.length)).toEqual([2, 2]);
    expect(momentOf(driven, 0, 99_000).here).toMatchObject({ lon: 127 });
  });

  it('shows the way of a day alone', () => {
    expect(momentOf(driven, 9000, 10_000).way.map((piece) => piece.length)).toEqual([2]);
    expect([...days([driven, vehicle([])], (at) => (at < 5000 ? 'first' : 'second'))]).toEqual([
      ['first', [1000, 3000]],
      ['second', [9000, 11_000]],
    ]);
    expect(days([vehicle([])], String).size).toBe(0);
  });

  it('takes pieces in any order, each point once', () => {
    const found = vehicle([point(5000, 123)]);
    expect(addTrack(found, [point(1000, 119), point(5000, 123), point(3000, 121)])).toBe(true);
    expect(addTrack(found, [point(6000, 124)])).toBe(true);
    expect(found.track.map(({ at }) => at)).toEqual([1000, 3000, 5000, 6000]);
    expect(addTrack(found, [point(3000, 121), point(1000, 119)])).toBe(false);
  });

  it('draws corners as the track has them', () => {
    const found = { ...driven, trail: [3000, 10_000, 12_000].map((at) => ({ lat: 31, lon: at / 1000, at })) };
    expect(trailOf(found).map(({ lon }) => lon)).toEqual([121, 125, 127, 12]);
  });
});
