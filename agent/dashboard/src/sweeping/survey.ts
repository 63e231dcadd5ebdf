/**
 * The swept cells of a box: asked for page by page with `cmd/coverage`, and shown when all pages are here.
 *
 * One survey of a box at a time. A box that does not answer keeps what was known of it, and that is said.
 */

import type { Stretch } from '../picture/model';
import type { Reply } from '../readers/payloads';

/** No answer for this long: it failed. */
export const ANSWER_MS = 15_000;
/** Most pages of one survey; a box of ten thousand roads has fewer. */
const PAGES_MAX = 60;

interface Asking {
  readonly id: string;
  readonly pages: number;
  readonly stretches: Stretch[];
  readonly since: number;
}

export type Publish = (topic: string, payload: string) => Promise<void>;

export class Survey {
  readonly #by: string;
  readonly #publish: Publish;
  readonly #changed: () => void;
  readonly #asking = new Map<string, Asking>();
  readonly #known = new Map<string, readonly Stretch[]>();
  readonly #failed = new Set<string>();
  #asked = 0;

  constructor(by: string, publish: Publish, changed: () => void) {
    this.#by = by;
    this.#publish = publish;
    this.#changed = changed;
  }

  /** The stretches of a box, as far as they are known. */
  of(prefix: string): readonly Stretch[] {
    return this.#known.get(prefix) ?? [];
  }

  isAsking(prefix: string): boolean {
    return this.#asking.has(prefix);
  }

  hasFailed(prefix: string): boolean {
    return this.#failed.has(prefix);
  }

  /** Asks a box for all of its cells, unless it is being asked already. */
  ask(prefix: string, now: number): void {
    const asking = this.#asking.get(prefix);
    if (asking !== undefined && now - asking.since < ANSWER_MS) return;
    if (asking !== undefined) this.#failed.add(prefix);
    this.#page(prefix, 0, { pages: 0, stretches: [], since: now });
  }

  /** An answer came; it may be of somebody else's command. */
  answer(reply: Reply): void {
    const found = [...this.#asking].find(([, asking]) => asking.id === reply.id);
    if (found === undefined) return;
    const [prefix, asking] = found;
    if (!reply.ok || reply.coverage === undefined) return this.#fail(prefix);
    asking.stretches.push(...reply.coverage.stretches);
    const { next } = reply.coverage;
    if (next !== null && asking.pages < PAGES_MAX) return this.#page(prefix, next, { ...asking, pages: asking.pages + 1 });
    this.#asking.delete(prefix);
    this.#failed.delete(prefix);
    this.#known.set(prefix, asking.stretches);
    this.#changed();
  }

  #page(prefix: string, from: number, asking: Omit<Asking, 'id'>): void {
    this.#asked += 1;
    const id = `${this.#by}-cells-${asking.since}-${this.#asked}`;
    this.#asking.set(prefix, { ...asking, id });
    this.#changed();
    const command = { id, by: this.#by, args: { from } };
    this.#publish(`${prefix}/cmd/coverage`, JSON.stringify(command)).catch(() => {
      if (this.#asking.get(prefix)?.id === id) this.#fail(prefix);
    });
  }

  #fail(prefix: string): void {
    this.#asking.delete(prefix);
    this.#failed.add(prefix);
    this.#changed();
  }
}
