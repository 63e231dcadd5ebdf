/** The sight around the chosen asset. */

import type { Point } from '../picture/geometry';
import type { Palette } from './palette';
import type { View } from './sheet';

export function drawChosen(c: CanvasRenderingContext2D, view: View, at: Point, palette: Palette): void {
  const x = at.x * view.scale + view.left;
  const y = at.y * view.scale + view.top;
  const radius = Math.max(16, 4.2 * view.pixelsPerMetre);
  c.lineWidth = 5;
  c.strokeStyle = palette.panel;
  ring(c, x, y, radius);
  c.lineWidth = 2.25;
  c.strokeStyle = palette.accent;
  ring(c, x, y, radius);
}

function ring(c: CanvasRenderingContext2D, x: number, y: number, radius: number): void {
  for (let quarter = 0; quarter < 4; quarter += 1) {
    const from = quarter * (Math.PI / 2) + 0.28;
    c.beginPath();
    c.arc(x, y, radius, from, from + Math.PI / 2 - 0.56);
    c.stroke();
  }
}
