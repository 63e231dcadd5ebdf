/** What a box says of itself: its status, its info and its health. */

import * as read from '../readers/payloads';
import type { BoxName } from '../readers/topics';
import type { Fields, Odd } from '../readers/values';
import type { Box } from './model';

/** Most health arrivals kept per box; the oldest goes first. */
export const BEATS_MAX = 40;

/** When a message came, and whether the broker had kept it. */
interface Arrived {
  readonly at: number;
  readonly retained: boolean;
}

export function newBox(name: BoxName, epoch: number): Box {
  return { name, status: null, info: null, health: null, healthAt: null, beats: [], epoch };
}

/** Takes `P/status`; gives why it was not taken. `fresh`: the first one of this connection. */
export function takeStatus(box: Box, body: Fields, fresh: boolean, odd: Odd): 'missing_field' | 'older' | null {
  const status = read.boxStatus(body, odd);
  if (status === null) return 'missing_field';
  const shown = fresh ? null : box.status;
  // The broker may publish the will of an old connection after the birth of the new one.
  if (shown !== null && status.state === 'lost' && isOfOlderConnection(status, shown)) return 'older';
  box.status = status;
  return null;
}

/** Takes `P/info`. */
export function takeInfo(box: Box, body: Fields, arrival: Arrived): void {
  box.info = read.boxInfo(body);
  // A health that the broker had kept is dated by a clock that is not ours: it counts from now on.
  if (box.info.speed === null || box.healthAt === null || box.beats.length > 1) return;
  box.healthAt = arrival.at;
  box.beats.splice(0, box.beats.length, arrival.at);
}

/** Takes `P/health`. */
export function takeHealth(box: Box, body: Fields, arrival: Arrived, odd: Odd): void {
  box.health = read.health(body, odd);
  const isOurClock = box.info?.speed == null;
  box.healthAt = arrival.retained && isOurClock ? box.health.header.at : arrival.at;
  if (box.healthAt === null) return;
  box.beats.push(box.healthAt);
  if (box.beats.length > BEATS_MAX) box.beats.shift();
}

interface Connection {
  readonly boot: number | null;
  readonly conn: number | null;
}

function isOfOlderConnection(next: Connection, shown: Connection): boolean {
  const boots = (next.boot ?? 0) - (shown.boot ?? 0);
  return boots < 0 || (boots === 0 && (next.conn ?? 0) < (shown.conn ?? 0));
}
