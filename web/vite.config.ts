import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { brotliCompress, gzip } from 'node:zlib';
import react from '@vitejs/plugin-react';
import { defineConfig, type Plugin } from 'vite';

const outDir = fileURLToPath(new URL('../dist/web', import.meta.url));
/** Below this a packed file saves no packet. */
const WORTH_PACKING = 1400;

/** Every file also packed: the service sends what the browser takes, and packs nothing itself. */
const packed = (): Plugin => ({
  name: 'packed',
  apply: 'build',
  async closeBundle() {
    const folder = join(outDir, 'assets');
    const names = (await readdir(folder)).filter((name) => /\.(js|css|svg)$/.test(name));
    await Promise.all(
      names.map(async (name) => {
        const path = join(folder, name);
        const content = await readFile(path);
        if (content.length < WORTH_PACKING) return;
        await writeFile(`${path}.br`, await promisify(brotliCompress)(content));
        await writeFile(`${path}.gz`, await promisify(gzip)(content));
      }),
    );
  },
});

export default defineConfig({
  root: fileURLToPath(new URL('.', import.meta.url)),
  base: '/ui/',
  plugins: [react(), packed()],
  build: {
    outDir,
    emptyOutDir: true,
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    chunkSizeWarningLimit: 700,
  },
  server: {
    // `npm run web` beside `npm start`: the pages from their sources, everything else from the service.
    proxy: { '^/(?!ui/)': { target: process.env['SPARANK_URL'] ?? 'http://127.0.0.1:8080' } },
  },
});
