/**
 * From a parsed payload to what the page knows. One reader per kind of message.
 *
 * A missing optional field is `null`. A word outside its vocabulary is reported through `odd`, so that
 * it is counted, and becomes the vocabulary's own "unknown" where there is one, else `null`.
 */

import {
  ACTIVITIES,
  BAY_STATUSES,
  BIN_STATUSES,
  BOX_STATES,
  CLOCKS,
  LANES,
  QUALITIES,
  type AssetInfo,
  type BayState,
  type BinState,
  type BoxInfo,
  type BoxStatus,
  type Crew,
  type Fact,
  type Header,
  type Health,
  type Lane,
  type LaneDepth,
  type Place,
  type SourceHealth,
  type StreetState,
  type TrackPoint,
  type VehicleState,
} from '../picture/model';
import { decodeTrack } from './track';
import { count, fields, flag, instant, knownWord, list, number, own, printable, text, zone, type Odd } from './values';
import type { Fields } from './values';

const FACTS_MAX = 16;
const LINE_MAX = 5000;
const ASSETS_MAX = 50_000;

/** The flat header of state, health and ticket messages. */
export function header(from: Fields, odd: Odd): Header {
  return {
    at: instant(own(from, 'at')),
    clock: knownWord(own(from, 'clock'), CLOCKS, odd),
    boot: count(own(from, 'boot')),
    seq: count(own(from, 'seq')),
    quality: knownWord(own(from, 'quality'), QUALITIES, odd),
  };
}

/** A place; `null` when it is no point on Earth. A missing datum is WGS84, as receivers give it. */
export function place(value: unknown): Place | null {
  const from = fields(value);
  if (from === null) return null;
  const lat = number(own(from, 'lat'), -90, 90);
  const lon = number(own(from, 'lon'), -180, 180);
  if (lat === null || lon === null || (lat === 0 && lon === 0)) return null;
  const datum = text(own(from, 'datum'), 20) ?? 'WGS84';
  return { lat, lon, datum, haccM: number(own(from, 'hacc_m'), 0, 1e6) };
}

/** The scalars of an object as printed values, for content that only the box understands. */
export function facts(value: unknown): Fact[] {
  const from = fields(value);
  if (from === null) return [];
  const found: Fact[] = [];
  for (const [name, one] of Object.entries(from)) {
    if (found.length >= FACTS_MAX) break;
    const printed = printable(one);
    if (printed !== null) found.push({ name: name.slice(0, 40), value: printed });
  }
  return found;
}

/** `P/status`; `null` when it does not say a state that we know. */
export function boxStatus(from: Fields, odd: Odd): BoxStatus | null {
  const state = knownWord(own(from, 'state'), BOX_STATES, odd);
  if (state === null) return null;
  return {
    state,
    boot: count(own(from, 'boot')),
    conn: count(own(from, 'conn')),
    at: instant(own(from, 'at')),
  };
}

function crew(value: unknown): Crew | null {
  const from = fields(value) ?? {};
  const id = text(own(from, 'id'), 32);
  return id === null ? null : { id, names: names(own(from, 'names')), categories: list(own(from, 'categories'), 500, (one) => text(one, 60)) };
}

/** `P/info`. */
export function boxInfo(from: Fields): BoxInfo {
  const assets = own(from, 'assets');
  return {
    version: text(own(from, 'version'), 60),
    name: text(own(from, 'name'), 80),
    assets: Array.isArray(assets) ? Math.min(assets.length, ASSETS_MAX) : null,
    crews: list(own(from, 'crews'), 200, crew),
    zone: zone(own(from, 'timezone')),
    speed: number(own(fields(own(from, 'simulated')) ?? {}, 'speed'), 1, 10_000),
  };
}

function laneDepth(value: unknown): LaneDepth | null {
  const from = fields(value);
  if (from === null) return null;
  return {
    records: count(own(from, 'records')),
    bytes: count(own(from, 'bytes')),
    oldestS: number(own(from, 'oldest_s'), 0),
    dropped: count(own(from, 'dropped')),
    droppedBy: facts(own(from, 'dropped_by_reason')),
  };
}

function sourceHealth(value: unknown): SourceHealth | null {
  const from = fields(value);
  const name = from === null ? null : text(own(from, 'name'), 40);
  if (from === null || name === null) return null;
  return {
    name,
    samples: count(own(from, 'samples')),
    rejected: count(own(from, 'rejected')),
    rejectedBy: facts(own(from, 'rejected_by_reason')),
    lastAt: instant(own(from, 'last_at')),
    isSilent: flag(own(from, 'silent')) ?? false,
    isConnected: flag(own(from, 'connected')),
    trouble: text(own(from, 'trouble')),
  };
}

/** `P/health`. */
export function health(from: Fields, odd: Odd): Health {
  const buffer = fields(own(from, 'buffer')) ?? {};
  const lanes: Partial<Record<Lane, LaneDepth>> = {};
  for (const lane of LANES) {
    const depth = laneDepth(own(buffer, lane));
    if (depth !== null) lanes[lane] = depth;
  }
  return {
    header: header(from, odd),
    lanes,
    sources: list(own(from, 'sources'), 100, sourceHealth),
    uptimeS: number(own(from, 'uptime_s'), 0),
    diskFreeB: number(own(from, 'disk_free_b'), 0),
    bufferMaxB: count(own(from, 'buffer_max_b')),
    memoryB: count(own(from, 'memory_b')),
    temperatureC: number(own(from, 'temperature_c'), -100, 200),
    flashDayB: count(own(fields(own(from, 'flash')) ?? {}, 'per_day_b')),
    reconnects: count(own(fields(own(from, 'link')) ?? {}, 'reconnects')),
    storeTrouble: text(own(fields(own(from, 'engine')) ?? {}, 'store_trouble')),
  };
}

function coordinate(value: unknown): readonly [number, number] | null {
  if (!Array.isArray(value)) return null;
  const lon = number(value[0], -180, 180);
  const lat = number(value[1], -90, 90);
  return lon === null || lat === null ? null : [lon, lat];
}

export function line(value: unknown): (readonly [number, number])[] {
  const from = fields(value);
  if (from === null || own(from, 'type') !== 'LineString') return [];
  const points = list(own(from, 'coordinates'), LINE_MAX, coordinate);
  return points.length >= 2 ? points : [];
}

function names(value: unknown): Record<string, string> {
  const found: Record<string, string> = {};
  for (const tag of ['zh', 'en']) {
    const name = text(own(fields(value) ?? {}, tag), 80);
    if (name !== null) found[tag] = name;
  }
  return found;
}

/** `P/<class>/<id>/info`. */
export function assetInfo(from: Fields): AssetInfo {
  return {
    names: names(own(from, 'names')),
    place: place(own(from, 'position')),
    street: text(own(from, 'street'), 32),
    line: line(own(from, 'geometry')),
    maxStayS: number(own(from, 'max_stay_s'), 0),
    capacityL: number(own(from, 'capacity_l'), 0),
    fullAtPct: number(own(from, 'full_at_pct'), 0, 100),
    kind: text(own(from, 'kind'), 32),
  };
}

/** `P/bay/<id>/state`. */
export function bayState(from: Fields, odd: Odd): BayState {
  return {
    status: knownWord(own(from, 'status'), BAY_STATUSES, odd) ?? 'unknown',
    since: instant(own(from, 'since')),
    session: facts(own(from, 'session')),
  };
}

function expected(value: unknown): BinState['expected'] {
  const from = fields(value) ?? {};
  const at = instant(own(from, 'at'));
  return at === null ? null : { at, earliest: instant(own(from, 'earliest')), latest: instant(own(from, 'latest')) };
}

/** `P/bin/<id>/state`. */
export function binState(from: Fields, odd: Odd): BinState {
  return {
    status: knownWord(own(from, 'status'), BIN_STATUSES, odd) ?? 'unknown',
    levelPct: number(own(from, 'level_pct'), 0, 100),
    fullAt: instant(own(from, 'full_at')),
    expected: expected(own(from, 'full_expected')),
    temperatureC: number(own(from, 'temperature_c'), -100, 2000),
    lastCollected: instant(own(from, 'last_collected')),
  };
}

/** `P/vehicle/<id>/state`. */
export function vehicleState(from: Fields, odd: Odd): VehicleState {
  return {
    activity: knownWord(own(from, 'activity'), ACTIVITIES, odd) ?? 'unknown',
    place: place(own(from, 'position')),
    speedKmh: number(own(from, 'speed_kmh'), 0, 500),
    courseDeg: number(own(from, 'course_deg'), 0, 360),
    distanceM: number(own(from, 'distance_m'), 0),
  };
}

/** `P/street/<id>/state`; `null` for a street that nobody sweeps. */
export function streetState(from: Fields): StreetState | null {
  const cells = count(own(from, 'cells'));
  if (cells === null || cells === 0) return null;
  const window = fields(own(from, 'window')) ?? {};
  return {
    cells,
    done: Math.min(cells, count(own(from, 'done')) ?? 0),
    unknown: Math.min(cells, count(own(from, 'unknown')) ?? 0),
    from: instant(own(window, 'from')),
    until: instant(own(window, 'until')),
  };
}

/** The track in `P/vehicle/<id>/tel`; empty when the message carries none. */
export function track(from: Fields): TrackPoint[] {
  const code = own(fields(own(from, 'track')) ?? {}, 'code');
  return typeof code === 'string' ? decodeTrack(code) : [];
}

/** A CloudEvent as far as the page shows it. */
export interface CloudEvent {
  readonly id: string;
  readonly kind: string;
  readonly at: number | null;
  readonly facts: Fact[];
}

/** A CloudEvent; `null` without an id and a type. */
export function cloudEvent(from: Fields): CloudEvent | null {
  const id = text(own(from, 'id'), 128);
  const kind = text(own(from, 'type'), 80);
  if (id === null || kind === null) return null;
  return { id, kind, at: instant(own(from, 'time')), facts: facts(own(from, 'data')) };
}
