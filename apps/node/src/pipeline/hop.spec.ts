import type { HopRequest, HopResponse } from '@pangalactic/contracts';
import type { SlotCommand } from '@pangalactic/inference';
import type { Duplex } from '@pangalactic/transport';
import { describe, expect, it } from 'vitest';
import { HopReceiver } from './hop-receiver';
import { HopSender } from './hop-sender';

const HIDDEN_SIZE = 3;
const commands: SlotCommand[] = [
  {
    kind: 'start',
    slot: 2,
    generation: 7,
    sampling: { temperature: 0.5, topP: 0.9 },
    seed: 11,
    choiceIndex: 1,
    promptIds: [1, 2],
    emittedIds: [3],
  },
  { kind: 'copy', fromSlot: 2, toSlot: 0, count: 5 },
  { kind: 'release', slot: 2, generation: 7 },
];

describe('a hop', () => {
  it('brings every message to the other end as it was', async () => {
    const sent: HopRequest[] = [];
    const channel = { send: async (message: HopRequest) => void sent.push(message) } as Duplex<HopRequest, HopResponse>;
    const sender = new HopSender(channel);
    const rows = [{ slot: 2, generation: 7, start: 0, count: 2, sample: true }];
    const hidden = Float32Array.of(1, 2, 3, 4, 5, 6);
    await sender.open('p1', 4);
    for (const command of commands) await sender.command(command);
    await sender.output({ step: 9, rows, hidden, samples: [], computeMs: 1 });

    const receiver = new HopReceiver();
    const [first, ...rest] = sent as [HopRequest, ...HopRequest[]];
    expect(receiver.open(first)).toEqual({ pipelineId: 'p1', stage: 4 });
    expect(rest.map((message) => receiver.message(message, HIDDEN_SIZE))).toEqual([
      ...commands.map((command) => ({ kind: 'command', command })),
      { kind: 'step', step: 9, input: { rows, hidden } },
    ]);
  });
});
