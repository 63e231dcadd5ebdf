/** The colours of the map, read from the style sheet so that both themes are written in one place. */

import type { Activity, BayStatus, Severity } from '../picture/model';

export interface Palette {
  readonly ground: string;
  readonly dot: string;
  readonly walk: string;
  readonly road: string;
  readonly kerb: string;
  readonly dash: string;
  readonly label: string;
  readonly panel: string;
  readonly ink: string;
  readonly bay: Readonly<Record<BayStatus, string>>;
  readonly over: string;
  readonly level: { readonly low: string; readonly mid: string; readonly high: string; readonly none: string };
  readonly activity: Readonly<Record<Activity, string>>;
  readonly severity: Readonly<Record<Severity | 'unrated', string>>;
  readonly accent: string;
  readonly font: string;
}

let known: { readonly theme: string; readonly palette: Palette } | null = null;

/** The palette of the theme that is on the document now; read once per theme. */
export function currentPalette(): Palette {
  const theme = document.documentElement.dataset['theme'] ?? '';
  if (known?.theme !== theme) known = { theme, palette: readPalette() };
  return known.palette;
}

function readPalette(): Palette {
  const style = getComputedStyle(document.body);
  const get = (name: string): string => style.getPropertyValue(`--${name}`).trim();
  return {
    ground: get('map-ground'),
    dot: get('map-dot'),
    walk: get('map-walk'),
    road: get('map-road'),
    kerb: get('map-kerb'),
    dash: get('map-dash'),
    label: get('map-label'),
    panel: get('panel'),
    ink: get('ink'),
    bay: {
      free: get('free'),
      occupied: get('occupied'),
      unknown: get('unknown'),
      out_of_service: get('unknown'),
    },
    over: get('high'),
    level: { low: get('level-low'), mid: get('level-mid'), high: get('level-high'), none: get('unknown') },
    activity: {
      working: get('working'),
      travelling: get('travelling'),
      idle: get('medium'),
      parked: get('unknown'),
      unknown: get('unknown'),
    },
    severity: {
      low: get('low'),
      medium: get('medium'),
      high: get('high'),
      critical: get('critical'),
      unrated: get('unknown'),
    },
    accent: get('accent'),
    font: style.fontFamily,
  };
}
