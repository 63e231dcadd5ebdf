/**
 * The smallest readers: from an unknown JSON value to one typed value, or `null`.
 *
 * Nothing in here throws, and nothing replaces a wrong value by a plausible one: what cannot be read
 * is `null`, and the page shows it as not known.
 */

/** A JSON object whose content is not known yet. Only own fields are ever read. */
export type Fields = Readonly<Record<string, unknown>>;

/** The longest text that is kept; longer ones are cut and end in an ellipsis. */
export const TEXT_MAX = 400;

/** RFC 3339 with an offset; a local time without one would be read differently in each browser. */
const INSTANT = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{1,9})?(Z|[+-]\d{2}:\d{2})$/;

/** A JSON object; arrays and `null` are none. */
export function fields(value: unknown): Fields | null {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Fields)
    : null;
}

/** A field of an object, never one that it inherits. */
export function own(from: Fields, name: string): unknown {
  return Object.hasOwn(from, name) ? from[name] : undefined;
}

/** A text that is not blank, cut at `max` characters. */
export function text(value: unknown, max: number = TEXT_MAX): string | null {
  if (typeof value !== 'string') return null;
  const cut = value.length > max ? `${value.slice(0, max - 1)}…` : value;
  return cut.trim() === '' ? null : cut;
}

/** A finite number inside the range, both ends included. */
export function number(value: unknown, min = -Infinity, max = Infinity): number | null {
  return typeof value === 'number' && Number.isFinite(value) && value >= min && value <= max
    ? value
    : null;
}

/** A whole number from 0 to 2^53. */
export function count(value: unknown): number | null {
  const found = number(value, 0, Number.MAX_SAFE_INTEGER);
  return found !== null && Number.isInteger(found) ? found : null;
}

/** A yes or no. */
export function flag(value: unknown): boolean | null {
  return typeof value === 'boolean' ? value : null;
}

/** An RFC 3339 instant as milliseconds since 1970. */
export function instant(value: unknown): number | null {
  if (typeof value !== 'string' || !INSTANT.test(value)) return null;
  const parsed = Date.parse(value);
  return Number.isNaN(parsed) ? null : parsed;
}

/** One of the words of a closed vocabulary. */
export function word<W extends string>(value: unknown, words: readonly W[]): W | null {
  return typeof value === 'string' && (words as readonly string[]).includes(value)
    ? (value as W)
    : null;
}

/** Told of each word that no vocabulary has. */
export type Odd = () => void;

/** One of the words of a vocabulary that may grow: a new one is reported, and `null`. */
export function knownWord<W extends string>(value: unknown, words: readonly W[], odd: Odd): W | null {
  const found = word(value, words);
  if (found === null && value !== undefined && value !== null) odd();
  return found;
}

/** The IANA name of a time zone, where the browser knows it. */
export function zone(value: unknown): string | null {
  const name = text(value, 60);
  if (name === null) return null;
  try {
    return new Intl.DateTimeFormat('en', { timeZone: name }).resolvedOptions().timeZone;
  } catch {
    return null;
  }
}

/** The readable items of an array, the first `max` of them. */
export function list<T>(value: unknown, max: number, read: (item: unknown) => T | null): T[] {
  if (!Array.isArray(value)) return [];
  const found: T[] = [];
  for (const item of value) {
    if (found.length >= max) break;
    const one = read(item);
    if (one !== null) found.push(one);
  }
  return found;
}

/** A scalar as it would be printed: for values whose meaning is not known here. */
export function printable(value: unknown): string | null {
  if (typeof value === 'boolean') return String(value);
  const asNumber = number(value);
  return asNumber !== null ? String(asNumber) : text(value, 160);
}
