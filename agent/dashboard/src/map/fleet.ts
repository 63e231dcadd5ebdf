/** Vehicles on the map: a disc with the way it goes, its trail, and a short glide between two fixes. */

import { mercator, type Point } from '../picture/geometry';
import { isDrawable, type Activity, type Vehicle } from '../picture/model';
import type { Picture } from '../picture/picture';
import { trailOf } from '../picture/way';
import type { Palette } from './palette';
import type { View } from './sheet';

/** How long a vehicle glides from the last fix to the new one. */
const GLIDE_MS = 900;
const RADIUS = 11;

interface Glide {
  /** Where it is drawn when the glide begins. */
  readonly from: Point;
  readonly to: Point;
  readonly startedAt: number;
}

export class Fleet {
  readonly #picture: Picture;
  readonly #glides = new Map<string, Glide>();
  readonly #trails = new Map<string, Point[]>();

  constructor(picture: Picture) {
    this.#picture = picture;
  }

  /** New fixes came. Without motion a vehicle is where its last fix is. */
  read(now: number, isStill: boolean): void {
    for (const key of this.#glides.keys()) {
      if (!this.#picture.vehicles.has(key)) this.#glides.delete(key);
    }
    for (const vehicle of this.#picture.vehicles.values()) {
      this.#trails.set(vehicle.key, trailOf(vehicle).map(({ lat, lon }) => mercator(lat, lon)));
      const place = vehicle.state?.place ?? null;
      if (place === null || !isDrawable(place)) {
        this.#glides.delete(vehicle.key);
        continue;
      }
      const to = mercator(place.lat, place.lon);
      const last = this.#glides.get(vehicle.key);
      if (last !== undefined && last.to.x === to.x && last.to.y === to.y) continue;
      const from = last === undefined || isStill ? to : pointAt(last, now);
      this.#glides.set(vehicle.key, { from, to, startedAt: now });
    }
  }

  /** Whether something still moves, so that another frame is needed. */
  isMoving(now: number): boolean {
    for (const glide of this.#glides.values()) if (now - glide.startedAt < GLIDE_MS) return true;
    return false;
  }

  /** Where a vehicle is drawn; `null` when it has no place. */
  at(key: string, now: number): Point | null {
    const glide = this.#glides.get(key);
    return glide === undefined ? null : pointAt(glide, now);
  }

  draw(c: CanvasRenderingContext2D, view: View, palette: Palette, now: number, label: (v: Vehicle) => string): void {
    for (const vehicle of this.#picture.vehicles.values()) {
      const at = this.at(vehicle.key, now);
      if (at === null) continue;
      const activity = vehicle.state?.activity ?? 'unknown';
      const colour = palette.activity[activity];
      const trail = this.#trails.get(vehicle.key) ?? [];
      if (activity !== 'parked') drawTrail(c, view, [...trail.slice(0, -1), at], colour);
      const x = at.x * view.scale + view.left;
      const y = at.y * view.scale + view.top;
      if (x < -60 || y < -60 || x > view.width + 60 || y > view.height + 60) continue;
      drawVehicle(c, x, y, RADIUS, activity, vehicle.state?.courseDeg ?? null, palette);
      if (view.pixelsPerMetre > 0.25) drawLabel(c, x + RADIUS + 6, y, label(vehicle), palette);
    }
  }
}

function pointAt(glide: Glide, now: number): Point {
  const t = Math.max(0, Math.min(1, (now - glide.startedAt) / GLIDE_MS));
  const eased = t * t * (3 - 2 * t);
  return {
    x: glide.from.x + (glide.to.x - glide.from.x) * eased,
    y: glide.from.y + (glide.to.y - glide.from.y) * eased,
  };
}

function drawTrail(c: CanvasRenderingContext2D, view: View, trail: readonly Point[], colour: string): void {
  c.lineCap = 'round';
  c.lineJoin = 'round';
  c.strokeStyle = colour;
  const parts = 8;
  const per = Math.max(1, Math.ceil((trail.length - 1) / parts));
  for (let start = 0; start < trail.length - 1; start += per) {
    const share = (start + per) / trail.length;
    c.globalAlpha = 0.08 + 0.5 * share * share;
    c.lineWidth = 2 + 2.5 * share;
    c.beginPath();
    for (let i = start; i <= Math.min(start + per, trail.length - 1); i += 1) {
      const point = trail[i];
      if (point === undefined) continue;
      c.lineTo(point.x * view.scale + view.left, point.y * view.scale + view.top);
    }
    c.stroke();
  }
  c.globalAlpha = 1;
}

/** One vehicle: an arrow where it goes; a `P` when parked, two bars when standing, `?` when unknown. */
export function drawVehicle(
  c: CanvasRenderingContext2D,
  x: number,
  y: number,
  radius: number,
  activity: Activity,
  courseDeg: number | null,
  palette: Palette,
): void {
  const isGoing = activity === 'working' || activity === 'travelling';
  c.save();
  c.translate(x, y);
  c.beginPath();
  c.arc(0, 0, radius + 2, 0, 2 * Math.PI);
  c.fillStyle = palette.panel;
  c.fill();
  c.beginPath();
  c.arc(0, 0, radius, 0, 2 * Math.PI);
  c.fillStyle = palette.activity[activity];
  c.strokeStyle = palette.activity[activity];
  c.lineWidth = 2;
  if (isGoing) c.fill();
  else c.stroke();
  if (isGoing) drawArrow(c, radius, courseDeg, activity === 'working', palette.panel);
  else drawStanding(c, radius, activity, palette);
  c.restore();
}

function drawArrow(
  c: CanvasRenderingContext2D,
  r: number,
  courseDeg: number | null,
  isWorking: boolean,
  colour: string,
): void {
  c.fillStyle = colour;
  c.strokeStyle = colour;
  c.beginPath();
  if (courseDeg === null) {
    c.arc(0, 0, r * 0.35, 0, 2 * Math.PI);
    c.fill();
    return;
  }
  c.rotate((courseDeg * Math.PI) / 180);
  c.moveTo(0, -r * 0.66);
  c.lineTo(r * 0.5, r * 0.5);
  c.lineTo(0, r * 0.22);
  c.lineTo(-r * 0.5, r * 0.5);
  c.closePath();
  c.lineJoin = 'round';
  c.lineWidth = 1.4;
  if (isWorking) c.fill();
  else c.stroke();
}

function drawStanding(c: CanvasRenderingContext2D, r: number, activity: Activity, palette: Palette): void {
  c.fillStyle = palette.activity[activity];
  if (activity === 'idle') {
    c.fillRect(-r * 0.36, -r * 0.42, r * 0.24, r * 0.84);
    c.fillRect(r * 0.12, -r * 0.42, r * 0.24, r * 0.84);
    return;
  }
  c.font = `600 ${r * 1.25}px ${palette.font}`;
  c.textAlign = 'center';
  c.textBaseline = 'middle';
  c.fillText(activity === 'parked' ? 'P' : '?', 0, r * 0.06);
}

function drawLabel(c: CanvasRenderingContext2D, x: number, y: number, text: string, palette: Palette): void {
  c.font = `600 12px ${palette.font}`;
  c.textAlign = 'left';
  c.textBaseline = 'middle';
  c.lineWidth = 4;
  c.lineJoin = 'round';
  c.strokeStyle = palette.panel;
  c.strokeText(text, x, y);
  c.fillStyle = palette.ink;
  c.fillText(text, x, y);
}
