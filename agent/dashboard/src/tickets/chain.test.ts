import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';

import { describe, expect, it } from 'vitest';

import { ticket as readTicket } from '../readers/tickets';
import type { Fields } from '../readers/values';
import { chain } from './chain';
import { sha256 } from './sha256';

const golden = JSON.parse(
  readFileSync(new URL('../../../domain/src/engine/tests/assessment.json', import.meta.url), 'utf8'),
) as { tickets: (Fields & { ticket_id: string; flow: Record<string, unknown>[] })[] };

function checked(body: Fields & { ticket_id: string }): ReturnType<typeof chain> {
  const found = readTicket(body, () => {});
  if (found === null) throw new Error('no ticket');
  return chain({ ...found, id: body.ticket_id });
}

describe('the hash chain', () => {
  it('hashes as everybody does', () => {
    for (const text of ['', 'abc', '街道'.repeat(40), 'x'.repeat(55), 'x'.repeat(56), 'x'.repeat(64), 'x'.repeat(10_000)]) {
      expect(sha256(text)).toBe(createHash('sha256').update(text).digest('hex'));
    }
  });

  it('is whole for what the domain wrote', () => {
    expect(golden.tickets.map(checked)).toEqual(golden.tickets.map(() => ({ is: 'whole' })));
  });

  it('breaks where an entry was changed, taken out or added', () => {
    const [body] = golden.tickets.filter((one) => one.flow.length > 4);
    if (body === undefined) throw new Error('no long log');
    const { flow } = body;
    const changed = flow.map((entry, i) => (i === 2 ? { ...entry, by: 'somebody-else' } : entry));
    expect(checked({ ...body, flow: changed })).toEqual({ is: 'broken', n: 4 });
    expect(checked({ ...body, flow: flow.filter((_, i) => i !== 1) })).toEqual({ is: 'broken', n: 2 });
    expect(checked({ ...body, flow: flow.slice(0, -1) })).toEqual({ is: 'broken', n: flow.length - 1 });
    expect(checked({ ...body, flow: flow.slice(2) })).toEqual({ is: 'tail', from: 3 });
    expect(checked({ ...body, flow_sha256: undefined })).toEqual({ is: 'none' });
    expect(checked({ ...body, flow: [1, null, 'x'] as never })).toEqual({ is: 'none' });
  });
});
