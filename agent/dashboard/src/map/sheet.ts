/**
 * A canvas that Leaflet moves and scales with the map, drawn by a function of ours.
 *
 * It builds on `L.Renderer`, which gives the padding around the window, the movement while dragging and
 * the scaling while zooming; the drawing itself needs no Leaflet objects per asset.
 */

import L from 'leaflet';

/** From the unit square of the projection to the pixels of the sheet. */
export interface View {
  readonly width: number;
  readonly height: number;
  /** Pixels per unit of the square. */
  readonly scale: number;
  /** Pixel of the unit square's origin. */
  readonly left: number;
  readonly top: number;
  readonly pixelsPerMetre: number;
}

export type Draw = (context: CanvasRenderingContext2D, view: View) => void;

/** Parts of `L.Renderer` that subclasses implement and use, but that its types leave out. */
interface RendererParts {
  _map: L.Map & { _animatingZoom?: boolean };
  _container: HTMLCanvasElement;
  _bounds: L.Bounds | undefined;
  _ctx: CanvasRenderingContext2D | null;
  _draw: Draw;
  _wanted: number | null;
}

const Base = L.Renderer as unknown as {
  extend(parts: object): new (draw: Draw, options: L.RendererOptions) => L.Renderer & RendererParts;
  prototype: { initialize(options: L.RendererOptions): void; _update(): void };
};

const SheetLayer = Base.extend({
  initialize(this: RendererParts, draw: Draw, options: L.RendererOptions) {
    Base.prototype.initialize.call(this as never, options);
    this._draw = draw;
    this._wanted = null;
  },
  _initContainer(this: RendererParts) {
    this._container = document.createElement('canvas');
    this._container.setAttribute('aria-hidden', 'true');
    this._ctx = this._container.getContext('2d');
  },
  _destroyContainer(this: RendererParts) {
    if (this._wanted !== null) cancelAnimationFrame(this._wanted);
    this._container.remove();
  },
  _update(this: RendererParts) {
    if (this._map._animatingZoom && this._bounds) return;
    Base.prototype._update.call(this as never);
    paint(this);
  },
});

function paint(sheet: RendererParts): void {
  const bounds = sheet._bounds;
  const context = sheet._ctx;
  if (bounds?.min === undefined || context === null) return;
  const size = bounds.getSize();
  const ratio = Math.min(2, window.devicePixelRatio || 1);
  const canvas = sheet._container;
  const width = Math.ceil(size.x * ratio);
  const height = Math.ceil(size.y * ratio);
  if (canvas.width !== width || canvas.height !== height) {
    canvas.width = width;
    canvas.height = height;
    canvas.style.width = `${size.x}px`;
    canvas.style.height = `${size.y}px`;
  }
  L.DomUtil.setPosition(canvas, bounds.min);
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, size.x, size.y);
  sheet._draw(context, viewOf(sheet._map, bounds.min, size));
}

function viewOf(map: L.Map, min: L.Point, size: L.Point): View {
  const scale = 256 * 2 ** map.getZoom();
  const origin = map.getPixelOrigin().add(min);
  const lat = map.getCenter().lat;
  const metres = 40_075_016.686 * Math.cos((lat * Math.PI) / 180);
  return {
    width: size.x,
    height: size.y,
    scale,
    left: -origin.x,
    top: -origin.y,
    pixelsPerMetre: scale / metres,
  };
}

export class Sheet {
  readonly #layer: L.Renderer & RendererParts;

  constructor(draw: Draw, pane: string) {
    this.#layer = new SheetLayer(draw, { pane, padding: 0.25 });
  }

  addTo(map: L.Map): this {
    this.#layer.addTo(map);
    return this;
  }

  /** Draws again before the next paint, unless a zoom is under way, which draws at its end. */
  redraw(): void {
    const layer = this.#layer;
    if (layer._wanted !== null) return;
    layer._wanted = requestAnimationFrame(() => {
      layer._wanted = null;
      if (layer._map && !layer._map._animatingZoom) paint(layer);
    });
  }
}
