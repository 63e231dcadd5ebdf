/** The ticket table: how long tickets waited, how they sort and what a search finds. Pure. */

import type { Picture } from '../picture/picture';
import { SEVERITIES, isOpen, isUntaken, type Ticket } from '../picture/model';
import type { Words } from '../words/en';
import { named } from '../words/format';
import { assetOf, streetName, subjectName } from '../words/naming';

export const SORTS = ['severity', 'kind', 'where', 'state', 'opened', 'waited', 'worked'] as const;
export type Sort = (typeof SORTS)[number];

/** A length of time that is over, or that still runs at `now`; in milliseconds. */
export interface Lapse {
  readonly ms: number;
  readonly isRunning: boolean;
}

/** When the ticket last came up: its opening, or the last time it was reopened. */
function upAt(ticket: Ticket): number | null {
  const again = ticket.flow.findLast((step) => step.step === 'reopen' || step.step === 'reopened');
  return again === undefined ? ticket.openedAt : again.at;
}

function firstAfter(ticket: Ticket, from: number, steps: readonly string[]): number | null {
  const found = ticket.flow.find((one) => one.at !== null && one.at >= from && steps.includes(one.step));
  return found?.at ?? null;
}

const DONE = ['resolve', 'handled', 'close', 'closed', 'reject', 'rejected'];
const TAKEN = ['ack', 'acknowledged', 'dispatched', 'started', ...DONE];

function lapse(from: number | null, to: number | null, runs: boolean, now: number): Lapse | null {
  if (from === null) return null;
  if (to !== null) return { ms: Math.max(0, to - from), isRunning: false };
  return runs ? { ms: Math.max(0, now - from), isRunning: true } : null;
}

/** From coming up to being taken by somebody; `null` when the flow does not tell. */
export function waited(ticket: Ticket, now: number): Lapse | null {
  const from = upAt(ticket);
  return lapse(from, from === null ? null : firstAfter(ticket, from, TAKEN), isUntaken(ticket), now);
}

/** From coming up to being handled; `null` when the flow does not tell. */
export function worked(ticket: Ticket, now: number): Lapse | null {
  const from = upAt(ticket);
  const runs = isUntaken(ticket) || ticket.state === 'acknowledged' || ticket.state === 'dispatched';
  return lapse(from, from === null ? null : firstAfter(ticket, from, DONE), runs, now);
}

export interface TicketLine {
  readonly ticket: Ticket;
  readonly kind: string;
  readonly where: string;
  readonly waited: Lapse | null;
  readonly worked: Lapse | null;
}

/** What one row says. */
export function line(ticket: Ticket, picture: Picture, words: Words, language: string, now: number): TicketLine {
  const asset = assetOf(ticket, picture);
  const street = asset === null ? '' : streetName(asset, picture, language);
  const subject = subjectName(ticket, picture, words, language);
  return {
    ticket,
    kind: named(words.categories, ticket.category),
    where: street === '' || subject.includes(street) ? subject : `${subject} · ${street}`,
    waited: waited(ticket, now),
    worked: worked(ticket, now),
  };
}

const STATE_ORDER = [
  'reopened',
  'candidate',
  'raised',
  'acknowledged',
  'dispatched',
  'suppressed',
  'handled',
  'verified',
  'closed',
  'rejected',
  'expired',
];

function order({ ticket, kind, where, ...times }: TicketLine, sort: Sort): number | string | null {
  switch (sort) {
    case 'severity':
      return ticket.severity === null ? null : SEVERITIES.indexOf(ticket.severity) + (isOpen(ticket) ? 10 : 0);
    case 'kind':
      return kind;
    case 'where':
      return where;
    case 'state':
      return ticket.state === null ? null : STATE_ORDER.indexOf(ticket.state);
    case 'opened':
      return ticket.openedAt;
    case 'waited':
      return times.waited?.ms ?? null;
    case 'worked':
      return times.worked?.ms ?? null;
  }
}

/** Lines in order; what is not known comes last either way, and equals come newest first. */
export function sorted(lines: readonly TicketLine[], sort: Sort, isDescending: boolean, tag: string): TicketLine[] {
  const collator = new Intl.Collator(tag, { numeric: true });
  const keyed = lines.map((one) => ({ one, value: order(one, sort) }));
  keyed.sort((a, b) => {
    if (a.value === null || b.value === null) {
      if (a.value !== b.value) return a.value === null ? 1 : -1;
    } else {
      const ascending =
        typeof a.value === 'number' && typeof b.value === 'number'
          ? a.value - b.value
          : collator.compare(String(a.value), String(b.value));
      if (ascending !== 0) return isDescending ? -ascending : ascending;
    }
    return (b.one.ticket.openedAt ?? 0) - (a.one.ticket.openedAt ?? 0) || a.one.ticket.key.localeCompare(b.one.ticket.key);
  });
  return keyed.map(({ one }) => one);
}

/** Whether a search finds the line: by kind, symbol, place, street or id. */
export function matches({ ticket, kind, where }: TicketLine, search: string): boolean {
  const wanted = search.trim().toLowerCase();
  return wanted === '' || `${kind} ${ticket.category} ${where} ${ticket.id} ${ticket.asset?.id ?? ''}`.toLowerCase().includes(wanted);
}
