/**
 * The picture as places on the sheet: projected once, and again only when what they hang on changed.
 */

import { angleBeside, mercator, unitsPerMetre, type Point } from '../picture/geometry';
import { isDrawable, type Asset, type AssetInfo, type Bay, type Bin } from '../picture/model';
import type { Picture } from '../picture/picture';

/** A street farther than this from a bay does not turn it, in metres. */
const BESIDE_M = 40;

/** An asset with its point and, for a bay, the way it lies. */
export interface Spot<A> {
  readonly asset: A;
  readonly info: AssetInfo;
  readonly at: Point;
  /** Radians, clockwise from east. */
  readonly angle: number;
}

export interface Road {
  readonly key: string;
  readonly names: Readonly<Record<string, string>>;
  readonly line: readonly Point[];
}

export class Atlas {
  readonly #picture: Picture;
  readonly bays = new Map<string, Spot<Bay>>();
  readonly bins = new Map<string, Spot<Bin>>();
  roads: Road[] = [];

  constructor(picture: Picture) {
    this.#picture = picture;
  }

  /** Streets changed: everything that lies along them is turned again. */
  readStreets(): void {
    this.roads = [];
    for (const street of this.#picture.streets.values()) {
      const line = (street.info?.line ?? []).map(([lon, lat]) => mercator(lat, lon));
      if (line.length >= 2 && street.info !== null) {
        this.roads.push({ key: street.key, names: street.info.names, line });
      }
    }
    this.bays.clear();
  }

  /** Follows what came, went or moved. */
  readAssets(): void {
    follow(this.#picture.bays, this.bays, (bay, info, at) => this.#angle(bay, info, at));
    follow(this.#picture.bins, this.bins, () => 0);
  }

  /** South-west and north-east corner of everything that has a place; `null` when nothing has. */
  extent(): [[number, number], [number, number]] | null {
    const box = { south: 90, west: 180, north: -90, east: -180 };
    const add = (lat: number, lon: number): void => {
      box.south = Math.min(box.south, lat);
      box.north = Math.max(box.north, lat);
      box.west = Math.min(box.west, lon);
      box.east = Math.max(box.east, lon);
    };
    for (const street of this.#picture.streets.values()) {
      for (const [lon, lat] of street.info?.line ?? []) add(lat, lon);
    }
    for (const { info } of [...this.bays.values(), ...this.bins.values()]) {
      if (info.place !== null) add(info.place.lat, info.place.lon);
    }
    if (box.south > box.north) {
      for (const { state } of this.#picture.vehicles.values()) {
        if (state?.place && isDrawable(state.place)) add(state.place.lat, state.place.lon);
      }
    }
    return box.south > box.north
      ? null
      : [
          [box.south, box.west],
          [box.north, box.east],
        ];
  }

  #angle(bay: Bay, info: AssetInfo, at: Point): number {
    const own = `${bay.name.prefix}/street/${info.street ?? ''}`;
    const named = this.roads.filter((road) => road.key === own);
    const roads = named.length > 0 ? named : this.roads;
    const beside = angleBeside(at, roads.map((road) => road.line));
    const near = BESIDE_M * unitsPerMetre(info.place?.lat ?? 0);
    return beside !== null && beside.distance <= near ? beside.angle : 0;
  }
}

function follow<S, A extends Asset<S>>(
  assets: ReadonlyMap<string, A>,
  spots: Map<string, Spot<A>>,
  angle: (asset: A, info: AssetInfo, at: Point) => number,
): void {
  for (const [key, spot] of spots) if (assets.get(key) !== spot.asset) spots.delete(key);
  for (const asset of assets.values()) {
    const info = asset.info;
    if (spots.get(asset.key)?.info === info) continue;
    const place = info?.place ?? null;
    if (info === null || place === null || !isDrawable(place)) {
      spots.delete(asset.key);
      continue;
    }
    const at = mercator(place.lat, place.lon);
    spots.set(asset.key, { asset, info, at, angle: angle(asset, info, at) });
  }
}
