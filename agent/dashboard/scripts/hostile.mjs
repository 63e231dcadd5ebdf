/** Messages that a page must survive: shown as text or counted, never executed, never a blank page. */

const SCRIPT = '<img src=x onerror="document.title=\'owned\'"><script>document.title="owned"</script>';

/** Sends all of them through `publish(topic, payload, retain)`, below the prefix of a box. */
export function sendHostile(publish, P) {
  const json = (topic, body) => publish(`${P}/${topic}`, JSON.stringify(body), true);
  json('ticket/t-hostile1/state', {
    ticket_id: 't-hostile1', rev: 1, category: SCRIPT, state: 'raised', severity: 'apocalyptic',
    asset: { class: SCRIPT, id: SCRIPT }, opened_at: 'yesterday', place: { lat: 31.8105, lon: 119.9712 },
    evidence: [{ fact: '__proto__', value: SCRIPT, text: SCRIPT }, 7, null, 'x'],
    flow: [{ step: 'constructor', by: SCRIPT, note: SCRIPT }],
  });
  json('ticket/t-hostile2/state', { ticket_id: 't-other', rev: 1, category: 'bin_full' });
  json('ticket/t-hostile3/state', { category: 'bin_full' });
  json('bay/b-hostile/info', { names: { zh: SCRIPT, en: SCRIPT }, position: { lat: 31.8102, lon: 119.9741 }, max_stay_s: -5 });
  json('bay/b-hostile/state', { status: SCRIPT, since: 12, session: { a: SCRIPT, __proto__: { x: 1 } } });
  json('bin/bin-hostile/info', { names: 'none', position: { lat: 'north', lon: null } });
  json('bin/bin-hostile/state', { level_pct: -40, status: 'exploded', full_at: {} });
  publish(`${P}/bin/bin-nan/state`, '{"level_pct":NaN,"status":"ok"}', true);
  publish(`${P}/bin/bin-inf/state`, '{"level_pct":1e999,"status":"ok"}', true);
  json('vehicle/v-gcj/info', { names: { en: 'Car of another datum', zh: '其他坐标系车辆' }, kind: SCRIPT });
  json('vehicle/v-gcj/state', { position: { lat: 31.81, lon: 119.974, datum: 'GCJ02' }, activity: 'flying', speed_kmh: 'fast' });
  publish(`${P}/bay/b-long/info`, JSON.stringify({ names: { en: 'x'.repeat(1_000_000) } }), true);
  json('bay/b-longish/info', { names: { en: 'long name '.repeat(9000), zh: '很长的名字'.repeat(9000) }, position: { lat: 31.8099, lon: 119.9747 } });
  publish(`${P}/bay/b-bytes/state`, Buffer.from([0xff, 0xfe, 0x00, 0x80]), true);
  publish(`${P}/bay/b-array/state`, '[1,2,3]', true);
  publish(`${P}/bay/b-deep/state`, '['.repeat(50_000), true);
  json('dragon/d-1/state', { fire: true });
  json('gauge/g-1/state', { value: 4 });
  publish('steward/v1/LONG/x/y/status', '{}', true);
  json('street/s-hostile/info', { geometry: { type: 'LineString', coordinates: [[119.97, 31.8101], ['a', 'b'], null, [500, 500]] } });
  json('bay/b-hostile/figures', { parking: { today: { date: '2026-13-45', occupied_s: -1 }, days: 'all', currency: SCRIPT, occupancy: [SCRIPT] } });
  json('bin/bin-hostile/figures', { waste: { today: null, days: [7, { day: SCRIPT, collections: 1e99 }] } });
  json('street/s-hostile/figures', { waste: { capacity: { bins: -3, ahead: SCRIPT } } });
  publish(`${P}/vehicle/v-gcj/tel`, JSON.stringify({ track: { code: '~'.repeat(60_000) } }), false);
  publish(`${P}/vehicle/v-gcj/tel`, JSON.stringify({ track: { code: SCRIPT } }), false);
  publish(`${P}/bay/b-hostile/event`, JSON.stringify({ id: SCRIPT, type: SCRIPT, time: 'never', data: { [SCRIPT]: SCRIPT } }), false);
  publish(`${P}/bin/bin-hostile/event`, JSON.stringify({ id: 'h-1', type: 'waste.collection', data: { by: SCRIPT, violations: [SCRIPT, 4], volume_l: -5 } }), false);
  publish(`${P}/bin/bin-hostile/event`, JSON.stringify({ data: {} }), false);
  json('ticket/t-hostile4/state', { ticket_id: 't-hostile4', rev: 1e308, category: 'bin_full', state: 'exploded', flow: 'x'.repeat(1000), limit: { due: SCRIPT }, sources: [{ media: 'javascript:alert(1)', text: SCRIPT }] });
  json('health', { buffer: 'full', sources: [{ name: SCRIPT, samples: -1 }, 3], uptime_s: 'long', disk_free_b: -1 });
}
