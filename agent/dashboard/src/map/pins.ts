/**
 * Tickets on the map: one pin per asset, as page elements, so that they can be reached by keyboard and
 * pulse without the map being drawn again. Content is set as text, never as markup.
 */

import L from 'leaflet';

import { mercator } from '../picture/geometry';
import { SEVERITIES, isDrawable, isOpen, isUntaken, type Place, type Severity, type Ticket } from '../picture/model';

/** More pins than this at once are left to the list, worst first. */
const PINS_MAX = 300;

/** The open tickets of one place. */
export interface PinGroup {
  readonly key: string;
  readonly place: Place;
  /** Worst first. */
  readonly tickets: Ticket[];
  /** Several places that are too near to each other to be shown apart. */
  readonly isCluster?: boolean;
}

/** Rank for sorting: worst highest; a severity that nobody can read is not taken for harmless. */
export function rank(severity: Severity | null): number {
  return severity === null ? 1.5 : SEVERITIES.indexOf(severity);
}

/** Open tickets by what they concern; `placeOf` finds a place for a ticket that carries none. */
export function groupPins(
  tickets: Iterable<Ticket>,
  placeOf: (ticket: Ticket) => Place | null,
): PinGroup[] {
  const groups = new Map<string, PinGroup>();
  for (const ticket of tickets) {
    if (!isOpen(ticket)) continue;
    const place = placeOf(ticket);
    if (place === null || !isDrawable(place)) continue;
    const asset = ticket.asset;
    const key = asset === null ? ticket.key : `${ticket.name.prefix}/${asset.class}/${asset.id}`;
    const group = groups.get(key);
    if (group === undefined) groups.set(key, { key, place, tickets: [ticket] });
    else group.tickets.push(ticket);
  }
  for (const group of groups.values()) {
    group.tickets.sort((a, b) => rank(b.severity) - rank(a.severity));
  }
  const worst = (group: PinGroup): number => rank(group.tickets[0]?.severity ?? null);
  return [...groups.values()].sort((a, b) => worst(b) - worst(a)).slice(0, PINS_MAX);
}

/** Pins nearer to each other than this, in pixels across and down, would cover each other: they are one. */
const NEAR_PX = { x: 34, y: 44 };

/** One pin for the places that would cover each other at a zoom level, at the place of the worst. */
export function mergeNear(groups: readonly PinGroup[], zoom: number): PinGroup[] {
  const scale = 256 * 2 ** zoom;
  const heaps: { readonly x: number; readonly y: number; readonly members: PinGroup[] }[] = [];
  for (const group of groups) {
    const { x, y } = mercator(group.place.lat, group.place.lon);
    const near = heaps.find((heap) => Math.hypot(((heap.x - x) * scale) / NEAR_PX.x, ((heap.y - y) * scale) / NEAR_PX.y) < 1);
    if (near === undefined) heaps.push({ x, y, members: [group] });
    else near.members.push(group);
  }
  return heaps.map(({ members }) => {
    const [first] = members;
    if (first === undefined || members.length === 1) return members[0] as PinGroup;
    const tickets = members.flatMap((group) => group.tickets).sort((a, b) => rank(b.severity) - rank(a.severity));
    return { key: `near/${zoom}/${first.key}`, place: first.place, tickets, isCluster: true };
  });
}

interface Pin {
  readonly marker: L.Marker;
  readonly element: HTMLElement;
  look: string;
}

export class Pins {
  readonly #map: L.Map;
  readonly #open: (group: PinGroup) => void;
  readonly #pins = new Map<string, Pin>();

  constructor(map: L.Map, open: (group: PinGroup) => void) {
    this.#map = map;
    this.#open = open;
  }

  show(groups: readonly PinGroup[], label: (group: PinGroup) => string, chosenKey: string | null): void {
    const wanted = new Set(groups.map((group) => group.key));
    for (const [key, pin] of this.#pins) {
      if (wanted.has(key)) continue;
      pin.marker.remove();
      this.#pins.delete(key);
    }
    for (const group of groups) this.#showOne(group, label(group), chosenKey);
  }

  #showOne(group: PinGroup, label: string, chosenKey: string | null): void {
    const worst = group.tickets[0];
    if (worst === undefined) return;
    const { lat, lon } = group.place;
    const pin = this.#pins.get(group.key) ?? this.#make(group.key, [lat, lon]);
    const severity = worst.severity ?? 'unrated';
    const isPulsing = group.tickets.some(isUntaken);
    const isChosen = group.tickets.some((ticket) => ticket.key === chosenKey);
    const look = [severity, isPulsing, isChosen, group.tickets.length, label].join('|');
    pin.marker.setLatLng([lat, lon]);
    pin.element.onclick = () => this.#open(group);
    pin.element.onkeydown = (event) => {
      if (event.key !== 'Enter' && event.key !== ' ') return;
      event.preventDefault();
      this.#open(group);
    };
    if (pin.look === look) return;
    pin.look = look;
    pin.element.className = `pin pin-${severity}${isPulsing ? ' pin-pulse' : ''}${isChosen ? ' pin-chosen' : ''}`;
    pin.element.dataset['count'] = group.tickets.length > 1 ? String(group.tickets.length) : '';
    pin.element.setAttribute('aria-label', label);
    pin.element.title = label;
    pin.marker.setZIndexOffset(rank(worst.severity) * 1000);
  }

  #make(key: string, at: [number, number]): Pin {
    const element = document.createElement('div');
    element.setAttribute('role', 'button');
    element.tabIndex = 0;
    const shape = document.createElement('span');
    shape.className = 'pin-shape';
    element.append(shape);
    const icon = L.divIcon({ html: element, className: 'pin-anchor', iconSize: [0, 0] });
    const marker = L.marker(at, { icon, keyboard: false }).addTo(this.#map);
    const pin = { marker, element, look: '' };
    this.#pins.set(key, pin);
    return pin;
  }
}
