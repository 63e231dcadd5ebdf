/**
 * A duty officer for pictures: takes tickets of a demo step by step, so that there is work to be seen in
 * every stage. Of every four tickets one is left alone.
 */

import mqtt from 'mqtt';

/** What is done to a ticket next, by where it stands. */
const NEXT = {
  candidate: { action: 'confirm' },
  raised: { action: 'ack', note: 'Seen, somebody is on the way.' },
  reopened: { action: 'ack' },
  acknowledged: { action: 'assign' },
  dispatched: { action: 'resolve', note: 'Done, photo in the log.' },
  handled: { action: 'verify' },
  verified: { action: 'close' },
};
const STEP_MS = 2500;

/** Works on the tickets of the broker at `port` until the returned function is called. */
export async function onDuty(port) {
  const client = await mqtt.connectAsync(`mqtt://127.0.0.1:${port}`, { clientId: 'duty-1', protocolVersion: 4 });
  const tickets = new Map();
  const seen = new Map();
  client.on('message', (topic, payload) => {
    if (payload.length === 0) return tickets.delete(topic);
    tickets.set(topic, JSON.parse(payload.toString()));
    if (!seen.has(topic)) seen.set(topic, seen.size);
    return undefined;
  });
  await client.subscribeAsync('steward/v1/+/+/+/ticket/+/state', { qos: 1 });
  let n = 0;
  const timer = setInterval(() => {
    const open = [...tickets].filter(([topic, ticket]) => NEXT[ticket.state] !== undefined && seen.get(topic) % 4 !== 3);
    if (open.length === 0) return;
    n += 1;
    const [topic, ticket] = open[n % open.length];
    const crew = ticket.category.startsWith('bin') ? 'bins-1' : 'streets-1';
    const args = { ticket: ticket.ticket_id, ...NEXT[ticket.state], ...(ticket.state === 'acknowledged' ? { crew } : {}) };
    const command = { id: `duty-${Date.now()}-${n}`, by: 'duty-1', args };
    client.publish(`${topic.split('/ticket/')[0]}/cmd/ticket`, JSON.stringify(command), { qos: 1 });
  }, STEP_MS);
  return async () => {
    clearInterval(timer);
    await client.endAsync(true);
  };
}
