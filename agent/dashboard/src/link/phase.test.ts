import { describe, expect, it } from 'vitest';

import { next, retryDelay, type LinkEvent, type Phase } from './phase';
import { brokerUrl, newRequester } from './requester';

const down = (at: number): LinkEvent => ({ on: 'down', at, cause: 'closed', detail: null, retryAt: at + 1000 });
const run = (...events: LinkEvent[]): Phase =>
  events.reduce(next, { is: 'connecting', since: 0, attempt: 0 } as Phase);

describe('the link', () => {
  it('is live only once the subscriptions are granted', () => {
    expect(run({ on: 'attempt', at: 1 }).is).toBe('connecting');
    expect(run({ on: 'attempt', at: 1 }, { on: 'subscribed', at: 5 })).toEqual({ is: 'live', since: 5 });
  });

  it('stays lost since the moment of the loss, through every attempt', () => {
    const events: LinkEvent[] = [
      { on: 'attempt', at: 1 },
      { on: 'subscribed', at: 5 },
      down(50),
      { on: 'attempt', at: 51 },
      down(61),
      { on: 'attempt', at: 63 },
    ];
    expect(run(...events)).toMatchObject({ is: 'lost', since: 50, hadLink: true, retryAt: null, attempt: 2 });
    expect(run(...events, { on: 'subscribed', at: 70 })).toEqual({ is: 'live', since: 70 });
  });

  it('that never was says so', () => {
    expect(run({ on: 'attempt', at: 1 }, down(9))).toMatchObject({ is: 'lost', since: 1, hadLink: false });
  });

  it('is tried again later and later, never later than 19 s, and not by all pages at once', () => {
    expect([0, 1, 2, 3, 9].map((n) => retryDelay(n, 0.5))).toEqual([1000, 2000, 4000, 8000, 15_000]);
    expect(retryDelay(0, 0)).toBeLessThan(retryDelay(0, 1));
    expect(retryDelay(1000, 1)).toBeLessThan(19_000);
  });
});

describe('who and where', () => {
  it('a requester is an id of the contract', () => {
    expect(newRequester(new Uint8Array([0, 255, 7, 99, 31, 200]))).toMatch(/^[a-z0-9][a-z0-9-]{0,31}$/);
  });

  it('the broker is where the page came from, unless the address says another', () => {
    const page = { search: '', protocol: 'https:', host: 'city.example:8443' };
    expect(brokerUrl(page)).toBe('wss://city.example:8443/mqtt');
    expect(brokerUrl({ ...page, protocol: 'http:' })).toBe('ws://city.example:8443/mqtt');
    expect(brokerUrl({ ...page, search: '?broker=ws%3A%2F%2F10.0.0.7%3A9001' })).toBe('ws://10.0.0.7:9001/');
    for (const bad of ['javascript:alert(1)', 'http://x', 'nonsense', '']) {
      expect(brokerUrl({ ...page, search: `?broker=${encodeURIComponent(bad)}` })).toBeNull();
    }
  });
});
