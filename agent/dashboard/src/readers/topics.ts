/**
 * Which message is it: from a topic to the box, the thing and the channel it belongs to.
 *
 * The layout is `steward/v1/<tenant>/<site>/<box>/…`; ids follow one rule, so a topic that breaks it
 * is not ours and is not read.
 */

/** What is watched, as the class level of a topic. */
export const CLASSES = ['bay', 'bin', 'vehicle', 'gauge', 'camera', 'node', 'street'] as const;
export type Class = (typeof CLASSES)[number];

/** The three ids of a prefix and the prefix itself. */
export interface BoxName {
  readonly prefix: string;
  readonly tenant: string;
  readonly site: string;
  readonly box: string;
}

/** A topic of ours, taken apart. */
export type Topic =
  | { readonly of: 'box'; readonly name: BoxName; readonly channel: 'status' | 'info' | 'health' }
  | {
      readonly of: 'asset';
      readonly name: BoxName;
      readonly class: Class;
      readonly id: string;
      readonly channel: 'info' | 'state' | 'figures' | 'event' | 'tel';
    }
  | {
      readonly of: 'ticket';
      readonly name: BoxName;
      readonly id: string;
      readonly channel: 'state' | 'event';
    }
  | { readonly of: 'reply'; readonly name: BoxName; readonly requester: string };

/** The topics of every box under one broker, and the replies to one requester. */
export function filters(requester: string): string[] {
  const any = 'steward/v1/+/+/+';
  return [
    `${any}/status`,
    `${any}/info`,
    `${any}/health`,
    `${any}/+/+/info`,
    `${any}/+/+/state`,
    `${any}/+/+/figures`,
    `${any}/+/+/event`,
    // Tracks; the series of everything else are not shown.
    `${any}/vehicle/+/tel`,
    `${any}/reply/${requester}`,
  ];
}

const ID = /^[a-z0-9][a-z0-9-]{0,31}$/;

/** Takes a topic apart; `null` when it is none of ours. */
export function topic(text: string): Topic | null {
  if (text.length > 256) return null;
  const levels = text.split('/');
  const [root, version, tenant = '', site = '', box = '', kind = '', id, channel] = levels;
  if (root !== 'steward' || version !== 'v1') return null;
  if (![tenant, site, box].every((level) => ID.test(level))) return null;
  const name = { prefix: `steward/v1/${tenant}/${site}/${box}`, tenant, site, box };
  if (levels.length === 6 && (kind === 'status' || kind === 'info' || kind === 'health')) {
    return { of: 'box', name, channel: kind };
  }
  if (id === undefined || !ID.test(id)) return null;
  if (levels.length === 7 && kind === 'reply') return { of: 'reply', name, requester: id };
  if (levels.length !== 8) return null;
  if (kind === 'ticket') {
    return channel === 'state' || channel === 'event' ? { of: 'ticket', name, id, channel } : null;
  }
  const known = CLASSES.find((one) => one === kind);
  if (known === undefined) return null;
  if (channel === 'tel') return known === 'vehicle' ? { of: 'asset', name, class: known, id, channel } : null;
  return channel === 'info' || channel === 'state' || channel === 'figures' || channel === 'event'
    ? { of: 'asset', name, class: known, id, channel }
    : null;
}
