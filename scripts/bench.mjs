// The engine's worker threads run from dist/. Arguments go to the bench.
import { build, runNode } from './run-node.mjs';

build();
runNode('dist/bench/main.js', ...process.argv.slice(2));
