/** The only reader of the browser's clock; everything else is given the time. */
export function now(): number {
  return Date.now();
}
