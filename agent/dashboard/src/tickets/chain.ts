/**
 * Whether a ticket's flow log is as it was written: every entry carries the hash of the one before it, and
 * the ticket that of the last. A page can check what it was sent, without asking the box that wrote it.
 */

import type { Ticket } from '../picture/ticket';
import { fields, own } from '../readers/values';
import { sha256 } from './sha256';

export type Chain =
  /** Every entry fits, from the first one on. */
  | { readonly is: 'whole' }
  /** Every entry fits, but the beginning was not sent. */
  | { readonly is: 'tail'; readonly from: number }
  /** An entry was changed, or one is missing. */
  | { readonly is: 'broken'; readonly n: number }
  /** The box sends no hashes. */
  | { readonly is: 'none' };

/** An entry as it is hashed: without blanks, its keys in alphabetical order. */
function written(entry: Readonly<Record<string, unknown>>): string {
  return JSON.stringify(Object.fromEntries(Object.keys(entry).sort().map((key) => [key, entry[key]])));
}

/** Checks the log of `ticket`. */
export function chain(ticket: Pick<Ticket, 'id' | 'rawFlow' | 'flowSha256'>): Chain {
  const entries = ticket.rawFlow.map(fields);
  const first = entries[0];
  if (ticket.flowSha256 === null || first == null) return { is: 'none' };
  const from = Number(own(first, 'n'));
  let prev = from === 1 ? sha256(ticket.id) : own(first, 'prev_sha256');
  for (const [i, entry] of entries.entries()) {
    if (entry === null || own(entry, 'n') !== from + i || own(entry, 'prev_sha256') !== prev) {
      return { is: 'broken', n: from + i };
    }
    prev = sha256(written(entry));
  }
  if (prev !== ticket.flowSha256) return { is: 'broken', n: from + entries.length - 1 };
  return from === 1 ? { is: 'whole' } : { is: 'tail', from };
}
