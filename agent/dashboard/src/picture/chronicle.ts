/**
 * What happened, as far as a view adds it up: stays, and the way of the waste.
 *
 * A broker keeps no events. Stays are those that ended while the page was open, and whoever shows them says
 * so; of the waste the boxes remember more, and are asked for it.
 */

import type { Class } from '../readers/topics';

/** Most entries of each list; the oldest goes first. */
export const CHRONICLE_MAX = 1000;

export const SESSION_QUALITIES = ['exact', 'bounded', 'inferred', 'lost_end'] as const;
export type SessionQuality = (typeof SESSION_QUALITIES)[number];

/** The end of a stay. */
export interface Stay {
  readonly start: number | null;
  readonly end: number | null;
  readonly durationS: number | null;
  readonly quality: SessionQuality | null;
  /** Whether the box billed it; `null` where the bay has no tariff. */
  readonly isBillable: boolean | null;
  /** In the smallest unit of the currency. */
  readonly total: number | null;
}

/** A step of the way of waste: who gave it, who took it, what it weighed. */
export interface Custody {
  readonly what: 'collection' | 'deposit' | 'lift' | 'trip';
  /** A pseudonym, or a vehicle. */
  readonly by: string | null;
  /** How it is known who it was. */
  readonly knownBy: string | null;
  readonly kind: string | null;
  readonly kg: number | null;
  readonly litres: number | null;
  readonly beforePct: number | null;
  readonly afterPct: number | null;
  readonly overflowS: number | null;
  readonly lifts: number | null;
  readonly differencePct: number | null;
  readonly violations: readonly string[];
}

/** An event with a meaning for a view; `null` for every other. */
export type Meaning = { readonly of: 'stay'; readonly stay: Stay } | { readonly of: 'custody'; readonly custody: Custody } | null;

export interface Entry<T> {
  readonly n: number;
  readonly prefix: string;
  readonly class: Class | 'ticket';
  readonly subject: string;
  readonly at: number | null;
  readonly what: T;
}

export class Chronicle {
  /** Newest last. */
  readonly stays: Entry<Stay>[] = [];
  /** Newest last. */
  readonly custody: Entry<Custody>[] = [];
  #n = 0;

  note(meaning: Meaning, event: { readonly at: number | null }, prefix: string, kind: Class | 'ticket', subject: string): void {
    if (meaning === null) return;
    this.#n += 1;
    const entry = { n: this.#n, prefix, class: kind, subject, at: event.at };
    if (meaning.of === 'stay') keep(this.stays, { ...entry, what: meaning.stay }, (a, b) => a.start === b.start);
    else keep(this.custody, { ...entry, what: meaning.custody }, (a, b) => a.what === b.what && a.by === b.by);
  }
}

/** Puts an entry in its place in time; what is there already stays as it is. */
function keep<T>(list: Entry<T>[], entry: Entry<T>, isSame: (a: T, b: T) => boolean): void {
  const { at } = entry;
  const place = at === null ? list.length : list.findLastIndex((one) => (one.at ?? -Infinity) <= at) + 1;
  for (let i = place - 1; at !== null && list[i]?.at === at; i -= 1) {
    const other = list[i];
    if (other?.prefix === entry.prefix && other.subject === entry.subject && isSame(other.what, entry.what)) return;
  }
  list.splice(place, 0, entry);
  if (list.length > CHRONICLE_MAX) list.shift();
}
