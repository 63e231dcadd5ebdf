/** Tickets as the boxes publish them. Times are milliseconds since 1970; `null` means "not known". */

import type { BoxName } from '../readers/topics';
import type { Header, Place } from './model';

export const TICKET_STATES = [
  'candidate',
  'raised',
  'acknowledged',
  'dispatched',
  'handled',
  'verified',
  'closed',
  'suppressed',
  'rejected',
  'reopened',
  'expired',
] as const;
export type TicketState = (typeof TICKET_STATES)[number];

/** Worst last. */
export const SEVERITIES = ['low', 'medium', 'high', 'critical'] as const;
export type Severity = (typeof SEVERITIES)[number];

export const WITNESS_KINDS = ['sensor', 'camera', 'citizen', 'patrol'] as const;
export type WitnessKind = (typeof WITNESS_KINDS)[number];

/** The four kinds of time that a limit is counted in. */
export const LIMIT_KINDS = ['urgent_hour', 'work_hour', 'work_day', 'natural_day'] as const;
export type LimitKind = (typeof LIMIT_KINDS)[number];

export const LIMIT_STATUSES = ['running', 'paused', 'finished', 'timeout'] as const;
export type LimitStatus = (typeof LIMIT_STATUSES)[number];

/** A reading that made the rule true. */
export interface Evidence {
  readonly at: number | null;
  readonly fact: string;
  readonly value: string | null;
  readonly unit: string | null;
  readonly text: string | null;
}

/** Who says that there is a problem. */
export interface Witness {
  readonly kind: WitnessKind;
  readonly by: string | null;
  readonly at: number | null;
  /** Percent. */
  readonly confidence: number | null;
  readonly text: string | null;
  /** Where a photo is kept: shown as text, never loaded. */
  readonly media: string | null;
}

/** A step of a ticket's life. */
export interface FlowStep {
  readonly n: number | null;
  readonly step: string;
  readonly at: number | null;
  readonly by: string | null;
  /** Where the ticket stood after it. */
  readonly state: TicketState | null;
  readonly note: string | null;
  readonly crew: string | null;
  /** Seconds of the limit's own time that were used up by then. */
  readonly usedS: number | null;
  readonly prevSha256: string | null;
}

/** By when a ticket has to be handled. */
export interface Limit {
  readonly kind: LimitKind | null;
  readonly value: number | null;
  readonly due: number | null;
  readonly status: LimitStatus | null;
  readonly isOverdue: boolean;
}

/** Why nobody is to hear of a ticket, and until when. */
export interface Suppression {
  readonly reason: string;
  readonly until: number | null;
}

/** `P/ticket/<id>/state`. */
export interface Ticket {
  readonly key: string;
  readonly name: BoxName;
  readonly id: string;
  readonly header: Header;
  readonly rev: number;
  readonly category: string;
  /** The category in the words of standards. */
  readonly codes: readonly { readonly scheme: string; readonly code: string }[];
  /** The operator's own business, no part of the city's figures. */
  readonly isInternal: boolean;
  readonly state: TicketState | null;
  readonly clearedBySensor: boolean;
  readonly severity: Severity | null;
  readonly asset: { readonly class: string; readonly id: string } | null;
  readonly place: Place | null;
  readonly openedAt: number | null;
  readonly updatedAt: number | null;
  readonly closedAt: number | null;
  readonly rule: { readonly id: string; readonly version: number | null } | null;
  readonly evidence: readonly Evidence[];
  readonly sources: readonly Witness[];
  /** Percent. */
  readonly confidence: number | null;
  readonly crew: string | null;
  readonly limit: Limit | null;
  readonly suppressed: Suppression | null;
  /** Comings and goings since it began to flap. */
  readonly flaps: number | null;
  readonly flow: readonly FlowStep[];
  /** The entries of the flow as they were sent: what their hashes are over. */
  readonly rawFlow: readonly unknown[];
  /** The hash of the last entry of the flow. */
  readonly flowSha256: string | null;
  readonly reopened: number;
  /** The ticket of the same problem before this one. */
  readonly prior: string | null;
  readonly epoch: number;
}

/** Whether somebody still has to do something about it. */
export function isOpen(ticket: Ticket): boolean {
  return ticket.state !== 'closed' && ticket.state !== 'rejected' && ticket.state !== 'expired';
}

/** Whether nobody has taken it yet. */
export function isUntaken(ticket: Ticket): boolean {
  return ticket.state === 'candidate' || ticket.state === 'raised' || ticket.state === 'reopened';
}

/** Whether its limit is over and it is not handled. */
export function isOverdue(ticket: Ticket, now: number): boolean {
  const limit = ticket.limit;
  if (limit === null || !isOpen(ticket) || limit.status === 'finished') return false;
  return limit.isOverdue || limit.status === 'timeout' || (limit.status === 'running' && limit.due !== null && limit.due < now);
}

/** A ticket of which nothing is known but its name: what readers and tests start from. */
export function blankTicket(key: string, name: BoxName, id: string): Ticket {
  return {
    key,
    name,
    id,
    header: { at: null, clock: null, boot: null, seq: null, quality: null },
    rev: 1,
    category: '',
    codes: [],
    isInternal: false,
    state: null,
    clearedBySensor: false,
    severity: null,
    asset: null,
    place: null,
    openedAt: null,
    updatedAt: null,
    closedAt: null,
    rule: null,
    evidence: [],
    sources: [],
    confidence: null,
    crew: null,
    limit: null,
    suppressed: null,
    flaps: null,
    flow: [],
    rawFlow: [],
    flowSha256: null,
    reopened: 0,
    prior: null,
    epoch: 1,
  };
}
