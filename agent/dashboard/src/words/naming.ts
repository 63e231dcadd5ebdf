/** What people call things, in the language of the page. */

import type { Asset, Box, Ticket } from '../picture/model';
import type { Picture } from '../picture/picture';
import type { Words } from './en';
import { named } from './format';

/** The name in the language, else in any, else the id. */
export function assetName(asset: Pick<Asset<unknown>, 'info' | 'id'>, language: string): string {
  const names = asset.info?.names ?? {};
  return names[language] ?? names['zh'] ?? names['en'] ?? asset.id;
}

/** The street an asset belongs to; empty when it has none. */
export function streetName(asset: Asset<unknown>, picture: Picture, language: string): string {
  const id = asset.info?.street ?? null;
  if (id === null) return '';
  const street = picture.streets.get(`${asset.name.prefix}/street/${id}`);
  return street === undefined ? id : assetName(street, language);
}

/** The asset a ticket concerns, where it is in the picture. */
export function assetOf(ticket: Ticket, picture: Picture): Asset<unknown> | null {
  if (ticket.asset === null) return null;
  const key = `${ticket.name.prefix}/${ticket.asset.class}/${ticket.asset.id}`;
  return picture.bays.get(key) ?? picture.bins.get(key) ?? picture.vehicles.get(key) ?? null;
}

/** What a ticket concerns, in words. */
export function subjectName(ticket: Ticket, picture: Picture, words: Words, language: string): string {
  const asset = assetOf(ticket, picture);
  if (asset !== null && Object.keys(asset.info?.names ?? {}).length > 0) return assetName(asset, language);
  if (ticket.asset === null) return named(words.classes, 'box') + ' ' + ticket.name.box;
  return `${named(words.classes, ticket.asset.class)} ${ticket.asset.id}`;
}

export function boxName(box: Box): string {
  return box.info?.name ?? box.name.box;
}

/** Site and tenant of what is shown: one as it is, several joined. */
export function siteNames(boxes: Iterable<Box>): string[] {
  const sites = new Set<string>();
  for (const box of boxes) sites.add(`${box.name.tenant} · ${box.name.site}`);
  return [...sites].sort();
}

/** What a crew of a box is called; its id where the box does not say. */
export function crewName(id: string, prefix: string, picture: Picture, language: string): string {
  const names = picture.boxes.get(prefix)?.info?.crews.find((crew) => crew.id === id)?.names ?? {};
  return names[language] ?? names['zh'] ?? names['en'] ?? id;
}
