/** What an event means to the views that add events up. */

import { SESSION_QUALITIES, type Custody, type Meaning, type Stay } from '../picture/chronicle';
import { count, fields, flag, instant, list, number, own, text, word, type Fields } from './values';

function stay(data: Fields): Stay {
  const fee = fields(own(data, 'fee')) ?? {};
  return {
    start: instant(own(data, 'start')),
    end: instant(own(data, 'end')),
    durationS: number(own(data, 'duration_s'), 0),
    quality: word(own(data, 'quality'), SESSION_QUALITIES),
    isBillable: flag(own(data, 'billable')),
    total: count(own(fee, 'total')),
  };
}

const kilograms = (grams: number | null): number | null => (grams === null ? null : grams / 1000);

function custody(what: Custody['what'], data: Fields): Custody {
  const by = fields(own(data, 'by')) ?? {};
  const pct = (name: string): number | null => number(own(data, name), 0, 100);
  return {
    what,
    by: text(own(by, 'vehicle'), 32) ?? text(own(data, 'vehicle'), 32) ?? text(own(data, 'user'), 40),
    knownBy: text(own(by, 'known_by'), 20),
    kind: text(own(data, 'kind'), 30),
    kg: number(own(data, 'net_kg')) ?? number(own(data, 'lifted_kg')) ?? kilograms(number(own(by, 'net_g')) ?? number(own(data, 'weight'))),
    litres: number(own(data, 'volume_l'), 0),
    beforePct: pct('level_before_pct'),
    afterPct: pct('level_after_pct'),
    overflowS: number(own(data, 'overflow_s'), 0),
    lifts: count(own(data, 'lifts')),
    differencePct: number(own(data, 'difference_pct')),
    violations: list(own(data, 'violations'), 10, (one) => text(one, 30)),
  };
}

/** What the CloudEvent `body` means. */
export function event(body: Fields): Meaning {
  const data = fields(own(body, 'data'));
  if (data === null) return null;
  switch (own(body, 'type')) {
    case 'parking.session':
      return { of: 'stay', stay: stay(data) };
    case 'waste.collection':
      return { of: 'custody', custody: custody('collection', data) };
    case 'waste.deposit':
      return { of: 'custody', custody: custody('deposit', data) };
    case 'waste.lift':
      return { of: 'custody', custody: custody('lift', data) };
    case 'waste.trip':
      return { of: 'custody', custody: custody('trip', data) };
    default:
      return null;
  }
}
