// Unit tests: what can be tested without a browser. Pages are tested in one, see e2e/.
import { fileURLToPath } from 'node:url';
import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig } from 'vitest/config';

export default defineConfig({
  plugins: [svelte()],
  resolve: {
    alias: { $lib: fileURLToPath(new URL('src/lib', import.meta.url)) },
    conditions: ['browser'],
  },
  // Styles are tested, too: they are not to be left out.
  test: { include: ['src/**/*.test.ts'], css: true },
});
