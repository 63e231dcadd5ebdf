/** Who this page is to the boxes, and which broker it speaks to. */

/** A name of its own for each page: replies come to it, and no two pages may share a client id. */
export function newRequester(random: Uint8Array): string {
  const letters = 'abcdefghjkmnpqrstuvwxyz23456789';
  return `dash-${Array.from(random, (byte) => letters[byte % letters.length]).join('')}`;
}

/** The broker's address: `?broker=ws://…`, else `/mqtt` where the page came from; `null` when unusable. */
export function brokerUrl(location: Pick<Location, 'search' | 'protocol' | 'host'>): string | null {
  const asked = new URLSearchParams(location.search).get('broker');
  if (asked === null) {
    return `${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}/mqtt`;
  }
  try {
    const url = new URL(asked);
    return url.protocol === 'ws:' || url.protocol === 'wss:' ? url.href : null;
  } catch {
    return null;
  }
}
