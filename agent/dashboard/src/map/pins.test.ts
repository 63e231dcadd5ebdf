import { describe, expect, it, vi } from 'vitest';

// Grouping needs no map, and Leaflet needs a window.
vi.mock('leaflet', () => ({ default: {} }));

import { blankTicket, type Place, type Severity, type Ticket } from '../picture/model';
import { groupPins, mergeNear } from './pins';

const place: Place = { lat: 31.8, lon: 119.9, datum: 'WGS84', haccM: null };

function ticket(id: string, asset: string | null, severity: Severity | null, more: Partial<Ticket> = {}): Ticket {
  const blank = blankTicket(`p/ticket/${id}`, { prefix: 'p', tenant: 't', site: 's', box: 'b' }, id);
  return { ...blank, state: 'raised', severity, asset: asset === null ? null : { class: 'bin', id: asset }, place, ...more };
}

describe('pins', () => {
  it('stand for all open tickets of one asset, worst first', () => {
    const groups = groupPins(
      [ticket('a', '1', 'low'), ticket('b', '1', 'critical'), ticket('c', '2', 'medium'), ticket('d', null, null)],
      (one) => one.place,
    );
    // A severity that nobody can read stands between medium and high.
    expect(groups.map((group) => group.tickets.map((one) => one.id))).toEqual([['b', 'a'], ['d'], ['c']]);
  });

  it('leave out what is closed, has no place, or lies in another datum', () => {
    const groups = groupPins(
      [
        ticket('a', '1', 'low', { state: 'closed' }),
        ticket('b', '2', 'low', { place: null }),
        ticket('c', '3', 'low', { place: { ...place, datum: 'BD09' } }),
      ],
      (one) => one.place,
    );
    expect(groups).toEqual([]);
  });

  it('merges places that would cover each other, worst first, and parts them closer by', () => {
    const near = { ...place, lat: place.lat + 0.0001 };
    const far = { ...place, lat: place.lat + 0.5 };
    const groups = groupPins([ticket('t-1', 'a', 'low'), ticket('t-2', 'b', 'critical', { place: near }), ticket('t-3', 'c', 'low', { place: far })], (one) => one.place);
    const merged = mergeNear(groups, 12);
    expect(merged.map((group) => [group.tickets.map((one) => one.id), group.isCluster ?? false])).toEqual([[['t-2', 't-1'], true], [['t-3'], false]]);
    expect(mergeNear(groups, 21)).toHaveLength(3);
  });
});
