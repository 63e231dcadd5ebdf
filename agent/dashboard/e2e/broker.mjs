/** A mosquitto of its own with WebSockets, on free ports of the loopback. */

import { execFile, spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { freePort } from '../scripts/ports.mjs';
import { until } from './witness.mjs';

/** Whether something takes connections at `port`. */
const answers = (port) =>
  new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => resolve(true));
    socket.once('error', () => resolve(false));
    socket.once('connect', () => socket.destroy());
  });

/** Starts it; with `login` it takes that user only. `port` speaks WebSocket, `mqtt` plain MQTT. */
export async function startBroker(login = null) {
  const dir = await mkdtemp(join(tmpdir(), 'steward-broker-'));
  const [port, mqtt] = [await freePort(), await freePort()];
  const passwords = join(dir, 'passwords');
  if (login !== null) await promisify(execFile)('mosquitto_passwd', ['-c', '-b', passwords, login.user, login.password]);
  const lines = [
    `listener ${mqtt} 127.0.0.1`, `listener ${port} 127.0.0.1`, 'protocol websockets',
    ...(login === null ? ['allow_anonymous true'] : ['allow_anonymous false', `password_file ${passwords}`]),
    ...(process.getuid?.() === 0 ? ['user root'] : []),
  ];
  await writeFile(join(dir, 'broker.conf'), `${lines.join('\n')}\n`);
  const child = spawn('mosquitto', ['-c', join(dir, 'broker.conf')], { stdio: 'ignore' });
  const ended = new Promise((resolve) => child.once('exit', resolve));
  await until('the broker takes connections', async () => (await answers(port)) && answers(mqtt));
  return {
    port,
    mqtt,
    stop: async () => {
      child.kill();
      await ended;
      await rm(dir, { recursive: true });
    },
  };
}
