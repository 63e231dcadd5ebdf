/**
 * What the page knows: boxes, assets and tickets as the readers found them.
 *
 * Times are milliseconds since 1970. `null` always means "not known", never a stand-in value.
 */

import type { BoxName, Class } from '../readers/topics';
import type { AssetFigures } from './figures';

export * from './ticket';

export const CLOCKS = ['gnss', 'ntp', 'estimated', 'unset'] as const;
export type Clock = (typeof CLOCKS)[number];

export const QUALITIES = ['good', 'uncertain', 'bad', 'stale'] as const;
export type Quality = (typeof QUALITIES)[number];

export const LANES = ['ticket', 'event', 'state', 'telemetry'] as const;
export type Lane = (typeof LANES)[number];

export const BOX_STATES = ['online', 'offline', 'lost'] as const;
export type BoxState = (typeof BOX_STATES)[number];

export const BAY_STATUSES = ['free', 'occupied', 'unknown', 'out_of_service'] as const;
export type BayStatus = (typeof BAY_STATUSES)[number];

export const BIN_STATUSES = [
  'ok',
  'full',
  'overflow',
  'lid_open',
  'tilted',
  'moved',
  'burning',
  'unknown',
] as const;
export type BinStatus = (typeof BIN_STATUSES)[number];

export const ACTIVITIES = ['working', 'travelling', 'idle', 'parked', 'unknown'] as const;
export type Activity = (typeof ACTIVITIES)[number];

/** When something was so, and how far that can be trusted. */
export interface Header {
  readonly at: number | null;
  readonly clock: Clock | null;
  readonly boot: number | null;
  readonly seq: number | null;
  readonly quality: Quality | null;
}

/** A point on the ground; only WGS84 and CGCS2000 agree closely enough to be drawn together. */
export interface Place {
  readonly lat: number;
  readonly lon: number;
  readonly datum: string;
  readonly haccM: number | null;
}

/** A name and a printed value, for content this page has no words for. */
export interface Fact {
  readonly name: string;
  readonly value: string;
}

/** `P/status`. */
export interface BoxStatus {
  readonly state: BoxState;
  readonly boot: number | null;
  readonly conn: number | null;
  readonly at: number | null;
}

/** Somebody to whom tickets are given. */
export interface Crew {
  readonly id: string;
  readonly names: Readonly<Record<string, string>>;
  /** The categories that it takes; none: every one. */
  readonly categories: readonly string[];
}

/** `P/info`. */
export interface BoxInfo {
  readonly version: string | null;
  readonly name: string | null;
  readonly assets: number | null;
  /** Who works for it, by the ids that commands take. */
  readonly crews: readonly Crew[];
  /** The IANA name of the zone the box stands in; `null` when it tells none that this browser knows. */
  readonly zone: string | null;
  /** How many times real time the box's simulated clock runs; `null` for a real one. */
  readonly speed: number | null;
}

/** One lane of the outbox. */
export interface LaneDepth {
  readonly records: number | null;
  readonly bytes: number | null;
  readonly oldestS: number | null;
  readonly dropped: number | null;
  /** Why records were dropped, and how many. */
  readonly droppedBy: readonly Fact[];
}

/** One source of readings, as the box counts it. */
export interface SourceHealth {
  readonly name: string;
  readonly samples: number | null;
  readonly rejected: number | null;
  /** Why readings were rejected, and how many. */
  readonly rejectedBy: readonly Fact[];
  readonly lastAt: number | null;
  /** Longer quiet than it usually is, as the box has learned. */
  readonly isSilent: boolean;
  readonly isConnected: boolean | null;
  /** What is wrong with it, in the box's words. */
  readonly trouble: string | null;
}

/** `P/health`. */
export interface Health {
  readonly header: Header;
  readonly lanes: Readonly<Partial<Record<Lane, LaneDepth>>>;
  readonly sources: readonly SourceHealth[];
  readonly uptimeS: number | null;
  readonly diskFreeB: number | null;
  readonly bufferMaxB: number | null;
  readonly memoryB: number | null;
  readonly temperatureC: number | null;
  /** What the box itself writes on its card in a day, in bytes, at the rate since its start. */
  readonly flashDayB: number | null;
  /** Connections to the broker that had to be made again. */
  readonly reconnects: number | null;
  /** What is wrong with the box's store, in its words. */
  readonly storeTrouble: string | null;
}

/** A machine that runs steward. */
export interface Box {
  readonly name: BoxName;
  status: BoxStatus | null;
  info: BoxInfo | null;
  health: Health | null;
  /** When the health is from: its own time if the broker had kept it, else its arrival. */
  healthAt: number | null;
  /** When the latest health messages are from, oldest first, at most `BEATS_MAX`. */
  readonly beats: number[];
  epoch: number;
}

/** `P/<class>/<id>/info`. */
export interface AssetInfo {
  readonly names: Readonly<Record<string, string>>;
  readonly place: Place | null;
  readonly street: string | null;
  /** Middle line of a street as `[lon, lat]`; empty for everything else. */
  readonly line: readonly (readonly [number, number])[];
  readonly maxStayS: number | null;
  readonly capacityL: number | null;
  readonly fullAtPct: number | null;
  readonly kind: string | null;
}

export interface BayState {
  readonly status: BayStatus;
  readonly since: number | null;
  readonly session: readonly Fact[];
}

export interface BinState {
  readonly status: BinStatus;
  readonly levelPct: number | null;
  readonly fullAt: number | null;
  /** When it will be full, and the band that this is known in. */
  readonly expected: { readonly at: number; readonly earliest: number | null; readonly latest: number | null } | null;
  readonly temperatureC: number | null;
  readonly lastCollected: number | null;
}

export interface VehicleState {
  readonly activity: Activity;
  readonly place: Place | null;
  readonly speedKmh: number | null;
  readonly courseDeg: number | null;
  readonly distanceM: number | null;
}

/** How the sweeping of a street stands in its present window; `null` where nothing is planned. */
export interface StreetState {
  readonly cells: number;
  readonly done: number;
  readonly unknown: number;
  readonly from: number | null;
  readonly until: number | null;
}

/** A point of a track as a box has compressed it. */
export interface TrackPoint {
  readonly lat: number;
  readonly lon: number;
  readonly at: number;
  /** The first one after a gap: it is not joined to the one before. */
  readonly isGapEnd: boolean;
}

/** Neighbouring cells of a street that were swept together, or were not. */
export interface Stretch {
  readonly street: string;
  readonly state: 'done' | 'unknown' | 'missed';
  readonly at: number | null;
  readonly line: readonly (readonly [number, number])[];
}

/** Something that is watched: what it is and the latest that is known of it. */
export interface Asset<S> {
  readonly key: string;
  readonly name: BoxName;
  readonly class: Class;
  readonly id: string;
  info: AssetInfo | null;
  state: S | null;
  header: Header | null;
  /** The figures of today and the week, where the box keeps some of it. */
  figures: AssetFigures | null;
  epoch: number;
}

export type Bay = Asset<BayState>;
export type Bin = Asset<BinState>;
export type Street = Asset<StreetState>;

/** A position a vehicle was seen at. */
export interface TrailPoint {
  readonly lat: number;
  readonly lon: number;
  readonly at: number;
}

export interface Vehicle extends Asset<VehicleState> {
  /** Where it was, oldest first, at most `TRAIL_MAX`. */
  readonly trail: TrailPoint[];
  /** Its track as far as it is known, oldest first, at most `TRACK_MAX`. */
  readonly track: TrackPoint[];
}

/** Something that happened once: a CloudEvent on an event topic. */
export interface Happening {
  readonly n: number;
  readonly name: BoxName;
  readonly id: string;
  readonly kind: string;
  readonly class: Class | 'ticket';
  readonly subject: string;
  readonly at: number | null;
  readonly facts: readonly Fact[];
}

/** How long a source had been quiet when the box told, in milliseconds; reports are minutes apart. */
export function quietMs(health: Health, source: SourceHealth): number | null {
  if (health.header.at === null || source.lastAt === null) return null;
  return Math.max(0, health.header.at - source.lastAt);
}

/** Whether a place may be drawn on this map without being hundreds of metres off. */
export function isDrawable(place: Place): boolean {
  return place.datum === 'WGS84' || place.datum === 'CGCS2000';
}
