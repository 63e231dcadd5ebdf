/** From a ticket's payload to a ticket. What is missing is `null`; a ticket without its core is none. */

import {
  LIMIT_KINDS,
  LIMIT_STATUSES,
  SEVERITIES,
  TICKET_STATES,
  WITNESS_KINDS,
  type Evidence,
  type FlowStep,
  type Limit,
  type Suppression,
  type Ticket,
  type Witness,
} from '../picture/ticket';
import { header, place } from './payloads';
import { count, fields, instant, knownWord, list, number, own, printable, text, word, type Fields, type Odd } from './values';

/** A box sends 64 entries of a flow log, 32 of evidence and 16 witnesses at the most. */
const STEPS_MAX = 200;

function evidence(value: unknown): Evidence | null {
  const from = fields(value);
  if (from === null) return null;
  const said = text(own(from, 'text'));
  const fact = text(own(from, 'fact'), 60);
  if (fact === null && said === null) return null;
  return {
    at: instant(own(from, 'at')),
    fact: fact ?? '',
    value: printable(own(from, 'value')),
    unit: text(own(from, 'unit'), 20),
    text: said,
  };
}

function witness(value: unknown): Witness | null {
  const from = fields(value);
  const kind = from === null ? null : word(own(from, 'kind'), WITNESS_KINDS);
  if (from === null || kind === null) return null;
  return {
    kind,
    by: text(own(from, 'by'), 64),
    at: instant(own(from, 'at')),
    confidence: number(own(from, 'confidence'), 0, 100),
    text: text(own(from, 'text'), 2000),
    media: text(own(from, 'media'), 300),
  };
}

function flowStep(value: unknown): FlowStep | null {
  const from = fields(value);
  const step = from === null ? null : text(own(from, 'step'), 60);
  if (from === null || step === null) return null;
  return {
    n: count(own(from, 'n')),
    step,
    at: instant(own(from, 'at')),
    by: text(own(from, 'by'), 60),
    state: word(own(from, 'state'), TICKET_STATES),
    note: text(own(from, 'note'), 2000),
    crew: text(own(from, 'crew'), 64),
    usedS: number(own(from, 'used_s'), 0),
    prevSha256: text(own(from, 'prev_sha256'), 64),
  };
}

function assetOf(value: unknown): Ticket['asset'] {
  const from = fields(value);
  const kind = from === null ? null : text(own(from, 'class'), 32);
  const id = from === null ? null : text(own(from, 'id'), 64);
  return kind === null || id === null ? null : { class: kind, id };
}

function ruleOf(value: unknown): Ticket['rule'] {
  const from = fields(value);
  const id = from === null ? null : text(own(from, 'id'), 64);
  return from === null || id === null ? null : { id, version: count(own(from, 'version')) };
}

function code(value: unknown): Ticket['codes'][number] | null {
  const from = fields(value) ?? {};
  const scheme = text(own(from, 'scheme'), 40);
  const found = text(own(from, 'code'), 40);
  return scheme === null || found === null ? null : { scheme, code: found };
}

function limitOf(value: unknown, odd: Odd): Limit | null {
  const from = fields(value);
  if (from === null) return null;
  return {
    kind: knownWord(own(from, 'type'), LIMIT_KINDS, odd),
    value: number(own(from, 'value'), 0, 10_000),
    due: instant(own(from, 'due')),
    status: knownWord(own(from, 'status'), LIMIT_STATUSES, odd),
    isOverdue: own(from, 'overdue') === true,
  };
}

function suppressionOf(value: unknown): Suppression | null {
  const from = fields(value);
  const reason = from === null ? null : text(own(from, 'reason'), 40);
  return from === null || reason === null ? null : { reason, until: instant(own(from, 'until')) };
}

/** What a ticket message says, without where it came from. */
export type TicketBody = Omit<Ticket, 'key' | 'name' | 'id' | 'epoch'> & {
  readonly saidId: string | null;
};

/** `P/ticket/<id>/state`; `null` without a revision and a category, as nothing could be done with it. */
export function ticket(from: Fields, odd: Odd): TicketBody | null {
  const rev = count(own(from, 'rev'));
  const category = text(own(from, 'category'), 60);
  if (rev === null || category === null) return null;
  return {
    saidId: text(own(from, 'ticket_id'), 64),
    header: header(from, odd),
    rev,
    category,
    codes: list(own(from, 'codes'), 20, code),
    isInternal: own(from, 'internal') === true,
    state: knownWord(own(from, 'state'), TICKET_STATES, odd),
    clearedBySensor: own(from, 'cleared_by_sensor') === true,
    severity: knownWord(own(from, 'severity'), SEVERITIES, odd),
    asset: assetOf(own(from, 'asset')),
    place: place(own(from, 'place')),
    openedAt: instant(own(from, 'opened_at')),
    updatedAt: instant(own(from, 'updated_at')),
    closedAt: instant(own(from, 'closed_at')),
    rule: ruleOf(own(from, 'rule')),
    evidence: list(own(from, 'evidence'), STEPS_MAX, evidence),
    sources: list(own(from, 'sources'), STEPS_MAX, witness),
    confidence: number(own(from, 'confidence'), 0, 100),
    crew: text(own(from, 'crew'), 64),
    limit: limitOf(own(from, 'limit'), odd),
    suppressed: suppressionOf(own(from, 'suppressed')),
    flaps: count(own(fields(own(from, 'flapping')) ?? {}, 'count')),
    flow: list(own(from, 'flow'), STEPS_MAX, flowStep),
    rawFlow: list(own(from, 'flow'), STEPS_MAX, (entry) => entry),
    flowSha256: text(own(from, 'flow_sha256'), 64),
    reopened: count(own(from, 'reopened')) ?? 0,
    prior: text(own(from, 'prior'), 64),
  };
}
