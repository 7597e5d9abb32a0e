// How the console is built: hashed names below assets/, and the little script that sets the theme before anything is drawn.
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig, transformWithEsbuild, type Plugin } from 'vite';

const path = (relative: string) => fileURLToPath(new URL(relative, import.meta.url));
const server = process.env['PIKA_DEV_SERVER'] ?? 'http://127.0.0.1:18888';

/** Puts src/boot/theme.js into the head as a script that blocks: a module would run after the first paint. */
function themeScript(): Plugin {
  let isBuild = false;
  return {
    name: 'pika-theme-script',
    configResolved(config) {
      isBuild = config.command === 'build';
    },
    async buildStart() {
      // The development server serves the file itself, and cannot take any.
      if (!isBuild) return;
      const source = await readFile(path('src/boot/theme.js'), 'utf8');
      const { code } = await transformWithEsbuild(source, 'theme.js', { minify: true });
      this.emitFile({ type: 'asset', name: 'theme.js', source: code });
    },
    transformIndexHtml: {
      order: 'post',
      handler: (_html, context) => {
        const built = Object.values(context.bundle ?? {}).find((file) => file.fileName.startsWith('assets/theme-'));
        const src = built ? `/${built.fileName}` : '/src/boot/theme.js';
        return [{ tag: 'script', attrs: { src }, injectTo: 'head-prepend' }];
      },
    },
  };
}

export default defineConfig({
  plugins: [svelte(), themeScript()],
  resolve: { alias: { $lib: path('src/lib') } },
  build: {
    target: 'es2022',
    cssTarget: ['chrome123', 'firefox121', 'safari17.5'],
    assetsInlineLimit: 0,
    // Some fifty small files compress badly and keep the few connections of HTTP/1.1 busy: one of all pages has a third of their size.
    cssCodeSplit: false,
    modulePreload: { polyfill: false },
    manifest: true,
    reportCompressedSize: false,
  },
  server: {
    port: 5173,
    strictPort: true,
    proxy: Object.fromEntries(
      ['/api', '/docs', '/healthz', '/readyz'].map((prefix) => [prefix, { target: server, changeOrigin: false }]),
    ),
  },
});
