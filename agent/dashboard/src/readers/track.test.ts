import { describe, expect, it } from 'vitest';

import { decodeTrack } from './track';

describe('a track', () => {
  it('is read as the box has written it', () => {
    // The golden text of the box: 2026-05-28T20:26:40Z at 31.811° N, 119.974° E, after a gap.
    expect(decodeTrack('__cqgorfBozqt{@_fsycFK')).toEqual([
      { lat: 31.811, lon: 119.974, at: 1_780_000_000_000, isGapEnd: true },
    ]);
  });

  it('ends where it is damaged', () => {
    const good = '__cqgorfBozqt{@_fsycFK';
    for (let cut = 0; cut < good.length; cut += 1) expect(decodeTrack(good.slice(0, cut))).toEqual([]);
    expect(decodeTrack(`${good}\u0001`)).toHaveLength(1);
    expect(decodeTrack('?'.repeat(100_000))).toEqual([]);
  });
});
