/** Where the person is on the page: the view, the chosen ticket and the chosen asset. */

export const VIEWS = ['map', 'tickets', 'parking', 'bays', 'waste', 'bins', 'sweeping', 'vehicles', 'assessment', 'box'] as const;
export type View = (typeof VIEWS)[number];

/** The views that have a tab; the tables stand behind the figures of what they list. */
export const TABS = ['map', 'tickets', 'parking', 'waste', 'sweeping', 'assessment', 'box'] as const satisfies readonly View[];
export type Tab = (typeof TABS)[number];

/** The tab that a view belongs to. */
export function tabOf(view: View): Tab {
  switch (view) {
    case 'bays':
      return 'parking';
    case 'bins':
      return 'waste';
    case 'vehicles':
      return 'sweeping';
    default:
      return view;
  }
}

/** Pages of one column, as the style sheets have it. */
export const NARROW = '(max-width: 1023px)';

/** A point that the map shall show; `n` grows, so that the same place can be asked for twice. */
export interface Target {
  readonly n: number;
  readonly lat: number;
  readonly lon: number;
}

function viewOfHash(): View {
  return VIEWS.find((view) => `#${view}` === location.hash) ?? 'map';
}

class Navigation {
  view = $state<View>(viewOfHash());
  ticketKey = $state<string | null>(null);
  assetKey = $state<string | null>(null);
  target = $state.raw<Target | null>(null);

  go(view: View): void {
    this.view = view;
    history.replaceState(null, '', `${location.pathname}${location.search}#${view}`);
  }

  openTicket(key: string | null): void {
    this.ticketKey = key;
  }

  chooseAsset(key: string | null): void {
    this.assetKey = key;
  }

  /** Brings a place to the middle of the map. */
  showOnMap(lat: number, lon: number): void {
    this.go('map');
    // On a narrow page the drawer would cover the map.
    if (matchMedia(NARROW).matches) this.ticketKey = null;
    this.target = { n: (this.target?.n ?? 0) + 1, lat, lon };
  }
}

export const navigation = new Navigation();
addEventListener('hashchange', () => {
  navigation.view = viewOfHash();
});
