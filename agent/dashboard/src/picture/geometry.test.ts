import { describe, expect, it } from 'vitest';

import { angleBeside, mercator, unitsPerMetre } from './geometry';

describe('the sheet', () => {
  it('is the unit square, with north up', () => {
    expect(mercator(0, 0)).toEqual({ x: 0.5, y: 0.5 });
    expect(mercator(31.81, 119.974).y).toBeLessThan(0.5);
    expect(mercator(89.9, 180).y).toBeGreaterThanOrEqual(-1e-9);
  });

  it('has the length of a metre right', () => {
    const a = mercator(31.81, 119.974);
    const b = mercator(31.81 + 100 / 111_195, 119.974);
    expect((a.y - b.y) / unitsPerMetre(31.81)).toBeCloseTo(100, 0);
  });

  it('turns a bay along the nearest segment', () => {
    const line = [{ x: 0, y: 0 }, { x: 1, y: 0 }, { x: 1, y: 1 }];
    expect(angleBeside({ x: 0.5, y: 0.1 }, [line])?.angle).toBeCloseTo(0);
    expect(angleBeside({ x: 1.1, y: 0.6 }, [line])).toEqual({ angle: Math.PI / 2, distance: expect.closeTo(0.1) });
    expect(angleBeside({ x: 0, y: 0 }, [])).toBeNull();
    expect(angleBeside({ x: 0, y: 1 }, [[{ x: 0, y: 0 }, { x: 0, y: 0 }]])?.distance).toBe(1);
  });
});
