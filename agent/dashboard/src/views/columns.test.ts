import { describe, expect, it } from 'vitest';

import { Picture } from '../picture/picture';
import { en } from '../words/en';
import { Format } from '../words/format';
import { bayTable, binTable, rows, vehicleTable, type Script } from './columns';

const P = 'steward/v1/a/b/c';
const AT = Date.UTC(2026, 5, 4, 4);

function script(messages: Record<string, object>): Script {
  const picture = new Picture();
  picture.begin();
  for (const [topic, body] of Object.entries(messages)) {
    picture.take({ topic: `${P}/${topic}`, payload: new TextEncoder().encode(JSON.stringify(body)), retained: true, at: AT });
  }
  return { words: en, format: new Format('en-GB', en.spanUnits), language: 'en', picture, now: AT };
}

describe('the tables', () => {
  const all = script({
    'street/s-1/info': { names: { en: 'Xuejia Road' } },
    'bin/bin-2/info': { names: { en: 'Bin 2' }, street: 's-1' },
    'bin/bin-2/state': { level_pct: 30, status: 'ok' },
    'bin/bin-10/info': { names: { en: 'Bin 10' } },
    'bin/bin-10/state': { level_pct: 95, status: 'full' },
    'bin/bin-3/state': { level_pct: null, status: 'unknown' },
    'vehicle/v-1/state': { activity: 'working', speed_kmh: 8 },
    'bay/b-1/info': { max_stay_s: 60 },
    'bay/b-1/state': { status: 'occupied', since: new Date(AT - 120_000).toISOString() },
  });

  it('sort by number, and put what is not known last either way', () => {
    const kind = binTable(all);
    expect(rows(kind, all, '', '', '-level').map((bin) => bin.id)).toEqual(['bin-10', 'bin-2', 'bin-3']);
    expect(rows(kind, all, '', '', 'level').map((bin) => bin.id)).toEqual(['bin-2', 'bin-10', 'bin-3']);
    expect(rows(kind, all, '', '', 'id').map((bin) => bin.id)).toEqual(['bin-2', 'bin-3', 'bin-10']);
  });

  it('find by name, id and street, and filter by status', () => {
    const kind = binTable(all);
    expect(rows(kind, all, 'xuejia', '', 'id').map((bin) => bin.id)).toEqual(['bin-2']);
    expect(rows(kind, all, 'BIN-10', '', 'id').map((bin) => bin.id)).toEqual(['bin-10']);
    expect(rows(kind, all, '', 'unknown', 'id').map((bin) => bin.id)).toEqual(['bin-3']);
  });

  it('call a bay over time, and write every cell of every table', () => {
    const kind = bayTable(all);
    const [bay] = rows(kind, all, '', 'over', 'name');
    expect(bay?.id).toBe('b-1');
    for (const table of [kind, binTable(all), vehicleTable(all)]) {
      for (const asset of table.assets.values()) {
        for (const column of table.columns) {
          const cell = (column.text as (one: unknown) => string)(asset);
          expect(cell, column.key).not.toMatch(/NaN|undefined|null|Invalid/);
        }
      }
    }
  });
});
