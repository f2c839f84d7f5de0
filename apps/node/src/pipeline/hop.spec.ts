import type { HopRequest, HopResponse } from '@pangalactic/contracts';
import type { SlotCommand } from '@pangalactic/inference';
import { activationCodec, type Duplex } from '@pangalactic/transport';
import { describe, expect, it } from 'vitest';
import { HopReceiver } from './hop-receiver';
import { HopSender } from './hop-sender';

const HIDDEN_SIZE = 3;
const ACTIVATIONS = activationCodec();
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

function recordingSender() {
  const sent: HopRequest[] = [];
  const channel = { send: async (message: HopRequest) => void sent.push(message) } as Duplex<HopRequest, HopResponse>;
  return { sent, sender: new HopSender(channel, ACTIVATIONS) };
}

describe('a hop', () => {
  it('brings every message to the other end as it was', async () => {
    const { sent, sender } = recordingSender();
    const rows = [{ slot: 2, generation: 7, start: 0, count: 2, sample: true }];
    const hidden = Float32Array.of(1, 2, 3, 4, 5, 6);
    await sender.open({ pipelineId: 'p1', stage: 4 });
    for (const command of commands) await sender.command(command);
    await sender.output({ step: 9, rows, hidden, samples: [], computeMs: 1, timings: [{ waitMs: 2, computeMs: 1 }] });

    const receiver = new HopReceiver();
    const [first, ...rest] = sent as [HopRequest, ...HopRequest[]];
    expect(receiver.open(first)).toEqual({ pipelineId: 'p1', stage: 4 });
    expect(rest.map((message) => receiver.message(message, ACTIVATIONS, HIDDEN_SIZE))).toEqual([
      ...commands.map((command) => ({ kind: 'command', command })),
      {
        kind: 'step',
        step: 9,
        input: { rows, hidden },
        arrivedAt: expect.any(Number) as number,
        timings: [{ waitMs: 2, computeMs: 1 }],
      },
    ]);
  });

  it('ends with the fault, whatever the stage still computes', async () => {
    const { sent, sender } = recordingSender();
    const fault = { stage: 3, nodeId: 'n', reason: 'no space left' };
    await sender.open({ pipelineId: 'p1', stage: 1 });
    sender.fault(fault);
    for (const command of commands) await sender.command(command);
    expect(sent).toEqual([expect.objectContaining({ number: 1 }), { number: 2, fault }]);
    const receiver = new HopReceiver();
    receiver.open(sent[0]!);
    const receive = () => receiver.message(sent[1]!, ACTIVATIONS, HIDDEN_SIZE);
    expect(receive).toThrow(expect.objectContaining({ fault }) as Error);
  });
});
