import { describe, expect, it } from 'vitest';

import { StreetClock } from './streetClock';

describe('the street clock', () => {
  it('is the browser’s own where nobody simulates', () => {
    const clock = new StreetClock();
    clock.hear(1_000, 50_000);
    expect(clock.at(60_000)).toBe(60_000);
  });

  it('follows a simulated street at its speed', () => {
    const clock = new StreetClock();
    clock.speed = 20;
    expect(clock.at(50_000)).toBe(50_000);
    clock.hear(1_000, 50_000);
    expect(clock.at(51_000)).toBe(21_000);
  });

  it('is not set back by what comes late', () => {
    const clock = new StreetClock();
    clock.speed = 20;
    clock.hear(100_000, 50_000);
    clock.hear(90_000, 50_100);
    expect(clock.at(50_100)).toBe(102_000);
  });
});
