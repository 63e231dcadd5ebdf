/**
 * Telling the page that the picture changed: at most once per animation frame, however many messages
 * came. Listeners get the parts that changed since their last frame.
 */

import type { Part, Picture } from './picture';

/** Runs a function before the next paint, or soon when nothing is painted. */
export type Schedule = (run: () => void) => void;

export type Listener = (changed: ReadonlySet<Part>) => void;

/** A hidden page gets no animation frames, but its counters and title still move on, once a second. */
export const scheduleFrame: Schedule = (run) => {
  if (document.hidden) setTimeout(run, 1000);
  else requestAnimationFrame(run);
};

export class Frames {
  readonly #picture: Picture;
  readonly #schedule: Schedule;
  readonly #listeners = new Set<Listener>();
  #pending = false;

  constructor(picture: Picture, schedule: Schedule) {
    this.#picture = picture;
    this.#schedule = schedule;
  }

  /** Something may have changed. */
  mark(): void {
    if (this.#pending) return;
    this.#pending = true;
    this.#schedule(() => {
      this.#pending = false;
      const changed = this.#picture.drain();
      if (changed.size === 0) return;
      for (const listener of this.#listeners) listener(changed);
    });
  }

  /** Listens until the returned function is called. */
  on(listener: Listener): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }
}
