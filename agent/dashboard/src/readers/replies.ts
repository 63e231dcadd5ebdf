/**
 * Answers to commands, as far as the page asks for something.
 */

import type { Stretch, TrackPoint } from '../picture/model';
import type { Meaning } from '../picture/chronicle';
import { event } from './events';
import { line, track } from './payloads';
import { CLASSES, type Class } from './topics';
import { count, fields, instant, list, own, text, word, type Fields } from './values';

/** Most stretches or entries of one page; a page of a box has some hundred. */
const ITEMS_MAX = 5000;

/** A part of an answer, and where the next one begins. */
export interface Page<T> {
  readonly items: readonly T[];
  readonly next: number | null;
}

const STRETCH_STATES = ['done', 'unknown', 'missed'] as const;

function stretch(value: unknown): Stretch | null {
  const from = fields(value);
  if (from === null) return null;
  const properties = fields(own(from, 'properties')) ?? {};
  const street = text(own(properties, 'street'), 32);
  const state = word(own(properties, 'state'), STRETCH_STATES);
  const points = line(own(from, 'geometry'));
  if (street === null || state === null || points.length === 0) return null;
  return { street, state, at: instant(own(properties, 'at')), line: points };
}

/** Something that a box told once and no broker keeps: a piece of a track, or what an event meant. */
export interface Remembered {
  readonly class: Class;
  readonly id: string;
  readonly at: number;
  readonly track: readonly TrackPoint[];
  readonly meaning: Meaning;
}

function remembered(value: unknown): Remembered | null {
  const from = fields(value);
  const at = instant(own(from ?? {}, 'at'));
  const asset = /^([a-z]+)\/([a-z0-9][a-z0-9-]{0,31})$/.exec(text(own(from ?? {}, 'asset'), 64) ?? '');
  const kind = word(asset?.[1], CLASSES);
  if (from === null || at === null || kind === null || asset?.[2] === undefined) return null;
  const isTrack = own(from, 'type') === 'track';
  return { class: kind, id: asset[2], at, track: isTrack ? track({ track: own(from, 'data') }) : [], meaning: event(from) };
}

/** An answer to a command. */
export interface Reply {
  readonly id: string;
  readonly ok: boolean;
  readonly rev: number | null;
  readonly code: string | null;
  readonly message: string | null;
  /** What `cmd/coverage` answers. */
  readonly coverage?: Page<Stretch>;
  /** What `cmd/history` answers. */
  readonly history?: Page<Remembered>;
}

/** `P/reply/<requester>`; `null` without an id and a verdict. */
export function reply(from: Fields): Reply | null {
  const id = text(own(from, 'id'), 64);
  const ok = own(from, 'ok');
  if (id === null || typeof ok !== 'boolean') return null;
  const error = fields(own(from, 'error')) ?? {};
  const result = fields(own(from, 'result')) ?? {};
  return {
    id,
    ok,
    rev: count(own(result, 'rev')),
    code: text(own(error, 'code'), 60),
    message: text(own(error, 'msg')),
    ...(own(result, 'type') === 'FeatureCollection'
      ? { coverage: { items: list(own(result, 'features'), ITEMS_MAX, stretch), next: count(own(result, 'next')) } }
      : {}),
    ...(Array.isArray(own(result, 'entries'))
      ? { history: { items: list(own(result, 'entries'), ITEMS_MAX, remembered), next: count(own(result, 'next')) } }
      : {}),
  };
}
