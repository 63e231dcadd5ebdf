import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig } from 'vitest/config';

/** The broker that `vite` and `vite preview` put behind `/mqtt`, as the agent does for its own. */
const broker = process.env['STEWARD_BROKER'] ?? 'ws://127.0.0.1:9001';
const proxy = { '/mqtt': { target: broker, ws: true, changeOrigin: true } };

/** The policy the built page is tried under; anything looser would hide a fault from us. */
const policy = [
  "default-src 'self'",
  "connect-src 'self' ws: wss:",
  "img-src 'self' data:",
  "style-src 'self'",
].join('; ');

export default defineConfig({
  plugins: [svelte()],
  base: './',
  build: {
    target: 'es2022',
    // The page is one screen: its script and its style sheet are loaded once and kept.
    chunkSizeWarningLimit: 800,
    rollupOptions: {
      output: {
        // The map's library changes seldom: browsers keep it when the page is a new one.
        manualChunks: (id: string) => (id.includes('node_modules/leaflet') ? 'leaflet' : undefined),
      },
    },
    // Fonts and images stay files: the policy allows no data: fonts.
    assetsInlineLimit: 0,
  },
  server: { proxy },
  preview: { proxy, headers: { 'content-security-policy': policy } },
  test: { include: ['src/**/*.test.ts'], environment: 'node' },
});
