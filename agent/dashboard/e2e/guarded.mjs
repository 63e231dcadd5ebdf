/** A mosquitto that takes one user only, with WebSockets on a free port of the loopback. */

import { execFile, spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { freePort } from '../scripts/ports.mjs';

export async function startGuardedBroker(user, password) {
  const dir = await mkdtemp(join(tmpdir(), 'steward-guarded-'));
  const port = await freePort();
  const passwords = join(dir, 'passwords');
  await promisify(execFile)('mosquitto_passwd', ['-c', '-b', passwords, user, password]);
  const lines = [
    `listener ${await freePort()} 127.0.0.1`, `listener ${port} 127.0.0.1`, 'protocol websockets',
    'allow_anonymous false', `password_file ${passwords}`, ...(process.getuid?.() === 0 ? ['user root'] : []),
  ];
  await writeFile(join(dir, 'broker.conf'), `${lines.join('\n')}\n`);
  const child = spawn('mosquitto', ['-c', join(dir, 'broker.conf')], { stdio: 'ignore' });
  const ended = new Promise((resolve) => child.once('exit', resolve));
  await new Promise((resolve) => setTimeout(resolve, 500));
  return {
    port,
    stop: async () => {
      child.kill();
      await ended;
      await rm(dir, { recursive: true });
    },
  };
}
