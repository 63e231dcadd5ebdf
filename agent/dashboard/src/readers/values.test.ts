import { describe, expect, it } from 'vitest';

import { count, fields, instant, list, number, own, printable, text, word, TEXT_MAX } from './values';

describe('the small readers', () => {
  it('take numbers that are numbers, inside the range', () => {
    const cases: [unknown, number | null][] = [
      [0, 0],
      [-3.5, -3.5],
      [NaN, null],
      [Infinity, null],
      ['7', null],
      [null, null],
      [{}, null],
      [101, null],
    ];
    for (const [value, expected] of cases) expect(number(value, -10, 100)).toBe(expected);
  });

  it('count only with whole numbers from zero', () => {
    for (const bad of [-1, 1.5, 2 ** 60, '3', true]) expect(count(bad)).toBeNull();
    expect(count(8123)).toBe(8123);
  });

  it('read instants only with an offset', () => {
    expect(instant('2026-06-04T04:00:03.120Z')).toBe(Date.UTC(2026, 5, 4, 4, 0, 3, 120));
    expect(instant('2026-06-04T12:00:03+08:00')).toBe(Date.UTC(2026, 5, 4, 4, 0, 3));
    for (const bad of ['2026-06-04T04:00:03', '2026-06-04', 'yesterday', '2026-13-40T99:00:00Z', 12, null]) {
      expect(instant(bad)).toBeNull();
    }
  });

  it('cut long texts and take blank ones for none', () => {
    expect(text('x'.repeat(1_000_000))).toHaveLength(TEXT_MAX);
    expect(text('   ')).toBeNull();
    expect(text(3)).toBeNull();
    expect(text('<script>')).toBe('<script>');
  });

  it('know objects from arrays and null, and own fields from inherited ones', () => {
    expect(fields([])).toBeNull();
    expect(fields(null)).toBeNull();
    expect(own(JSON.parse('{"a":1}') as Record<string, unknown>, 'constructor')).toBeUndefined();
  });

  it('keep to the vocabulary and to the bound of a list', () => {
    expect(word('free', ['free', 'occupied'])).toBe('free');
    expect(word('toString', ['free'])).toBeNull();
    expect(list([1, 'x', 2, 3], 2, (one) => number(one))).toEqual([1, 2]);
    expect(list('no list', 2, (one) => number(one))).toEqual([]);
  });

  it('print scalars only', () => {
    expect([printable(2.5), printable(false), printable('a'), printable({}), printable(null)]).toEqual(
      ['2.5', 'false', 'a', null, null],
    );
  });
});
