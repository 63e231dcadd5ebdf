import { describe, expect, it } from 'vitest';

import { Picture } from '../picture/picture';
import { en } from '../words/en';
import { line, matches, sorted } from './ticketTable';

const NOW = Date.UTC(2026, 5, 4, 4);
const MINUTE = 60_000;
const iso = (minutesAgo: number): string => new Date(NOW - minutesAgo * MINUTE).toISOString();

function lines(tickets: Record<string, object>) {
  const picture = new Picture();
  picture.begin();
  for (const [id, body] of Object.entries(tickets)) {
    const payload = new TextEncoder().encode(JSON.stringify({ rev: 1, ...body }));
    picture.take({ topic: `steward/v1/a/b/c/ticket/${id}/state`, payload, retained: true, at: NOW });
  }
  return [...picture.tickets.values()].map((ticket) => line(ticket, picture, en, 'en', NOW));
}

const step = (name: string, minutesAgo: number) => ({ n: 1, step: name, at: iso(minutesAgo), by: 'x' });

describe('the ticket table', () => {
  const all = lines({
    't-1': { category: 'bin_full', state: 'raised', severity: 'medium', opened_at: iso(30), flow: [step('raised', 30)], asset: { class: 'bin', id: 'bin-7' } },
    't-2': { category: 'overstay', state: 'handled', severity: 'low', opened_at: iso(60), flow: [step('raised', 60), step('ack', 50), step('resolve', 20)] },
    't-3': { category: 'bin_fire', state: 'reopened', severity: 'critical', opened_at: iso(90), flow: [step('raised', 90), step('ack', 85), step('resolve', 80), step('reopen', 5)] },
    't-4': { category: 'bin_full', state: 'closed' },
  });
  const of = (id: string) => all.find((one) => one.ticket.id === id);

  it('counts minutes from the flow, and from the last reopening', () => {
    expect(of('t-1')?.waited).toEqual({ ms: 30 * MINUTE, isRunning: true });
    expect(of('t-2')?.waited).toEqual({ ms: 10 * MINUTE, isRunning: false });
    expect(of('t-2')?.worked).toEqual({ ms: 40 * MINUTE, isRunning: false });
    expect(of('t-3')?.waited).toEqual({ ms: 5 * MINUTE, isRunning: true });
    expect(of('t-3')?.worked).toEqual({ ms: 5 * MINUTE, isRunning: true });
    expect(of('t-4')?.waited).toBeNull();
  });

  it('sorts, with what is not known last either way', () => {
    const ids = (sort: 'severity' | 'waited', down: boolean) => sorted(all, sort, down, 'en').map((one) => one.ticket.id);
    expect(ids('severity', true)).toEqual(['t-3', 't-1', 't-2', 't-4']);
    expect(ids('waited', false)).toEqual(['t-3', 't-2', 't-1', 't-4']);
    expect(ids('waited', true)).toEqual(['t-1', 't-2', 't-3', 't-4']);
  });

  it('finds by words, symbol and asset', () => {
    const found = (search: string) => all.filter((one) => matches(one, search)).map((one) => one.ticket.id);
    expect(found('bin full')).toEqual(['t-1', 't-4']);
    expect(found('OVERSTAY')).toEqual(['t-2']);
    expect(found('bin-7')).toEqual(['t-1']);
    expect(found('  ')).toHaveLength(4);
  });
});
