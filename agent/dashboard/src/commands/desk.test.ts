import { beforeEach, describe, expect, it } from 'vitest';

import { TICKET_STATES, blankTicket, type Ticket, type TicketState } from '../picture/ticket';
import { ANSWER_MS, Desk, FOLLOW_MS, actionsFor, type Standing } from './desk';

const P = 'steward/v1/longcheng/xuejia/xj-0412';
const AT = Date.UTC(2026, 5, 4, 4);

function ticketAt(rev: number, state: TicketState = 'raised'): Ticket {
  const name = { prefix: P, tenant: 'longcheng', site: 'xuejia', box: 'xj-0412' };
  return { ...blankTicket(`${P}/ticket/t-1`, name, 't-1'), rev, category: 'bin_full', state };
}

interface Sent {
  topic: string;
  body: { id: string; by: string; issued_at: string; expires_at: string; args: Record<string, string> };
}

let sent: Sent[];
let canSend: boolean;
let desk: Desk;

beforeEach(() => {
  sent = [];
  canSend = true;
  let n = 0;
  desk = new Desk(
    'dash-1',
    (topic, payload) => {
      if (!canSend) return Promise.reject(new Error('no link'));
      sent.push({ topic, body: JSON.parse(payload) as Sent['body'] });
      return Promise.resolve();
    },
    () => `c-${(n += 1)}`,
    () => {},
  );
});

const key = `${P}/ticket/t-1`;
const standing = (): Standing['is'] | undefined => desk.order(key)?.standing.is;
const look = (ticket: Ticket | null, now: number): void =>
  desk.look(new Map(ticket === null ? [] : [[key, ticket]]), now);
const yes = (id: string) => ({ id, ok: true, rev: null, code: null, message: null });

describe('a command', () => {
  it('goes out as the contract says', () => {
    desk.send(ticketAt(1), 'ack', '  on my way ', AT);
    expect(sent).toEqual([
      {
        topic: `${P}/cmd/ticket`,
        body: {
          id: 'c-1',
          by: 'dash-1',
          issued_at: '2026-06-04T04:00:00.000Z',
          expires_at: '2026-06-04T04:00:15.000Z',
          args: { ticket: 't-1', action: 'ack', note: 'on my way' },
        },
      },
    ]);
  });

  it('is done only after the answer and the new revision, in either order', () => {
    desk.send(ticketAt(1), 'ack', '', AT);
    look(ticketAt(2), AT + 10);
    expect(standing()).toBe('sending');
    desk.answer(yes('c-1'), AT + 20);
    expect(standing()).toBe('accepted');
    look(ticketAt(2), AT + 30);
    expect(standing()).toBe('done');

    desk.send(ticketAt(2), 'resolve', '', AT + 100);
    desk.answer(yes('c-2'), AT + 110);
    look(ticketAt(2), AT + 120);
    expect(standing()).toBe('accepted');
    look(ticketAt(3), AT + 130);
    expect(standing()).toBe('done');
  });

  it('keeps the words of a refusal', () => {
    desk.send(ticketAt(1), 'close', '', AT);
    desk.answer({ id: 'c-1', ok: false, rev: null, code: 'not_now', message: 'a raised ticket cannot be closed' }, AT + 5);
    expect(desk.order(key)?.standing).toEqual({ is: 'refused', code: 'not_now', message: 'a raised ticket cannot be closed' });
  });

  it('without an answer times out, and is sent again under the same id', () => {
    desk.send(ticketAt(1), 'ack', 'n', AT);
    look(ticketAt(1), AT + ANSWER_MS - 1);
    expect(standing()).toBe('sending');
    look(ticketAt(1), AT + ANSWER_MS);
    expect(standing()).toBe('timed_out');
    desk.again(key, AT + 20_000);
    expect(sent.map((one) => [one.body.id, one.body.args['note']])).toEqual([['c-1', 'n'], ['c-1', 'n']]);
    expect(sent[1]?.body.expires_at).toBe(new Date(AT + 20_000 + ANSWER_MS).toISOString());
    desk.answer(yes('c-1'), AT + 20_100);
    expect(standing()).toBe('accepted');
  });

  it('that was accepted but not followed says so, and may still be', () => {
    desk.send(ticketAt(1), 'ack', '', AT);
    desk.answer(yes('c-1'), AT + 100);
    look(ticketAt(1), AT + 100 + FOLLOW_MS);
    expect(standing()).toBe('unconfirmed');
    look(ticketAt(2), AT + 60_000);
    expect(standing()).toBe('done');
  });

  it('cannot be sent twice while it is pending', () => {
    desk.send(ticketAt(1), 'ack', '', AT);
    desk.send(ticketAt(1), 'reject', '', AT + 1);
    desk.again(key, AT + 2);
    desk.dismiss(key);
    expect(sent).toHaveLength(1);
    expect(standing()).toBe('sending');
  });

  it('without a link is not sent, and says so', async () => {
    canSend = false;
    desk.send(ticketAt(1), 'ack', '', AT);
    await Promise.resolve();
    await Promise.resolve();
    expect(standing()).toBe('not_sent');
    canSend = true;
    desk.again(key, AT + 5);
    expect(sent).toHaveLength(1);
  });

  it('ignores answers to others and repeated answers', () => {
    desk.send(ticketAt(1), 'ack', '', AT);
    desk.answer(yes('c-9'), AT + 1);
    expect(standing()).toBe('sending');
    desk.answer(yes('c-1'), AT + 2);
    look(ticketAt(2), AT + 3);
    desk.answer({ id: 'c-1', ok: false, rev: null, code: 'late', message: null }, AT + 4);
    expect(standing()).toBe('done');
    desk.dismiss(key);
    expect(desk.order(key)).toBeNull();
  });

  it('on a ticket that was emptied meanwhile is done', () => {
    desk.send(ticketAt(4, 'handled'), 'close', '', AT);
    desk.answer(yes('c-1'), AT + 1);
    look(null, AT + 2);
    expect(standing()).toBe('done');
  });
});

describe('what may be asked for', () => {
  it('is something in every state that is known, and nothing in an unknown one', () => {
    for (const state of TICKET_STATES.filter((one) => one !== 'expired')) expect(actionsFor(state).length, state).toBeGreaterThan(0);
    expect(actionsFor(null)).toEqual([]);
    expect(actionsFor('expired')).toEqual([]);
    expect(actionsFor('closed')).toEqual(['reopen']);
  });
});
