import { readFileSync } from 'node:fs';

import { describe, expect, it } from 'vitest';

import { blankTicket, type Ticket } from '../picture/ticket';
import { ticket as readTicket } from '../readers/tickets';
import type { Fields } from '../readers/values';
import { isWhole, percentile, rate, row, rows, shareOf, type Row } from './figures';

/** What the domain publishes of some tickets, and what it counts of them: its own test holds it to that. */
const golden = JSON.parse(
  readFileSync(new URL('../../../domain/src/engine/tests/assessment.json', import.meta.url), 'utf8'),
) as { tickets: Fields[]; rows: Record<string, unknown>[] };

const name = { prefix: 'p', tenant: 't', site: 's', box: 'b' };

function read(body: Fields, i: number): Ticket {
  const odd = (): never => {
    throw new Error('a word that the page does not know');
  };
  const found = readTicket(body, odd);
  if (found === null) throw new Error('no ticket');
  return { ...blankTicket(`p/ticket/t-${i}`, name, `t-${i}`), ...found };
}

/** A row with the names of the domain. */
function asDomain(found: Row): Record<string, unknown> {
  return {
    ...found.counts,
    group: found.group,
    response_p50_s: found.responseP50S,
    response_p95_s: found.responseP95S,
    handling_p50_s: found.handlingP50S,
    handling_p95_s: found.handlingP95S,
    handled_ppm: found.handledPpm,
    in_time_ppm: found.inTimePpm,
    rework_ppm: found.reworkPpm,
    sensed_first_ppm: found.sensedFirstPpm,
    ai_precision_ppm: found.aiPrecisionPpm,
    jinniu_score: found.jinniuScore,
  };
}

describe('the assessment', () => {
  it('has the figures of the domain, of the same tickets', () => {
    const { city, internal, categories } = rows(golden.tickets.map(read));
    expect([...categories, city, internal].map(asDomain)).toEqual(
      // Which crew a ticket belongs to is another question on the page: who has it now.
      golden.rows.filter((row) => !String(row.group).startsWith('crew/')),
    );
    expect(golden.rows.length).toBeGreaterThan(3);
  });

  it('says n/a where there is nothing to take a rate of', () => {
    const none = row('city', []);
    expect([none.handledPpm, none.inTimePpm, none.reworkPpm, none.sensedFirstPpm, none.aiPrecisionPpm, none.jinniuScore, none.responseP50S]).toEqual(
      Array.from({ length: 7 }, () => null),
    );
    expect([rate(0, 0), rate(1, 3)]).toEqual([null, 333_333]);
  });

  it('takes percentiles that are values', () => {
    const values = Array.from({ length: 20 }, (_, i) => i + 1);
    expect([percentile(values, 50), percentile(values, 95), percentile([7], 50), percentile([], 50)]).toEqual([10, 19, 7, null]);
  });

  it('groups by the crew that has a ticket, or had it last', () => {
    const tickets = golden.tickets.map(read);
    const { crews } = rows(tickets);
    const assigned = tickets.filter((ticket) => ticket.flow.some((step) => step.crew !== null)).length;
    expect(crews.reduce((sum, crew) => sum + crew.shares.length, 0)).toBe(assigned);
    expect(assigned).toBeGreaterThan(0);
  });

  it('knows a log whose beginning is not shown', () => {
    const ticket = golden.tickets.map(read).find((one) => one.flow.length > 2);
    expect(ticket && isWhole(ticket)).toBe(true);
    expect(ticket && isWhole({ ...ticket, flow: ticket.flow.slice(1) })).toBe(false);
    expect(shareOf(blankTicket('p/ticket/t', name, 't')).counts.size).toBe(0);
  });
});
