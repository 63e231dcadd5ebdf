/**
 * What time it is on the street.
 *
 * Ages of readings and tickets are counted by the clock of those who dated them. For boxes on the machine's
 * clock that is the browser's own, near enough; a simulated street lives in a time of its own, which its
 * boxes announce (`info.simulated.speed`), and is followed by what they say.
 */
export class StreetClock {
  /** How many times real time the street lives; `null`: as everybody does. */
  speed: number | null = null;
  #said: number | null = null;
  #heard = 0;

  /** A message dated `said` by the street arrived at `heard`. Late ones do not set the clock back. */
  hear(said: number | null, heard: number): void {
    if (said === null) return;
    if (this.#said !== null && said <= this.at(heard)) return;
    this.#said = said;
    this.#heard = heard;
  }

  /** The street's time at the browser's time `now`. */
  at(now: number): number {
    if (this.speed === null || this.#said === null) return now;
    return this.#said + (now - this.#heard) * this.speed;
  }
}
