import { describe, expect, it } from 'vitest';

import { filters, topic } from './topics';

const P = 'steward/v1/longcheng/xuejia/xj-0412';

describe('topics', () => {
  it('are taken apart', () => {
    expect(topic(`${P}/status`)).toMatchObject({ of: 'box', channel: 'status', name: { prefix: P, site: 'xuejia' } });
    expect(topic(`${P}/bay/b-1001/state`)).toMatchObject({ of: 'asset', class: 'bay', id: 'b-1001', channel: 'state' });
    expect(topic(`${P}/ticket/t-1/event`)).toMatchObject({ of: 'ticket', id: 't-1', channel: 'event' });
    expect(topic(`${P}/reply/dash-x7`)).toMatchObject({ of: 'reply', requester: 'dash-x7' });
  });

  it('that are not ours are none', () => {
    const bad = [
      '',
      'steward/v2/a/b/c/status',
      'steward/v1/A/b/c/status',
      'steward/v1/a/b/c',
      `${P}/bay/b-1001`,
      `${P}/bay/b-1001/tel`,
      `${P}/bay/b_1/state`,
      `${P}/dragon/d-1/state`,
      `${P}/ticket/t-1/info`,
      `${P}/bay/b-1001/state/more`,
      `${P}/reply`,
      `${P}/bay/${'b'.repeat(33)}/state`,
      'x/'.repeat(10_000),
    ];
    for (const one of bad) expect(topic(one), one.slice(0, 60)).toBeNull();
  });

  it('are covered by the filters, commands are not', () => {
    const matches = (name: string): boolean =>
      filters('dash-x7').some((filter) => {
        const levels = filter.split('/');
        const parts = name.split('/');
        return levels.length === parts.length && levels.every((level, i) => level === '+' || level === parts[i]);
      });
    for (const one of ['status', 'info', 'health', 'street/s/info', 'bin/b/state', 'ticket/t/state', 'ticket/t/event', 'reply/dash-x7']) {
      expect(matches(`${P}/${one}`), one).toBe(true);
    }
    for (const one of ['cmd/ticket', 'reply/other', 'bay/b/tel']) expect(matches(`${P}/${one}`), one).toBe(false);
  });
});
