import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

const at = (path: string) => fileURLToPath(new URL(path, import.meta.url));
const alias = Object.fromEntries(
  readdirSync(at('./libs')).map((lib) => [`@pangalactic/${lib}`, at(`./libs/${lib}/src/index.ts`)]),
);

// Vite 8 reads experimentalDecorators and emitDecoratorMetadata from tsconfig.json: no SWC plugin is needed.
export default defineConfig({
  resolve: { alias },
  test: {
    environment: 'node',
    pool: 'forks',
    maxWorkers: 2,
    setupFiles: ['reflect-metadata'],
    env: { LOG_LEVEL: 'silent' },
    projects: [
      {
        extends: true,
        test: { name: 'unit', include: ['{apps,libs,scripts}/**/*.spec.ts'], testTimeout: 15_000, hookTimeout: 30_000 },
      },
      {
        extends: true,
        test: {
          name: 'system',
          include: ['test/**/*.spec.ts'],
          fileParallelism: false,
          testTimeout: 120_000,
          hookTimeout: 120_000,
        },
      },
    ],
  },
});
