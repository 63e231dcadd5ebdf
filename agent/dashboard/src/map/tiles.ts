/**
 * Whether there are pictures of the ground: `page.json` beside the page says where they come from. Without
 * it, or with anything else in it, the map draws the streets alone and asks nobody for anything.
 */

import { count, fields, own, text } from '../readers/values';

export interface Tiles {
  /** The address of a tile, with `{z}`, `{x}` and `{y}`: Web Mercator, WGS84. */
  readonly url: string;
  /** Who made them, as plain text. */
  readonly attribution: string;
  /** The deepest zoom there are tiles of. */
  readonly maxZoom: number;
}

const MAX_ZOOM = 19;

/** What a parsed `page.json` says of tiles; `null` when it names none. */
export function tilesOf(value: unknown): Tiles | null {
  const from = fields(own(fields(value) ?? {}, 'tiles'));
  const url = text(own(from ?? {}, 'url'));
  const attribution = text(own(from ?? {}, 'attribution'));
  if (url === null || attribution === null || !/^(https?:\/\/|\/(?!\/))/.test(url)) return null;
  if (!['{z}', '{x}', '{y}'].every((part) => url.includes(part))) return null;
  return { url, attribution, maxZoom: Math.min(22, Math.max(1, count(own(from ?? {}, 'max_zoom')) ?? MAX_ZOOM)) };
}

/** Asks the server that the page comes from. */
export async function findTiles(): Promise<Tiles | null> {
  try {
    const answer = await fetch(new URL('page.json', document.baseURI), { credentials: 'same-origin' });
    return answer.ok ? tilesOf(await answer.json()) : null;
  } catch {
    // No network, or no JSON: the page goes on without pictures.
    return null;
  }
}
