/**
 * Credentials for the broker: asked for, never built in, and kept no longer than the tab is open.
 */

import type { Credentials } from './session';

const KEY = 'steward.login';

/** What was entered earlier in this tab; `null` when nothing was, or the browser keeps nothing. */
export function keptCredentials(): Credentials | null {
  try {
    const kept: unknown = JSON.parse(sessionStorage.getItem(KEY) ?? 'null');
    if (typeof kept !== 'object' || kept === null) return null;
    const { user, password } = kept as Record<string, unknown>;
    return typeof user === 'string' && typeof password === 'string' ? { user, password } : null;
  } catch {
    return null;
  }
}

export function keepCredentials(credentials: Credentials): void {
  try {
    sessionStorage.setItem(KEY, JSON.stringify(credentials));
  } catch {
    // Storage is off: they then last as long as the page.
  }
}
