/**
 * Publishes a plausible street to a broker, answers ticket commands, and goes on until stopped.
 *
 *   node scripts/simulate.mjs [--broker ws://127.0.0.1:9001] [--bays 96] [--bins 22] [--rate 0.5]
 *                             [--seed 1] [--hostile] [--once]
 *
 * `--rate` is updates a second; `--hostile` mixes in what a page must survive; `--once` ends when the
 * retained picture is out.
 */

import { parseArgs } from 'node:util';

import mqtt from 'mqtt';

import { sendHostile } from './hostile.mjs';
import { along, degrees, lengthOf, makeStreet } from './street.mjs';

const { values: options } = parseArgs({
  options: {
    broker: { type: 'string', default: 'ws://127.0.0.1:9001' },
    bays: { type: 'string', default: '96' },
    bins: { type: 'string', default: '22' },
    rate: { type: 'string', default: '0.5' },
    seed: { type: 'string', default: '1' },
    hostile: { type: 'boolean', default: false },
    once: { type: 'boolean', default: false },
  },
});

const P = 'steward/v1/longcheng/xuejia/xj-0412';
const BOOT = 17;
const MINUTE = 60_000;

const street = makeStreet({ bays: Number(options.bays), bins: Number(options.bins), seed: Number(options.seed) });
const { random } = street;
const seqs = { ticket: 410, event: 2210, state: 8100, telemetry: 90_100 };
const started = Date.now();

const client = mqtt.connect(options.broker, {
  clientId: 'xj-0412',
  protocolVersion: 4,
  reconnectPeriod: 1000,
  will: { topic: `${P}/status`, payload: JSON.stringify({ state: 'lost', boot: BOOT, conn: 3, at: new Date().toISOString() }), qos: 1, retain: true },
});

const iso = (ms) => new Date(ms).toISOString();

function header(lane, at = Date.now(), quality = 'good') {
  seqs[lane] += 1;
  return { v: 1, id: `xj-0412-${lane}-${seqs[lane]}`, at: iso(at), clock: 'gnss', boot: BOOT, lane, seq: seqs[lane], quality };
}

const publish = (topic, body, retain = true) =>
  client.publish(`${P}/${topic}`, body === null ? '' : JSON.stringify(body), { qos: 1, retain });

function happen(topic, type, data) {
  const head = header(topic.startsWith('ticket') ? 'ticket' : 'event');
  publish(topic, { specversion: '1.0', id: head.id, source: P, type, time: head.at, boot: BOOT, lane: head.lane, seq: head.seq, clock: 'gnss', data }, false);
}

// ---- bays

const bays = street.bays.map((bay, i) => {
  const roll = random();
  const status = i % 31 === 30 ? 'out_of_service' : i % 19 === 7 ? 'unknown' : roll < 0.58 ? 'occupied' : 'free';
  return { ...bay, status, since: started - Math.floor(random() * 95 * MINUTE) };
});

function publishBay(bay, quality = 'good') {
  const session = bay.status === 'occupied' ? { id: `${bay.id}-${Math.floor(bay.since / 1000)}`, started_at: iso(bay.since), quality: 'good' } : null;
  publish(`bay/${bay.id}/state`, { ...header('state', Date.now(), quality), status: bay.status, since: iso(bay.since), confidence: 0.97, session });
}

function turnBay(bay) {
  if (bay.status === 'out_of_service') return;
  const now = Date.now();
  if (bay.status === 'occupied') {
    happen(`bay/${bay.id}/event`, 'parking.session', { stay_s: Math.round((now - bay.since) / 1000), fee_fen: 400, quality: 'good' });
  }
  bay.status = bay.status === 'occupied' ? 'free' : 'occupied';
  bay.since = now;
  publishBay(bay);
}

// ---- bins

const bins = street.bins.map((bin, i) => {
  const level = i === 3 ? 100 : i === 8 ? 86 : Math.round(8 + random() * 66);
  const status = i === 3 ? 'overflow' : i === 8 ? 'full' : i === 12 ? 'lid_open' : i === 15 ? 'tilted' : i === 17 ? 'unknown' : 'ok';
  return { ...bin, level: i === 17 ? null : level, status, collected: started - Math.floor((2 + random() * 16) * 60 * MINUTE) };
});

function publishBin(bin) {
  const hours = bin.level === null ? null : ((80 - bin.level) / 3.2) * 60 * MINUTE;
  publish(`bin/${bin.id}/state`, {
    ...header('state'), level_pct: bin.level, status: bin.status,
    full_at: hours === null || hours < 0 ? null : iso(Date.now() + hours),
    temperature_c: bin.status === 'burning' ? 96.5 : Math.round((17 + random() * 6) * 10) / 10,
    last_collected: iso(bin.collected),
  });
}

function fillBin(bin) {
  if (bin.level === null || bin.status === 'burning') return;
  bin.level = Math.min(100, bin.level + Math.ceil(random() * 3));
  if (bin.status === 'ok' && bin.level >= 80) bin.status = 'full';
  publishBin(bin);
}

// ---- vehicles

const vehicles = street.vehicles.map((vehicle, i) => ({ ...vehicle, distance: 120 + i * 90, way: 1, driven: 4200 + i * 3100 }));

function moveVehicle(vehicle, seconds) {
  const step = (vehicle.speed / 3.6) * seconds * vehicle.way;
  const length = lengthOf(vehicle.line);
  if (vehicle.distance + step > length || vehicle.distance + step < 0) vehicle.way *= -1;
  vehicle.distance = Math.max(0, Math.min(length, vehicle.distance + step));
  vehicle.driven += Math.abs(step);
  const { at, dx, dy } = along(vehicle.line, vehicle.distance);
  const lane = 2.6 * vehicle.way;
  const course = (Math.atan2(dx * vehicle.way, dy * vehicle.way) * 180) / Math.PI;
  publish(`vehicle/${vehicle.id}/state`, {
    ...header('state'),
    position: { ...degrees([at[0] + dy * lane, at[1] - dx * lane]), datum: 'WGS84', hacc_m: 2.1 },
    speed_kmh: vehicle.speed === 0 ? 0 : Math.round((vehicle.speed + random() - 0.5) * 10) / 10,
    course_deg: Math.round(((course + 360) % 360) * 10) / 10,
    activity: vehicle.activity,
    distance_m: Math.round(vehicle.driven),
  });
}

// ---- tickets

const tickets = new Map();
const NEXT = {
  ack: { from: ['raised', 'reopened'], to: 'acknowledged' },
  resolve: { from: ['raised', 'reopened', 'acknowledged'], to: 'handled' },
  close: { from: ['handled'], to: 'closed' },
  reopen: { from: ['handled', 'closed', 'rejected'], to: 'reopened' },
  reject: { from: ['raised', 'reopened', 'acknowledged'], to: 'rejected' },
};

function raise(id, category, severity, asset, position, ageMs, evidence, extra = {}) {
  const at = Date.now() - ageMs;
  const ticket = {
    ticket_id: id, rev: 1, key: `${category}:${asset.id}`, category, state: 'raised', cleared_by_sensor: false, severity, asset,
    place: position === null ? null : { lat: position.lat, lon: position.lon, datum: 'WGS84' },
    opened_at: iso(at), updated_at: iso(at), closed_at: null, rule: { id: category.replace('_', '.'), version: 7 },
    evidence: evidence.map(([minutes, fact, value, unit]) => ({ at: iso(at - minutes * MINUTE), fact, value, ...(unit ? { unit } : {}) })),
    flow: [{ n: 1, step: 'raised', at: iso(at), by: 'steward' }], reopened: 0, ...extra,
  };
  for (const step of ticket.flow.slice(1)) ticket.updated_at = step.at;
  tickets.set(id, ticket);
  publishTicket(ticket);
  return ticket;
}

function publishTicket(ticket) {
  publish(`ticket/${ticket.ticket_id}/state`, { ...header('ticket', Date.parse(ticket.updated_at)), ...ticket });
}

function firstTickets() {
  const at = (asset) => asset.info.position;
  const bay = bays.find((one) => one.status === 'occupied' && one.info.max_stay_s === 1800) ?? bays[0];
  bay.since = started - 74 * MINUTE;
  publishBay(bay);
  const ago = (minutes) => iso(started - minutes * MINUTE);
  raise('t-4f20c1', 'bin_overflow', 'high', { class: 'bin', id: bins[3].id }, at(bins[3]), 38 * MINUTE, [[2, 'level_pct', 97, '%'], [0, 'level_pct', 100, '%']], {
    rev: 2, state: 'acknowledged',
    flow: [{ n: 1, step: 'raised', at: ago(38), by: 'steward' }, { n: 2, step: 'acknowledged', at: ago(31), by: 'duty-1', note: 'Collector 02 is on its way.' }],
  });
  raise('t-81be07', 'overstay', 'medium', { class: 'bay', id: bay.id }, at(bay), 39 * MINUTE, [[0, 'stay', 35, 'min']]);
  raise('t-0a93d2', 'bin_full', 'medium', { class: 'bin', id: bins[8].id }, at(bins[8]), 12 * MINUTE, [[6, 'level_pct', 82, '%'], [0, 'level_pct', 86, '%']]);
  raise('t-77aa10', 'node_battery_low', 'low', { class: 'bay', id: bays[7].id }, at(bays[7]), 26 * 60 * MINUTE, [[0, 'battery_v', 2.71, 'V']]);
  raise('t-5d1e44', 'bin_fault', 'low', { class: 'bin', id: bins[15].id }, at(bins[15]), 5 * 60 * MINUTE, [[0, 'status', 'tilted']], { cleared_by_sensor: true, reopened: 1 });
  raise('t-c0ffee', 'missed_collection', 'medium', { class: 'bin', id: bins[5].id }, at(bins[5]), 29 * 60 * MINUTE, [[0, 'level_pct', 91, '%']], {
    rev: 4, state: 'closed', closed_at: ago(300),
    flow: [['raised', 1740, 'steward'], ['acknowledged', 1700, 'duty-1'], ['handled', 420, 'crew-3'], ['closed', 300, 'duty-2']].map(([step, minutes, by], i) => ({ n: i + 1, step, at: ago(minutes), by })),
  });
}

function burn() {
  const bin = bins[10];
  bin.status = 'burning';
  publishBin(bin);
  const ticket = raise(`t-${Date.now().toString(36)}`, 'bin_fire', 'critical', { class: 'bin', id: bin.id }, bin.info.position, 0, [[1, 'temperature_c', 61.5, '°C'], [0, 'temperature_c', 96.5, '°C']]);
  happen(`ticket/${ticket.ticket_id}/event`, 'ticket.raised', { category: ticket.category, severity: ticket.severity });
}

function answer(command) {
  const reply = (body) => publish(`reply/${command.by}`, { id: command.id, ...body }, false);
  const ticket = tickets.get(command.args?.ticket);
  const step = NEXT[command.args?.action];
  if (!ticket || !step) return reply({ ok: false, error: { code: 'not_found', msg: 'no such ticket or action' } });
  if (!step.from.includes(ticket.state)) {
    return reply({ ok: false, error: { code: 'not_now', msg: `a ticket that is ${ticket.state} cannot become ${step.to}` } });
  }
  const at = iso(Date.now());
  ticket.rev += 1;
  ticket.state = step.to;
  ticket.updated_at = at;
  ticket.closed_at = ['closed', 'rejected'].includes(step.to) ? at : null;
  if (step.to === 'reopened') ticket.reopened += 1;
  ticket.flow.push({ n: ticket.flow.length + 1, step: step.to, at, by: command.by, ...(command.args.note ? { note: command.args.note } : {}) });
  reply({ ok: true, result: { rev: ticket.rev } });
  setTimeout(() => publishTicket(ticket), 250);
  happen(`ticket/${ticket.ticket_id}/event`, `ticket.${step.to}`, { by: command.by });
  return undefined;
}

// ---- the box

function publishHealth() {
  const now = Date.now();
  publish('health', {
    ...header('telemetry'),
    buffer: {
      ticket: { records: 0, oldest_s: 0, dropped: 0 }, event: { records: 0, oldest_s: 0, dropped: 0 },
      state: { records: 2, oldest_s: 1, dropped: 0 }, telemetry: { records: 41, oldest_s: 12, dropped: 0 },
    },
    sources: [
      { name: 'node-link', samples: 48_210, rejected: 3, last_at: iso(now - 2000) },
      { name: 'lns', samples: 1844, rejected: 0, last_at: iso(now - 48_000) },
      { name: 'gnss', samples: 301_220, rejected: 17, last_at: iso(now - 900) },
      { name: 'camera', samples: 90, rejected: 0, silent: true, last_at: iso(now - 26 * MINUTE) },
    ],
    uptime_s: 412_000 + Math.round((now - started) / 1000), disk_free_b: 21_700_000_000,
  });
}

client.on('message', (topic, payload) => {
  if (topic === `${P}/cmd/ticket`) answer(JSON.parse(payload.toString()));
});

client.on('connect', async () => {
  await client.subscribeAsync(`${P}/cmd/#`, { qos: 1 });
  publish('status', { state: 'online', boot: BOOT, conn: 4, at: iso(Date.now()) });
  publish('info', { ...header('state'), version: '0.1.0', name: 'xj-0412', assets: [...bays, ...bins, ...vehicles].map((one) => one.id) });
  for (const one of street.streets) publish(`street/${one.id}/info`, one.info);
  for (const bay of bays) publish(`bay/${bay.id}/info`, bay.info);
  for (const bin of bins) publish(`bin/${bin.id}/info`, bin.info);
  for (const vehicle of vehicles) publish(`vehicle/${vehicle.id}/info`, vehicle.info);
  bays.forEach((bay) => publishBay(bay));
  bins.forEach(publishBin);
  for (const vehicle of vehicles) moveVehicle(vehicle, 2);
  if (tickets.size === 0) firstTickets();
  else for (const ticket of tickets.values()) publishTicket(ticket);
  publishHealth();
  if (options.hostile) sendHostile((topic, payload, retain) => client.publish(topic, payload, { qos: 1, retain }), P);
  if (options.once) {
    await client.endAsync();
    return;
  }
  console.log(`${bays.length} bays, ${bins.length} bins, ${vehicles.length} vehicles on ${options.broker}; stop with Ctrl+C`);
});

if (!options.once) {
  const pick = (list) => list[Math.floor(random() * list.length)];
  const rate = Number(options.rate);
  let due = 0;
  setInterval(() => {
    if (!client.connected) return;
    for (due += rate / 20; due >= 1; due -= 1) {
      if (random() < 0.8) turnBay(pick(bays));
      else fillBin(pick(bins));
    }
  }, 50);
  setInterval(() => vehicles.forEach((vehicle) => moveVehicle(vehicle, 2)), 2000);
  setInterval(publishHealth, 30_000);
  setTimeout(burn, 12_000);
}
