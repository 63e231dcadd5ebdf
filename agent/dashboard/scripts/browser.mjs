/** The browser that tests, pictures and measurements share: the system's Chromium, nothing downloaded. */

import { existsSync } from 'node:fs';

import { chromium } from 'playwright-core';

export const CHROMIUM = process.env['CHROMIUM'] ?? '/usr/bin/chromium';

/** Why there is no browser to use; `null` when there is one. */
export function missingBrowser() {
  return existsSync(CHROMIUM) ? null : `no Chromium at ${CHROMIUM}; install the package chromium, or name one in CHROMIUM`;
}

export function launch(...more) {
  return chromium.launch({
    executablePath: CHROMIUM,
    args: [
      '--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
      '--disable-background-networking', '--disable-component-update', '--disable-sync', ...more,
    ],
  });
}

/** Everything the page says that it should not: errors, warnings and breaches of its policy. */
export function complaints(page, isExpected = () => false) {
  const said = [];
  const take = (text) => {
    if (!isExpected(text)) said.push(text);
  };
  page.on('pageerror', (error) => take(error.message));
  page.on('console', (message) => {
    if (message.type() === 'error' || message.type() === 'warning') take(message.text());
  });
  return said;
}
