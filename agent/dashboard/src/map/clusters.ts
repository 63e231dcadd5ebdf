/**
 * Thousands of bays and bins seen from far away: one disc for each patch of the map, with the shares of
 * their states as a ring and their number in the middle.
 *
 * Patches are squares of the world, not of the window, so that discs stand still while the map is moved.
 */

import type { Bay, Bin } from '../picture/model';
import type { Spot } from './atlas';
import { binLook, levelBand } from './marks';
import type { Palette } from './palette';
import type { View } from './sheet';

/** The side of a patch, in pixels. */
export const PATCH_PX = 72;
/** Discs nearer to each other would cover each other's numbers. */
const APART_PX = 46;
/** Below this length of a bay in pixels, thousands of them are one smear. */
const SMEAR_PX = 3;
/** Fewer than these are drawn one by one, however far away. */
const FEW = 300;

/** The parts of a ring, in the order in which they are drawn. */
type Shares = readonly { readonly n: number; readonly colour: string; readonly isDashed?: boolean }[];

export interface Cluster {
  /** The middle of its members, in the unit square of the projection. */
  readonly x: number;
  readonly y: number;
  readonly counts: readonly number[];
  readonly total: number;
}

/** Whether bays are shown in clusters. */
export function areBaysClustered(count: number, view: Pick<View, 'pixelsPerMetre'>): boolean {
  return count > FEW && 5.6 * view.pixelsPerMetre < SMEAR_PX;
}

/** Whether bins are: they are drawn larger than they are, and run into each other sooner. */
export function areBinsClustered(count: number, view: Pick<View, 'pixelsPerMetre'>): boolean {
  return count > FEW / 3 && 5.6 * view.pixelsPerMetre < SMEAR_PX;
}

/** Spots by patch, each counted in the part that `partOf` names. */
export function cluster<A>(spots: Iterable<Spot<A>>, scale: number, parts: number, partOf: (asset: A) => number): Cluster[] {
  const patches = new Map<number, { x: number; y: number; counts: number[]; total: number }>();
  const across = Math.ceil(scale / PATCH_PX);
  for (const { asset, at } of spots) {
    const key = Math.floor((at.x * scale) / PATCH_PX) + across * Math.floor((at.y * scale) / PATCH_PX);
    let patch = patches.get(key);
    if (patch === undefined) {
      patch = { x: 0, y: 0, counts: Array.from({ length: parts }, () => 0), total: 0 };
      patches.set(key, patch);
    }
    const part = partOf(asset);
    patch.counts[part] = (patch.counts[part] ?? 0) + 1;
    patch.x += at.x;
    patch.y += at.y;
    patch.total += 1;
  }
  const found = [...patches.values()].map((patch) => ({ ...patch, x: patch.x / patch.total, y: patch.y / patch.total }));
  return absorb(found, APART_PX / scale);
}

/** Small ones that a larger neighbour would cover become part of it. */
function absorb(clusters: Cluster[], reach: number): Cluster[] {
  const kept: Cluster[] = [];
  for (const one of clusters.sort((a, b) => b.total - a.total)) {
    const at = kept.findIndex((other) => Math.hypot(other.x - one.x, other.y - one.y) < reach);
    const other = kept[at];
    if (other === undefined) kept.push(one);
    else kept[at] = { ...other, total: other.total + one.total, counts: other.counts.map((n, i) => n + (one.counts[i] ?? 0)) };
  }
  return kept;
}

const BAY_PARTS = ['occupied', 'free', 'unknown', 'out_of_service'] as const;
const BIN_PARTS = ['high', 'mid', 'low', 'none'] as const;

export function drawBayClusters(c: CanvasRenderingContext2D, view: View, spots: Iterable<Spot<Bay>>, palette: Palette): void {
  const found = cluster(spots, view.scale, BAY_PARTS.length, (bay) => BAY_PARTS.indexOf(bay.state?.status ?? 'unknown'));
  for (const one of found) {
    const shares = BAY_PARTS.map((part, i) => ({ n: one.counts[i] ?? 0, colour: palette.bay[part], isDashed: part === 'unknown' }));
    drawDisc(c, view, one, shares, 0, palette);
  }
}

export function drawBinClusters(c: CanvasRenderingContext2D, view: View, spots: Iterable<Spot<Bin>>, palette: Palette): void {
  const found = cluster(spots, view.scale, BIN_PARTS.length, (bin) => BIN_PARTS.indexOf(levelBand(binLook(bin))));
  for (const one of found) {
    const shares = BIN_PARTS.map((part, i) => ({ n: one.counts[i] ?? 0, colour: palette.level[part], isDashed: part === 'none' }));
    drawDisc(c, view, one, shares, radiusOf(one.total) + 12, palette, true);
  }
}

/** Larger for more, by the number's magnitude: an area in proportion would cover its neighbours. */
function radiusOf(total: number): number {
  return Math.min(22, 10 + 4.2 * Math.log10(total));
}

/** A disc; `aside` to the right of its place, so that bins do not cover bays. Bins are square. */
function drawDisc(
  c: CanvasRenderingContext2D,
  view: View,
  at: Cluster,
  shares: Shares,
  aside: number,
  palette: Palette,
  isSquare = false,
): void {
  const x = at.x * view.scale + view.left + aside;
  const y = at.y * view.scale + view.top;
  if (x < -40 || y < -40 || x > view.width + 40 || y > view.height + 40) return;
  const radius = isSquare ? Math.min(15, radiusOf(at.total)) : radiusOf(at.total);
  c.fillStyle = palette.panel;
  c.beginPath();
  if (isSquare) c.roundRect(x - radius, y - radius, 2 * radius, 2 * radius, 5);
  else c.arc(x, y, radius + 1.5, 0, 2 * Math.PI);
  c.fill();
  if (isSquare) {
    c.strokeStyle = palette.kerb;
    c.lineWidth = 1;
    c.stroke();
  }
  if (isSquare) drawBar(c, x, y, radius, at.total, shares);
  else drawShares(c, x, y, radius, at.total, shares);
  c.fillStyle = palette.ink;
  c.font = `600 ${radius > 15 ? 13 : 11}px ${palette.font}`;
  c.textAlign = 'center';
  c.textBaseline = 'middle';
  c.fillText(String(at.total), x, isSquare ? y - 2.5 : y + 0.5);
}

function drawShares(c: CanvasRenderingContext2D, x: number, y: number, radius: number, total: number, shares: Shares): void {
  let from = -Math.PI / 2;
  c.lineWidth = 4;
  for (const { n, colour, isDashed } of shares) {
    if (n === 0) continue;
    const until = from + (n / total) * 2 * Math.PI;
    c.beginPath();
    c.arc(x, y, radius - 1, from, until);
    c.strokeStyle = colour;
    if (isDashed) c.setLineDash([2, 2]);
    c.stroke();
    c.setLineDash([]);
    from = until;
  }
}

function drawBar(c: CanvasRenderingContext2D, x: number, y: number, radius: number, total: number, shares: Shares): void {
  const width = 2 * radius - 6;
  let left = x - radius + 3;
  for (const { n, colour } of shares) {
    const part = (n / total) * width;
    c.fillStyle = colour;
    c.fillRect(left, y + radius - 7, part, 4);
    left += part;
  }
}
