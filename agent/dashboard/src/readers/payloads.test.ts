import { quietMs } from '../picture/model';
import { describe, expect, it, vi } from 'vitest';

import * as read from './payloads';
import { reply } from './replies';
import { ticket as readTicket } from './tickets';
import type { Fields } from './values';

const quiet = (): void => {};
const json = (text: string): Fields => JSON.parse(text) as Fields;

describe('payloads as a box sends them', () => {
  it('bay', () => {
    const bay = read.bayState(
      json('{"status":"occupied","since":"2026-06-04T04:00:00Z","session":{"id":"s1","stay_s":60,"deep":{}}}'),
      quiet,
    );
    expect(bay).toEqual({
      status: 'occupied',
      since: Date.UTC(2026, 5, 4, 4),
      session: [
        { name: 'id', value: 's1' },
        { name: 'stay_s', value: '60' },
      ],
    });
  });

  it('bin without a level is unknown, not empty', () => {
    const bin = read.binState(json('{"level_pct":null,"status":"unknown","full_at":null}'), quiet);
    expect(bin.levelPct).toBeNull();
    expect(read.binState(json('{"level_pct":0,"status":"ok"}'), quiet).levelPct).toBe(0);
  });

  it('vehicle', () => {
    const vehicle = read.vehicleState(
      json('{"position":{"lat":31.8,"lon":119.9,"datum":"WGS84","hacc_m":2},"speed_kmh":8,"course_deg":360,"activity":"working","distance_m":12}'),
      quiet,
    );
    expect(vehicle).toEqual({
      activity: 'working',
      place: { lat: 31.8, lon: 119.9, datum: 'WGS84', haccM: 2 },
      speedKmh: 8,
      courseDeg: 360,
      distanceM: 12,
    });
  });

  it('street geometry, without the points that are none', () => {
    const info = read.assetInfo(
      json('{"names":{"zh":"薛家路","en":"Xuejia Road","fr":"x"},"geometry":{"type":"LineString","coordinates":[[119.97,31.81],["a"],null,[500,1],[119.98,31.82]]}}'),
    );
    expect(info.names).toEqual({ zh: '薛家路', en: 'Xuejia Road' });
    expect(info.line).toEqual([
      [119.97, 31.81],
      [119.98, 31.82],
    ]);
  });

  it('health', () => {
    const health = read.health(
      json('{"at":"2026-06-04T04:00:00Z","clock":"gnss","buffer":{"ticket":{"records":3,"oldest_s":9,"dropped":0},"bogus":{}},"sources":[{"name":"gnss","samples":5,"rejected":1,"last_at":"2026-06-04T03:59:59Z"},{"samples":1}],"uptime_s":60,"disk_free_b":1e9}'),
      quiet,
    );
    expect(health.lanes).toEqual({ ticket: { records: 3, bytes: null, oldestS: 9, dropped: 0, droppedBy: [] } });
    expect(health.sources).toMatchObject([{ name: 'gnss', isSilent: false }]);
    expect(health.sources.map((source) => quietMs(health, source))).toEqual([1000]);
    expect([health.header.clock, health.uptimeS, health.diskFreeB]).toEqual(['gnss', 60, 1e9]);
  });

  it('reply, with an answer and with an error', () => {
    expect(reply(json('{"id":"c1","ok":true,"result":{"rev":4}}'))).toEqual({ id: 'c1', ok: true, rev: 4, code: null, message: null });
    expect(reply(json('{"id":"c1","ok":false,"error":{"code":"gone","msg":"no such ticket"}}'))).toMatchObject({ ok: false, code: 'gone', message: 'no such ticket' });
    expect(reply(json('{"id":"c1"}'))).toBeNull();
  });

  it('read what a box remembers, and leave out what it cannot be', () => {
    const entries = [
      { asset: 'bin/a', at: '2026-06-04T04:00:00Z', type: 'waste.collection', data: { volume_l: 80 } },
      { asset: 'vehicle/v', at: '2026-06-04T04:00:00Z', type: 'track', data: { code: 7 } },
      { asset: 'dragon/d', at: '2026-06-04T04:00:00Z', type: 'waste.lift', data: {} },
      { asset: 'bin/a', at: 'yesterday', type: 'waste.lift', data: {} },
      null,
    ];
    const read = reply({ id: 'c1', ok: true, result: { entries, next: 9 } })?.history;
    expect(read?.next).toBe(9);
    expect(read?.items.map((one) => [one.class, one.id, one.track.length, one.meaning?.of ?? null])).toEqual([
      ['bin', 'a', 0, 'custody'], ['vehicle', 'v', 0, null],
    ]);
    expect(reply({ id: 'c1', ok: true, result: { entries: 'none' } })?.history).toBeUndefined();
  });
});

describe('payloads that are wrong', () => {
  it('every reader survives fields of every wrong type', () => {
    const wrong: unknown[] = [null, true, -1, 1e308, 'x', '', [], [[]], {}, { lat: 'a' }, [{}, 7, null]];
    const names = [
      'status', 'since', 'session', 'level_pct', 'full_at', 'position', 'activity', 'names', 'geometry', 'buffer',
      'sources', 'clock', 'quality', 'boot', 'seq', 'at', 'state', 'severity', 'asset', 'place', 'rule', 'evidence',
      'flow', 'rev', 'category', 'ticket_id', 'id', 'type', 'data', 'ok', 'error', 'result', 'assets', 'version', 'reopened',
    ];
    for (const value of wrong) {
      const body = Object.fromEntries(names.map((name) => [name, value]));
      expect(() => {
        read.boxStatus(body, quiet);
        read.boxInfo(body);
        read.health(body, quiet);
        read.assetInfo(body);
        read.bayState(body, quiet);
        read.binState(body, quiet);
        read.vehicleState(body, quiet);
        readTicket(body, quiet);
        read.cloudEvent(body);
        reply(body);
      }).not.toThrow();
    }
  });

  it('words outside a vocabulary become "unknown" and are counted', () => {
    const odd = vi.fn();
    expect(read.bayState({ status: 'flooded' }, odd).status).toBe('unknown');
    expect(read.binState({ status: '__proto__' }, odd).status).toBe('unknown');
    expect(read.vehicleState({ activity: 7 }, odd).activity).toBe('unknown');
    expect(odd).toHaveBeenCalledTimes(3);
    read.bayState({}, odd);
    expect(odd).toHaveBeenCalledTimes(3);
  });

  it('places that are none are none', () => {
    for (const bad of ['{"lat":91,"lon":0}', '{"lat":0,"lon":0}', '{"lat":"1","lon":2}', '[1,2]', '1', 'null']) {
      expect(read.place(JSON.parse(bad))).toBeNull();
    }
    expect(read.place({ lat: 31, lon: 119, datum: 'GCJ02' })?.datum).toBe('GCJ02');
  });

  it('a ticket needs a revision and a category; the rest may be missing', () => {
    expect(readTicket({ category: 'bin_full' }, quiet)).toBeNull();
    expect(readTicket({ rev: 1 }, quiet)).toBeNull();
    const odd = vi.fn();
    const ticket = readTicket({ rev: 1, category: 'bin_full', severity: 'apocalyptic', evidence: [{}, { fact: 'x', value: '<b>' }] }, odd);
    expect(ticket).toMatchObject({ severity: null, state: null, asset: null, evidence: [{ fact: 'x', value: '<b>' }] });
    expect(odd).toHaveBeenCalledOnce();
  });

  it('long lists and texts are bounded', () => {
    const ticket = readTicket(
      { rev: 1, category: 'c'.repeat(1e6), flow: Array.from({ length: 5000 }, () => ({ step: 's' })) },
      quiet,
    );
    expect(ticket?.category.length).toBeLessThanOrEqual(60);
    expect(ticket?.flow).toHaveLength(200);
  });
});
