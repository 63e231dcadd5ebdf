/**
 * The wiring: broker → picture → frames → what components can depend on.
 *
 * Components read the plain maps of `picture` inside a derivation that first touches one of the counters
 * here. `calm` counts at most four changes a second, which is what text needs; the map listens to
 * `frames` itself. `now` and `street` move once a second.
 */

import { now as clock } from './clock';
import { Desk } from './commands/desk';
import type { Phase } from './link/phase';
import { brokerUrl, newRequester } from './link/requester';
import { keepCredentials, keptCredentials } from './link/login';
import { Session, type Credentials } from './link/session';
import { Frames, scheduleFrame } from './picture/frames';
import { isOpen, type Ticket } from './picture/model';
import { Picture, type Part } from './picture/picture';
import { settings } from './settings.svelte';
import { Inquiry } from './commands/inquiry';
import type { Stretch } from './picture/model';
import type { Remembered } from './readers/replies';

const CALM_MS = 250;
/** A box that did not say what it remembers is asked again after this long. */
const ASK_AGAIN_MS = 30_000;
/** When boxes were asked what they remember, in this connection. */
const asked = new Map<string, number>();

export const requester = newRequester(crypto.getRandomValues(new Uint8Array(6)));

export const picture = new Picture(requester, (reply) => {
  desk.answer(reply, clock());
  survey.answer(reply, clock());
  memory.answer(reply, clock());
});
export const frames = new Frames(picture, scheduleFrame);

class Live {
  phase = $state.raw<Phase>({ is: 'connecting', since: clock(), attempt: 0 });
  now = $state(clock());
  /** The street's time: what ages of readings and tickets are counted by. */
  street = $state(clock());
  /** Anything changed. */
  calm = $state(0);
  /** Tickets changed, or an order on one. */
  tickets = $state(0);
  /** Since when the page listens: events from before are not known to it. */
  readonly opened = clock();
  /** Swept cells came, or did not. */
  cells = $state(0);
  /** Boxes told what they remember, or did not. */
  memories = $state(0);
  /** Whether the retained picture of this connection is complete. */
  isSettled = $state(false);
  /** The newest ticket that was raised while the page was open, to be read out. */
  raised = $state.raw<Ticket | null>(null);
}

export const live = new Live();

const url = brokerUrl(location);

const session =
  url === null
    ? null
    : new Session(
        url,
        requester,
        {
          phase: (phase) => {
            live.phase = phase;
            if (phase.is !== 'live') {
              live.isSettled = false;
              asked.clear();
            }
          },
          begin: () => picture.begin(),
          settle: () => {
            picture.settle();
            frames.mark();
            live.isSettled = true;
          },
          message: (topic, payload, retained) => {
            picture.take({ topic, payload, retained, at: clock() });
            frames.mark();
          },
        },
        clock,
      );

export const desk: Desk = new Desk(
  requester,
  (topic, payload) =>
    session === null || settings.isWall
      ? Promise.reject(new Error('no broker, or a wall screen'))
      : session.publish(topic, payload),
  () => `${requester}-${Array.from(crypto.getRandomValues(new Uint8Array(8)), hex).join('')}`,
  () => {
    live.tickets += 1;
  },
);

const ask = (topic: string, payload: string): Promise<void> =>
  session === null ? Promise.reject(new Error('no broker')) : session.publish(topic, payload);

/** The swept cells, as the boxes answer when the page asks. */
export const survey: Inquiry<Stretch> = new Inquiry(requester, ask, {
  command: 'coverage',
  pageOf: (reply) => reply.coverage ?? null,
  changed: () => {
    live.cells += 1;
  },
});

/** What the boxes remember of the time before the page was opened: tracks, and the way of the waste. */
export const memory: Inquiry<Remembered> = new Inquiry(requester, ask, {
  command: 'history',
  pageOf: (reply) => reply.history ?? null,
  changed: (prefix) => {
    if (!memory.isAsking(prefix) && !memory.hasFailed(prefix)) {
      picture.recall(prefix, memory.of(prefix));
      frames.mark();
    }
    live.memories += 1;
  },
});

/**
 * Asks boxes for what they remember: once for each connection, as what comes later comes by itself. Those that
 * did not answer are asked again after a while.
 */
export function remember(prefixes: Iterable<string>): void {
  if (live.phase.is !== 'live') return;
  for (const prefix of prefixes) {
    const last = asked.get(prefix);
    if (last !== undefined && !(memory.hasFailed(prefix) && clock() - last > ASK_AGAIN_MS)) continue;
    asked.set(prefix, clock());
    memory.ask(prefix, clock());
  }
}

function hex(byte: number): string {
  return byte.toString(16).padStart(2, '0');
}

/** Tries the broker with credentials, which are kept as long as the tab is open. */
export function login(credentials: Credentials): void {
  keepCredentials(credentials);
  session?.login(credentials);
}

/** Tries the broker at once. */
export function hurry(): void {
  session?.hurry();
}

const seen = new Set<string>();

/** Finds what is new since the last look; the first complete picture is no news. */
function lookForNews(): void {
  for (const key of seen) if (!picture.tickets.has(key)) seen.delete(key);
  for (const ticket of picture.tickets.values()) {
    if (seen.has(ticket.key)) continue;
    seen.add(ticket.key);
    if (live.isSettled && isOpen(ticket)) live.raised = ticket;
  }
}

/** Connects and starts the clocks; returns how to stop. */
export function start(): () => void {
  let timer: ReturnType<typeof setTimeout> | null = null;
  let changed = new Set<Part>();
  const flush = (): void => {
    timer = null;
    if (changed.has('tickets')) {
      lookForNews();
      desk.look(picture.tickets, clock());
      live.tickets += 1;
    }
    if (changed.has('boxes')) settings.zone = picture.zone();
    changed = new Set();
    live.calm += 1;
  };
  const stopListening = frames.on((parts) => {
    for (const part of parts) changed.add(part);
    timer ??= setTimeout(flush, CALM_MS);
  });
  const second = setInterval(() => {
    live.now = clock();
    live.street = picture.clock.at(live.now);
    desk.look(picture.tickets, live.now);
    memory.look(live.now);
    survey.look(live.now);
  }, 1000);
  if (session === null) {
    live.phase = {
      is: 'lost',
      since: clock(),
      hadLink: false,
      cause: 'bad_address',
      detail: null,
      retryAt: null,
      attempt: 0,
    };
  }
  session?.login(keptCredentials());
  session?.start();
  addEventListener('online', hurry);
  return () => {
    stopListening();
    clearInterval(second);
    if (timer !== null) clearTimeout(timer);
    removeEventListener('online', hurry);
    session?.stop();
  };
}
