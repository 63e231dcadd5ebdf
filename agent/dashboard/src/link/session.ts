/**
 * The connection to the broker: the only file that names mqtt.js.
 *
 * It reports phases and messages and keeps trying. Retrying is ours, not the library's, so that the page
 * can say when the next attempt is. It keeps no messages: what cannot be sent now is refused.
 */

import mqtt from 'mqtt';
import type { IClientOptions, MqttClient } from 'mqtt';

import { filters } from '../readers/topics';
import { next, retryDelay } from './phase';
import type { Cause, LinkEvent, Phase } from './phase';

/** A reply code of SUBACK that refuses the filter. */
const REFUSED = 128;
/** CONNACK codes of MQTT 3.1.1: bad user name or password, and not authorised. */
const CREDENTIALS_CODES = [4, 5];
/** The retained picture is complete when it was quiet for this long, in milliseconds. */
const SETTLE_QUIET_MS = 1500;

/** Who the broker is told that we are. */
export interface Credentials {
  readonly user: string;
  readonly password: string;
}

export interface SessionEvents {
  readonly phase: (phase: Phase) => void;
  /** A connection begins: from now on messages are of this connection. */
  readonly begin: () => void;
  /** The retained messages of this connection are in. */
  readonly settle: () => void;
  readonly message: (topic: string, payload: Uint8Array, retained: boolean) => void;
}

export class Session {
  readonly #url: string;
  readonly #requester: string;
  readonly #events: SessionEvents;
  readonly #clock: () => number;
  #phase: Phase;
  #client: MqttClient | null = null;
  #retry: ReturnType<typeof setTimeout> | null = null;
  #settle: ReturnType<typeof setTimeout> | null = null;
  #detail: string | null = null;
  #credentials: Credentials | null = null;
  #cause: Cause = 'closed';

  constructor(url: string, requester: string, events: SessionEvents, clock: () => number) {
    this.#url = url;
    this.#requester = requester;
    this.#events = events;
    this.#clock = clock;
    this.#phase = { is: 'connecting', since: clock(), attempt: 0 };
  }

  /** Connects, and goes on trying until `stop`. */
  start(): void {
    this.#attempt();
  }

  stop(): void {
    if (this.#retry !== null) clearTimeout(this.#retry);
    if (this.#settle !== null) clearTimeout(this.#settle);
    this.#client?.removeAllListeners();
    this.#client?.end(true);
    this.#client = null;
  }

  /** What to say to the broker from the next attempt on. */
  login(credentials: Credentials | null): void {
    this.#credentials = credentials;
    if (this.#phase.is === 'lost' && this.#client === null) this.#attempt();
  }

  /** Tries at once instead of waiting, when there is no link. */
  hurry(): void {
    if (this.#phase.is === 'lost' && this.#retry !== null) this.#attempt();
  }

  /** Publishes with QoS 1; refused when there is no link, as a command must not be sent later. */
  publish(topic: string, payload: string): Promise<void> {
    const client = this.#client;
    if (client === null || this.#phase.is !== 'live') return Promise.reject(new Error('no link'));
    return new Promise((resolve, reject) => {
      client.publish(topic, payload, { qos: 1 }, (error) => {
        if (error) reject(error);
        else resolve();
      });
    });
  }

  #step(event: LinkEvent): void {
    this.#phase = next(this.#phase, event);
    this.#events.phase(this.#phase);
  }

  #attempt(): void {
    if (this.#retry !== null) clearTimeout(this.#retry);
    this.#retry = null;
    this.#detail = null;
    this.#cause = 'closed';
    this.#step({ on: 'attempt', at: this.#clock() });
    const options: IClientOptions = {
      clientId: this.#requester,
      protocolVersion: 4,
      clean: true,
      keepalive: 60,
      // A worker made from a blob would need a looser content security policy.
      timerVariant: 'native',
      connectTimeout: 10_000,
      reconnectPeriod: 0,
      queueQoSZero: false,
      resubscribe: false,
      ...(this.#credentials === null
        ? {}
        : { username: this.#credentials.user, password: this.#credentials.password }),
    };
    const client = mqtt.connect(this.#url, options);
    this.#client = client;
    client.on('connect', () => void this.#subscribe(client));
    client.on('message', (topic, payload, packet) => {
      this.#events.message(topic, payload, packet.retain);
      if (packet.retain) this.#settleLater();
    });
    client.on('error', (error) => {
      const code = 'code' in error ? error.code : null;
      const isLogin = typeof code === 'number' && CREDENTIALS_CODES.includes(code);
      this.#fail(isLogin ? 'credentials' : 'refused', error.message);
    });
    client.on('close', () => this.#down(client));
  }

  async #subscribe(client: MqttClient): Promise<void> {
    this.#events.begin();
    try {
      const granted = await client.subscribeAsync(filters(this.#requester), { qos: 1 });
      const refused = granted.find((one) => (one.qos as number) >= REFUSED);
      if (refused !== undefined) throw new Error(refused.topic);
      this.#step({ on: 'subscribed', at: this.#clock() });
      this.#settleLater();
    } catch (error) {
      this.#fail('no_subscription', error instanceof Error ? error.message : null);
      client.end(true);
    }
  }

  #settleLater(): void {
    if (this.#settle !== null) clearTimeout(this.#settle);
    this.#settle = setTimeout(() => {
      if (this.#phase.is === 'live') this.#events.settle();
    }, SETTLE_QUIET_MS);
  }

  #fail(cause: Cause, detail: string | null): void {
    this.#cause = cause;
    this.#detail = detail === null || detail === '' ? null : detail.slice(0, 200);
  }

  #down(client: MqttClient): void {
    if (this.#client !== client) return;
    client.removeAllListeners();
    // A late error of a closed client has nobody to tell and must not become an uncaught one.
    client.on('error', () => {});
    client.end(true);
    this.#client = null;
    if (this.#settle !== null) clearTimeout(this.#settle);
    const attempt = this.#phase.is === 'live' ? 0 : this.#phase.attempt;
    const delay = retryDelay(attempt, Math.random());
    const at = this.#clock();
    // The same credentials would be refused again, and brokers lock out who keeps guessing: a person is asked.
    const isAsking = this.#cause === 'credentials';
    this.#step({
      on: 'down',
      at,
      cause: this.#cause,
      detail: this.#detail,
      retryAt: isAsking ? null : at + delay,
    });
    if (!isAsking) this.#retry = setTimeout(() => this.#attempt(), delay);
  }
}
