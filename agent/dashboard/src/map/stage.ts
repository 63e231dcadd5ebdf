/**
 * The map as one object: Leaflet, the three sheets, the pins, and when each is drawn again.
 *
 * It knows no words and no Svelte: what it shall say and do is given to it.
 */

import L from 'leaflet';

import type { Frames } from '../picture/frames';
import type { Place, Ticket, Vehicle } from '../picture/model';
import type { Part, Picture } from '../picture/picture';
import { Atlas } from './atlas';
import { drawChosen } from './chosen';
import { areBaysClustered, areBinsClustered, drawBayClusters, drawBinClusters } from './clusters';
import { Fleet } from './fleet';
import { drawGround } from './ground';
import { nearest } from './hit';
import { drawBays, drawBins } from './marks';
import { currentPalette } from './palette';
import { groupPins, mergeNear, Pins, type PinGroup } from './pins';
import { Sheet, type View } from './sheet';
import type { Tiles } from './tiles';

/** Bays and bins are drawn again at most this often: enough for the eye, and it spares small machines. */
const ASSETS_MS = 100;
/** Each thousand of bays adds this to it, so that drawing never takes most of the time. */
const PER_THOUSAND_MS = 25;
/** How close a place is shown that was asked for. */
const TARGET_ZOOM = 19;
/** As close as one may come. */
const MAX_ZOOM = 22;
/** From here on every ticket has a pin of its own. */
const PINS_APART_ZOOM = 18;

/** What the stage asks the page, each time it draws. */
export interface Director {
  readonly now: () => number;
  readonly language: () => string;
  readonly vehicleLabel: (vehicle: Vehicle) => string;
  readonly pinLabel: (group: PinGroup) => string;
  readonly placeOf: (ticket: Ticket) => Place | null;
  readonly chosenAsset: () => string | null;
  readonly chosenTicket: () => string | null;
  /** The pointer is over an asset, or over none. */
  readonly over: (key: string | null, x: number, y: number) => void;
  readonly chooseAsset: (key: string | null) => void;
  readonly openTicket: (ticket: Ticket) => void;
}

export class Stage {
  readonly #map: L.Map;
  readonly #picture: Picture;
  readonly #director: Director;
  readonly #atlas: Atlas;
  readonly #fleet: Fleet;
  readonly #ground: Sheet;
  readonly #assets: Sheet;
  readonly #moving: Sheet;
  readonly #pins: Pins;
  readonly #still = matchMedia('(prefers-reduced-motion: reduce)');
  readonly #watcher: ResizeObserver;
  readonly #stopListening: () => void;
  #assetsTimer: ReturnType<typeof setTimeout> | null = null;
  #isFitted = false;

  constructor(element: HTMLElement, picture: Picture, frames: Frames, director: Director) {
    this.#picture = picture;
    this.#director = director;
    this.#map = makeMap(element);
    this.#atlas = new Atlas(picture);
    this.#fleet = new Fleet(picture);
    this.#ground = this.#sheet('ground', (c, view) => {
      drawGround(c, view, this.#atlas.roads, currentPalette(), director.language());
    });
    this.#assets = this.#sheet('assets', (c, view) => {
      this.#drawAssets(c, view);
    });
    this.#moving = this.#sheet('fleet', (c, view) => this.#drawMoving(c, view));
    this.#pins = new Pins(this.#map, (group) => {
      const [worst] = group.tickets;
      if (group.isCluster) this.show(group.place.lat, group.place.lon, this.#map.getZoom() + 2);
      else if (worst !== undefined) director.openTicket(worst);
    });
    this.#map.on('zoomend', () => this.#showPins());
    this.#listenToPointer();
    // The size changes with the window, the banner and the view.
    this.#watcher = new ResizeObserver(() => this.#map.invalidateSize({ animate: false }));
    this.#watcher.observe(element);
    this.#stopListening = frames.on((parts) => this.#follow(parts));
    this.#follow(new Set<Part>(['streets', 'vehicles', 'tickets']));
    this.#atlas.readAssets();
    this.fit();
  }

  get isFitted(): boolean {
    return this.#isFitted;
  }

  /** Shows everything that has a place; does nothing while nothing has one. */
  fit(): void {
    const extent = this.#atlas.extent();
    if (extent === null) return;
    const isWide = this.#map.getSize().x > 700;
    this.#map.fitBounds(extent, {
      paddingTopLeft: isWide ? [48, 56] : [20, 44],
      paddingBottomRight: isWide ? [48, 40] : [20, 30],
      maxZoom: TARGET_ZOOM,
      animate: this.#isFitted && !this.#still.matches,
    });
    this.#isFitted = true;
  }

  /** Lays pictures of the ground under everything; the streets show through. */
  lay({ url, maxZoom }: Tiles): void {
    // Deeper than there are pictures the last ones are drawn larger.
    L.tileLayer(url, { maxNativeZoom: maxZoom, maxZoom: MAX_ZOOM }).addTo(this.#map);
    this.#map.getContainer().classList.add('has-tiles');
  }

  /** Draws everything again: the theme, the language or what is chosen has changed. */
  redraw(): void {
    this.#ground.redraw();
    this.#assets.redraw();
    this.#moving.redraw();
    this.#showPins();
  }

  /** Brings a place to the middle, close enough to see a bay. */
  show(lat: number, lon: number, zoom = Math.max(this.#map.getZoom(), TARGET_ZOOM)): void {
    this.#map.invalidateSize({ animate: false });
    this.#map.setView([lat, lon], zoom, { animate: !this.#still.matches });
  }

  zoomIn(): void {
    this.#map.zoomIn();
  }

  zoomOut(): void {
    this.#map.zoomOut();
  }

  remove(): void {
    this.#stopListening();
    this.#watcher.disconnect();
    if (this.#assetsTimer !== null) clearTimeout(this.#assetsTimer);
    this.#map.remove();
  }

  #sheet(pane: string, draw: (c: CanvasRenderingContext2D, view: View) => void): Sheet {
    return new Sheet(draw, pane).addTo(this.#map);
  }

  #follow(parts: ReadonlySet<Part>): void {
    if (parts.has('streets')) {
      this.#atlas.readStreets();
      this.#ground.redraw();
    }
    if (parts.has('vehicles')) {
      this.#fleet.read(this.#director.now(), this.#still.matches);
      this.#moving.redraw();
    }
    if (parts.has('streets') || parts.has('assets')) this.#drawAssetsSoon();
    if (parts.has('streets') || parts.has('tickets')) this.#showPins();
  }

  /** Whether one stands too far away to point at a single bay. */
  #isClustered(): boolean {
    const metres = 40_075_016.686 * Math.cos((this.#map.getCenter().lat * Math.PI) / 180);
    return areBaysClustered(this.#atlas.bays.size, { pixelsPerMetre: (256 * 2 ** this.#map.getZoom()) / metres });
  }

  #drawAssetsSoon(): void {
    const wait = ASSETS_MS + (PER_THOUSAND_MS * this.#picture.bays.size) / 1000;
    this.#assetsTimer ??= setTimeout(() => {
      this.#assetsTimer = null;
      this.#atlas.readAssets();
      this.#assets.redraw();
    }, wait);
  }

  #drawAssets(c: CanvasRenderingContext2D, view: View): void {
    const { bays, bins } = this.#atlas;
    const palette = currentPalette();
    if (areBaysClustered(bays.size, view)) drawBayClusters(c, view, bays.values(), palette);
    else drawBays(c, view, bays.values(), palette, this.#picture.clock.at(this.#director.now()));
    if (areBinsClustered(bins.size, view)) drawBinClusters(c, view, bins.values(), palette);
    else drawBins(c, view, bins.values(), palette);
  }

  #drawMoving(c: CanvasRenderingContext2D, view: View): void {
    const now = this.#director.now();
    const key = this.#director.chosenAsset();
    if (key !== null) {
      const spot = this.#atlas.bays.get(key) ?? this.#atlas.bins.get(key);
      const at = spot?.at ?? this.#fleet.at(key, now);
      if (at !== null) drawChosen(c, view, at, currentPalette());
    }
    this.#fleet.draw(c, view, currentPalette(), now, this.#director.vehicleLabel);
    if (this.#fleet.isMoving(now)) requestAnimationFrame(() => this.#moving.redraw());
  }

  #showPins(): void {
    const zoom = this.#map.getZoom();
    const all = groupPins(this.#picture.tickets.values(), this.#director.placeOf);
    const groups = zoom < PINS_APART_ZOOM ? mergeNear(all, zoom) : all;
    this.#pins.show(groups, this.#director.pinLabel, this.#director.chosenTicket());
  }

  #listenToPointer(): void {
    const under = (event: L.LeafletMouseEvent): string | null =>
      this.#isClustered() ? null : nearest(this.#map, event.containerPoint, this.#atlas, this.#fleet, this.#picture, this.#director.now());
    this.#map.on('mousemove', (event) => {
      const key = under(event);
      this.#map.getContainer().style.cursor = key === null ? '' : 'pointer';
      this.#director.over(key, event.containerPoint.x, event.containerPoint.y);
    });
    this.#map.on('mouseout movestart', () => this.#director.over(null, 0, 0));
    this.#map.on('click', (event) => {
      const isFar = this.#isClustered();
      if (isFar) this.#map.setZoomAround(event.latlng, this.#map.getZoom() + 2);
      else this.#director.chooseAsset(under(event));
    });
  }
}

function makeMap(element: HTMLElement): L.Map {
  const map = L.map(element, {
    attributionControl: false,
    zoomControl: false,
    zoomSnap: 0.25,
    zoomDelta: 0.75,
    wheelPxPerZoomLevel: 90,
    minZoom: 3,
    maxZoom: MAX_ZOOM,
    center: [31.81, 119.974],
    zoom: 15,
  });
  L.control.scale({ imperial: false, position: 'bottomright', maxWidth: 120 }).addTo(map);
  for (const [pane, z] of [['ground', 210], ['assets', 350], ['fleet', 450]] as const) {
    map.createPane(pane).style.zIndex = String(z);
  }
  return map;
}
