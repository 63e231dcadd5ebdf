/** Numbers, times and ages as people write them, through `Intl`. */

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** What a span is counted in, with the space before it where the language writes one. */
export interface SpanUnits {
  readonly second: string;
  readonly minute: string;
  readonly hour: string;
  readonly day: string;
}

/** The formats of one language; made once, as making an `Intl` object is slow. */
export class Format {
  readonly #tag: string;
  readonly #units: SpanUnits;
  readonly #numbers = new Map<string, Intl.NumberFormat>();
  readonly #time: Intl.DateTimeFormat;
  readonly #seconds: Intl.DateTimeFormat;
  readonly #dayTime: Intl.DateTimeFormat;
  readonly #full: Intl.DateTimeFormat;
  readonly #date: Intl.DateTimeFormat;
  readonly #dayKey: Intl.DateTimeFormat;
  readonly #offset: Intl.DateTimeFormat;
  readonly #weekday: Intl.DateTimeFormat;
  readonly #calendarDay: Intl.DateTimeFormat;

  /** `zone`: the IANA name of the zone whose clocks are shown; `null`: the browser's own. */
  constructor(tag: string, units: SpanUnits, zone: string | null = null) {
    this.#tag = tag;
    this.#units = units;
    const there = zone === null ? {} : { timeZone: zone };
    const time = { hour: '2-digit', minute: '2-digit', hourCycle: 'h23', ...there } as const;
    this.#time = new Intl.DateTimeFormat(tag, time);
    this.#seconds = new Intl.DateTimeFormat(tag, { ...time, second: '2-digit' });
    this.#dayTime = new Intl.DateTimeFormat(tag, { ...time, month: 'short', day: 'numeric' });
    this.#full = new Intl.DateTimeFormat(tag, { dateStyle: 'medium', timeStyle: 'medium', hourCycle: 'h23', ...there });
    const day = { month: 'short', day: 'numeric' } as const;
    this.#date = new Intl.DateTimeFormat(tag, { weekday: 'short', ...day, ...there });
    this.#dayKey = new Intl.DateTimeFormat('en-CA', { dateStyle: 'short', ...there });
    this.#offset = new Intl.DateTimeFormat(tag, { timeZoneName: 'shortOffset', ...there });
    this.#weekday = new Intl.DateTimeFormat(tag, { weekday: 'short', timeZone: 'UTC' });
    this.#calendarDay = new Intl.DateTimeFormat(tag, { ...day, timeZone: 'UTC' });
  }

  /** A number with at most `digits` decimals. */
  number(value: number, digits = 0): string {
    return this.#of(`n${digits}`, { maximumFractionDigits: digits }).format(value);
  }

  /** A share of 100. */
  percent(value: number, digits = 0): string {
    return this.#of(`p${digits}`, { style: 'percent', maximumFractionDigits: digits }).format(value / 100);
  }

  /** A number with one of the units that `Intl` knows. */
  unit(value: number, unit: string, digits = 0): string {
    return this.#of(`${unit}${digits}`, {
      style: 'unit',
      unit,
      unitDisplay: 'short',
      maximumFractionDigits: digits,
    }).format(value);
  }

  bytes(value: number): string {
    const steps = ['byte', 'kilobyte', 'megabyte', 'gigabyte', 'terabyte'];
    const step = Math.min(steps.length - 1, Math.floor(Math.log10(Math.max(1, value)) / 3));
    const scaled = value / 1000 ** step;
    return this.unit(scaled, steps[step] ?? 'byte', scaled < 10 && step > 0 ? 1 : 0);
  }

  metres(value: number): string {
    return value < 1000 ? this.unit(value, 'meter') : this.unit(value / 1000, 'kilometer', 1);
  }

  /** Hour and minute. */
  time(at: number): string {
    return this.#time.format(at);
  }

  /** Hour, minute and second: the clock of the page. */
  clock(at: number): string {
    return this.#seconds.format(at);
  }

  /** Weekday and date. */
  date(at: number): string {
    return this.#date.format(at);
  }

  /** Hour and minute, with the date when it is another day. */
  moment(at: number, now: number): string {
    return (this.dayKey(at) === this.dayKey(now) ? this.#time : this.#dayTime).format(at);
  }

  /** The date there as `2026-06-04`. */
  dayKey(at: number): string {
    return this.#dayKey.format(at);
  }

  /** How far the clocks there are from UTC at a time: `GMT+8`. */
  zoneName(at: number): string {
    return this.#offset.formatToParts(at).find((part) => part.type === 'timeZoneName')?.value ?? '';
  }

  /** The weekday of a date that is written `2026-06-04`. */
  weekday(date: string): string {
    return this.#weekday.format(Date.parse(`${date}T12:00:00Z`));
  }

  /** Day and month of a date that is written `2026-06-04`. */
  calendarDay(date: string): string {
    return this.#calendarDay.format(Date.parse(`${date}T12:00:00Z`));
  }

  /** An amount in the smallest unit of a currency. */
  money(minor: number, currency: string): string {
    const format = this.#of(`m${currency}`, { style: 'currency', currency, currencyDisplay: 'narrowSymbol' });
    const digits = format.resolvedOptions().maximumFractionDigits ?? 2;
    return format.format(minor / 10 ** digits);
  }

  /** Everything, for titles. */
  full(at: number): string {
    return this.#full.format(at);
  }

  /** A span in the largest one or two units; negative ones are 0: clocks of boxes may be ahead. */
  span(ms: number): string {
    const left = Math.max(0, ms);
    const { second, minute, hour, day } = this.#units;
    if (left < MINUTE) return this.#whole(left, SECOND, second);
    if (left < HOUR) return this.#whole(left, MINUTE, minute);
    if (left < DAY) return this.#pair(left, HOUR, hour, MINUTE, minute);
    if (left < 100 * DAY) return this.#pair(left, DAY, day, HOUR, hour);
    return this.#whole(left, DAY, day);
  }

  #whole(ms: number, size: number, unit: string): string {
    return `${this.number(Math.floor(ms / size))}${unit}`;
  }

  #pair(ms: number, big: number, bigUnit: string, small: number, smallUnit: string): string {
    const rest = ms % big;
    const whole = this.#whole(ms, big, bigUnit);
    return rest < small ? whole : `${whole} ${this.#whole(rest, small, smallUnit)}`;
  }

  #of(key: string, options: Intl.NumberFormatOptions): Intl.NumberFormat {
    const known = this.#numbers.get(key);
    if (known !== undefined) return known;
    const made = new Intl.NumberFormat(this.#tag, options);
    this.#numbers.set(key, made);
    return made;
  }
}

/** A symbol such as `bin_overflow` as readable text, for words that no catalogue has. */
export function symbolText(symbol: string): string {
  const spaced = symbol.replace(/[_.-]+/g, ' ').trim();
  return spaced === '' ? symbol : spaced.charAt(0).toUpperCase() + spaced.slice(1);
}

/** A catalogue's word for a symbol from outside, or the symbol as text; inherited names are none. */
export function named(catalogue: Readonly<Record<string, string>>, symbol: string): string {
  return Object.hasOwn(catalogue, symbol) ? (catalogue[symbol] ?? symbol) : symbolText(symbol);
}
