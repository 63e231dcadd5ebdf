/**
 * Assessment (考核): how fast, how well and how often again, from the flow logs of tickets.
 *
 * The same figures as `steward report --about tickets`, by the same rules; a test compares them with the
 * domain's own. A rate whose denominator is zero is `null`, never 100 %. Time is the limit's own kind where
 * a limit ran, wall time elsewhere.
 */

import type { FlowStep, Ticket } from '../picture/ticket';

export const MEASURES = [
  'registered',
  'needed',
  'handled',
  'in_time',
  'overdue_waiting',
  'to_close',
  'closed',
  'rework',
  'reopened',
  'extended',
  'rejected',
  'sensed_first',
  'ai_reviewed',
  'ai_confirmed',
  'in_hand',
] as const;
export type Measure = (typeof MEASURES)[number];

/** What one ticket adds to a row. */
export interface Share {
  readonly ticket: Ticket;
  readonly counts: ReadonlySet<Measure>;
  /** Seconds from the opening to the first thing that a person did. */
  readonly responseS: number | null;
  /** Seconds that were used up until it was handled. */
  readonly handlingS: number | null;
}

/** The figures of a group of tickets. Rates are in parts of a million, the score in hundredths of a point. */
export interface Row {
  readonly group: string;
  readonly counts: Readonly<Record<Measure, number>>;
  readonly shares: readonly Share[];
  readonly responseP50S: number | null;
  readonly responseP95S: number | null;
  readonly handlingP50S: number | null;
  readonly handlingP95S: number | null;
  readonly handledPpm: number | null;
  readonly inTimePpm: number | null;
  readonly reworkPpm: number | null;
  readonly sensedFirstPpm: number | null;
  readonly aiPrecisionPpm: number | null;
  readonly jinniuScore: number | null;
}

/** `n` of `d` in parts of a million, rounded down. */
export function rate(n: number, d: number): number | null {
  return d === 0 ? null : Math.floor((n * 1_000_000) / d);
}

/** Whether the whole flow log is there: a box shows the newest entries of a long one. */
export function isWhole(ticket: Ticket): boolean {
  return ticket.flow[0]?.n === 1;
}

const byPerson = (entry: FlowStep): boolean => entry.by !== 'agent';
const isDone = (entry: FlowStep): boolean => byPerson(entry) && (entry.step === 'handled' || entry.step === 'closed');
const isTimed = (ticket: Ticket): boolean =>
  ['raised', 'acknowledged', 'dispatched', 'reopened'].includes(ticket.state ?? '');

function seconds(from: number | null, to: number | null): number | null {
  return from === null || to === null ? null : Math.max(0, Math.floor((to - from) / 1000));
}

/** What a person said of something that a camera found. */
function review(ticket: Ticket, counts: Set<Measure>): void {
  if (ticket.sources[0]?.kind !== 'camera') return;
  const words = ['raised', 'rejected', 'handled', 'verified'];
  const judged = ticket.flow.findLast((entry) => words.includes(entry.step) && byPerson(entry));
  if (judged === undefined) return;
  counts.add('ai_reviewed');
  if (judged.step !== 'rejected') counts.add('ai_confirmed');
}

/** Whether the limit that ran last is over: a rework has a limit of its own. */
function lastLimitIsOver(flow: readonly FlowStep[]): boolean {
  return flow.findLast((entry) => entry.step === 'overdue' || entry.step === 'reopened')?.step === 'overdue';
}

function cameBackAfterWork(flow: readonly FlowStep[]): boolean {
  return flow.some((entry, i) => {
    const before = flow[i - 1]?.state ?? null;
    return entry.step === 'reopened' && (before === 'handled' || before === 'verified' || before === 'closed');
  });
}

/** What a ticket adds to every row that it belongs to. */
export function shareOf(ticket: Ticket): Share {
  const counts = new Set<Measure>();
  const { flow } = ticket;
  const raised = flow.findIndex((entry) => entry.step === 'raised' || entry.step === 'suppressed');
  const opening = flow[raised];
  if (opening === undefined) {
    // A candidate that nobody has confirmed is no case; one that was rejected was looked at.
    review(ticket, counts);
    return { ticket, counts, responseS: null, handlingS: null };
  }
  const isDropped = ticket.state === 'rejected' || ticket.state === 'expired';
  counts.add('registered');
  if (!isDropped) counts.add('needed');
  if (ticket.state === 'rejected') counts.add('rejected');
  const at = flow.findIndex(isDone);
  const done = flow[at];
  let handlingS: number | null = null;
  if (done !== undefined && !isDropped) {
    counts.add('handled').add('to_close');
    if (!flow.slice(0, at).some((entry) => entry.step === 'overdue')) counts.add('in_time');
    handlingS = done.usedS ?? seconds(opening.at, done.at);
  }
  if (isTimed(ticket) && lastLimitIsOver(flow)) counts.add('overdue_waiting');
  if (ticket.state === 'closed') counts.add('closed');
  if (ticket.state === 'dispatched') counts.add('in_hand');
  if (cameBackAfterWork(flow)) counts.add('rework');
  if (flow.some((entry) => entry.step === 'reopened')) counts.add('reopened');
  if (flow.some((entry) => entry.step === 'extended')) counts.add('extended');
  const first = ticket.sources[0]?.kind;
  if (first === 'sensor' || first === 'camera') counts.add('sensed_first');
  const answer = flow.slice(raised + 1).find((entry) => byPerson(entry) && entry.step !== 'refused');
  review(ticket, counts);
  return { ticket, counts, responseS: answer === undefined ? null : seconds(opening.at, answer.at), handlingS };
}

/** The value below which `percent` of the sorted values lie: the nearest rank. */
export function percentile(sorted: readonly number[], percent: number): number | null {
  const rank = Math.max(1, Math.ceil((sorted.length * percent) / 100));
  return sorted[rank - 1] ?? null;
}

/** The score of 成都金牛区 in hundredths of a point, as the domain has it. */
function jinniu(n: Readonly<Record<Measure, number>>): number | null {
  const not = (ppm: number | null): number | null => (ppm === null ? null : Math.max(0, 1_000_000 - ppm));
  const parts: [number | null, number][] = [
    [rate(n.handled, n.needed), 30],
    [rate(n.in_time, n.needed), 20],
    [not(rate(n.rework, n.to_close)), 20],
    [not(rate(n.overdue_waiting, n.needed)), 20],
    [not(rate(n.extended, n.needed)), 10],
  ];
  let points = 0;
  for (const [ppm, weight] of parts) {
    if (ppm === null) return null;
    points += ppm * weight;
  }
  return Math.floor((points + 5_000) / 10_000);
}

const sortedNumbers = (values: readonly (number | null)[]): number[] =>
  values.filter((value) => value !== null).sort((a, b) => a - b);

/** The figures of a group. */
export function row(group: string, shares: readonly Share[]): Row {
  const counts = Object.fromEntries(
    MEASURES.map((measure) => [measure, shares.filter((share) => share.counts.has(measure)).length]),
  ) as Record<Measure, number>;
  const response = sortedNumbers(shares.map((share) => share.responseS));
  const handling = sortedNumbers(shares.map((share) => share.handlingS));
  return {
    group,
    counts,
    shares,
    responseP50S: percentile(response, 50),
    responseP95S: percentile(response, 95),
    handlingP50S: percentile(handling, 50),
    handlingP95S: percentile(handling, 95),
    handledPpm: rate(counts.handled, counts.needed),
    inTimePpm: rate(counts.in_time, counts.needed),
    reworkPpm: rate(counts.rework, counts.to_close),
    sensedFirstPpm: rate(counts.sensed_first, counts.registered),
    aiPrecisionPpm: rate(counts.ai_confirmed, counts.ai_reviewed),
    jinniuScore: jinniu(counts),
  };
}

/** The crew that a ticket counts for: who has it, else who had it last. */
export function crewOf(ticket: Ticket): string | null {
  return ticket.crew ?? ticket.flow.findLast((entry) => entry.crew !== null)?.crew ?? null;
}

export interface Rows {
  /** The city's cases and the operator's own business, never mixed. */
  readonly city: Row;
  readonly internal: Row;
  readonly categories: readonly Row[];
  readonly crews: readonly Row[];
}

function grouped(shares: readonly Share[], nameOf: (ticket: Ticket) => string | null): Row[] {
  const groups = new Map<string, Share[]>();
  for (const share of shares) {
    const name = nameOf(share.ticket);
    if (name === null) continue;
    const group = groups.get(name);
    if (group === undefined) groups.set(name, [share]);
    else group.push(share);
  }
  return [...groups].map(([name, members]) => row(name, members)).sort((a, b) => (a.group < b.group ? -1 : 1));
}

/** Every row of some tickets. */
export function rows(tickets: readonly Ticket[]): Rows {
  const shares = tickets.map(shareOf);
  return {
    city: row('city', shares.filter((share) => !share.ticket.isInternal)),
    internal: row('internal', shares.filter((share) => share.ticket.isInternal)),
    categories: grouped(shares, (ticket) => ticket.category),
    crews: grouped(shares, crewOf),
  };
}
