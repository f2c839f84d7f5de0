// The whole suite. The specs are TypeScript sources, but the processes that they start are those of dist/; the parity tests
// compare with llama.cpp, and GPUs are made of software, neither of which is a dependency of this package. Arguments go to vitest.
import { existsSync } from 'node:fs';
import { build, root, runNode } from './run-node.mjs';

build();
if (!existsSync(`${root}test/peer/node_modules/node-llama-cpp`)) runNode('test/peer/install.mjs');
runNode('test/gpu/install.mjs');
runNode('node_modules/vitest/vitest.mjs', 'run', ...process.argv.slice(2));
