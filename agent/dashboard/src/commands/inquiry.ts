/**
 * Questions to boxes whose answers come in pages: asked page by page, and known when all pages are here.
 *
 * One question to a box at a time. A box that does not answer keeps what was known of it, and that is said.
 */

import type { Page, Reply } from '../readers/replies';

/** No answer for this long: it failed. */
export const ANSWER_MS = 15_000;
/** Most pages of one answer; a box of ten thousand roads has fewer. */
const PAGES_MAX = 60;

interface Asking<T> {
  readonly id: string;
  readonly pages: number;
  readonly items: T[];
  readonly since: number;
}

export type Publish = (topic: string, payload: string) => Promise<void>;

/** What an inquiry is about. */
export interface Subject<T> {
  /** The command: the last level of its topic. */
  readonly command: string;
  /** What of a reply is its answer; `null` when it is none. */
  readonly pageOf: (reply: Reply) => Page<T> | null;
  /** Something is known that was not, or is not any more, or a box is being asked. */
  readonly changed: (prefix: string) => void;
}

export class Inquiry<T> {
  readonly #by: string;
  readonly #publish: Publish;
  readonly #subject: Subject<T>;
  readonly #asking = new Map<string, Asking<T>>();
  readonly #known = new Map<string, readonly T[]>();
  readonly #failed = new Set<string>();
  #asked = 0;

  constructor(by: string, publish: Publish, subject: Subject<T>) {
    this.#by = by;
    this.#publish = publish;
    this.#subject = subject;
  }

  /** What a box has answered, as far as it is known. */
  of(prefix: string): readonly T[] {
    return this.#known.get(prefix) ?? [];
  }

  /** Whether a box has ever answered to the end. */
  isKnown(prefix: string): boolean {
    return this.#known.has(prefix);
  }

  isAsking(prefix: string): boolean {
    return this.#asking.has(prefix);
  }

  hasFailed(prefix: string): boolean {
    return this.#failed.has(prefix);
  }

  /** Asks a box for everything, unless it is being asked already. */
  ask(prefix: string, now: number): void {
    const asking = this.#asking.get(prefix);
    if (asking !== undefined && now - asking.since < ANSWER_MS) return;
    if (asking !== undefined) this.#failed.add(prefix);
    this.#page(prefix, 0, { pages: 0, items: [], since: now });
  }

  /** Gives up on boxes that do not answer. */
  look(now: number): void {
    for (const [prefix, asking] of this.#asking) if (now - asking.since >= ANSWER_MS) this.#fail(prefix);
  }

  /** An answer came; it may be of somebody else's command. */
  answer(reply: Reply, now: number): void {
    const found = [...this.#asking].find(([, asking]) => asking.id === reply.id);
    if (found === undefined) return;
    const [prefix, asking] = found;
    const page = reply.ok ? this.#subject.pageOf(reply) : null;
    if (page === null) return this.#fail(prefix);
    asking.items.push(...page.items);
    if (page.next !== null && asking.pages < PAGES_MAX) return this.#page(prefix, page.next, { ...asking, pages: asking.pages + 1, since: now });
    this.#asking.delete(prefix);
    this.#failed.delete(prefix);
    this.#known.set(prefix, asking.items);
    this.#subject.changed(prefix);
  }

  #page(prefix: string, from: number, asking: Omit<Asking<T>, 'id'>): void {
    this.#asked += 1;
    const { command } = this.#subject;
    const id = `${this.#by}-${command}-${asking.since}-${this.#asked}`;
    this.#asking.set(prefix, { ...asking, id });
    this.#subject.changed(prefix);
    const order = { id, by: this.#by, args: { from } };
    this.#publish(`${prefix}/cmd/${command}`, JSON.stringify(order)).catch(() => {
      if (this.#asking.get(prefix)?.id === id) this.#fail(prefix);
    });
  }

  #fail(prefix: string): void {
    this.#asking.delete(prefix);
    this.#failed.add(prefix);
    this.#subject.changed(prefix);
  }
}
