import { describe, expect, it } from 'vitest';

import { en } from './en';
import { Format, named, symbolText } from './format';
import { zh } from './zh';

type Tree = Readonly<Record<string, unknown>>;

function leaves(tree: Tree, path = ''): string[] {
  return Object.entries(tree).flatMap(([key, value]) =>
    typeof value === 'object' && value !== null ? leaves(value as Tree, `${path}${key}.`) : [`${path}${key}`],
  );
}

describe('the catalogues', () => {
  it('have the same keys, the open lists too', () => {
    expect(leaves(zh as unknown as Tree).sort()).toEqual(leaves(en as unknown as Tree).sort());
  });

  it('have no empty text and no half-width punctuation between Chinese words', () => {
    for (const [name, words] of [['en', en], ['zh', zh]] as const) {
      const texts = JSON.stringify(words, (_key, value: unknown) => (typeof value === 'function' ? String(value) : value));
      expect(texts, name).not.toContain('""');
      if (name === 'zh') expect(texts).not.toMatch(/[\u4e00-\u9fff][,:]/);
    }
  });
});

describe('formats', () => {
  const english = new Format('en-GB', en.spanUnits);
  const chinese = new Format('zh-CN', zh.spanUnits);

  it('spans, in at most two units', () => {
    const cases: [number, string, string][] = [
      [-5000, '0 s', '0秒'],
      [59_999, '59 s', '59秒'],
      [60_000, '1 min', '1分钟'],
      [3_600_000, '1 h', '1小时'],
      [3_900_000, '1 h 5 min', '1小时 5分钟'],
      [90_000_000, '1 d 1 h', '1天 1小时'],
      [200 * 86_400_000, '200 d', '200天'],
    ];
    for (const [ms, inEnglish, inChinese] of cases) {
      expect(english.span(ms).replaceAll('\u00a0', ' ')).toBe(inEnglish);
      expect(chinese.span(ms)).toBe(inChinese);
    }
  });

  it('bytes and metres', () => {
    expect(english.bytes(21_700_000_000)).toMatch(/^22\sGB$/);
    expect(english.bytes(1_500_000)).toMatch(/^1\.5\sMB$/);
    expect(english.bytes(0)).toMatch(/^0\sbyte/);
    expect(english.metres(999)).toMatch(/^999\sm$/);
    expect(english.metres(4200)).toMatch(/^4\.2\skm$/);
  });

  it('words from outside fall back to their own text', () => {
    expect(named(en.categories, 'bin_overflow')).toBe('Bin overflowing');
    expect(named(en.categories, 'water_leak')).toBe('Water leak');
    expect(named(en.categories, 'constructor')).toBe('Constructor');
    expect(symbolText('___')).toBe('___');
  });

  it('shows the clocks of the zone it was made for, whatever the browser stands in', () => {
    const at = Date.UTC(2026, 5, 4, 17, 30);
    const there = new Format('en-GB', en.spanUnits, 'Asia/Shanghai');
    const elsewhere = new Format('en-GB', en.spanUnits, 'America/New_York');
    expect([there.time(at), elsewhere.time(at)]).toEqual(['01:30', '13:30']);
    expect([there.dayKey(at), elsewhere.dayKey(at)]).toEqual(['2026-06-05', '2026-06-04']);
    expect(there.zoneName(at)).toBe('GMT+8');
    // It is another day there already, though not in UTC.
    expect(there.moment(at, at - 2 * 3_600_000)).toMatch(/5 Jun/);
    expect(elsewhere.moment(at, at - 2 * 3_600_000)).toBe('13:30');
  });

  it('amounts in the smallest unit of their currency', () => {
    expect(english.money(1250, 'CNY')).toBe('¥12.50');
    expect(english.money(300, 'JPY')).toBe('¥300');
  });
});
