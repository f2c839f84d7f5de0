import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { serverSentEvents } from './server-sent-events';

async function* pieces(...bytes: Uint8Array[]) {
  yield* bytes;
}

async function parse(...bytes: Uint8Array[]): Promise<string[]> {
  const events = [];
  for await (const data of serverSentEvents(pieces(...bytes))) events.push(data);
  return events;
}

const encode = (text: string) => new TextEncoder().encode(text);

describe('serverSentEvents', () => {
  it.each([
    ['data: a\n\ndata: b\n\n', ['a', 'b']],
    ['data:no space\n\n', ['no space']],
    ['data: two\ndata: lines\n\n', ['two\nlines']],
    [': keep-alive\n\nevent: x\nid: 1\ndata: a\n\n', ['a']],
    ['data: a\r\n\r\ndata: b\r\n\r\n', ['a', 'b']],
    ['data: a\n\ndata: cut off', ['a']],
  ])('reads %j', async (text, events) => expect(await parse(encode(text))).toEqual(events));

  it('does not care how the network cuts the bytes', async () => {
    const events = fc.array(fc.string({ unit: 'grapheme' }).map((text) => JSON.stringify(text)));
    await fc.assert(
      fc.asyncProperty(events, fc.array(fc.nat()), async (data, cuts) => {
        const bytes = encode(data.map((each) => `data: ${each}\n\n`).join(''));
        const at = [0, ...cuts.map((cut) => cut % (bytes.length + 1)), bytes.length].sort((a, b) => a - b);
        const chunks = at.slice(1).map((end, index) => bytes.subarray(at[index], end));
        expect(await parse(...chunks)).toEqual(data);
      }),
    );
  });
});
