/** The built page as plain files, as any web server has them: with the policy that the documents name. */

import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { extname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';

const DIST = fileURLToPath(new URL('../dist', import.meta.url));
const KINDS = {
  '.html': 'text/html; charset=utf-8', '.js': 'text/javascript', '.css': 'text/css', '.json': 'application/json',
  '.svg': 'image/svg+xml', '.png': 'image/png', '.woff2': 'font/woff2', '.txt': 'text/plain; charset=utf-8',
};
/** One pixel: what the street looks like from far enough above. */
const PIXEL = Buffer.from('iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==', 'base64');

/** The policy of `docs/mqtt-api.md` for pages beside a broker of another name; `pictures` serves tiles. */
export const policy = (broker, pictures = '') =>
  `default-src 'self'; connect-src 'self' ${broker}; img-src 'self' data:${pictures}; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`;

/** Serves `dist` below `base` under `csp`; `page` is what `page.json` says in place of the built one. */
export async function servePlain({ csp, base = '/', page = null }) {
  const asked = [];
  const server = createServer((request, response) => {
    const path = normalize(decodeURIComponent(new URL(request.url, 'http://x').pathname));
    asked.push(path);
    answer(path).then(
      ({ kind, bytes }) => response.writeHead(200, { 'content-type': kind, 'content-security-policy': csp }).end(bytes),
      () => response.writeHead(404).end(),
    );
  });
  async function answer(path) {
    if (path.startsWith('/tiles/')) return { kind: KINDS['.png'], bytes: PIXEL };
    if (!path.startsWith(base)) throw new Error('elsewhere');
    const name = path.slice(base.length) || 'index.html';
    if (name === 'page.json' && page !== null) return { kind: KINDS['.json'], bytes: JSON.stringify(page) };
    return { kind: KINDS[extname(name)] ?? 'application/octet-stream', bytes: await readFile(join(DIST, name)) };
  }
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { url: `http://127.0.0.1:${server.address().port}${base}`, asked, stop: () => new Promise((resolve) => server.close(resolve)) };
}
