/** A second pair of eyes: what the broker holds, read over plain MQTT beside the page. */

import mqtt from 'mqtt';

export async function witness(port) {
  const client = await mqtt.connectAsync(`mqtt://127.0.0.1:${port}`, { protocolVersion: 4, reconnectPeriod: 0 });
  const latest = new Map();
  client.on('message', (topic, payload) => {
    if (payload.length === 0) return latest.delete(topic);
    try {
      latest.set(topic, JSON.parse(payload.toString()));
    } catch {
      // The hostile messages: nothing to compare with.
    }
    return undefined;
  });
  await client.subscribeAsync('steward/v1/#', { qos: 1 });
  /** The latest bodies whose topic matches. */
  const all = (pattern) => [...latest].filter(([topic]) => pattern.test(topic)).map(([, body]) => body);
  /** The topics that match. */
  const topics = (pattern) => [...latest.keys()].filter((topic) => pattern.test(topic));
  return { client, all, topics, end: () => client.endAsync(true) };
}

/** Looks until `look` gives something true, and gives that; fails with `what` after `ms`. */
export async function until(what, look, ms = 20_000) {
  const end = Date.now() + ms;
  let last = null;
  while (Date.now() < end) {
    try {
      const found = await look();
      if (found) return found;
    } catch (error) {
      last = error;
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error(`not within ${ms} ms: ${what}${last === null ? '' : ` (${last.message})`}`);
}
