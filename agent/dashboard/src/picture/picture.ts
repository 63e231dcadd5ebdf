/**
 * The picture: the latest of everything the broker told, as plain maps outside any reactivity.
 *
 * It takes raw messages and never throws: what it cannot use is counted by reason. Within one
 * connection an older message never replaces a newer one; a new connection starts a new epoch, whose
 * first message per topic always counts, because a box may have been set up afresh meanwhile. When the
 * retained messages of an epoch are in, `settle` removes what the broker no longer has.
 */

import { event as readEvent } from '../readers/events';
import { figures as readFigures } from '../readers/figures';
import * as read from '../readers/payloads';
import { reply as readReply, type Remembered, type Reply } from '../readers/replies';
import { ticket as readTicket } from '../readers/tickets';
import { topic as readTopic } from '../readers/topics';
import type { BoxName, Class, Topic } from '../readers/topics';
import { fields } from '../readers/values';
import type { Fields } from '../readers/values';
import {
  isDrawable,
  type Asset,
  type AssetInfo,
  type Bay,
  type Bin,
  type Box,
  type Happening,
  type Header,
  type Street,
  type Ticket,
  type TrackPoint,
  type Vehicle,
} from './model';
import { newBox, takeHealth, takeInfo, takeStatus } from './boxes';
import { Chronicle } from './chronicle';
import { addTrack } from './way';
import { StreetClock } from './streetClock';

/** Longer payloads are not parsed: no message of a box comes near it. */
export const PAYLOAD_MAX = 256 * 1024;
/** Most assets or tickets of one class; further ones are counted, not kept. */
export const ASSETS_MAX = 20_000;
/** Most boxes. */
export const BOXES_MAX = 500;
/** Most happenings kept; the oldest goes first. */
export const HAPPENINGS_MAX = 100;
/** Most points of a vehicle's trail; the oldest goes first. */
export const TRAIL_MAX = 240;
/** A vehicle that jumps farther than this between two fixes starts a new trail, in metres. */
const JUMP_M = 400;
/** A vehicle that was not heard of for longer starts a new trail: nobody knows which way it took. */
const GAP_MS = 60_000;

/** Why a message was not taken, or not taken whole. */
export const REASONS = [
  'too_long',
  'not_text',
  'not_json',
  'unknown_topic',
  'not_shown',
  'missing_field',
  'unknown_word',
  'wrong_id',
  'older',
  'full',
] as const;
export type Reason = (typeof REASONS)[number];

/** What changed since the last look. */
export type Part = 'boxes' | 'assets' | 'vehicles' | 'streets' | 'figures' | 'tickets' | 'happenings' | 'faults';

/** A message as it came from the broker. */
export interface Arrival {
  readonly topic: string;
  readonly payload: Uint8Array;
  readonly retained: boolean;
  /** When it arrived. */
  readonly at: number;
}

const decoder = new TextDecoder('utf-8', { fatal: true });

/** Whether a message was made before the one that is shown. */
function isOlder(next: Header, shown: Header): boolean {
  if (next.boot === null || shown.boot === null || next.seq === null || shown.seq === null) {
    return next.at !== null && shown.at !== null && next.at < shown.at;
  }
  return next.boot === shown.boot ? next.seq < shown.seq : next.boot < shown.boot;
}

function metresBetween(a: { lat: number; lon: number }, b: { lat: number; lon: number }): number {
  const metresPerDegree = 111_195;
  const x = (a.lon - b.lon) * Math.cos((a.lat * Math.PI) / 180);
  return Math.hypot(x, a.lat - b.lat) * metresPerDegree;
}

export class Picture {
  readonly boxes = new Map<string, Box>();
  readonly bays = new Map<string, Bay>();
  readonly bins = new Map<string, Bin>();
  readonly vehicles = new Map<string, Vehicle>();
  readonly streets = new Map<string, Street>();
  readonly tickets = new Map<string, Ticket>();
  /** Newest first. */
  readonly happenings: Happening[] = [];
  /** Sessions and what became of waste, since the page was opened. */
  readonly chronicle = new Chronicle();
  readonly ignored = new Map<Reason, number>();
  /** Arrival of the last message of any kind; `null` before the first. */
  lastAt: number | null = null;
  /** What time it is on the street. */
  readonly clock = new StreetClock();
  /** Messages taken since the page was opened. */
  taken = 0;

  #epoch = 0;
  #happened = 0;
  #changed = new Set<Part>();
  #onReply: (reply: Reply) => void;
  readonly #requester: string;
  readonly #odd = (): void => this.#ignore('unknown_word');

  constructor(requester = '', onReply: (reply: Reply) => void = () => {}) {
    this.#requester = requester;
    this.#onReply = onReply;
  }

  /** A new connection: whatever comes first on a topic is the truth now. */
  begin(): void {
    this.#epoch += 1;
  }

  /** The retained messages of this connection are in: what did not come again is gone. */
  settle(): void {
    const maps: [Map<string, { epoch: number }>, Part][] = [
      [this.boxes, 'boxes'],
      [this.bays, 'assets'],
      [this.bins, 'assets'],
      [this.vehicles, 'vehicles'],
      [this.streets, 'streets'],
      [this.tickets, 'tickets'],
    ];
    for (const [map, part] of maps) {
      for (const [key, one] of map) {
        if (one.epoch === this.#epoch) continue;
        map.delete(key);
        this.#changed.add(part);
      }
    }
  }

  /** The zone that most of the boxes stand in; `null` when none tells one. */
  zone(): string | null {
    const zones = new Map<string, number>();
    for (const { info } of this.boxes.values()) {
      if (info?.zone != null) zones.set(info.zone, (zones.get(info.zone) ?? 0) + 1);
    }
    return [...zones].sort((a, b) => b[1] - a[1] || a[0].localeCompare(b[0]))[0]?.[0] ?? null;
  }

  /** What changed since the last call. */
  drain(): ReadonlySet<Part> {
    const changed = this.#changed;
    this.#changed = new Set();
    return changed;
  }

  /** Takes a message in. */
  take(arrival: Arrival): void {
    this.lastAt = arrival.at;
    this.taken += 1;
    const found = readTopic(arrival.topic);
    if (found === null) return this.#ignore('unknown_topic');
    if (found.of === 'reply') return this.#takeReply(found.requester, arrival);
    if (arrival.payload.length === 0) return this.#remove(found);
    const body = this.#parse(arrival.payload);
    if (body === null) return;
    if (found.of === 'box') return this.#takeBox(found.name, found.channel, body, arrival);
    if (found.of === 'ticket') {
      if (found.channel === 'event') return this.#happen(found.name, 'ticket', found.id, body);
      return this.#takeTicket(found.name, found.id, body);
    }
    if (found.channel === 'event') return this.#happen(found.name, found.class, found.id, body);
    if (found.channel === 'tel') return this.#takeTrack(`${found.name.prefix}/vehicle/${found.id}`, body);
    this.#takeAsset(found, body, arrival);
  }

  #ignore(reason: Reason): void {
    this.ignored.set(reason, (this.ignored.get(reason) ?? 0) + 1);
    this.#changed.add('faults');
  }

  #parse(payload: Uint8Array): Fields | null {
    if (payload.length > PAYLOAD_MAX) {
      this.#ignore('too_long');
      return null;
    }
    let text: string;
    try {
      text = decoder.decode(payload);
    } catch {
      this.#ignore('not_text');
      return null;
    }
    let value: unknown = null;
    try {
      value = JSON.parse(text);
    } catch {
      // Counted below: what is no JSON and what is no JSON object are the same fault to a reader.
    }
    const body = fields(value);
    if (body === null) this.#ignore('not_json');
    return body;
  }

  #takeReply(requester: string, arrival: Arrival): void {
    if (requester !== this.#requester) return this.#ignore('unknown_topic');
    const body = this.#parse(arrival.payload);
    if (body === null) return;
    const reply = readReply(body);
    if (reply === null) return this.#ignore('missing_field');
    this.#onReply(reply);
  }

  /** An empty retained payload takes a topic off the broker. */
  #remove(found: Topic): void {
    if (found.of === 'ticket' && found.channel === 'state') {
      if (this.tickets.delete(`${found.name.prefix}/ticket/${found.id}`)) {
        this.#changed.add('tickets');
      }
      return;
    }
    if (found.of !== 'asset' || found.channel === 'event' || found.channel === 'tel') return this.#ignore('missing_field');
    const asset = this.#mapOf(found.class)?.get(`${found.name.prefix}/${found.class}/${found.id}`);
    if (asset === undefined) return;
    if (found.channel === 'info') asset.info = null;
    if (found.channel === 'state') asset.state = asset.header = null;
    if (found.channel === 'figures') asset.figures = null;
    if (asset.info === null && asset.state === null && asset.figures === null) this.#mapOf(found.class)?.delete(asset.key);
    this.#changed.add(partOf(found.class));
  }

  #box(name: BoxName): Box | null {
    const known = this.boxes.get(name.prefix);
    if (known !== undefined) {
      known.epoch = this.#epoch;
      return known;
    }
    if (this.boxes.size >= BOXES_MAX) return null;
    const made = newBox(name, this.#epoch);
    this.boxes.set(name.prefix, made);
    return made;
  }

  #takeBox(name: BoxName, channel: string, body: Fields, arrival: Arrival): void {
    const fresh = this.boxes.get(name.prefix)?.epoch !== this.#epoch;
    const box = this.#box(name);
    if (box === null) return this.#ignore('full');
    if (channel === 'status') {
      const fault = takeStatus(box, body, fresh, this.#odd);
      if (fault !== null) return this.#ignore(fault);
    } else if (channel === 'info') {
      takeInfo(box, body, arrival);
      this.clock.speed = box.info?.speed ?? null;
    } else takeHealth(box, body, arrival, this.#odd);
    this.#changed.add('boxes');
  }

  #mapOf(kind: Class): Map<string, Asset<unknown>> | null {
    if (kind === 'bay') return this.bays;
    if (kind === 'bin') return this.bins;
    if (kind === 'vehicle') return this.vehicles;
    return kind === 'street' ? (this.streets as Map<string, Asset<unknown>>) : null;
  }

  #takeAsset(found: Topic & { of: 'asset' }, body: Fields, arrival: Arrival): void {
    const map = this.#mapOf(found.class);
    if (map === null) return this.#ignore('not_shown');
    const key = `${found.name.prefix}/${found.class}/${found.id}`;
    const known = map.get(key);
    if (known === undefined && map.size >= ASSETS_MAX) return this.#ignore('full');
    const asset = known ?? newAsset(key, found, this.#epoch);
    const isFirst = asset.epoch !== this.#epoch;
    if (isFirst) asset.header = null;
    if (found.channel === 'figures') {
      asset.figures = readFigures(body);
      this.#changed.add('figures');
    } else if (found.channel === 'info') asset.info = read.assetInfo(body);
    else if (!this.#takeState(asset, body, arrival)) return;
    asset.epoch = this.#epoch;
    map.set(key, asset);
    this.#box(found.name);
    // Figures are drawn nowhere on the map.
    if (found.channel !== 'figures') this.#changed.add(partOf(found.class));
  }

  /** Whether the state was taken. */
  #takeState(asset: Asset<unknown>, body: Fields, arrival: Arrival): boolean {
    const header = read.header(body, this.#odd);
    if (asset.header !== null && isOlder(header, asset.header)) {
      this.#ignore('older');
      return false;
    }
    if (asset.class === 'bay') asset.state = read.bayState(body, this.#odd);
    else if (asset.class === 'bin') asset.state = read.binState(body, this.#odd);
    else if (asset.class === 'vehicle') this.#takeFix(asset as Vehicle, body, header, arrival);
    else asset.state = asset.class === 'street' ? read.streetState(body) : null;
    asset.header = header;
    if (!arrival.retained) this.clock.hear(header.at, arrival.at);
    return true;
  }

  #takeFix(vehicle: Vehicle, body: Fields, header: Header, arrival: Arrival): void {
    const state = read.vehicleState(body, this.#odd);
    vehicle.state = state;
    if (state.place === null || !isDrawable(state.place)) return;
    const { lat, lon } = state.place;
    const last = vehicle.trail.at(-1);
    if (last !== undefined && last.lat === lat && last.lon === lon) return;
    const at = header.at ?? arrival.at;
    if (last !== undefined && (metresBetween(last, state.place) > JUMP_M || at - last.at > GAP_MS)) vehicle.trail.length = 0;
    vehicle.trail.push({ lat, lon, at });
    if (vehicle.trail.length > TRAIL_MAX) vehicle.trail.shift();
  }

  /** A piece of a vehicle's track. One that came before, or overlaps, adds what is new. */
  #takeTrack(key: string, body: Fields): void {
    const vehicle = this.vehicles.get(key);
    if (vehicle === undefined) return;
    if (addTrack(vehicle, read.track(body))) this.#changed.add('vehicles');
  }

  /** What a box remembers of the time before the page was opened. What is known already changes nothing. */
  recall(prefix: string, items: readonly Remembered[]): void {
    const points = new Map<Vehicle, TrackPoint[]>();
    for (const one of items) {
      this.chronicle.note(one.meaning, one, prefix, one.class, one.id);
      const vehicle = one.track.length === 0 ? undefined : this.vehicles.get(`${prefix}/${one.class}/${one.id}`);
      if (vehicle === undefined) continue;
      const track = points.get(vehicle) ?? [];
      track.push(...one.track);
      points.set(vehicle, track);
    }
    for (const [vehicle, track] of points) if (addTrack(vehicle, track)) this.#changed.add('vehicles');
    this.#changed.add('happenings');
  }

  #takeTicket(name: BoxName, id: string, body: Fields): void {
    const found = readTicket(body, this.#odd);
    if (found === null) return this.#ignore('missing_field');
    const { saidId, ...ticket } = found;
    if (saidId !== null && saidId !== id) return this.#ignore('wrong_id');
    const key = `${name.prefix}/ticket/${id}`;
    const shown = this.tickets.get(key);
    if (shown === undefined && this.tickets.size >= ASSETS_MAX) return this.#ignore('full');
    if (shown?.epoch === this.#epoch && ticket.rev < shown.rev) return this.#ignore('older');
    this.tickets.set(key, { ...ticket, key, name, id, epoch: this.#epoch });
    this.#box(name);
    this.#changed.add('tickets');
  }

  #happen(name: BoxName, kind: Class | 'ticket', subject: string, body: Fields): void {
    const event = read.cloudEvent(body);
    if (event === null) return this.#ignore('missing_field');
    // QoS 1 may deliver twice; the id says so.
    if (this.happenings.some((one) => one.id === event.id && one.name.prefix === name.prefix)) {
      return this.#ignore('older');
    }
    this.#happened += 1;
    this.happenings.unshift({ ...event, n: this.#happened, name, class: kind, subject });
    if (this.happenings.length > HAPPENINGS_MAX) this.happenings.pop();
    this.chronicle.note(readEvent(body), event, name.prefix, kind, subject);
    this.#changed.add('happenings');
  }
}

function partOf(kind: Class): Part {
  if (kind === 'street') return 'streets';
  return kind === 'vehicle' ? 'vehicles' : 'assets';
}

function newAsset(key: string, found: Topic & { of: 'asset' }, epoch: number): Asset<unknown> {
  const asset = {
    key,
    name: found.name,
    class: found.class,
    id: found.id,
    info: null as AssetInfo | null,
    state: null,
    header: null,
    figures: null,
    epoch,
  };
  return found.class === 'vehicle' ? Object.assign(asset, { trail: [], track: [] }) : asset;
}
