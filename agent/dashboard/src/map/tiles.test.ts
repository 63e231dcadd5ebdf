import { describe, expect, it } from 'vitest';

import { tilesOf } from './tiles';

describe('tiles', () => {
  const url = 'https://tiles.example.org/{z}/{x}/{y}.png';

  it('are used only where the page is told of them', () => {
    expect(tilesOf({ tiles: { url, attribution: '© them', max_zoom: 17 } })).toEqual({ url, attribution: '© them', maxZoom: 17 });
    expect(tilesOf({ tiles: { url: '/tiles/{z}/{x}/{y}', attribution: '©' } })?.maxZoom).toBe(19);
    for (const odd of [null, [], {}, { tiles: url }, { tiles: { url } }, { tiles: { url: 'javascript:{z}{x}{y}', attribution: '©' } }, { tiles: { url: '//x/{z}/{x}/{y}', attribution: '©' } }, { tiles: { url: 'https://x/{z}/{x}', attribution: '©' } }]) {
      expect(tilesOf(odd)).toBeNull();
    }
  });
});
