import { describe, expect, it } from 'vitest';

import type { Stretch } from '../picture/model';
import type { Reply } from '../readers/replies';
import { ANSWER_MS, Inquiry } from './inquiry';

const BOX = 'steward/v1/t/s/b';

function stretch(street: string): Stretch {
  return { street, state: 'done', at: null, line: [[119.97, 31.81], [119.98, 31.81]] };
}

function reply(id: string, streets: string[], next: number | null): Reply {
  return { id, ok: true, rev: null, code: null, message: null, coverage: { items: streets.map(stretch), next } };
}

function bench(): { survey: Inquiry<Stretch>; sent: { id: string; from: number }[] } {
  const sent: { id: string; from: number }[] = [];
  const survey = new Inquiry<Stretch>(
    'me',
    (topic, payload) => {
      expect(topic).toBe(`${BOX}/cmd/coverage`);
      const command = JSON.parse(payload) as { id: string; args: { from: number } };
      sent.push({ id: command.id, from: command.args.from });
      return Promise.resolve();
    },
    { command: 'coverage', pageOf: (reply) => reply.coverage ?? null, changed: () => {} },
  );
  return { survey, sent };
}

describe('an inquiry', () => {
  it('asks page after page and shows the whole', () => {
    const { survey, sent } = bench();
    survey.ask(BOX, 1000);
    survey.ask(BOX, 1001);
    expect(sent).toHaveLength(1);
    survey.answer(reply(sent[0]?.id ?? '', ['a'], 1), 1001);
    expect(survey.of(BOX)).toEqual([]);
    expect(sent[1]?.from).toBe(1);
    survey.answer(reply('somebody else', ['x'], null), 1001);
    survey.answer(reply(sent[1]?.id ?? '', ['b'], null), 1001);
    expect(survey.of(BOX).map((one) => one.street)).toEqual(['a', 'b']);
    expect([survey.isAsking(BOX), survey.hasFailed(BOX), survey.isKnown(BOX)]).toEqual([false, false, true]);
  });

  it('keeps what was known when the box does not answer, and says so', () => {
    const { survey, sent } = bench();
    survey.ask(BOX, 0);
    survey.answer(reply(sent[0]?.id ?? '', ['a'], null), 1001);
    survey.ask(BOX, 1000);
    survey.answer({ id: sent[1]?.id ?? '', ok: false, rev: null, code: 'expired', message: null }, 1001);
    expect([survey.of(BOX).length, survey.hasFailed(BOX)]).toEqual([1, true]);
    survey.ask(BOX, 2000);
    survey.ask(BOX, 2000 + ANSWER_MS);
    expect(sent).toHaveLength(4);
    survey.look(2000 + 2 * ANSWER_MS);
    expect([survey.isAsking(BOX), survey.hasFailed(BOX)]).toEqual([false, true]);
  });
});
