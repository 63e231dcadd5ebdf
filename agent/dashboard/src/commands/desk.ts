/**
 * Commands on tickets: sent, answered, and seen to have happened.
 *
 * Nothing is shown as done before the box said yes **and** the ticket's revision grew. A command that got
 * no answer can be sent again under the same id, which the box carries out at most once.
 */

import type { Reply } from '../readers/replies';
import type { Ticket, TicketState } from '../picture/model';

export const ACTIONS = ['confirm', 'ack', 'assign', 'start', 'resolve', 'verify', 'close', 'reopen', 'reject', 'shelve', 'unshelve'] as const;
export type TicketAction = (typeof ACTIONS)[number];

/** No answer for this long is a time-out; the box refuses the command from then on. */
export const ANSWER_MS = 15_000;
/** After a yes, the ticket has this long to show it. */
export const FOLLOW_MS = 10_000;
/** The longest note, in characters; the box takes 2000 bytes and a character has at most 4. */
export const NOTE_MAX = 500;

/** What a person may ask for in each state. The box decides; this only hides what it would refuse. */
export function actionsFor(state: TicketState | null): readonly TicketAction[] {
  switch (state) {
    case 'candidate':
      return ['confirm', 'reject', 'shelve'];
    case 'raised':
    case 'reopened':
      return ['ack', 'assign', 'resolve', 'reject', 'shelve'];
    case 'acknowledged':
      return ['assign', 'start', 'resolve', 'reject', 'shelve'];
    case 'dispatched':
      return ['start', 'resolve', 'reject', 'shelve'];
    case 'handled':
      return ['verify', 'close', 'reopen'];
    case 'verified':
      return ['close', 'reopen'];
    case 'suppressed':
      return ['unshelve'];
    case 'closed':
    case 'rejected':
      return ['reopen'];
    case 'expired':
    case null:
      return [];
  }
}

/** Where a command stands. */
export type Standing =
  | { readonly is: 'sending' }
  /** The box said yes; the ticket has not followed yet. */
  | { readonly is: 'accepted' }
  | { readonly is: 'done' }
  | { readonly is: 'refused'; readonly code: string | null; readonly message: string | null }
  | { readonly is: 'not_sent' }
  | { readonly is: 'timed_out' }
  /** The box said yes, but the ticket did not change. */
  | { readonly is: 'unconfirmed' };

/** What some commands need besides: `assign` a crew, `shelve` a time. */
export interface Details {
  readonly crew?: string;
  readonly forS?: number;
}

export interface Order {
  readonly id: string;
  readonly ticketKey: string;
  readonly prefix: string;
  readonly ticketId: string;
  readonly action: TicketAction;
  readonly note: string;
  readonly details: Details;
  /** The revision the person saw. */
  readonly rev: number;
  /** When the current wait ends. */
  readonly until: number;
  readonly standing: Standing;
}

/** Whether the person still has to wait. */
export function isPending(order: Order): boolean {
  return order.standing.is === 'sending' || order.standing.is === 'accepted';
}

export type Publish = (topic: string, payload: string) => Promise<void>;

export class Desk {
  readonly #by: string;
  readonly #publish: Publish;
  readonly #changed: () => void;
  readonly #newId: () => string;
  /** The latest order per ticket: a person does one thing to a ticket at a time. */
  readonly #orders = new Map<string, Order>();

  constructor(by: string, publish: Publish, newId: () => string, changed: () => void) {
    this.#by = by;
    this.#publish = publish;
    this.#newId = newId;
    this.#changed = changed;
  }

  /** The latest order on a ticket. */
  order(ticketKey: string): Order | null {
    return this.#orders.get(ticketKey) ?? null;
  }

  /** Sends a command; refused silently while another on the same ticket is pending. */
  send(ticket: Ticket, action: TicketAction, note: string, now: number, details: Details = {}): void {
    const pending = this.#orders.get(ticket.key);
    if (pending !== undefined && isPending(pending)) return;
    this.#transmit(
      {
        id: this.#newId(),
        ticketKey: ticket.key,
        prefix: ticket.name.prefix,
        ticketId: ticket.id,
        action,
        note: note.trim().slice(0, NOTE_MAX),
        details,
        rev: ticket.rev,
        until: now + ANSWER_MS,
        standing: { is: 'sending' },
      },
      now,
    );
  }

  /** Sends an unanswered command again, under the same id. */
  again(ticketKey: string, now: number): void {
    const order = this.#orders.get(ticketKey);
    if (order === undefined || isPending(order)) return;
    this.#transmit({ ...order, until: now + ANSWER_MS, standing: { is: 'sending' } }, now);
  }

  /** Takes the outcome of a finished command off the screen. */
  dismiss(ticketKey: string): void {
    const order = this.#orders.get(ticketKey);
    if (order === undefined || isPending(order)) return;
    this.#orders.delete(ticketKey);
    this.#changed();
  }

  /** An answer came. */
  answer(reply: Reply, now: number): void {
    const order = [...this.#orders.values()].find((one) => one.id === reply.id);
    if (order === undefined || order.standing.is === 'done') return;
    if (!reply.ok) {
      this.#set(order, { is: 'refused', code: reply.code, message: reply.message });
    } else if (order.standing.is !== 'accepted') {
      this.#set({ ...order, until: now + FOLLOW_MS }, { is: 'accepted' });
    }
  }

  /** Looks at the tickets and at the time: what is done, and what waited too long. */
  look(tickets: ReadonlyMap<string, Ticket>, now: number): void {
    for (const order of [...this.#orders.values()]) {
      const ticket = tickets.get(order.ticketKey);
      // A ticket that is gone was emptied after closing, so it cannot grow any more.
      const hasFollowed = ticket === undefined || ticket.rev > order.rev;
      const { is } = order.standing;
      if ((is === 'accepted' || is === 'unconfirmed') && hasFollowed) {
        this.#set(order, { is: 'done' });
      } else if (isPending(order) && now >= order.until) {
        this.#set(order, { is: is === 'sending' ? 'timed_out' : 'unconfirmed' });
      }
    }
  }

  #set(order: Order, standing: Standing): void {
    this.#orders.set(order.ticketKey, { ...order, standing });
    this.#changed();
  }

  #transmit(order: Order, now: number): void {
    this.#set(order, { is: 'sending' });
    const command = {
      id: order.id,
      by: this.#by,
      issued_at: new Date(now).toISOString(),
      expires_at: new Date(now + ANSWER_MS).toISOString(),
      args: {
        ticket: order.ticketId,
        action: order.action,
        ...(order.note === '' ? {} : { note: order.note }),
        ...(order.details.crew === undefined ? {} : { crew: order.details.crew }),
        ...(order.details.forS === undefined ? {} : { for_s: order.details.forS }),
      },
    };
    this.#publish(`${order.prefix}/cmd/ticket`, JSON.stringify(command)).catch(() => {
      const latest = this.#orders.get(order.ticketKey);
      if (latest?.id === order.id && latest.standing.is === 'sending') {
        this.#set(latest, { is: 'not_sent' });
      }
    });
  }
}
