/** The base map: a measured ground and the streets, drawn from the geometry that the boxes publish. */

import type { Road } from './atlas';
import type { Palette } from './palette';
import type { View } from './sheet';

/** Drawn width of a street; the geometry is a middle line and says nothing of width. */
const ROAD_M = 13;
/** Drawn width of the pavement on each side, where bays and bins stand. */
const WALK_M = 12;
/** Names repeat along a street at this distance, in pixels. */
const NAME_EVERY = 620;

export function drawGround(
  c: CanvasRenderingContext2D,
  view: View,
  roads: readonly Road[],
  palette: Palette,
  language: string,
): void {
  c.fillStyle = palette.ground;
  c.fillRect(0, 0, view.width, view.height);
  drawDots(c, view, palette);
  const width = Math.max(4, ROAD_M * view.pixelsPerMetre);
  const paths = roads.map((road) => pathOf(road, view));
  c.lineJoin = 'round';
  c.lineCap = 'round';
  stroke(c, paths, width + 2 * WALK_M * view.pixelsPerMetre, palette.walk);
  stroke(c, paths, width + 2.5, palette.kerb);
  stroke(c, paths, width, palette.road);
  if (view.pixelsPerMetre > 0.55) {
    c.setLineDash([4.5 * view.pixelsPerMetre, 6 * view.pixelsPerMetre]);
    c.lineCap = 'butt';
    stroke(c, paths, Math.max(1, 0.22 * view.pixelsPerMetre), palette.dash);
    c.setLineDash([]);
  }
  if (view.pixelsPerMetre > 0.12) {
    for (const road of roads) drawNames(c, road, view, palette, language, width);
  }
}

function pathOf(road: Road, view: View): Path2D {
  const path = new Path2D();
  road.line.forEach((point, i) => {
    const x = point.x * view.scale + view.left;
    const y = point.y * view.scale + view.top;
    if (i === 0) path.moveTo(x, y);
    else path.lineTo(x, y);
  });
  return path;
}

function stroke(
  c: CanvasRenderingContext2D,
  paths: readonly Path2D[],
  width: number,
  colour: string,
): void {
  c.lineWidth = width;
  c.strokeStyle = colour;
  for (const path of paths) c.stroke(path);
}

/** Dots at a round distance on the ground: scale without lines that compete with the streets. */
function drawDots(c: CanvasRenderingContext2D, view: View, palette: Palette): void {
  const steps = [10, 20, 50, 100, 200, 500, 1000, 5000];
  const metres = steps.find((step) => step * view.pixelsPerMetre >= 34);
  if (metres === undefined) return;
  const step = metres * view.pixelsPerMetre;
  const startX = ((view.left % step) + step) % step;
  const startY = ((view.top % step) + step) % step;
  c.fillStyle = palette.dot;
  for (let y = startY; y < view.height; y += step) {
    for (let x = startX; x < view.width; x += step) c.fillRect(x - 0.75, y - 0.75, 1.5, 1.5);
  }
}

function drawNames(
  c: CanvasRenderingContext2D,
  road: Road,
  view: View,
  palette: Palette,
  language: string,
  roadWidth: number,
): void {
  const name = road.names[language] ?? Object.values(road.names)[0];
  if (name === undefined) return;
  const size = Math.max(11, Math.min(15, roadWidth * 0.62));
  c.font = `500 ${size}px ${palette.font}`;
  c.textAlign = 'center';
  c.textBaseline = 'middle';
  // On a street too narrow for its name, the name stands beside it, off the bays.
  const isBeside = roadWidth < size;
  const aside = isBeside ? roadWidth / 2 + size : 0.5;
  const needed = c.measureText(name).width + 24;
  for (const spot of nameSpots(road, view, needed)) {
    c.save();
    c.translate(spot.x, spot.y);
    c.rotate(spot.angle);
    c.lineWidth = 4;
    c.lineJoin = 'round';
    c.strokeStyle = isBeside ? palette.walk : palette.road;
    c.strokeText(name, 0, aside);
    c.fillStyle = palette.label;
    c.fillText(name, 0, aside);
    c.restore();
  }
}

interface NameSpot {
  readonly x: number;
  readonly y: number;
  readonly angle: number;
}

/** Points along a street where its name stands straight, readable and apart from the last one. */
function nameSpots(road: Road, view: View, needed: number): NameSpot[] {
  const spots: NameSpot[] = [];
  let sinceLast = NAME_EVERY * 0.62;
  for (let i = 1; i < road.line.length; i += 1) {
    const a = road.line[i - 1];
    const b = road.line[i];
    if (a === undefined || b === undefined) continue;
    const dx = (b.x - a.x) * view.scale;
    const dy = (b.y - a.y) * view.scale;
    const length = Math.hypot(dx, dy);
    let along = Math.max(needed / 2, NAME_EVERY - sinceLast);
    if (road.line.length === 2 && length < NAME_EVERY * 1.2) along = length / 2;
    while (along + needed / 2 <= length && spots.length < 200) {
      const t = along / length;
      const angle = Math.atan2(dy, dx);
      const isUpsideDown = angle > Math.PI / 2 || angle <= -Math.PI / 2;
      spots.push({
        x: a.x * view.scale + view.left + dx * t,
        y: a.y * view.scale + view.top + dy * t,
        angle: isUpsideDown ? angle + Math.PI : angle,
      });
      sinceLast = -along;
      along += NAME_EVERY;
    }
    sinceLast += length;
  }
  return spots;
}
