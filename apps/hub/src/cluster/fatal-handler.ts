/** Called when the hub must not go on, such as when another one has taken the lead. */
export type FatalHandler = (error: unknown) => void;

export const FATAL_HANDLER = Symbol('FatalHandler');

/** Ends the process through its handler of uncaught exceptions, which logs the reason. */
export const endProcess: FatalHandler = (error) => {
  setImmediate(() => {
    throw error;
  });
};
