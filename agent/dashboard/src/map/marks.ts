/**
 * Bays and bins on the map. Each state has a form of its own besides its colour, and the legend draws
 * with the same functions.
 */

import type { Bay, BayStatus, Bin, BinStatus } from '../picture/model';
import { overstaySince } from '../picture/tally';
import type { Spot } from './atlas';
import type { Palette } from './palette';
import type { View } from './sheet';

/** A bay along the kerb, in metres. */
const BAY_LENGTH_M = 5.6;
const BAY_WIDTH_M = 2.5;

/** What a bay looks like. */
export type BayLook = BayStatus | 'over';

export function bayLook(bay: Bay, now: number): BayLook {
  if (overstaySince(bay, now) !== null) return 'over';
  return bay.state?.status ?? 'unknown';
}

/** Below this length in pixels bays are plain and drawn together, as there may be thousands in view. */
const SMALL_PX = 9;
/** Below this one a bay is a stripe of its true length: outlines would only touch. */
const TINY_PX = 4.5;

export function drawBays(
  c: CanvasRenderingContext2D,
  view: View,
  spots: Iterable<Spot<Bay>>,
  palette: Palette,
  now: number,
): void {
  const length = Math.max(1.2, BAY_LENGTH_M * view.pixelsPerMetre);
  const width = Math.max(6, BAY_WIDTH_M * view.pixelsPerMetre);
  const small = new Batches();
  for (const spot of spots) {
    const x = spot.at.x * view.scale + view.left;
    const y = spot.at.y * view.scale + view.top;
    if (x < -length || y < -length || x > view.width + length || y > view.height + length) continue;
    const look = bayLook(spot.asset, now);
    if (length >= SMALL_PX) {
      drawBay(c, x, y, spot.angle, length, width, look, palette);
      continue;
    }
    addCorners(small.path(look), x, y, spot.angle, length, width);
  }
  if (length < TINY_PX) drawTiny(c, small.all, palette);
  else drawSmall(c, small.all, palette);
}

/** Paths of a few dozen bays each: one path per bay, or one for all, takes several times as long. */
class Batches {
  static readonly #SIZE = 64;
  readonly all: { readonly look: BayLook; readonly path: Path2D }[] = [];
  readonly #open = new Map<BayLook, { path: Path2D; count: number }>();

  path(look: BayLook): Path2D {
    let batch = this.#open.get(look);
    if (batch === undefined || batch.count >= Batches.#SIZE) {
      batch = { path: new Path2D(), count: 0 };
      this.#open.set(look, batch);
      this.all.push({ look, path: batch.path });
    }
    batch.count += 1;
    return batch.path;
  }
}

function addCorners(
  path: Path2D,
  x: number,
  y: number,
  angle: number,
  length: number,
  width: number,
): void {
  const ux = (Math.cos(angle) * length) / 2;
  const uy = (Math.sin(angle) * length) / 2;
  const vx = (-Math.sin(angle) * width) / 2;
  const vy = (Math.cos(angle) * width) / 2;
  path.moveTo(x - ux - vx, y - uy - vy);
  path.lineTo(x + ux - vx, y + uy - vy);
  path.lineTo(x + ux + vx, y + uy + vy);
  path.lineTo(x - ux + vx, y - uy + vy);
  path.closePath();
}

function drawSmall(
  c: CanvasRenderingContext2D,
  batches: Batches['all'],
  palette: Palette,
): void {
  c.lineWidth = 1.1;
  for (const { look, path } of batches) {
    const colour = look === 'over' ? palette.bay.occupied : palette.bay[look];
    c.fillStyle = c.strokeStyle = colour;
    if (look === 'occupied' || look === 'over') c.fill(path);
    if (look === 'over') c.strokeStyle = palette.over;
    if (look === 'unknown') c.setLineDash([1.5, 1.5]);
    c.stroke(path);
    c.setLineDash([]);
  }
}

function drawTiny(
  c: CanvasRenderingContext2D,
  batches: Batches['all'],
  palette: Palette,
): void {
  for (const { look, path } of batches) {
    c.fillStyle = look === 'over' ? palette.over : palette.bay[look];
    c.globalAlpha = look === 'unknown' || look === 'out_of_service' ? 0.5 : 1;
    c.fill(path);
  }
  c.globalAlpha = 1;
}

/** One bay: open when free, solid when taken, dashed when nobody knows, crossed when out of service. */
export function drawBay(
  c: CanvasRenderingContext2D,
  x: number,
  y: number,
  angle: number,
  length: number,
  width: number,
  look: BayLook,
  palette: Palette,
): void {
  const colour = look === 'over' ? palette.bay.occupied : palette.bay[look];
  c.save();
  c.translate(x, y);
  c.rotate(angle);
  c.lineWidth = 1.5;
  c.strokeStyle = colour;
  c.fillStyle = colour;
  c.beginPath();
  c.roundRect(-length / 2, -width / 2, length, width, Math.min(2.5, width / 4));
  if (look === 'occupied' || look === 'over') {
    c.fill();
    drawWindscreen(c, length, width, palette.road);
    if (look === 'over') drawOver(c, length, width, palette);
  } else {
    c.globalAlpha = 0.16;
    c.fill();
    c.globalAlpha = 1;
    if (look === 'unknown') c.setLineDash([3, 2.5]);
    c.stroke();
    c.setLineDash([]);
    if (look === 'out_of_service') drawCross(c, length, width);
    if (look === 'unknown' && length > 20) drawSign(c, '?', Math.min(12, width * 0.95), palette, colour);
  }
  c.restore();
}

function drawWindscreen(c: CanvasRenderingContext2D, length: number, width: number, colour: string): void {
  c.fillStyle = colour;
  c.globalAlpha = 0.55;
  c.fillRect(length * 0.14, -width * 0.3, Math.max(1.5, length * 0.1), width * 0.6);
  c.fillRect(-length * 0.34, -width * 0.3, Math.max(1, length * 0.06), width * 0.6);
  c.globalAlpha = 1;
}

function drawOver(c: CanvasRenderingContext2D, length: number, width: number, palette: Palette): void {
  c.strokeStyle = palette.over;
  c.lineWidth = 2.25;
  c.strokeRect(-length / 2 - 1.5, -width / 2 - 1.5, length + 3, width + 3);
}

function drawCross(c: CanvasRenderingContext2D, length: number, width: number): void {
  c.beginPath();
  c.moveTo(-length / 2, -width / 2);
  c.lineTo(length / 2, width / 2);
  c.moveTo(-length / 2, width / 2);
  c.lineTo(length / 2, -width / 2);
  c.stroke();
}

/** What a bin looks like. */
export interface BinLook {
  readonly status: BinStatus;
  readonly levelPct: number | null;
  readonly fullAtPct: number | null;
}

export function binLook(bin: Bin): BinLook {
  return {
    status: bin.state?.status ?? 'unknown',
    levelPct: bin.state?.levelPct ?? null,
    fullAtPct: bin.info?.fullAtPct ?? null,
  };
}

/** The colour band of a level: full by the bin's own limit, else by 80 %. */
export function levelBand(look: BinLook): 'low' | 'mid' | 'high' | 'none' {
  if (look.status === 'full' || look.status === 'overflow') return 'high';
  if (look.levelPct === null) return 'none';
  const full = look.fullAtPct ?? 80;
  if (look.levelPct >= full) return 'high';
  return look.levelPct >= full * 0.75 ? 'mid' : 'low';
}

export function drawBins(
  c: CanvasRenderingContext2D,
  view: View,
  spots: Iterable<Spot<Bin>>,
  palette: Palette,
): void {
  const radius = Math.max(4.5, Math.min(13, 3 * view.pixelsPerMetre + 4));
  for (const spot of spots) {
    const x = spot.at.x * view.scale + view.left;
    const y = spot.at.y * view.scale + view.top;
    const edge = radius * 2;
    if (x < -edge || y < -edge || x > view.width + edge || y > view.height + edge) continue;
    drawBin(c, x, y, radius, binLook(spot.asset), palette);
  }
}

const SIGNS: Partial<Record<BinStatus, string>> = { overflow: '!', unknown: '?', lid_open: '⌃' };

/** One bin: a ring that fills clockwise from the top; alarms fill the disc and carry a sign. */
export function drawBin(
  c: CanvasRenderingContext2D,
  x: number,
  y: number,
  radius: number,
  look: BinLook,
  palette: Palette,
): void {
  const band = levelBand(look);
  const colour = palette.level[band];
  const isAlarm = look.status === 'overflow' || look.status === 'burning';
  const ring = Math.max(1.8, radius * 0.3);
  c.save();
  c.translate(x, y);
  c.beginPath();
  c.arc(0, 0, radius + 1.5, 0, 2 * Math.PI);
  c.fillStyle = palette.panel;
  c.fill();
  if (isAlarm) {
    c.beginPath();
    c.arc(0, 0, radius, 0, 2 * Math.PI);
    c.fillStyle = look.status === 'burning' ? palette.severity.critical : palette.level.high;
    c.fill();
  } else {
    drawRing(c, radius - ring / 2, ring, look, colour, palette);
  }
  if (look.status === 'burning') drawFlame(c, radius, palette.panel);
  else if (look.status === 'tilted' || look.status === 'moved') drawTilt(c, radius, palette.ink);
  else {
    const sign = SIGNS[look.status] ?? (look.levelPct === null ? '?' : null);
    if (sign !== null && radius >= 6) {
      drawSign(c, sign, radius * 1.35, palette, isAlarm ? palette.panel : palette.ink);
    }
  }
  c.restore();
}

function drawRing(
  c: CanvasRenderingContext2D,
  radius: number,
  width: number,
  look: BinLook,
  colour: string,
  palette: Palette,
): void {
  c.lineWidth = width;
  c.beginPath();
  c.arc(0, 0, radius, 0, 2 * Math.PI);
  c.strokeStyle = palette.kerb;
  if (look.levelPct === null) c.setLineDash([2.5, 2.5]);
  c.stroke();
  c.setLineDash([]);
  if (look.levelPct === null) return;
  c.beginPath();
  const from = -Math.PI / 2;
  c.arc(0, 0, radius, from, from + (Math.max(2, look.levelPct) / 100) * 2 * Math.PI);
  c.strokeStyle = colour;
  c.stroke();
}

function drawFlame(c: CanvasRenderingContext2D, r: number, colour: string): void {
  c.beginPath();
  c.moveTo(0, -r * 0.68);
  c.bezierCurveTo(r * 0.62, -r * 0.1, r * 0.52, r * 0.62, 0, r * 0.62);
  c.bezierCurveTo(-r * 0.56, r * 0.62, -r * 0.56, 0, -r * 0.2, -r * 0.2);
  c.bezierCurveTo(-r * 0.12, 0, 0, -r * 0.1, 0, -r * 0.68);
  c.fillStyle = colour;
  c.fill();
}

function drawTilt(c: CanvasRenderingContext2D, r: number, colour: string): void {
  c.save();
  c.rotate(0.6);
  c.strokeStyle = colour;
  c.lineWidth = 1.6;
  c.strokeRect(-r * 0.22, -r * 0.4, r * 0.44, r * 0.8);
  c.restore();
}

function drawSign(
  c: CanvasRenderingContext2D,
  sign: string,
  size: number,
  palette: Palette,
  colour: string,
): void {
  c.font = `600 ${size}px ${palette.font}`;
  c.textAlign = 'center';
  c.textBaseline = 'middle';
  c.fillStyle = colour;
  c.fillText(sign, 0, size * 0.05);
}
