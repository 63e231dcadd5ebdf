import { describe, expect, it } from 'vitest';

import type { Point } from '../picture/geometry';
import type { AssetInfo } from '../picture/model';
import type { Spot } from './atlas';
import { PATCH_PX, areBaysClustered, areBinsClustered, cluster } from './clusters';

const spot = (part: number, at: Point): Spot<number> => ({ asset: part, info: {} as AssetInfo, at, angle: 0 });

describe('clusters', () => {
  const scale = 256 * 2 ** 12;
  const patch = PATCH_PX / scale;

  it('hold every spot once, in the part that it belongs to', () => {
    const spots = Array.from({ length: 1000 }, (_, i) => spot(i % 3, { x: 0.5 + (i % 40) * patch * 0.3, y: 0.5 + Math.floor(i / 40) * patch * 0.3 }));
    const found = cluster(spots, scale, 3, (part) => part);
    expect(found.reduce((sum, one) => sum + one.total, 0)).toBe(1000);
    expect(found.every((one) => one.counts.reduce((a, b) => a + b, 0) === one.total)).toBe(true);
    expect(found.length).toBeGreaterThan(30);
    expect(found.length).toBeLessThan(200);
  });

  it('stand in the middle of what they hold and dissolve when one comes closer', () => {
    const spots = [spot(0, { x: 10 * patch + patch * 0.1, y: 0.25 }), spot(0, { x: 10 * patch + patch * 0.3, y: 0.25 })];
    expect(cluster(spots, scale, 1, () => 0).map((one) => one.x)).toEqual([expect.closeTo(10.2 * patch, 12)]);
    expect(cluster(spots, scale * 64, 1, () => 0)).toHaveLength(2);
  });

  it('do not cover each other', () => {
    const edge = 10 * patch;
    const spots = [...Array.from({ length: 9 }, () => spot(0, { x: edge - patch * 0.05, y: 0.25 })), spot(1, { x: edge + patch * 0.05, y: 0.25 })];
    expect(cluster(spots, scale, 2, (part) => part)).toMatchObject([{ total: 10, counts: [9, 1] }]);
  });

  it('are for many assets from far away only', () => {
    expect(areBaysClustered(10_000, { pixelsPerMetre: 0.1 })).toBe(true);
    expect(areBaysClustered(10_000, { pixelsPerMetre: 1 })).toBe(false);
    expect(areBaysClustered(20, { pixelsPerMetre: 0.01 })).toBe(false);
    expect(areBinsClustered(500, { pixelsPerMetre: 0.1 })).toBe(true);
  });
});
