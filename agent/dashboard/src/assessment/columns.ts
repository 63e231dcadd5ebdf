/** The columns of the assessment: what each shows, and which tickets stand behind it. */

import type { Words } from '../words/en';
import type { Format } from '../words/format';
import type { Row, Share } from './figures';

export const COLUMNS = [
  'registered',
  'handled',
  'in_time',
  'rework',
  'reopened',
  'waiting',
  'response',
  'handling',
  'sensed',
  'precision',
  'score',
] as const;
export type Column = (typeof COLUMNS)[number];

export interface Cell {
  readonly text: string;
  /** What the figure was made of: `3 of 4`. */
  readonly of: string;
}

/** A percentage with two digits, as the report prints it: cut, never rounded up to a whole. */
function percent(ppm: number | null, format: Format, words: Words): string {
  return ppm === null ? words.assessment.notAvailable : format.percent(Math.floor(ppm / 100) / 100, 2);
}

export function cell(row: Row, column: Column, words: Words, format: Format): Cell {
  const n = row.counts;
  const text = words.assessment;
  const count = (value: number): string => format.number(value);
  const share = (ppm: number | null, some: number, all: number): Cell => ({
    text: percent(ppm, format, words),
    of: all === 0 ? '' : text.of(count(some), count(all)),
  });
  const span = (p50: number | null, p95: number | null): Cell => ({
    text: p50 === null ? text.notAvailable : format.span(p50 * 1000),
    of: p95 === null ? '' : text.p95(format.span(p95 * 1000)),
  });
  switch (column) {
    case 'registered':
      return { text: count(n.registered), of: n.rejected === 0 ? '' : text.rejectedOf(count(n.rejected)) };
    case 'handled':
      return share(row.handledPpm, n.handled, n.needed);
    case 'in_time':
      return share(row.inTimePpm, n.in_time, n.needed);
    case 'rework':
      return share(row.reworkPpm, n.rework, n.to_close);
    case 'reopened':
      return { text: count(n.reopened), of: n.extended === 0 ? '' : text.extendedOf(count(n.extended)) };
    case 'waiting':
      return { text: count(n.overdue_waiting), of: '' };
    case 'response':
      return span(row.responseP50S, row.responseP95S);
    case 'handling':
      return span(row.handlingP50S, row.handlingP95S);
    case 'sensed':
      return share(row.sensedFirstPpm, n.sensed_first, n.registered);
    case 'precision':
      return share(row.aiPrecisionPpm, n.ai_confirmed, n.ai_reviewed);
    case 'score':
      return { text: row.jinniuScore === null ? text.notAvailable : format.number(row.jinniuScore / 100, 2), of: '' };
  }
}

/** The tickets that a figure is made of, those that weigh on it first. */
export function behind(row: Row, column: Column): readonly Share[] {
  const has = (measure: Parameters<Share['counts']['has']>[0]) => (share: Share) => share.counts.has(measure);
  const worstFirst = (of: (share: Share) => boolean, isBad: (share: Share) => boolean): Share[] =>
    row.shares.filter(of).sort((a, b) => Number(isBad(b)) - Number(isBad(a)));
  switch (column) {
    case 'registered':
    case 'score':
      return row.shares;
    case 'handled':
      return worstFirst(has('needed'), (share) => !share.counts.has('handled'));
    case 'in_time':
      return worstFirst(has('needed'), (share) => !share.counts.has('in_time'));
    case 'rework':
      return worstFirst(has('to_close'), has('rework'));
    case 'reopened':
      return row.shares.filter(has('reopened'));
    case 'waiting':
      return row.shares.filter(has('overdue_waiting'));
    case 'response':
      return row.shares.filter((share) => share.responseS !== null).sort((a, b) => (b.responseS ?? 0) - (a.responseS ?? 0));
    case 'handling':
      return row.shares.filter((share) => share.handlingS !== null).sort((a, b) => (b.handlingS ?? 0) - (a.handlingS ?? 0));
    case 'sensed':
      return worstFirst(has('registered'), (share) => !share.counts.has('sensed_first'));
    case 'precision':
      return worstFirst(has('ai_reviewed'), (share) => !share.counts.has('ai_confirmed'));
  }
}

/** The rows as comma-separated values, rates in percent, times in seconds, what is not available empty. */
export function csv(rows: readonly Row[]): string {
  const head = ['group', 'registered', 'needed', 'handled_pct', 'in_time_pct', 'rework_pct', 'overdue_waiting', 'closed', 'reopened', 'rejected', 'response_p50_s', 'response_p95_s', 'handling_p50_s', 'handling_p95_s', 'sensed_first_pct', 'ai_precision_pct', 'jinniu_score'];
  const pct = (ppm: number | null): string => (ppm === null ? '' : (Math.floor(ppm / 100) / 100).toFixed(2));
  const or = (value: number | null): string => (value === null ? '' : String(value));
  const quote = (text: string): string => (/[",\n\r]/.test(text) || /^[=+@-]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
  const lines = rows.map((row) => {
    const n = row.counts;
    const score = row.jinniuScore === null ? '' : (row.jinniuScore / 100).toFixed(2);
    return [quote(row.group), n.registered, n.needed, pct(row.handledPpm), pct(row.inTimePpm), pct(row.reworkPpm), n.overdue_waiting, n.closed, n.reopened, n.rejected, or(row.responseP50S), or(row.responseP95S), or(row.handlingP50S), or(row.handlingP95S), pct(row.sensedFirstPpm), pct(row.aiPrecisionPpm), score].join(',');
  });
  return [head.join(','), ...lines].join('\r\n') + '\r\n';
}
