import type { StageMessage } from './stage-message';

/**
 * Messages taken from the hop while the stage still works on earlier ones. Reading ahead costs little, since the head
 * limits the steps in flight, and a fault behind those messages is heard at once.
 */
const READ_AHEAD = 64;

/**
 * Hands a stage its messages in order, for as long as there are any.
 * @param next rejects when no more messages will come
 * @param push resolves when the stage has room for another message
 * @returns never resolves; rejects with the first failure of either
 */
export function feedStage(
  next: () => Promise<StageMessage>,
  push: (message: StageMessage) => Promise<void>,
): Promise<never> {
  return new Promise((_resolve, reject) => {
    const read = async (): Promise<never> => {
      let pushed: Promise<void> = Promise.resolve();
      for (let waiting = 0; ;) {
        const message = await next();
        waiting += 1;
        pushed = pushed.then(() => push(message)).then(() => void (waiting -= 1));
        pushed.catch(reject);
        if (waiting >= READ_AHEAD) await pushed;
      }
    };
    read().catch(reject);
  });
}
