import { reportFailure } from './command-error';
import { createProgram } from './program';

createProgram()
  .parseAsync()
  .catch((error: unknown) => reportFailure('pangalactic', error));
