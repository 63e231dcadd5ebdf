/**
 * How the page stands to the broker, as a pure state machine. Nothing here is optimistic: "live" means
 * that the broker accepted the connection and the subscriptions, and a lost link says since when.
 */

/** Why there is no link. The broker's own words, where it said any, are in `detail`. */
export type Cause = 'closed' | 'refused' | 'credentials' | 'no_subscription' | 'bad_address';

export type Phase =
  | { readonly is: 'connecting'; readonly since: number; readonly attempt: number }
  | { readonly is: 'live'; readonly since: number }
  | {
      readonly is: 'lost';
      /** When the link was lost; of a page that never had one, when it first tried. */
      readonly since: number;
      readonly hadLink: boolean;
      readonly cause: Cause;
      readonly detail: string | null;
      /** When the next attempt is made; `null` while one is under way, or when none will be. */
      readonly retryAt: number | null;
      readonly attempt: number;
    };

export type LinkEvent =
  | { readonly on: 'attempt'; readonly at: number }
  | { readonly on: 'subscribed'; readonly at: number }
  | {
      readonly on: 'down';
      readonly at: number;
      readonly cause: Cause;
      readonly detail: string | null;
      readonly retryAt: number | null;
    };

/** The phase after an event. */
export function next(phase: Phase, event: LinkEvent): Phase {
  switch (event.on) {
    case 'attempt':
      // A lost link stays lost until there is a new one: the age of the picture must not be hidden.
      return phase.is === 'lost'
        ? { ...phase, retryAt: null, attempt: phase.attempt + 1 }
        : { is: 'connecting', since: event.at, attempt: 1 };
    case 'subscribed':
      return { is: 'live', since: event.at };
    case 'down':
      return {
        is: 'lost',
        since: phase.is === 'live' ? event.at : phase.since,
        hadLink: phase.is === 'live' || (phase.is === 'lost' && phase.hadLink),
        cause: event.cause,
        detail: event.detail,
        retryAt: event.retryAt,
        attempt: phase.is === 'live' ? 0 : phase.attempt,
      };
  }
}

/** Milliseconds to wait before an attempt: 1 s, doubled to 15 s, spread so that pages do not return at once. */
export function retryDelay(attempt: number, spread: number): number {
  const base = Math.min(15_000, 1000 * 2 ** Math.min(attempt, 4));
  return Math.round(base * (0.75 + 0.5 * spread));
}
