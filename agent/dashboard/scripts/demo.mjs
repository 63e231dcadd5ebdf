/** A running `steward demo`: the real program with its own street and broker, on free ports. */

import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const TARGET = fileURLToPath(new URL('../../../target', import.meta.url));
/** The program with the dashboard inside; a debug build reads the dashboard's files where they are. */
export const STEWARD =
  process.env['STEWARD'] ?? [`${TARGET}/debug/steward`, `${TARGET}/release/steward`].find((path) => existsSync(path));

const START_MS = 120_000;

/** Starts a demo; `http` and `mqtt` are ports, 0 takes a free one. */
export async function startDemo({ speed = 20, seed = 1, http = 0, mqtt = 0 } = {}) {
  if (STEWARD === undefined) throw new Error('no steward program; build it with: cargo build -p steward');
  const child = spawn(
    STEWARD,
    ['demo', '--http', `127.0.0.1:${http}`, '--mqtt', `127.0.0.1:${mqtt}`, '--speed', String(speed), '--seed', String(seed)],
    { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, NO_COLOR: '1' } },
  );
  let said = '';
  const ready = new Promise((resolve, reject) => {
    const late = setTimeout(() => reject(new Error(`the demo did not start:\n${said}`)), START_MS);
    const read = (chunk) => {
      said += chunk;
      const page = /Open (http:\/\/[\d.]+:(\d+))/.exec(said);
      const broker = /mosquitto_sub -h (\S+) -p (\d+)/.exec(said);
      if (page === null || broker === null) return;
      clearTimeout(late);
      resolve({ url: `${page[1]}/`, http: Number(page[2]), mqtt: Number(broker[2]) });
    };
    child.stdout.on('data', read);
    child.stderr.on('data', (chunk) => (said += chunk));
    child.once('exit', (code) => {
      clearTimeout(late);
      reject(new Error(`the demo ended with ${code}:\n${said}`));
    });
  });
  const ended = new Promise((resolve) => child.once('exit', resolve));
  /** Pulls the plug (`SIGKILL`), or lets it end in order (`SIGINT`). */
  const stop = async (signal = 'SIGINT') => {
    if (child.exitCode === null && child.signalCode === null) child.kill(signal);
    await ended;
  };
  try {
    return { ...(await ready), stop, speed, seed };
  } catch (error) {
    await stop('SIGKILL');
    throw error;
  }
}
